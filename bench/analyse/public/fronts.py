"""Which public checkpoints are the most accurate for what they cost, and how far one family's are ahead of another's.

Rows that are compared should come from one stratum of pretraining data: `comparable` picks them.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench.analyse.compare.choose import pareto_front
from bench.analyse.public.estimates import LEVEL as PREDICTION_LEVEL
from bench.analyse.public.rows import CostAxis, PublicRow
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
    """Rows of one stratum, those first trained without labels and the distilled ones left out unless asked for."""
    return [
        row for row in rows if row.training.stratum == stratum and (row.training.by_labels_alone or not by_labels_alone)
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

    span: of the front's range of costs, taken in logarithms, the share over which the best row is of this family.
    """

    family: PublicFamily
    on_front: int
    rows: int
    span: float


def front_shares(rows: Iterable[PublicRow], cost: CostAxis) -> list[Share]:
    """Each family's part of the front over all families, the largest span first.

    By year they cannot be told: timm's files do not say when a recipe is from.
    """
    known = [row for _, row in _by_expense(rows, cost)]
    best = front(known, cost)
    spans: defaultdict[PublicFamily, float] = defaultdict(float)
    for (start, row), (end, _) in pairwise(_by_expense(best, cost)):
        spans[row.family] += end - start
    whole = sum(spans.values())
    counts, on_front = Counter(row.family for row in known), Counter(row.family for row in best)
    shares = [Share(one, on_front[one], counts[one], spans[one] / whole if whole else 0.0) for one in counts]
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
    """Gaps between two families on a logarithmic grid of the costs that both span, from the cheapest.

    The interval holds the sampling of the 50,000 test images and, where the cost is a time here, the error of estimates
    and the range of processes. Both are drawn DRAWS times and each maximum is taken anew; the observed gap is moved by
    how far the draws lie from their median, since a maximum of noisy values is too high. Draws where a family has
    nothing within the cost are left out. Images and estimates are taken as independent from model to model: that all
    models saw the same images makes it too wide, that estimates of one family err together makes it too narrow. It does
    not hold how far another training of the same model would come, nor that recipes differ.
    """
    known = _by_expense(rows, cost)
    sides = [[(expense, row) for expense, row in known if row.family == family] for family in (first, second)]
    if not all(sides):
        return []
    start, end = max(side[0][0] for side in sides), min(side[-1][0] for side in sides)
    if start > end:
        return []
    grid = np.unique(np.linspace(start, end, points))
    rng = np.random.default_rng(_SEED)
    best = [_best_within(side, grid) for side in sides]
    ours, theirs = (_drawn_best(side, cost, grid, rng) for side in sides)
    observed = np.array([one.top1_pct - other.top1_pct for one, other in zip(*best, strict=True)], dtype=np.float64)
    low, high = _moved(observed, ours - theirs)
    limits = np.exp(-grid if cost.more_is_better else grid)
    columns = (limits.tolist(), *best, observed.tolist(), low.tolist(), high.tolist())
    return [Gap(*values) for values in zip(*columns, strict=True)]


def _by_expense(rows: Iterable[PublicRow], cost: CostAxis) -> list[tuple[float, PublicRow]]:
    """Logarithm of the cost (of its inverse, where more is better) and row, from the cheapest and most accurate."""
    sign = -1.0 if cost.more_is_better else 1.0
    known = [(sign * math.log(value), row) for row in rows if (value := cost.value(row))]
    return sorted(known, key=lambda pair: (pair[0], -pair[1].top1_pct, pair[1].label))


def _best_within(side: Sequence[tuple[float, PublicRow]], grid: Array) -> list[PublicRow]:
    """The most accurate row within each cost of the grid, the cheapest of equals."""
    expenses, top1_pct = np.array([expense for expense, _ in side]), np.array([row.top1_pct for _, row in side])
    return [side[int(np.where(expenses <= limit, top1_pct, -np.inf).argmax())][1] for limit in grid]


def _drawn_best(
    side: Sequence[tuple[float, PublicRow]], cost: CostAxis, grid: Array, rng: np.random.Generator
) -> Array:
    """The best top-1 within each cost of the grid in each draw, (DRAWS, grid); nan where nothing is within it, or where
    a time may be off by any factor."""
    share = np.array([row.top1_pct for _, row in side]) / 100
    top1_pct = 100 * rng.binomial(IMAGENET_IMAGES, share, (DRAWS, len(side))) / IMAGENET_IMAGES
    expenses = np.array([expense for expense, _ in side])[None, :]
    spreads = np.array([_log_spread(row, cost) for _, row in side])
    if np.isinf(spreads).any():
        return np.full((DRAWS, len(grid)), np.nan)
    if spreads.any():
        # rows of one architecture and size share one time, so one error
        _, of_row = np.unique([str(row.result.place) for _, row in side], return_inverse=True)
        expenses = expenses + spreads * rng.standard_normal((DRAWS, int(of_row.max()) + 1))[:, of_row]
    best = np.stack([np.where(expenses <= limit, top1_pct, -np.inf).max(1) for limit in grid], axis=1)
    return np.where(np.isfinite(best), best, np.nan)


def _log_spread(row: PublicRow, cost: CostAxis) -> float:
    """Standard deviation of the logarithm of a row's cost: half the range of the processes of a measured time."""
    if cost.time is None:
        return 0.0
    time = row.times[cost.time]
    half = math.log(time.high / time.low) / 2 if time.low > 0 else math.inf
    return half / _PREDICTION_REACH if time.kind == "estimated" else half


def _moved(observed: Array, drawn: Array) -> tuple[Array, Array]:
    """Ends of the intervals: observed gaps (points), moved by the draws' deviations from their medians."""
    if np.isnan(drawn).all():
        return np.full_like(observed, -np.inf), np.full_like(observed, np.inf)
    low, middle, high = np.nanquantile(drawn, ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2), axis=0)
    return observed + low - middle, observed + high - middle
