"""Intervals: for one checkpoint, for means over seeds, for differences of trained models, and for rates over processes.

Percentages and percentage points throughout unless a docstring says otherwise. docs/intervals.md has their coverage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy import special, stats

from bench.store.correctness import Correctness

LEVEL = 0.95
PROCESSES_FOR_INTERVAL = 5  # the range of five holds the median of all processes in 93.75 % of cases
UNSTABLE_PP = 20.0  # of a 95 % interval over seeds; wider ones are shown seed by seed, and are in no ranking
SEEDS_IN_DF = 2.0  # weight of the seeds' variance in the degrees of freedom; by 1, 3 seeds cover 91.6 %
NEAR_BEST_PP = 5.0  # of unstable seeds it is told how many come this near to the best of them


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval, and what the interval allows for."""

    estimate: float
    low: float
    high: float
    n: int  # seeds, processes or images behind the estimate
    method: str

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class SeedGroup:
    """The runs of one model in one regime: the accuracy of each seed (or draw).

    What is derived is kept: a model meets hundreds of others.
    """

    values_pct: tuple[float, ...]
    test_images: int
    correctness: Correctness | None = None

    @cached_property
    def mean_pct(self) -> float:
        return float(np.mean(self.values_pct))

    @cached_property
    def median_pct(self) -> float:
        return float(np.median(self.values_pct))

    @property
    def has_spread(self) -> bool:
        """Whether there are two seeds or more, so that something says how far runs differ."""
        return len(self.values_pct) > 1

    @cached_property
    def seed_variance(self) -> float:
        """What the seeds put into the variance of the mean, in squared points; of two seeds or more.

        Where by chance all got equally many images right, their disagreement on single images stands for it.
        """
        n, known = len(self.values_pct), self.correctness
        disagreement = 0.0 if known is None else 1e4 * known.residual_variance() / len(known.images)
        return float(np.var(self.values_pct, ddof=1)) / n or disagreement

    @cached_property
    def is_unstable(self) -> bool:
        """Whether the 95 % interval over seeds is wider than UNSTABLE_PP, or one seed further than half of it from
        their median: the mean then says little."""
        n = len(self.values_pct)
        if n < 2:
            return False
        error = float(np.std(self.values_pct, ddof=1)) / math.sqrt(n)
        median = self.median_pct
        farthest = max(abs(value - median) for value in self.values_pct)
        return 2 * t_quantile(n - 1) * error > UNSTABLE_PP or farthest > UNSTABLE_PP / 2

    @property
    def near_best(self) -> int:
        """How many seeds come within NEAR_BEST_PP points of the best of them, itself included."""
        return sum(value >= max(self.values_pct) - NEAR_BEST_PP for value in self.values_pct)


Parts = Sequence[tuple[float, SeedGroup]]  # weight of each group in a weighted sum


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of trained models' accuracies, in percentage points, with its standard error."""

    estimate: float
    standard_error: float
    df: float
    seeds: int  # fewest behind any part
    method: str

    def interval(self, level: float = LEVEL) -> Interval:
        """The two-sided t interval, cut where no sum of accuracies can be: at -100 and 100 points."""
        half = t_quantile(self.df, level) * self.standard_error
        low, high = max(-100.0, self.estimate - half), min(100.0, self.estimate + half)
        return Interval(self.estimate, low, high, self.seeds, self.method)

    @property
    def p_value(self) -> float:
        """Two-sided p of a true sum of zero."""
        if self.standard_error == 0.0:
            return 1.0 if self.estimate == 0.0 else 0.0
        return float(2 * special.stdtr(self.df, -abs(self.estimate) / self.standard_error))


def wilson_interval(correct: float, images: int, level: float = LEVEL) -> Interval:
    """Interval of one checkpoint's accuracy over test images, in percent; `correct` of `images` were right.

    Raises ValueError if images is 0. Source: Wilson 1927; Brown, Cai and DasGupta 2001.
    """
    if images <= 0:
        raise ValueError("an accuracy over no images has no interval")
    p = correct / images
    low, high = _score_ends(p, images, float(stats.norm.ppf((1 + level) / 2)))
    return Interval(100 * p, 100 * low, 100 * high, images, "Wilson, test images of one run")


def _score_ends(p: float, images: float, quantile: float) -> tuple[float, float]:
    """Wilson's ends, in [0, 1], of a share p of so many independent images; they need not be whole."""
    q2 = quantile**2 / images
    centre = (p + q2 / 2) / (1 + q2)
    half = math.sqrt(q2 * (p * (1 - p) + q2 / 4)) / (1 + q2)
    return max(0.0, centre - half), min(1.0, centre + half)


@lru_cache(maxsize=4096)
def t_quantile(df: float, level: float = LEVEL) -> float:
    """The two-sided t quantile; df may be fractional."""
    return float(special.stdtrit(df, (1 + level) / 2))


