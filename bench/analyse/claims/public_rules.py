"""The rules that judge claims by public checkpoints: who is the most accurate for a cost, and who is faster.

Published accuracies, one training each: recipes differ. Accuracies are compared within one stratum of pretraining data,
of weights that were trained by labels alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TypeVar, get_args

from bench.analyse.claims.verdicts import Figure, Scope, bearing_of
from bench.analyse.public.fronts import Gap, comparable, front_shares, gaps_between
from bench.analyse.public.mac_times import mac_times
from bench.analyse.public.rows import COSTS, PUBLISHED_COSTS, CostAxis, PublicRow
from bench.analyse.public.study import public_study
from bench.analyse.stats.intervals import LEVEL
from bench.analyse.study import Study
from bench.catalog.identity import PublicFamily
from bench.catalog.public_results import PUBLISHED_DEVICES, SOURCE
from bench.catalog.strata import STRATA, STRATUM_TITLES, Stratum
from bench.errors import UnknownNameError
from bench.number_format import fixed

SUITE = "public"  # whose records time public checkpoints
_COUNTS = "bench/catalog/public_counts.csv"
_DRAWS = 1_000  # enough for ends of intervals at the level of all figures of a claim together
_UNITS = {"macs": "GMACs", "params": "M parameters"}  # where an axis' unit leaves out of what
_STRATA: Mapping[str, Stratum] = {stratum: stratum for stratum in STRATA}
_FAMILIES: Mapping[str, PublicFamily] = {family: family for family in get_args(PublicFamily)}
_AXES = {**COSTS, **PUBLISHED_COSTS}
_TIMES = {name: axis for name, axis in COSTS.items() if axis.time is not None}

Named = TypeVar("Named")


def published_front(
    strata: Sequence[str],
    cost: str,
    at: Sequence[float],
    first: str,
    second: str,
    above: float = 0.0,
    below: float = math.inf,
) -> list[Figure]:
    """How far the best of one group of checkpoints within each cost is ahead of the best of another, in points.

    first, second: a family, or one with a part of the architecture's name, `cnn:efficientnetv2`. at: costs, of which
    those that both groups span in a stratum give a figure. above, below: where the claim puts the difference.
    """
    axis = _found("cost", cost, _AXES)
    groups, claimed = (first, second), (above, below)
    return _gap_figures(_catalog_rows(), strata, axis, at, groups, claimed, source=_source(axis))


def measured_front(
    study: Study,
    scope: Scope,
    strata: Sequence[str],
    cost: str,
    at: int,
    first: str,
    second: str,
    above: float = 0.0,
    below: float = math.inf,
) -> list[Figure]:
    """The same along a time that suite `public` measured, or estimated from what it measured, at so many of its values.

    Every figure rests on all records that timed a model: estimates follow from them.
    """
    if study.suite != SUITE:
        return []
    public, axis = study.public, _found("time", cost, _TIMES)
    device = public.speeds[0].key.device if public.speeds else ""
    rows = [row for row in public.rows if scope.covers(row.result.img_size, row.macs, device)]
    ids = tuple(sorted({cell_id for speed in public.speeds for cell_id in speed.cell_ids}))
    groups, claimed = (first, second), (above, below)
    return _gap_figures(rows, strata, axis, at, groups, claimed, where=f", {device}", record_ids=ids)


def front_share(strata: Sequence[str], costs: Sequence[str], family: str, above_pct: float) -> list[Figure]:
    """The share of the front's range of each cost over which the best checkpoint is of this family."""
    places = [(_found("stratum", one, _STRATA), _found("cost", cost, _AXES)) for one in strata for cost in costs]
    found = []
    for stratum, axis in places:
        rows = comparable(_catalog_rows(), stratum)
        (own, joint) = (
            next((one for one in front_shares(rows, axis, level, _DRAWS) if one.family == family), None)
            for level in (LEVEL, _joint_level(len(places)))
        )
        if own is not None and joint is not None:
            ends = 100 * own.low, 100 * own.high
            bearing = bearing_of(ends, (100 * joint.low, 100 * joint.high), above_pct, math.inf)
            label = f"{axis.title} ({STRATUM_TITLES[stratum]})"
            found.append(Figure(label, *_rounded(100 * own.span, *ends), "%", bearing, _source(axis)))
    return found


