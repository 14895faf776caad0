"""Who is on the Pareto front of accuracy against each cost, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analyse.candidates import COST_AXES, Candidate
from bench.analyse.draws import DRAWS
from bench.analyse.front import Front, FrontPoint
from bench.analyse.identity import dataset_rank, family_rank, identify_dataset
from bench.analyse.study import Study
from bench.report.formats import counted, fixed, plus_minus
from bench.report.markdown import Cell, Column, Notes, Table
from bench.report.section import Section

LEAST_SHOWN = 0.05  # a model that is on no front more often than this is left out of the table
_TEXT = (
    "The chance that a model is on the front: that no other is at least as accurate at no more cost. It is the share "
    f"of {fixed(DRAWS, 0)} draws of both axes: accuracies over seeds and test images (the same images for all models "
    "where predictions are stored), timings over processes; MACs and training compute are exact. Bold: on the front of "
    "the estimates. The draws suppose no likeness of the models, so of many that are nearly equal each looks a little "
    "more different than it is. Along training compute every budget is a point of its own; the table has each model's "
    "largest."
)


def fronts_section(study: Study) -> Section:
    """The table of chances; empty where no data set has two models with a cost."""
    return Section("Who is on the front", _TEXT, fronts_table(study))


def fronts_table(study: Study) -> Table | None:
    """One row per data set and model that is on some front with a chance of LEAST_SHOWN; a column per cost."""
    axes = [axis for axis in COST_AXES.values() if any(front.axis.name == axis.name for front in study.fronts)]
    places: dict[tuple[str, str], dict[str, Front]] = {}
    for front in study.fronts:
        places.setdefault((front.dataset, front.protocol), {})[front.axis.name] = front
    if not places:
        return None
    notes = Notes()
    protocols = {protocol for _, protocol in places}
    heads = [Column("Data set", is_number=False), Column("Model", is_number=False)]
    if len(protocols) > 1:
        heads.append(Column("Protocol", is_number=False))
    heads += [Column("Top-1 [%]"), *(Column(f"Accuracy and {axis.title} [%]") for axis in axes)]
    rows: list[tuple[Cell, ...]] = []
    left_out = 0
    for (dataset, protocol), fronts in sorted(
        places.items(), key=lambda place: dataset_rank(identify_dataset(place[0][0]))
    ):
        points = {name: {p.candidate.name: p for p in front.points} for name, front in fronts.items()}
        chosen = [one for one in study.candidates if (one.dataset, one.protocol) == (dataset, protocol) and one.is_main]
        chosen = sorted(chosen, key=_row_order)
        likely = [one for one in chosen if any(_is_likely(of_axis.get(one.name)) for of_axis in points.values())]
        left_out += len(chosen) - len(likely)
        for one in likely:
            row = [Cell(identify_dataset(dataset).title, dataset), Cell(one.label, one.key.model)]
            if len(protocols) > 1:
                row.append(Cell(protocol))
            row.append(Cell(plus_minus(one.interval, 1), one.interval.estimate, one.cell_ids))
            row += [_cell(one, points.get(axis.name, {}), notes) for axis in axes]
            rows.append(tuple(row))
    if left_out:
        of_all = f"{left_out} of {counted(left_out + len(rows), 'row')} (data set and model)"
        notes.number(f"{of_all} left out: on no front with a chance of {fixed(100 * LEAST_SHOWN, 0)} % or more.")
    return Table("fronts", tuple(heads), tuple(rows), tuple(notes.texts)) if rows else None


def _row_order(candidate: Candidate) -> tuple[tuple[int, str], float, str]:
    macs = candidate.costs.get("macs")
    return family_rank(candidate.identity.family), macs.value if macs is not None else 0.0, candidate.label


def _is_likely(point: FrontPoint | None) -> bool:
    if point is None:
        return False
    return point.is_on_front if point.chance is None else point.chance >= LEAST_SHOWN


def _cell(candidate: Candidate, points: Mapping[str, FrontPoint], notes: Notes) -> Cell:
    point = points.get(candidate.name)
    if point is None:
        return notes.missing("not measured, or under conditions of its own")
    ids = (*candidate.cell_ids, *point.cost.cell_ids)
    mark = None
    if (
        candidate.protocol == "fine-tuned"
        and "train_flop" in candidate.costs
        and point.cost is candidate.costs["train_flop"]
    ):
        mark = notes.number("fine-tuning alone: what the weights had cost before is not in it")
    if point.chance is not None:
        return Cell(chance_words(point.chance), point.chance, ids, is_bold=point.is_on_front, mark=mark)
    why = (
        "one reading of a process's memory scatters by some tens of percent: by the estimates alone"
        if point.cost.is_rough
        else "some model has one run, and nothing says how far runs differ: by the estimates alone"
    )
    return Cell("on" if point.is_on_front else "off", point.is_on_front, ids, point.is_on_front, notes.number(why))


def chance_words(chance: float) -> str:
    """A chance in percent. Draws cannot tell one in a thousand from never, so the ends say only so much."""
    if chance < 0.01:
        return "< 1"
    return "> 99" if chance > 0.99 else fixed(100 * chance, 0)
