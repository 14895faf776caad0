"""Two classifiers on the same test images: which images decide, whether they differ, and by how much.

One run of each is compared, so all of this speaks of two checkpoints and never of architectures. Shares are in [0, 1]
here; percentage points where a docstring says so.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, stats

from bench.analyse.stats.intervals import LEVEL, Interval, SeedGroup, wilson_interval
from bench.store.correctness import Correctness


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value that two classifiers differ, from the images that only one of them got right.

    1 when there are none. Source: McNemar 1947, in its exact binomial form.
    """
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def discordant(first: Correctness | None, second: Correctness | None) -> tuple[int, int] | None:
    """Images that only the first, and that only the second got right; None without one run of each on equal images."""
    if first is None or second is None or first.images != second.images:
        return None
    if len(first.right) != 1 or len(second.right) != 1:
        return None
    return counts_of_runs(first, 0, second, 0)


def counts_of_runs(first: Correctness, first_run: int, second: Correctness, second_run: int) -> tuple[int, int]:
    """The same for one run of each of several; both must be on the same images."""
    a, b = first.right[first_run], second.right[second_run]
    return int(np.sum(a & ~b)), int(np.sum(b & ~a))


def checkpoint_difference(first: SeedGroup, second: SeedGroup) -> tuple[Interval, float]:
    """Interval of first minus second of one run each, in percentage points, and the two-sided p that they are equal.

    Tango's score and exact McNemar; of independent proportions where nothing says which images were right.
    """
    counts = discordant(first.correctness, second.correctness)
    if counts is not None:
        return paired_interval(*counts, first.test_images), mcnemar_p(*counts)
    one, other = ((g.mean_pct / 100 * g.test_images, g.test_images) for g in (first, second))
    return unpaired_interval(one, other)


def paired_interval(only_first: int, only_second: int, images: int, level: float = LEVEL) -> Interval:
    """Interval of first minus second in percentage points, from the images that only one got right: Tango's score.

    It is every true difference that a score test would not refuse, the share of discordant images estimated anew for
    each. Raises ValueError for impossible counts.
    Source: Tango 1998; recommended for paired proportions by Fagerland, Lydersen and Laake 2014.
    """
    b, c, n = only_first, only_second, images
    if n <= 0 or min(b, c) < 0 or b + c > n:
        raise ValueError(f"{b} and {c} discordant of {n} images cannot be")
    z = float(stats.norm.ppf((1 + level) / 2))
    estimate = (b - c) / n
    low = -_upper_end(c, b, n, z)
    return Interval(100 * estimate, 100 * low, 100 * _upper_end(b, c, n, z), n, "Tango's score, test images of one run")


def _upper_end(b: int, c: int, n: int, z: float) -> float:
    """The largest difference at which the score statistic is not below -z."""
    estimate = (b - c) / n
    if estimate == 1.0:
        return 1.0
    return float(optimize.brentq(lambda delta: _score(b, c, n, delta) + z, estimate, 1.0, xtol=1e-12))


def _score(b: int, c: int, n: int, delta: float) -> float:
    """Observed less hypothetical difference over its standard error, with the likeliest share of `c` images at delta.

    That share q solves 2n q^2 + ((2n - b + c) delta - b - c) q - c delta (1 - delta) = 0.
    """
    if delta == 1.0:  # only b = n could be; anything else is infinitely far
        return -math.inf if b < n else 0.0
    linear = (2 * n - b + c) * delta - b - c
    constant = -c * delta * (1 - delta)
    q = (math.sqrt(max(0.0, linear**2 - 8 * n * constant)) - linear) / (4 * n)
    variance = n * (2 * q + delta * (1 - delta))
    distance = b - c - n * delta
    if variance <= 0.0:
        return 0.0 if distance == 0.0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def unpaired_interval(
    first: tuple[float, int], second: tuple[float, int], level: float = LEVEL
) -> tuple[Interval, float]:
    """Interval of first minus second in percentage points, and its p, where nothing says which images were right.

    first, second: correct images of all. Too wide where both saw the same images, which always is on the safe side.
    Newcombe's hybrid score interval of two independent proportions (Newcombe 1998, method 10).
    """
    delta = 100 * (first[0] / first[1] - second[0] / second[1])

    def end(at: float, sign: int) -> float:
        one, other = wilson_interval(*first, at), wilson_interval(*second, at)
        arms = (one.high - one.estimate, other.estimate - other.low)
        if sign < 0:
            arms = (one.estimate - one.low, other.high - other.estimate)
        return delta + sign * math.hypot(*arms)

    n = min(first[1], second[1])
    interval = Interval(delta, end(level, -1), end(level, 1), n, "Newcombe's hybrid score, images not paired")
    if delta == 0.0:
        return interval, 1.0
    sign = -1 if delta > 0 else 1

    def miss(log_p: float) -> float:
        return delta * end(1 - math.exp(log_p), sign)

    if miss(math.log(1e-12)) > 0:
        return interval, 1e-12
    return interval, math.exp(float(optimize.brentq(miss, math.log(1e-12), math.log(1 - 1e-9))))
