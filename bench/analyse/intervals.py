"""Intervals: for one accuracy, for means over seeds or processes, and for differences between trained models.

Percentages and percentage points throughout unless a docstring says otherwise. All intervals are two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.analyse.correctness import Correctness

LEVEL = 0.95
SAMPLES_FOR_OWN_VARIANCE = 8  # with fewer, a spread of one's own needs t quantiles above 2.4: pooling guesses better


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval, and what the interval allows for."""

    estimate: float
    low: float
    high: float
    n: int  # seeds, processes or images behind the estimate
    method: str
    df: float | None = None  # degrees of freedom of a t interval; None for other methods

    @property
    def half_width(self) -> float:
        """Half the length of the interval, in the unit of the estimate."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Spread:
    """A variance with its degrees of freedom, and the name of the pool that it was estimated from.

    Two groups that name the same pool share one estimate: their errors are not independent.
    """

    variance: float
    df: int
    pool: str


@dataclass(frozen=True)
class SeedGroup:
    """The runs of one model in one regime: accuracy of each seed, and what is known of their spread."""

    values_pct: tuple[float, ...]
    spread: Spread | None  # of single runs around their model's mean; None when no model has two seeds
    test_images: int
    correctness: Correctness | None = None

    @property
    def mean_pct(self) -> float:
        """Mean accuracy over seeds."""
        return float(np.mean(self.values_pct))


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of trained models' accuracies, in percentage points, with its standard error."""

    estimate: float
    standard_error: float
    df: float
    seeds: int  # fewest behind any part
    method: str

    def interval(self, level: float = LEVEL) -> Interval:
        """The two-sided t interval."""
        half = t_quantile(self.df, level) * self.standard_error
        return Interval(self.estimate, self.estimate - half, self.estimate + half, self.seeds, self.method, self.df)

    @property
    def p_value(self) -> float:
        """Two-sided p of a true sum of zero: the level at which the interval would end at zero is 1 - p."""
        if self.standard_error == 0.0:
            return 1.0 if self.estimate == 0.0 else 0.0
        return float(2 * stats.t.sf(abs(self.estimate) / self.standard_error, self.df))


