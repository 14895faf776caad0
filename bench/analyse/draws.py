"""Draws of accuracies and costs, as uncertain as their intervals: what chances of being best or on a front count.

The draws come from a counter-based generator that is keyed by a name and turned into numbers here, so that a report
rebuilt elsewhere shows the same chances.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from bench.analyse.intervals import Interval, SeedGroup, t_quantile

DRAWS = 1000  # a chance of one half is then known to 3 points (95 %)
_FARTHEST = 100.0  # of a drawn logarithm: a factor of 1e43 and one over it
_IMAGES_AT_ONCE = 4096  # images whose weights are held at a time: 1,000 draws of them are 32 MiB

Floats = npt.NDArray[np.float64]


def uniforms(name: str, count: int) -> Floats:
    """`count` numbers in (0, 1), always the same for a name: Philox keyed by it, 53 bits of each word."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")
    raw = np.random.Philox(key=key).random_raw(count)
    return np.asarray(((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)


def normals(name: str, count: int) -> Floats:
    """Standard normal numbers, always the same for a name."""
    return np.asarray(special.ndtri(uniforms(name, count)))


def accuracy_draws(groups: Mapping[str, SeedGroup], draws: int = DRAWS) -> Floats:
    """Accuracies that the true ones might be, in percent; (draws, len(groups)), columns in the order of groups.

    groups: by a name of their own, which keys their draws. Test images are weighted at random, once for all groups
    of a set (a Gaussian multiplier bootstrap of the images), and seeds by t around each mean, groups of one pool
    sharing the draw of its variance. The variance of any weighted sum is that of `contrast_interval`.
    """
    shifts = np.zeros((draws, len(groups)))
    names = list(groups)
    by_images: dict[tuple[str, ...], list[int]] = {}
    pools: dict[str, Floats] = {}
    for column, name in enumerate(names):
        group = groups[name]
        shared = 0.0  # the part of the seed variance that the images hold already
        if group.correctness is not None:
            by_images.setdefault(group.correctness.images, []).append(column)
            shared = 1e4 * group.correctness.residual_variance() / len(group.correctness.images)
        else:
            p = group.mean_pct / 100
            shifts[:, column] += 100 * math.sqrt(p * (1 - p) / group.test_images) * normals(f"images of {name}", draws)
        if group.spread is not None:
            pool = group.spread.pool
            if pool not in pools:
                pools[pool] = _inflation(pool, group.spread.df, draws)
            own = math.sqrt(max(0.0, group.spread.variance / len(group.values_pct) - shared))
            shifts[:, column] += own * pools[pool] * normals(f"seeds of {name}", draws)
    for columns in by_images.values():
        shifts[:, columns] += _image_shifts([groups[names[column]] for column in columns], draws)
    means = np.array([groups[name].mean_pct for name in names])
    return np.clip(means + shifts, 0.0, 100.0)


def _inflation(pool: str, df: float, draws: int) -> Floats:
    """Standard deviations that a variance estimate of these degrees of freedom leaves open, over the estimate."""
    chi2 = 2 * special.gammaincinv(df / 2, uniforms(f"variance of {pool}", draws))
    return np.asarray(np.sqrt(df / chi2))


def _image_shifts(groups: Sequence[SeedGroup], draws: int) -> Floats:
    """Shifts in points by drawing the images anew, the same images for all groups; (draws, len(groups))."""
    known = [group.correctness for group in groups if group.correctness is not None]
    images = known[0].images
    count = len(images)
    shifts = np.zeros((draws, len(known)))
    if count < 2:
        return shifts
    shares = np.stack([one.mean_over_seeds() for one in known], axis=1)  # (N, M)
    effects = 100 * (shares - shares.mean(axis=0)) / math.sqrt(count * (count - 1))
    for start in range(0, count, _IMAGES_AT_ONCE):
        part = effects[start : start + _IMAGES_AT_ONCE]
        weights = normals(f"images {count} {images[0]} {start}", draws * len(part)).reshape(draws, len(part))
        shifts += weights @ part
    return shifts


def rate_draws(name: str, interval: Interval, draws: int = DRAWS) -> Floats:
    """Values that a rate or time with a `process_interval` might have, in its unit; (draws,)."""
    df = interval.df or math.inf
    half = (math.log(interval.high) - math.log(interval.low)) / 2
    scale = half / (t_quantile(df) if math.isfinite(df) else float(special.ndtri(0.975)))
    noise = normals(f"rate of {name}", draws)
    if math.isfinite(df):
        noise = noise * _inflation(f"rate of {name}", df, draws)
    # the tails of t with one degree of freedom reach beyond the range of a float; the order of draws is all that counts
    logarithms = np.clip(scale * noise, -_FARTHEST, _FARTHEST)
    return np.asarray(interval.estimate * np.exp(logarithms))