def median_interval(rates: Sequence[float]) -> Interval | None:
    """The median of fresh processes, in their unit, with the range that holds the median of all such processes.

    The range is between the k-th smallest and k-th largest, k the largest that keeps 93 %: of five processes the whole
    range (93.75 %). It supposes nothing of their distribution, so heavy tails and two modes do not break it.
    None with fewer than five. Source: the sign test's interval, Conover 1999, section 3.2.
    """
    n = len(rates)
    if n < PROCESSES_FOR_INTERVAL:
        return None
    k = max(k for k in range(1, n // 2 + 1) if k == 1 or 1 - 2 * stats.binom.cdf(k - 1, n, 0.5) >= 0.93)
    ordered = sorted(rates)
    coverage = 1 - 2 * float(stats.binom.cdf(k - 1, n, 0.5))
    method = f"order statistics of {n} processes, {100 * coverage:.1f} %"
    return Interval(float(np.median(ordered)), ordered[k - 1], ordered[n - k], n, method)


def accuracy_interval(group: SeedGroup, level: float = LEVEL) -> Interval:
    """Interval of a trained model's accuracy over seeds and test images, in percent.

    Seeds reach t standard errors to both sides. Test images reach as far as Wilson's ends for as many independent
    images as have their variance, with the same t: near 100 % that is further down than up. Both reaches are put
    together by their squares (Zou and Donner 2008). With one seed it is the Wilson interval of that run, and its
    method says that seeds are left out.
    """
    found = contrast([(1.0, group)])
    p, runs = group.mean_pct / 100, len(group.values_pct)
    if found is None or p in (0.0, 1.0):
        wilson = wilson_interval(p * group.test_images, group.test_images, level)
        return Interval(wilson.estimate, wilson.low, wilson.high, runs, "test images alone")
    image_variance = sum(variance for variance, _ in _image_terms([(1.0, group)])[0])
    independent = float(group.test_images * runs)  # at most: every run answers for itself
    if image_variance > 0.0:
        independent = min(independent, 1e4 * p * (1 - p) / image_variance)
    t = t_quantile(found.df, level)
    seeds = t * math.sqrt(max(0.0, found.standard_error**2 - image_variance)) / 100
    low, high = _score_ends(p, independent, t)
    low, high = max(0.0, p - math.hypot(seeds, p - low)), min(1.0, p + math.hypot(seeds, high - p))
    return Interval(100 * p, 100 * low, 100 * high, runs, f"{found.method}, Wilson for the images")


def contrast_interval(parts: Parts, level: float = LEVEL) -> Interval | None:
    """Interval of a weighted sum of trained models' accuracies, in percentage points; see `contrast`."""
    found = contrast(parts)
    return None if found is None else found.interval(level)


def contrast(parts: Parts) -> Contrast | None:
    """A weighted sum of trained models' accuracies, such as a difference, in percentage points: Welch's t.

    Seeds: sum of weight^2 x own seed variance / seeds, every model's seeds drawn independently.
    Test images: the images of a set are drawn once for all seeds and models, so with per-image predictions the
    variance is that of c_i = sum of weight x (share of the seeds that got image i right), over the images, divided
    by their number, less the part that the seeds' own disagreement on single images puts into it and that the seed
    variance already holds (two-way random effects, seeds x images; not below zero). Different sets of images are
    independent, so their variances add. Without predictions each model's images are taken as drawn anew,
    p(1 - p) / images, which is too wide for a difference.
    The degrees of freedom are Welch-Satterthwaite's, with the seeds' part of the variance doubled: where few seeds
    scatter little by chance, the images and their many degrees of freedom would otherwise seem to be all. None when
    some group has one seed.
    """
    if not all(group.has_spread for _, group in parts):
        return None
    seed_terms = [(weight**2 * group.seed_variance, len(group.values_pct) - 1.0) for weight, group in parts]
    image_terms, how = _image_terms(parts)
    total = float(sum(variance for variance, _ in seed_terms + image_terms))
    df = min(own for _, own in seed_terms)
    if total > 0.0:
        df = _welch_df([(SEEDS_IN_DF * variance, own) for variance, own in seed_terms] + image_terms)
    estimate = sum(weight * group.mean_pct for weight, group in parts)
    seeds = min(len(group.values_pct) for _, group in parts)
    return Contrast(estimate, math.sqrt(total), df, seeds, f"Welch's t over seeds and test images ({how})")


def _welch_df(terms: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of variances that have so many each: Welch and Satterthwaite's."""
    return float(sum(variance for variance, _ in terms) ** 2 / sum(variance**2 / own for variance, own in terms))


def difference(first: SeedGroup, second: SeedGroup) -> Contrast | None:
    """First minus second in percentage points; see `contrast`."""
    return contrast([(1.0, first), (-1.0, second)])


def _image_terms(parts: Parts) -> tuple[list[tuple[float, float]], str]:
    """What drawing test images adds to the variance of the weighted sum: (squared points, df) of each; and how."""
    by_images: dict[tuple[str, ...], list[tuple[float, Correctness]]] = {}
    terms: list[tuple[float, float]] = []
    for weight, group in parts:
        if group.correctness is not None:
            by_images.setdefault(group.correctness.images, []).append((weight, group.correctness))
        else:
            p, images = group.mean_pct / 100, group.test_images
            terms.append((1e4 * weight**2 * p * (1 - p) / images, float(max(images - 1, 1))))
    alone = len(terms)
    for known in by_images.values():
        terms.append((_joint_variance(known), float(max(len(known[0][1].images) - 1, 1))))
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
