"""Parallel curves, one a family: y on x with a level for each family, one slope and one bend, bootstrapped.

The bend matters: families lie at different places of x, and a straight line would take its curvature for a lead.

Checkpoints and sizes of one architecture are no independent evidence: whole architectures are drawn, within families.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.analyse.public.rows import PublicRow
from bench.analyse.stats.intervals import LEVEL, Interval
from bench.catalog.identity import PublicFamily

FEWEST_ARCHITECTURES = 8  # of a family, below which it gets no line
_DRAWS = 1_000
_SEED = 16

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FamilyLines:
    """y = level + slope d + bend d², with d = x - at and a level of each family.

    level_draws: of each resample, (DRAWS,). architectures, rows: behind each line. too_few: families without a line,
    with their number of architectures.
    """

    at: float
    levels: Mapping[PublicFamily, float]
    slope: float
    bend: float
    level_draws: Mapping[PublicFamily, Array] = field(repr=False)
    architectures: Mapping[PublicFamily, int]
    rows: Mapping[PublicFamily, int]
    too_few: Mapping[PublicFamily, int]

    def interval(self, family: PublicFamily, value: float, draws: Array, level: float = LEVEL) -> Interval:
        """A quantity of this family's line with the percentile interval of its resamples."""
        low, high = np.quantile(draws, ((1 - level) / 2, (1 + level) / 2))
        return Interval(value, float(low), float(high), self.architectures[family], "bootstrap over architectures")


def fit_family_lines(rows: Sequence[PublicRow], x: Iterable[float], y: Iterable[float]) -> FamilyLines | None:
    """Least squares over the rows, each with its x and y, about the median x; None without a family large enough."""
    clusters: dict[PublicFamily, dict[str, list[int]]] = {}
    for i, row in enumerate(rows):
        clusters.setdefault(row.family, {}).setdefault(row.result.architecture, []).append(i)
    large = {family: own for family, own in clusters.items() if len(own) >= FEWEST_ARCHITECTURES}
    if not large:
        return None
    all_x, all_y = np.fromiter(x, np.float64), np.fromiter(y, np.float64)
    at = float(np.median(all_x))
    rng = np.random.default_rng(_SEED)
    squares, products = [], []  # normal equations: of all rows, then of each resample
    for column, own in enumerate(large.values()):
        design = [_design(all_x[members] - at, column, len(large)) for members in own.values()]
        square = np.stack([one.T @ one for one in design])
        product = np.stack([one.T @ all_y[members] for one, members in zip(design, own.values(), strict=True)])
        times = np.vstack([np.ones(len(own)), _resampled(len(own), rng)])  # how often each architecture counts
        squares.append(np.tensordot(times, square, 1))
        products.append(times @ product)
    found = np.linalg.solve(np.sum(squares, 0), np.sum(products, 0)[..., None])[..., 0]
    return FamilyLines(
        at=at,
        levels={family: float(found[0, i]) for i, family in enumerate(large)},
        slope=float(found[0, -2]),
        bend=float(found[0, -1]),
        level_draws={family: found[1:, i] for i, family in enumerate(large)},
        architectures={family: len(own) for family, own in large.items()},
        rows={family: sum(map(len, own.values())) for family, own in large.items()},
        too_few={family: len(own) for family, own in clusters.items() if family not in large},
    )


def _resampled(count: int, rng: np.random.Generator) -> Array:
    """How often each of so many is drawn when as many are drawn with replacement, (DRAWS, count)."""
    drawn = rng.integers(count, size=(_DRAWS, count)) + count * np.arange(_DRAWS)[:, None]
    return np.bincount(drawn.ravel(), minlength=_DRAWS * count).reshape(_DRAWS, count).astype(np.float64)


def _design(away: Array, column: int, families: int) -> Array:
    """(rows, families + 2): one for the own family, the distance from `at`, and its square."""
    design = np.zeros((len(away), families + 2))
    design[:, column], design[:, -2], design[:, -1] = 1.0, away, away**2
    return design
