"""Draws of accuracies and costs, as uncertain as their intervals: what chances of being best or on a front count.

The draws come from a counter-based generator that is keyed by a name and turned into numbers here, so that a report
rebuilt elsewhere shows the same chances.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

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
    """Accuracies that the true ones might be, in percent, inside (0, 100); (draws, len(groups)), columns as groups.

    groups: by a name of their own, which keys their draws. A Bayesian bootstrap weighs the test images at random, once
    for all groups of a set, with half an image right and half an image wrong added to each group, so that 100 % is
    not taken as certain (without per-image predictions: the beta distribution that comes to the same). Seeds vary by
    t around each mean, on the scale of the arcsine of the root, groups of one pool sharing the draw of its variance.
    Away from 0 and 100 % the variance of a weighted sum is that of `contrast_interval`. No likeness of the models is
    supposed. Source: Rubin 1981, "The Bayesian bootstrap".
    """
    names = list(groups)
    drawn = np.empty((draws, len(names)))
    by_images: dict[tuple[str, ...], list[int]] = {}
    for column, name in enumerate(names):
        group = groups[name]
        if group.correctness is not None:
            by_images.setdefault(group.correctness.images, []).append(column)
        else:
            right = group.mean_pct / 100 * group.test_images
            beta = special.betaincinv(right + 0.5, group.test_images - right + 0.5, uniforms(f"images {name}", draws))
            drawn[:, column] = beta
    for columns in by_images.values():
        drawn[:, columns] = _image_draws({names[column]: groups[names[column]] for column in columns}, draws)
    pools: dict[str, Floats] = {}
    for column, name in enumerate(names):
        spread = groups[name].spread
        if spread is not None:
            if spread.pool not in pools:
                pools[spread.pool] = _inflation(spread.pool, spread.df, draws)
            noise = _seed_deviation(groups[name]) * pools[spread.pool] * normals(f"seeds of {name}", draws)
            drawn[:, column] = np.sin(np.arcsin(np.sqrt(drawn[:, column])) + noise) ** 2  # folds back at 0 and 1
    return 100 * drawn


def _seed_deviation(group: SeedGroup) -> float:
    """Standard error of the mean over seeds, in radians of arcsin(sqrt(p)), less what the images' part holds."""
    assert group.spread is not None  # the caller has looked
    shared, images = 0.0, group.test_images
    if group.correctness is not None:
        images = len(group.correctness.images)
        shared = 1e4 * group.correctness.residual_variance() / images
    points = math.sqrt(max(0.0, group.spread.variance / len(group.values_pct) - shared))
    p = (group.mean_pct / 100 * images + 0.5) / (images + 1)
    return points / 100 / (2 * math.sqrt(p * (1 - p)))


def _inflation(pool: str, df: float, draws: int) -> Floats:
    """Standard deviations that a variance estimate of these degrees of freedom leaves open, over the estimate."""
    chi2 = 2 * special.gammaincinv(df / 2, uniforms(f"variance of {pool}", draws))
    return np.asarray(np.sqrt(df / chi2))


def _image_draws(groups: Mapping[str, SeedGroup], draws: int) -> Floats:
    """Shares of weighted images that each group gets right, the same weights for all; (draws, len(groups))."""
    known = [group.correctness for group in groups.values() if group.correctness is not None]
    images = known[0].images
    shares = np.stack([one.mean_over_seeds() for one in known], axis=1)  # (N, M)
    right, total = np.zeros((draws, len(known))), np.zeros((draws, 1))
    for start in range(0, len(images), _IMAGES_AT_ONCE):
        part = shares[start : start + _IMAGES_AT_ONCE]
        words = uniforms(f"images {len(images)} {images[0]} {start}", draws * len(part))
        weights = -np.log(words).reshape(draws, len(part))
        right += weights @ part
        total += weights.sum(axis=1, keepdims=True)
    halves = [
        [normals(f"half an image {side} {name}", draws) ** 2 / 2 for name in groups] for side in ("right", "wrong")
    ]
    half_right, half_wrong = (np.stack(side, axis=1) for side in halves)
    return np.asarray((right + half_right) / (total + half_right + half_wrong))


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
