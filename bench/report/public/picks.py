"""Which few of the many rows a page names, and at which round costs it asks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.analyse.public.fronts import comparable, front
from bench.analyse.public.rows import COSTS, CostAxis, PublicRow
from bench.analyse.public.study import PublicStudy
from bench.catalog.strata import STRATA, STRATUM_TITLES, Stratum

COMPARED: tuple[Stratum, ...] = tuple(stratum for stratum in STRATA if stratum != "unknown")
LEAST_PCT = 65.0  # rows below are neither drawn nor named: a few tiny models would take up the range of the rest
_ROUND = [digit * 10.0**power for power in range(-3, 6) for digit in (1, 3)]


def stratum_title(stratum: Stratum) -> str:
    """At the start of a line."""
    title = STRATUM_TITLES[stratum]
    return title[0].upper() + title[1:]


def leading_cost(study: PublicStudy) -> CostAxis:
    """Latency here where something was timed, else multiply-adds."""
    return COSTS["latency" if any("latency" in row.times for row in study.rows) else "macs"]


def rows_of(study: PublicStudy, stratum: Stratum, *, by_labels_alone: bool = True) -> list[PublicRow]:
    """The comparable rows of a stratum from LEAST_PCT up."""
    rows = comparable(study.rows, stratum, by_labels_alone=by_labels_alone)
    return [row for row in rows if row.top1_pct >= LEAST_PCT]


def stratum_front(study: PublicStudy, stratum: Stratum, cost: CostAxis) -> list[PublicRow]:
    """The front over all families and ways of training within a stratum."""
    return front(rows_of(study, stratum, by_labels_alone=False), cost)


def thinned(rows: Sequence[PublicRow], cost: CostAxis, most: int) -> list[PublicRow]:
    """At most so many rows of a front in their order, the first and the last among them, evenly along log cost."""
    if len(rows) <= most:
        return list(rows)
    places = [math.log(cost.value(row) or 1.0) for row in rows]
    wanted = np.linspace(places[0], places[-1], most)
    nearest = {int(np.argmin([abs(place - one) for place in places])) for one in wanted}
    return [rows[i] for i in sorted(nearest)]


def round_limits(rows: Sequence[PublicRow], cost: CostAxis) -> list[float]:
    """One or two round costs inside the range of a front: those nearest to a third and two thirds of it, in logs."""
    places = [math.log(cost.value(row) or 1.0) for row in rows]
    if not places:
        return []
    inside = [one for one in _ROUND if places[0] <= math.log(one) <= places[-1]]
    thirds = (places[0] + (places[-1] - places[0]) * share for share in (1 / 3, 2 / 3))
    return sorted({min(inside, key=lambda one: abs(math.log(one) - third)) for third in thirds}) if inside else []


def best_within(rows: Sequence[PublicRow], cost: CostAxis, limit: float) -> PublicRow | None:
    """The most accurate row that costs no more, an estimate counted by the upper end of its interval; None if none."""
    within = [row for row in rows if _at_most(row, cost) <= limit]
    return min(within, key=lambda row: (-row.top1_pct, _at_most(row, cost), row.label), default=None)


def _at_most(row: PublicRow, cost: CostAxis) -> float:
    if cost.time is not None and cost.is_estimated(row):
        return row.times[cost.time].high
    return cost.value(row) or math.inf
