"""Which models cannot be told from the best at a typical budget, and the cheapest of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from bench.analyse.choose import COST_AXES, Candidate, Choices, CostAxis, at_one_budget, by_condition, choose
from bench.analyse.study import Study
from bench.catalog.identity import dataset_rank, identify_dataset
from bench.markdown_text import escape
from bench.report.accuracy_cells import accuracy_cell
from bench.report.document import Section
from bench.report.formats import counted, fixed, flop_scale, listed, mac_scale
from bench.report.table import Cell, Column, Notes, Table

_ROUND = (1.0, 2.0, 5.0)
_BUDGETS_PER_AXIS = 2
_MOST_NAMED = 5
_AXES = ("latency_p50_ms", "peak_mib", "train_flop")  # what a budget is usually of


def choices_section(study: Study) -> Section:
    """The decision table; empty where there is nothing to choose from."""
    table = choices_table(study)
    names = listed(sorted({f"`{escape(one.dataset)}`" for one in study.candidates}))
    text = (
        "The most accurate model within a budget, those not separable from it (Welch's t on common test images, "
        "one run each: McNemar; Holm over all that qualify), and the one of fewest MACs among them. Each model stands "
        "at its largest training budget within the limit; unstable seeds are not ranked. Limits are round numbers "
        f"inside the range that was measured; `vitbench choose --dataset NAME --max-latency-ms X ...` takes yours "
        f"(sets: {names})."
    )
    return Section("Which model for which budget", text if table is not None else "", table)


def choices_table(study: Study) -> Table | None:
    """One row per data set, protocol and budget: the best, those like it, and the cheapest of these."""
    notes = Notes()
    places: dict[tuple[str, str], list[Candidate]] = {}
    for one in study.candidates:
        places.setdefault((one.dataset, one.protocol), []).append(one)
    protocols = {protocol for _, protocol in places}
    rows = []
    for (dataset, protocol), own in sorted(
        places.items(), key=lambda place: dataset_rank(identify_dataset(place[0][0]))
    ):
        for limits in ({}, *typical_limits(own)):
            found = choose(next(iter(by_condition(at_one_budget(own, limits), limits).values())), limits)
            if not found.choices or len({c.key.model for c in found.choices}) + len(found.too_costly) < 2:
                continue
            row = [Cell(identify_dataset(dataset).title, dataset)]
            if len(protocols) > 1:
                row.append(Cell(protocol))
            row += [Cell(limits_words(limits), " ".join(f"{k}={v!r}" for k, v in limits.items()))]
            row += _choice_cells(found, notes)
            rows.append(tuple(row))
    if not rows:
        return None
    heads = [Column("Data set", is_number=False)]
    if len(protocols) > 1:
        heads.append(Column("Protocol", is_number=False))
    heads += [Column("Budget", is_number=False), Column("Qualify")]
    heads += [Column("Best", is_number=False), Column("Best: top-1 [%]")]
    heads += [Column("Not separable from it", is_number=False), Column("Cheapest of these", is_number=False)]
    return Table("choices", tuple(heads), tuple(rows), tuple(notes.texts))


def _choice_cells(found: Choices, notes: Notes) -> list[Cell]:
    ids = tuple(cell_id for one in found.choices for cell_id in one.cell_ids)
    unranked = f"of these not ranked for unstable seeds or one run: {counted(len(found.unranked), 'model')}"
    count = Cell(fixed(len(found.choices), 0), len(found.choices), ids,
                 mark=notes.number(unranked) if found.unranked else None)  # fmt: skip
    if not found.best:
        return [count, *[notes.missing("none is ranked: unstable seeds, or one run")] * 4]
    best, *others = found.best
    more = [f"{len(others) - _MOST_NAMED} more"] if len(others) > _MOST_NAMED else []
    names = listed([*(one.label for one in others[:_MOST_NAMED]), *more])
    mark = None
    if best in found.on_the_limit:
        mark = notes.number("its range over processes goes beyond the limit: it may be outside")
    cheapest = found.cheapest("macs")
    return [
        count,
        Cell(best.label, best.key.model, mark=mark),
        accuracy_cell(best.group, best.interval, best.cell_ids, notes),
        Cell(names or "none", " ".join(one.key.model for one in others), ids),
        Cell("–") if cheapest is None else Cell(cheapest.label, cheapest.key.model, cheapest.costs["macs"].cell_ids),
    ]


def limits_words(limits: Mapping[str, float]) -> str:
    """`latency at most 2 ms`; `none`. Plain text."""
    return " and ".join(_limit_words(COST_AXES[name], limit) for name, limit in limits.items()) or "none"


def _limit_words(axis: CostAxis, limit: float) -> str:
    scale = {"train_flop": flop_scale, "macs": mac_scale}.get(axis.name)
    if scale is not None:
        unit = scale([limit])
        return f"{axis.title} at most {_plain(limit / unit.factor)} {unit.unit}"
    bound = "at least" if axis.more_is_better else "at most"
    unit_words = {"latency_p50_ms": "ms", "throughput_img_per_s": "img/s", "peak_mib": "MiB"}[axis.name]
    return f"{axis.title} {bound} {_plain(limit)} {unit_words}"


def _plain(value: float) -> str:
    """A limit as somebody would say it: no zeros at the end."""
    return f"{value:.6g}" if value < 10_000 else fixed(value, 0)


def typical_limits(candidates: Sequence[Candidate]) -> list[dict[str, float]]:
    """Up to two round limits on each axis, that some candidates meet and others do not; none on a rough cost."""
    found: list[dict[str, float]] = []
    for name in _AXES:
        own = next(iter(by_condition([one for one in candidates if name in one.costs], [name]).values()))
        values = sorted({one.costs[name].value for one in own})
        if len(values) < 2 or any(one.costs[name].is_rough for one in own):
            continue
        rounds = [limit for limit in round_numbers(values[0], values[-1]) if not _is_near_any(limit, values)]
        rounds = rounds or [between(*pair) for pair in itertools.pairwise(values) if pair[1] > 1.05 * pair[0]]
        step = max(1, -(-len(rounds) // _BUDGETS_PER_AXIS))
        found += [{name: limit} for limit in rounds[::step][:_BUDGETS_PER_AXIS]]
    return found


def between(low: float, high: float) -> float:
    """A number in the middle of two (geometrically), to as few digits as keep it inside."""
    middle = math.sqrt(low * high)
    return next(value for digits in range(1, 17) if low < (value := float(f"{middle:.{digits}g}")) < high)


def _is_near_any(limit: float, values: Sequence[float]) -> bool:
    """Whether a limit falls on one of the values, so that a hair decides who qualifies."""
    return any(abs(limit / value - 1) < 0.02 for value in values)


def round_numbers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from low to high; finer steps where fewer than two of them are inside."""
    exponents = range(-12, 30)
    for steps in (_ROUND, (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0), tuple(n / 10 for n in range(10, 100))):
        found = [float(f"{step}e{power}") for power in exponents for step in steps]
        inside = [number for number in sorted(found) if low <= number < high]
        if len(inside) > 1:
            return inside
    return inside
