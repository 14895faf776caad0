"""Which model to take at a typical budget, and the chance that it is really the best of those that qualify."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from bench.analyse.candidates import COST_AXES, Candidate, CostAxis
from bench.analyse.choose import Choice, Choices, at_one_budget, by_condition, choose
from bench.analyse.draws import DRAWS
from bench.analyse.identity import dataset_rank, identify_dataset
from bench.analyse.study import Study
from bench.report.formats import fixed, flop_scale, mac_scale, plus_minus
from bench.report.fronts_section import chance_words
from bench.report.markdown import Cell, Column, Notes, Table, escape
from bench.report.section import Section

_ROUND = (1.0, 2.0, 5.0)
_BUDGETS_PER_AXIS = 2
_AXES = ("latency_p50_ms", "peak_mib", "train_flop")  # what a budget is usually of


def choices_section(study: Study) -> Section:
    """The decision table; empty where there is nothing to choose from."""
    table = choices_table(study)
    names = " and ".join(sorted({f"`{escape(name)}`" for name in _sets(study)}))
    text = (
        "The most accurate model within a budget, and the chance that it really is the best of those that qualify "
        f"({fixed(DRAWS, 0)} draws of accuracies over seeds and test images, and of timings over processes). A chance "
        "far below 100 % means that the choice is open; *next* is the likeliest of the others. The best of many by "
        "their test accuracy looks a little better than it is, and the draws suppose no likeness of the models. Each "
        "model stands at its largest training budget within the limit. Limits are round numbers inside the range that "
        "was measured; "
        f"`vitbench choose --dataset NAME --max-latency-ms X ...` takes yours (sets: {names})."
    )
    return Section("Which model for which budget", text if table is not None else "", table)


def _sets(study: Study) -> list[str]:
    return list(dict.fromkeys(one.dataset for one in study.candidates))


def choices_table(study: Study) -> Table | None:
    """One row per data set, protocol and budget: the best, its chance, and the next."""
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
            if (
                len(found.choices) < 1
                or len({c.candidate.key.model for c in found.choices}) + len(found.too_costly) < 2
            ):
                continue
            row = [Cell(identify_dataset(dataset).title, dataset)]
            if len(protocols) > 1:
                row.append(Cell(protocol))
            row += [Cell(limits_words(limits), " ".join(f"{k}={v!r}" for k, v in limits.items()))]
            row += [Cell(fixed(len(found.choices), 0), len(found.choices), _ids(found.choices))]
            row += _choice_cells(found, found.choices[:1], notes) + _choice_cells(found, _runner_up(found), notes)
            rows.append(tuple(row))
    if not rows:
        return None
    heads = [Column("Data set", is_number=False)]
    if len(protocols) > 1:
        heads.append(Column("Protocol", is_number=False))
    heads += [Column("Budget", is_number=False), Column("Qualify")]
    for which in ("Best", "Next"):
        heads += [Column(which, is_number=False), Column(f"{which}: top-1 [%]"), Column(f"{which}: chance of best [%]")]
    return Table("choices", tuple(heads), tuple(rows), tuple(notes.texts))


def _ids(choices: Sequence[Choice]) -> tuple[str, ...]:
    return tuple(cell_id for choice in choices for cell_id in choice.candidate.cell_ids)


def _runner_up(found: Choices) -> Sequence[Choice]:
    """Of the others, the likeliest to be the best; empty without others."""
    return sorted(found.choices[1:], key=lambda choice: -(choice.chance_of_best or 0.0))[:1]


def _choice_cells(found: Choices, chosen: Sequence[Choice], notes: Notes) -> list[Cell]:
    if not chosen:
        nobody = notes.missing("no other model qualifies")
        return [nobody, nobody, nobody]
    choice = chosen[0]
    one = choice.candidate
    ids = (*one.cell_ids, *(i for name in found.limits for i in one.costs[name].cell_ids))
    mark = None
    if choice is found.choices[0] and (found.chance_of_others or 0.0) >= 0.05:
        mark = notes.number("another, whose cost is just outside the budget, may be inside and better")
    return [
        Cell(one.label, one.key.model),
        Cell(plus_minus(one.interval, 1), one.interval.estimate, one.cell_ids),
        notes.missing("some model has one run, and nothing says how far runs differ")
        if choice.chance_of_best is None
        else Cell(chance_words(choice.chance_of_best), choice.chance_of_best, ids, mark=mark),
    ]


def limits_words(limits: dict[str, float]) -> str:
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
