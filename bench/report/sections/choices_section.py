"""Which models cannot be told from the best at a typical budget, and the cheapest of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

from bench.analyse.compare.choose import COST_AXES, Candidate, Choices, CostAxis, at_one_budget, by_condition, choose
from bench.analyse.study import Study
from bench.catalog.identity import dataset_rank, identify_dataset
from bench.number_format import counted, first_few, fixed, flop_scale, listed, mac_scale, whole
from bench.report.document import Section
from bench.report.tables.accuracy_cells import score_cell
from bench.report.tables.columns import Records, dataset_column, number, words
from bench.report.tables.table import DASH, Cell, ColumnSpec, Notes, Table, make_table
from bench.text import escape

_Row = tuple[str, str, Choices]  # data set, protocol, and what the budget leaves
_ROUND = (1.0, 2.0, 5.0)
_BUDGETS_PER_AXIS = 2
_MOST_NAMED = 5
_AXES = ("latency_p50_ms", "peak_mib", "train_flop")  # what a budget is usually of


def choices_section(study: Study) -> Section:
    """The decision table; empty where there is nothing to choose from."""
    table = choices_table(study)
    names = listed(sorted({f"`{escape(one.accuracy.dataset)}`" for one in study.candidates}))
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
    places: dict[tuple[str, str], list[Candidate]] = {}
    for one in study.candidates:
        places.setdefault((one.accuracy.dataset, one.protocol), []).append(one)
    rows: list[_Row] = []
    for place, own in sorted(places.items(), key=lambda item: dataset_rank(identify_dataset(item[0][0]))):
        for limits in ({}, *typical_limits(own)):
            found = choose(next(iter(by_condition(at_one_budget(own, limits), limits).values())), limits)
            if found.choices and len({c.key.model for c in found.choices}) + len(found.too_costly) > 1:
                rows.append((*place, found))

    def ids(row: _Row) -> Records:
        return tuple(cell_id for one in row[2].choices for cell_id in one.accuracy.cell_ids)

    def unranked(row: _Row) -> str | None:
        count = len(row[2].unranked)
        return f"of these not ranked for unstable seeds or one run: {counted(count, 'model')}" if count else None

    def best(row: _Row, notes: Notes) -> Cell:
        first = row[2].best[0]
        over = first in row[2].on_the_limit
        mark = notes.mark("its range over processes goes beyond the limit: it may be outside" if over else None)
        return Cell(first.label, first.key.model, mark=mark)

    def others(row: _Row, _: Notes) -> Cell:
        rest = row[2].best[1:]
        names = listed(first_few((one.label for one in rest), _MOST_NAMED))
        return Cell(names or "none", " ".join(one.key.model for one in rest), ids(row))

    def cheapest(row: _Row, _: Notes) -> Cell:
        found = row[2].cheapest("macs")
        return DASH if found is None else Cell(found.label, found.key.model, found.costs["macs"].cell_ids)

    def ranked(heading: str, entry: Callable[[_Row, Notes], Cell], *, is_number: bool = False) -> ColumnSpec[_Row]:
        why = "none is ranked: unstable seeds, or one run"
        return ColumnSpec(
            heading, lambda row, notes: entry(row, notes) if row[2].best else notes.missing(why), is_number
        )

    columns: list[ColumnSpec[_Row]] = [
        dataset_column(lambda row: row[0]),
        words("Protocol", lambda row: row[1]),
        words("Budget", lambda row: limits_words(row[2].limits),
              lambda row: " ".join(f"{name}={limit!r}" for name, limit in row[2].limits.items())),
        number("Qualify", lambda row: len(row[2].choices), whole, records=ids, note=unranked),
        ranked("Best", best),
        ranked("Best: top-1 [%]", lambda row, notes: score_cell(row[2].best[0].accuracy, notes, ""), is_number=True),
        ranked("Not separable from it", others),
        ranked("Cheapest of these", cheapest),
    ]  # fmt: skip
    if len({protocol for _, protocol in places}) < 2:
        del columns[1]
    return make_table("choices", rows, columns)


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