def time_at_equal_macs(family: str, above: float = 0.0, below: float = math.inf) -> list[Figure]:
    """The time an image takes a family over that of the CNNs at equal multiply-adds, on every published device."""
    wanted = _found("family", family, _FAMILIES)
    inner = mac_times(_catalog_rows())
    outer = mac_times(_catalog_rows(), _joint_level(len(inner)))
    found = []
    for device, times in inner.items():
        if (ratio := times.at_equal_macs.get(wanted)) is not None:
            wide = outer[device].at_equal_macs[wanted]
            bearing = bearing_of((ratio.low, ratio.high), (wide.low, wide.high), above, below)
            numbers = _rounded(ratio.estimate, ratio.low, ratio.high)
            label = PUBLISHED_DEVICES[device].replace(",", "")
            found.append(Figure(label, *numbers, "times", bearing, _source(COSTS["macs"])))
    return found


def _gap_figures(
    rows: Sequence[PublicRow],
    strata: Sequence[str],
    cost: CostAxis,
    at: int | Sequence[float],
    groups: tuple[str, str],
    claimed: tuple[float, float],
    *,
    where: str = "",
    source: str = "",
    record_ids: tuple[str, ...] = (),
) -> list[Figure]:
    """One for each stratum and cost."""
    own = {stratum: comparable(rows, stratum) for stratum in (_found("stratum", name, _STRATA) for name in strata)}

    def gaps(level: float) -> list[tuple[Stratum, Gap]]:
        return [
            (stratum, gap)
            for stratum, known in own.items()
            for gap in gaps_between(_group(known, groups[0]), _group(known, groups[1]), cost, at, level, _DRAWS)
        ]

    inner = gaps(LEVEL)
    found = []
    for (stratum, gap), (_, wide) in zip(inner, gaps(_joint_level(len(inner))), strict=True):
        head = f"{STRATUM_TITLES[stratum]} at " if len(own) > 1 else ""
        limit = f"{float(f'{gap.at:.3g}'):g} {_UNITS.get(cost.name, cost.unit)}"
        best = " − ".join(_row_words(row, cost) for row in (gap.first, gap.second))
        bearing = bearing_of((gap.low_pp, gap.high_pp), (wide.low_pp, wide.high_pp), *claimed)
        numbers = _rounded(gap.gap_pp, gap.low_pp, gap.high_pp)
        found.append(Figure(f"{head}{limit}, {best}{where}", *numbers, "points", bearing, source, record_ids))
    return found


def _rounded(value: float, low: float, high: float) -> tuple[float, float | None, float | None]:
    """To digits that no library's order of summing changes; without ends that are not known."""
    return (round(value, 6), None, None) if math.isinf(low) else (round(value, 6), round(low, 6), round(high, 6))


def _row_words(row: PublicRow, cost: CostAxis) -> str:
    return f"{row.label} {fixed(row.top1_pct, 2)}{' (time estimated)' if cost.is_estimated(row) else ''}"


def _group(rows: Sequence[PublicRow], name: str) -> list[PublicRow]:
    family, _, part = name.partition(":")
    wanted = _found("family", family, _FAMILIES)
    return [row for row in rows if row.family == wanted and part in row.result.architecture]


@cache
def _catalog_rows() -> tuple[PublicRow, ...]:
    return public_study(()).rows


def _source(cost: CostAxis) -> str:
    return f"{SOURCE}; {_COUNTS}" if cost.name in COSTS else SOURCE


def _joint_level(figures: int) -> float:
    """At which intervals of so many figures hold all truths in 95 % of cases: Bonferroni's."""
    return 1 - (1 - LEVEL) / max(figures, 1)


def _found(kind: str, name: str, known: Mapping[str, Named]) -> Named:
    if name not in known:
        raise UnknownNameError(kind, name, known, "bench/catalog/claims.toml")
    return known[name]
