"""Tables that check what the page rests on: counts beside timm's, and estimated times beside measured ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analyse.public.published_counts import PublishedCount
from bench.analyse.public.rows import COSTS, Place, Time, Timing
from bench.analyse.public.study import Estimates, check_places
from bench.number_format import digits, fixed, listed, rounded, signed, significant
from bench.report.public.tables import COUNTED, TIMINGS, ids_of
from bench.report.tables.columns import condition, each, no_records, number, words
from bench.report.tables.table import DASH, Cell, ColumnSpec, Notes, Table, make_table, rooted
from bench.units import GIGA, MEGA


def causes_table(different: Sequence[PublishedCount]) -> Table | None:
    """Why counts differ from timm's, with how many do."""
    causes = dict.fromkeys(one.cause for one in different)
    rows = [(cause or "unexplained", [one for one in different if one.cause == cause]) for cause in causes]
    rows.sort(key=lambda row: -len(row[1]))
    columns: list[ColumnSpec[tuple[str, list[PublishedCount]]]] = [
        words("Cause", lambda row: row[0]),
        number("MACs differ", lambda row: sum(not one.macs_are_met for one in row[1]), str, records=no_records),
        number("Activations differ", lambda row: sum(not one.activations_are_met for one in row[1]), str,
               records=no_records),
        words("Architectures", lambda row: listed(dict.fromkeys(one.place[0].split("_")[0] for one in row[1]))),
    ]  # fmt: skip
    return rooted(make_table("count_causes", rows, columns), COUNTED)


def differing_counts_table(different: Sequence[PublishedCount]) -> Table | None:
    """Every architecture and size whose count differs from timm's."""
    columns: list[ColumnSpec[PublishedCount]] = [
        words("Architecture", lambda one: one.place[0]),
        condition("Size [px]", lambda one: one.place[1]),
        number("MACs [G] (counted)", lambda one: one.ours.macs, digits(4, GIGA), records=no_records),
        number("MACs with norms [G] (counted)", lambda one: one.macs_with_norms, digits(4, GIGA), records=no_records),
        number("MACs [G] (timm, published)", lambda one: one.published.infer_gmacs, rounded(2), records=no_records,
               source=lambda one: one.published.source),
        number("Difference [%]", lambda one: 100 * (one.macs_with_norms / GIGA / one.published.infer_gmacs - 1),
               lambda gap: signed(gap, 1), records=no_records, source=lambda one: one.published.source),
        number("Activations [M] (counted)", lambda one: one.ours.activations, digits(4, MEGA), records=no_records),
        number("Activations [M] (timm, published)", lambda one: one.published.infer_macts, rounded(2),
               records=no_records, source=lambda one: one.published.source,
               note=lambda one: one.cause or "unexplained"),
    ]  # fmt: skip
    return rooted(make_table("differing_counts", different, columns), COUNTED)


@dataclass(frozen=True)
class _Errors:
    """How far estimates of one kind of time were off, each factor from 1 up, rising."""

    timing: Timing
    checked_on: str
    factors: Sequence[float]
    held: int
    reach: float  # of the interval, a factor up and down
    cell_ids: tuple[str, ...]

    def quantile(self, share: float) -> float | None:
        return float(np.quantile(self.factors, share)) if self.factors else None


def errors_table(estimates: Mapping[Timing, Estimates]) -> Table | None:
    """How far estimates are off: anchors left out one at a time, and further models."""
    rows = []
    for timing, found in estimates.items():
        if found.estimator is None:
            continue
        reach, anchors, further = found.estimator.reach, ids_of(found.anchors), ids_of(found.checked)
        left_out = sorted(max(factor, 1 / factor) for factor in found.estimator.factors.values())
        held = sum(factor <= reach for factor in left_out)
        rows.append(_Errors(timing, "anchors, each left out in turn", left_out, held, reach, anchors))
        rows.append(_Errors(timing, "further models", found.factors, found.held, reach, anchors + further))
    columns: list[ColumnSpec[_Errors]] = [
        words("Time", lambda row: COSTS[row.timing].title),
        words("Checked on", lambda row: row.checked_on),
        condition("Models", lambda row: len(row.factors)),
        number("Off by a factor of, median", lambda row: row.quantile(0.5), rounded(2)),
        number("90th percentile", lambda row: row.quantile(0.9), rounded(2)),
        number("Largest", lambda row: row.quantile(1.0), rounded(2)),
        number("90 % interval: factor up and down", lambda row: row.reach if math.isfinite(row.reach) else None,
               rounded(2), missing="too few timed models for an interval"),
        number("Inside it", lambda row: row.held, str),
    ]  # fmt: skip
    return make_table("estimate_errors", rows, columns)


@dataclass(frozen=True)
class _Timed:
    """One timed model. factors: how many times too long it was estimated without its own timing."""

    place: Place
    timed_as: str
    times: Mapping[Timing, Time]
    factors: Mapping[Timing, float]


def timings_table(estimates: Mapping[Timing, Estimates]) -> Table | None:
    """Every timed model: its times here, and how many times too long each was estimated without it."""
    times: dict[Place, dict[Timing, Time]] = {}
    factors: dict[Place, dict[Timing, float]] = {}
    for timing, found in estimates.items():
        for place, time in found.measured.items():
            times.setdefault(place, {})[timing] = time
        if found.estimator is not None:
            further = {
                place: found.estimator.times.get(place, math.nan) / time.value for place, time in found.further.items()
            }
            for place, factor in {**found.estimator.factors, **further}.items():
                factors.setdefault(place, {})[timing] = factor
    kinds = {place: "further model" if place in check_places() else "on request" for place in times}
    kinds |= {place: "anchor" for found in estimates.values() for place in found.anchors}
    rows = [_Timed(place, kinds[place], own, factors.get(place, {})) for place, own in times.items()]

    def measured(row: _Timed, timing: Timing, notes: Notes) -> Cell:
        if timing not in row.times:
            return DASH
        time = row.times[timing]
        more = (("low", time.low), ("high", time.high))
        return Cell(significant(time.value, 3), time.value, time.cell_ids, more=more)

    def estimated(row: _Timed, timing: Timing, notes: Notes) -> Cell:
        factor = row.factors.get(timing, math.nan)
        if math.isnan(factor):
            return DASH
        return Cell(fixed(factor, 2), factor, row.times[timing].cell_ids, is_estimate=True)

    columns: list[ColumnSpec[_Timed]] = [
        words("Architecture", lambda row: row.place[0]),
        condition("Size [px]", lambda row: row.place[1]),
        words("Timed as", lambda row: row.timed_as),
        *each(TIMINGS, lambda timing: f"{COSTS[timing].title} [{COSTS[timing].unit}] (measured)", measured),
        *each(TIMINGS, lambda timing: f"{COSTS[timing].title}: estimated over measured", estimated),
    ]
    return make_table("public_timings", sorted(rows, key=lambda row: (row.timed_as, row.place)), columns)
