"""Which public checkpoints are the most accurate for what they cost, and how far one family's are ahead of another's.

Rows that are compared should come from one stratum of pretraining data: `comparable` picks them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench.analyse.compare.choose import pareto_front
from bench.analyse.public.estimates import LEVEL as PREDICTION_LEVEL
from bench.analyse.public.rows import CostAxis, PublicRow, Time
from bench.analyse.stats.intervals import LEVEL
from bench.catalog.identity import PublicFamily
from bench.catalog.public_results import IMAGENET_IMAGES
from bench.catalog.strata import Stratum

POINTS = 40  # of the grid of costs at which gaps are taken
DRAWS = 500
_SEED = 16
_PREDICTION_REACH = NormalDist().inv_cdf((1 + PREDICTION_LEVEL) / 2)  # in standard deviations

Array = NDArray[np.float64]


def comparable(rows: Iterable[PublicRow], stratum: Stratum, *, by_labels_alone: bool = True) -> list[PublicRow]:
    """Rows of one stratum, those first trained without labels and the distilled ones left out unless asked for.

    Without timm's `test_` models: they serve its unit tests, and would be the smallest of each family.
    """
    return [
        row
        for row in rows
        if row.training.stratum == stratum
        and (row.training.by_labels_alone or not by_labels_alone)
        and not row.is_for_tests
    ]


def front(rows: Iterable[PublicRow], cost: CostAxis) -> list[PublicRow]:
    """Rows that none beats in top-1 and in cost, ties together, from the cheapest; those without the cost left out."""
    known = _by_expense(rows, cost)
    is_on = pareto_front([expense for expense, _ in known], [row.top1_pct for _, row in known])
    return [row for (_, row), on in zip(known, is_on, strict=True) if on]


def family_fronts(rows: Iterable[PublicRow], cost: CostAxis) -> dict[PublicFamily, list[PublicRow]]:
    """The front of each family that has a row with the cost."""
    of_family: dict[PublicFamily, list[PublicRow]] = {}
    for row in rows:
        of_family.setdefault(row.family, []).append(row)
    fronts = {family: front(own, cost) for family, own in of_family.items()}
    return {family: own for family, own in fronts.items() if own}


@dataclass(frozen=True)
class Share:
    """One family's part of a front. rows: how many of it were there, on the front or not.

    span: of the front's range of costs, taken in logarithms, the share over which the best row is of this family; low,
    high: its 95 % interval, which holds what the interval of a gap holds.
    """

    family: PublicFamily
    on_front: int
    rows: int
    span: float
    low: float
    high: float


def front_shares(rows: Iterable[PublicRow], cost: CostAxis, level: float = LEVEL, draws: int = DRAWS) -> list[Share]:
    """Each family's part of the front over all families, the largest span first.

    By year they cannot be told: timm's files do not say when a recipe is from.
    """
    known = _by_expense(rows, cost)
    if not known:
        return []
    counts = Counter(row.family for _, row in known)
    on_front = Counter(row.family for row in front((row for _, row in known), cost))
    columns = np.array([list(counts).index(row.family) for _, row in known])
    observed = _spans(*_as_published(known), columns)[0]
    low, high = _moved(observed, _spans(*_drawn(known, cost, np.random.default_rng(_SEED), draws), columns), level)
    ends = zip(observed.tolist(), np.clip(low, 0, 1).tolist(), np.clip(high, 0, 1).tolist(), strict=True)
    shares = [Share(family, on_front[family], counts[family], *end) for family, end in zip(counts, ends, strict=True)]
    return sorted(shares, key=lambda share: (-share.span, -share.on_front, share.family))


@dataclass(frozen=True)
class Gap:
    """How far the best row of one family within a cost is ahead of the best of another, in percentage points.

    at: the cost in its unit, as a limit: at most, or at least where more is better. low_pp, high_pp: 95 % for this cost
    alone; infinite where nothing says how far the times of the rows are off.
    """

    at: float
    first: PublicRow
    second: PublicRow
    gap_pp: float
    low_pp: float
    high_pp: float

    @property
    def ahead(self) -> int:
        """1: the first is ahead beyond the interval; -1: the second is; 0: neither."""
        return (self.low_pp > 0) - (self.high_pp < 0)


def front_gaps(
    rows: Iterable[PublicRow],
    cost: CostAxis,
    first: PublicFamily = "vit",
    second: PublicFamily = "cnn",
    points: int = POINTS,
) -> list[Gap]:
    """Gaps between two families, see `gaps_between`."""
    own = list(rows)
    ours, theirs = ([row for row in own if row.family == family] for family in (first, second))
    return gaps_between(ours, theirs, cost, points)


def gaps_between(
    first: Iterable[PublicRow],
    second: Iterable[PublicRow],
    cost: CostAxis,
    at: int | Sequence[float] = POINTS,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> list[Gap]:
    """Gaps at these costs, as far as both groups span them, or at so many on a logarithmic grid, from the cheapest.

    The interval holds the sampling of the 50,000 test images and, where the cost is a time here, the error of estimates
    and the range of processes. Both are drawn so many times and each maximum is taken anew; the observed gap is moved
    by how far the draws lie from their median, since a maximum of noisy values is too high. Draws where a group has
    nothing within the cost are left out. Images and estimates are taken as independent from model to model: that all
    models saw the same images makes it too wide, that estimates of one family err together makes it too narrow. It does
    not hold how far another training of the same model would come, nor that recipes differ.
    """
    sides = [_by_expense(rows, cost) for rows in (first, second)]
    if not all(sides):
        return []
    start, end = max(side[0][0] for side in sides), min(side[-1][0] for side in sides)
    grid = np.linspace(start, end, at) if isinstance(at, int) else np.sort(_sign(cost) * np.log(at))
    grid = np.unique(grid[(grid >= start) & (grid <= end)])
    if not grid.size:
        return []
    rng = np.random.default_rng(_SEED)
    best = [_best_within(side, grid) for side in sides]
    ours, theirs = (_best_drawn(*_drawn(side, cost, rng, draws), grid) for side in sides)
    observed = np.array([one.top1_pct - other.top1_pct for one, other in zip(*best, strict=True)], dtype=np.float64)
    low, high = _moved(observed, ours - theirs, level)
    columns = (np.exp(_sign(cost) * grid).tolist(), *best, observed.tolist(), low.tolist(), high.tolist())
    return [Gap(*values) for values in zip(*columns, strict=True)]


Known = Sequence[tuple[float, PublicRow]]  # rows with the logarithm of their cost, or of its inverse: more is dearer


def _sign(cost: CostAxis) -> float:
    return -1.0 if cost.more_is_better else 1.0


def _by_expense(rows: Iterable[PublicRow], cost: CostAxis) -> Known:
    """Rows that have the cost, from the cheapest and most accurate."""
    known = [(_sign(cost) * math.log(value), row) for row in rows if (value := cost.value(row))]
    return sorted(known, key=lambda pair: (pair[0], -pair[1].top1_pct, pair[1].label))


def _best_within(side: Known, grid: Array) -> list[PublicRow]:
    """The most accurate row within each cost of the grid, the cheapest of equals."""
    expenses, top1_pct = (values[0] for values in _as_published(side))
    return [side[int(np.where(expenses <= limit, top1_pct, -np.inf).argmax())][1] for limit in grid]


def _best_drawn(expenses: Array, top1_pct: Array, grid: Array) -> Array:
    """The best top-1 within each cost of the grid in each draw, (draws, grid); nan where nothing is within it."""
    best = np.stack([np.where(expenses <= limit, top1_pct, -np.inf).max(1) for limit in grid], axis=1)
    return np.where(np.isfinite(best), best, np.nan)


def _as_published(known: Known) -> tuple[Array, Array]:
    """Expenses and top-1 in percent, (1, rows) each."""
    pairs = np.array([(expense, row.top1_pct) for expense, row in known], dtype=np.float64)
    return pairs[None, :, 0], pairs[None, :, 1]


def _drawn(known: Known, cost: CostAxis, rng: np.random.Generator, draws: int) -> tuple[Array, Array]:
    """Expenses, (draws or 1, rows), nan where a time may be off by any factor; top-1 in percent, (draws, rows)."""
    expenses, top1_pct = _as_published(known)
    deviation = np.sqrt(top1_pct * (100 - top1_pct) / IMAGENET_IMAGES)  # binomial; so many images make it normal
    drawn_pct = top1_pct + deviation * rng.standard_normal((draws, len(known)))
    if cost.time is None:
        return expenses, drawn_pct
    spreads = np.array([_log_spread(row.times[cost.time]) for _, row in known])
    # rows of one architecture and size share one time, so one error
    _, of_row = np.unique([str(row.result.place) for _, row in known], return_inverse=True)
    errors = rng.standard_normal((draws, int(of_row.max()) + 1))[:, of_row]
    if np.isinf(spreads).any():
        return np.full_like(drawn_pct, np.nan), drawn_pct
    return expenses + spreads * errors, drawn_pct


def _spans(expenses: Array, top1_pct: Array, columns: NDArray[np.int_]) -> Array:
    """Of each draw's front, the share of its range over which the best row is of each column, (draws, columns)."""
    order = np.broadcast_to(expenses.argsort(1, kind="stable"), top1_pct.shape)
    expenses, top1_pct = np.take_along_axis(expenses, order, 1), np.take_along_axis(top1_pct, order, 1)
    best = np.maximum.accumulate(top1_pct, 1)
    is_new = np.diff(best, axis=1, prepend=-np.inf) > 0
    places = np.arange(expenses.shape[1])
    leader = np.maximum.accumulate(np.where(is_new, places, 0), 1)
    last = leader[:, -1:]
    widths = np.where(places[:-1] < last, np.diff(expenses, axis=1), 0.0)
    family = columns[np.take_along_axis(order, leader, 1)][:, :-1]
    lengths = np.stack([(widths * (family == column)).sum(1) for column in range(columns.max() + 1)], axis=1)
    whole = lengths.sum(1, keepdims=True)
    shares: Array = lengths / np.where(whole == 0, 1.0, whole)
    return shares


def _log_spread(time: Time) -> float:
    """Standard deviation of a time's logarithm: of a measured one half the range of its processes."""
    half = math.log(time.high / time.low) / 2 if time.low > 0 else math.inf
    return half / _PREDICTION_REACH if time.kind == "estimated" else half


def _moved(observed: Array, drawn: Array, level: float) -> tuple[Array, Array]:
    """Ends of the intervals: what was observed, moved by the draws' deviations from their medians."""
    if np.isnan(drawn).all():
        return np.full_like(observed, -np.inf), np.full_like(observed, np.inf)
    low, middle, high = np.nanquantile(drawn, ((1 - level) / 2, 0.5, (1 + level) / 2), axis=0)
    return observed + low - middle, observed + high - middle