def wilson_interval(correct: float, images: int, level: float = LEVEL) -> Interval:
    """Interval of one checkpoint's accuracy over test images, in percent; `correct` of `images` were right.

    Raises ValueError if images is 0. Source: Wilson 1927; Brown, Cai and DasGupta 2001.
    """
    if images <= 0:
        raise ValueError("an accuracy over no images has no interval")
    z = float(stats.norm.ppf((1 + level) / 2))
    p = correct / images
    centre = (p + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * math.sqrt(p * (1 - p) / images + z**2 / (4 * images**2))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Interval(100 * p, 100 * low, 100 * high, images, "Wilson, test images of one run")


def pooled_spread(groups: Sequence[Sequence[float]], pool: str) -> Spread | None:
    """Variance within groups, each around its own mean, with as many degrees of freedom; None if there are none."""
    df = sum(len(group) - 1 for group in groups if len(group) > 1)
    if df == 0:
        return None
    squares = sum(float(np.var(group)) * len(group) for group in groups if len(group) > 1)
    return Spread(squares / df, df, pool)


def spread_of(values: Sequence[float], pooled: Spread | None, name: str) -> Spread | None:
    """The spread to use for a group: its own with enough values, the pooled one with few."""
    if len(values) >= SAMPLES_FOR_OWN_VARIANCE or pooled is None:
        return pooled_spread([values], name)
    return pooled


def t_interval(values: Sequence[float], spread: Spread | None = None, level: float = LEVEL) -> Interval | None:
    """Interval of the mean of independent values, in their unit, by t; None if nothing says their spread.

    spread: a pooled variance to use instead of the values' own.
    """
    spread = spread or pooled_spread([values], "own")
    if not values or spread is None:
        return None
    mean = float(np.mean(values))
    half = t_quantile(spread.df, level) * math.sqrt(spread.variance / len(values))
    return Interval(mean, mean - half, mean + half, len(values), f"t, {spread.df} degrees of freedom", spread.df)


def process_interval(rates: Sequence[float], relative: Spread | None = None, level: float = LEVEL) -> Interval | None:
    """Interval of a rate or a time over fresh processes, in its unit, by t on its logarithm's scale.

    rates: one per process. relative: pooled variance of the logarithms, used when the processes are few;
    a common relative spread is what models timed in turn on one machine share.
    """
    if not rates or min(rates) <= 0:
        return None
    inner = t_interval([math.log(rate) for rate in rates], relative, level)
    if inner is None:
        return None
    return Interval(
        math.exp(inner.estimate),
        math.exp(inner.low),
        math.exp(inner.high),
        inner.n,
        f"{inner.method}, of logarithms",
        inner.df,
    )


def t_quantile(df: float, level: float = LEVEL) -> float:
    """The two-sided t quantile; df may be fractional."""
    return float(stats.t.ppf((1 + level) / 2, df))


def accuracy_interval(group: SeedGroup, level: float = LEVEL) -> Interval:
    """Interval of a trained model's accuracy over seeds and test images, in percent.

    Total variance = seed variance / seeds + test-image variance (see `contrast_interval`). With one seed and
    nothing to pool, it is the Wilson interval of that run, and its method says that seeds are left out.
    """
    if group.spread is None or group.mean_pct in (0.0, 100.0):
        wilson = wilson_interval(group.mean_pct / 100 * group.test_images, group.test_images, level)
        return Interval(wilson.estimate, wilson.low, wilson.high, len(group.values_pct), "test images alone")
    interval = contrast_interval([(1.0, group)], level)
    assert interval is not None  # spread is known
    low, high = max(0.0, interval.low), min(100.0, interval.high)
    return Interval(interval.estimate, low, high, len(group.values_pct), interval.method, interval.df)


def contrast_interval(parts: Sequence[tuple[float, SeedGroup]], level: float = LEVEL) -> Interval | None:
    """Interval of a weighted sum of trained models' accuracies, in percentage points; see `contrast`."""
    found = contrast(parts)
    return None if found is None else found.interval(level)


def contrast(parts: Sequence[tuple[float, SeedGroup]]) -> Contrast | None:
    """A weighted sum of trained models' accuracies, such as a difference, in percentage points.

    Seeds: sum of weight^2 x seed variance / seeds, every model's seeds drawn independently.
    Test images: the images of a set are drawn once for all seeds and models, so with per-image predictions the
    variance is that of c_i = sum of weight x (share of the seeds that got image i right), over the images, divided
    by their number, less the part that the seeds' own disagreement on single images puts into it and that the seed
    variance already holds (two-way random effects, seeds x images; not below zero). Different sets of images are
    independent, so their variances add. Without predictions each model's images are taken as drawn anew,
    p(1 - p) / images, which is too wide for a difference.
    The degrees of freedom are Welch-Satterthwaite's; groups of one pool count as one estimate.

    Returns None when some group has no known seed spread.
    """
    terms: dict[str, tuple[float, float]] = {}
    for weight, group in parts:
        if group.spread is None:
            return None
        variance, _ = terms.get(group.spread.pool, (0.0, 0.0))
        variance += weight**2 * group.spread.variance / len(group.values_pct)
        terms[group.spread.pool] = (variance, float(group.spread.df))
    image_terms, how = _image_terms(parts)
    terms.update(image_terms)
    total = sum(variance for variance, _ in terms.values())
    estimate = sum(weight * group.mean_pct for weight, group in parts)
    if total == 0.0:
        df = min(df for _, df in terms.values())
    else:
        df = total**2 / sum(variance**2 / df for variance, df in terms.values())
    seeds = min(len(group.values_pct) for _, group in parts)
    return Contrast(estimate, math.sqrt(total), df, seeds, f"seeds and test images ({how}), t")


def _image_terms(parts: Sequence[tuple[float, SeedGroup]]) -> tuple[dict[str, tuple[float, float]], str]:
    """What drawing test images adds to the variance of the weighted sum: name -> (squared points, df); and how."""
    by_images: dict[tuple[str, ...], list[tuple[float, Correctness]]] = {}
    terms: dict[str, tuple[float, float]] = {}
    for index, (weight, group) in enumerate(parts):
        if group.correctness is not None:
            by_images.setdefault(group.correctness.images, []).append((weight, group.correctness))
        else:
            p, images = group.mean_pct / 100, group.test_images
            terms[f"test images of part {index}"] = (1e4 * weight**2 * p * (1 - p) / images, float(max(images - 1, 1)))
    alone = len(terms)
    for index, known in enumerate(by_images.values()):
        images = len(known[0][1].images)
        terms[f"test images of set {index}"] = (_joint_variance(known), float(max(images - 1, 1)))
    if len(parts) == 1:
        return terms, "joint" if by_images else "binomial"
    if not by_images:
        return terms, "drawn anew for each model"
    if alone:
        return terms, "some drawn anew"
    return terms, "joint" if len(by_images) == 1 else "joint within each set"


def _joint_variance(known: Sequence[tuple[float, Correctness]]) -> float:
    """Variance of the weighted sum over images drawn once for all, in squared percentage points."""
    count = len(known[0][1].images)
    if count < 2:
        return 0.0
    combined = sum(weight * correctness.mean_over_seeds() for weight, correctness in known)
    variance = float(np.var(combined, ddof=1)) / count
    variance -= sum(weight**2 * correctness.residual_variance() for weight, correctness in known) / count
    return 1e4 * max(0.0, variance)
