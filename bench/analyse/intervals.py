"""Intervals: for one accuracy, for means over seeds or processes, and for differences between trained models.

Percentages and percentage points throughout unless a docstring says otherwise. All intervals are two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from bench.analyse.correctness import Correctness

LEVEL = 0.95
SAMPLES_FOR_OWN_VARIANCE = 5  # with fewer, an own spread needs t quantiles of 3.2 to 12.7: pooling guesses better
# F tests of a variance against the rest. At 25 % a group that scatters 5 to 10 times as much as the rest keeps
# 92 to 95 % coverage (55 % by pooling alone, 3 values each), and groups that scatter alike 96 %: docs/intervals.md.
OWN_SPREAD_LEVEL = 0.25  # above which a group has its own spread
OWN_SPREAD_LEVEL_OF_TWO = 0.05  # the same for two values: their own t quantile is 12.7, so a group must stand out more
LEFT_OUT_LEVEL = 0.01  # above which it is left out of what the others pool, so that it does not widen theirs


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

    Two groups that name the same pool share one estimate: their errors are not independent. left_out: groups that
    scatter far more than the rest, which are not in it.
    """

    variance: float
    df: int
    pool: str
    left_out: frozenset[tuple[float, ...]] = frozenset()


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
    p = correct / images
    low, high = _score_ends(p, images, float(stats.norm.ppf((1 + level) / 2)))
    return Interval(100 * p, 100 * low, 100 * high, images, "Wilson, test images of one run")


def _score_ends(p: float, images: float, quantile: float) -> tuple[float, float]:
    """Wilson's ends, in [0, 1], of a share p of so many independent images; they need not be whole."""
    q2 = quantile**2 / images
    centre = (p + q2 / 2) / (1 + q2)
    half = math.sqrt(q2 * (p * (1 - p) + q2 / 4)) / (1 + q2)
    return max(0.0, centre - half), min(1.0, centre + half)


def pooled_spread(groups: Sequence[Sequence[float]], pool: str) -> Spread | None:
    """Variance within groups, each around its own mean, with as many degrees of freedom; None if there are none.

    The group that scatters most is left out while its variance stands out from the rest's (F test, LEFT_OUT_LEVEL
    over all groups that it was picked from).
    """
    parts = sorted((_squares(group), len(group) - 1, tuple(group)) for group in groups if len(group) > 1)
    parts.sort(key=lambda part: part[0] / part[1])
    left_out = []
    while len(parts) > 1 and _stands_out(parts[-1], parts[:-1], LEFT_OUT_LEVEL / len(parts)):
        left_out.append(parts.pop()[2])
    df = sum(own for _, own, _ in parts)
    if df == 0:
        return None
    return Spread(sum(squares for squares, _, _ in parts) / df, df, pool, frozenset(left_out))


_Part = tuple[float, int, tuple[float, ...]]  # sum of squares around the mean, degrees of freedom, values


def _squares(values: Sequence[float]) -> float:
    return float(np.var(values)) * len(values)


def _stands_out(part: _Part, rest: Sequence[_Part], level: float) -> bool:
    """Whether the variance is larger than that of the rest together, by an F test; not where the rest has none."""
    squares, df = sum(one[0] for one in rest), sum(one[1] for one in rest)
    if squares <= 0.0:
        return False
    return part[0] / part[1] > squares / df * _f_quantile(part[1], df, level)


@lru_cache(maxsize=4096)
def _f_quantile(own: int, others: int, level: float) -> float:
    return float(stats.f.isf(level, own, others))


def spread_of(values: Sequence[float], pooled: Spread | None, name: str) -> Spread | None:
    """The spread to use for a group: its own with enough values, the pooled one with few.

    With few values and a variance above what the rest of the pool allows (F test, OWN_SPREAD_LEVEL) also its own:
    the pooled one would be too small for it. values: as they were given to `pooled_spread`.
    """
    if pooled is None or len(values) >= SAMPLES_FOR_OWN_VARIANCE or tuple(values) in pooled.left_out:
        return pooled_spread([values], name)
    own = (_squares(values), len(values) - 1, tuple(values))
    rest = (pooled.variance * pooled.df - own[0], pooled.df - own[1], ())
    level = OWN_SPREAD_LEVEL if len(values) > 2 else OWN_SPREAD_LEVEL_OF_TWO
    if len(values) > 1 and rest[1] > 0 and _stands_out(own, [rest], level):
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


@lru_cache(maxsize=4096)  # groups of one pool ask for the same one
def t_quantile(df: float, level: float = LEVEL) -> float:
    """The two-sided t quantile; df may be fractional."""
    return float(stats.t.ppf((1 + level) / 2, df))


def accuracy_interval(group: SeedGroup, level: float = LEVEL) -> Interval:
    """Interval of a trained model's accuracy over seeds and test images, in percent.

    Seeds reach t standard errors to both sides. Test images reach as far as Wilson's ends for as many independent
    images as have their variance, with the same t: near 100 % that is further down than up. Both reaches are put
    together by their squares (Zou and Donner 2008); a plain t interval covers 91 to 94 % near 100 %. With one
    seed and nothing to pool, it is the Wilson interval of that run, and its method says that seeds are left out.
    """
    found = None if group.spread is None else contrast([(1.0, group)])
    p, runs = group.mean_pct / 100, len(group.values_pct)
    if found is None or p in (0.0, 1.0):
        wilson = wilson_interval(p * group.test_images, group.test_images, level)
        return Interval(wilson.estimate, wilson.low, wilson.high, runs, "test images alone")
    image_variance = sum(variance for variance, _ in _image_terms([(1.0, group)])[0].values())
    independent = float(group.test_images * runs)  # at most: every run answers for itself
    if image_variance > 0.0:
        independent = min(independent, 1e4 * p * (1 - p) / image_variance)
    t = t_quantile(found.df, level)
    seeds = t * math.sqrt(max(0.0, found.standard_error**2 - image_variance)) / 100
    low, high = _score_ends(p, independent, t)
    low, high = max(0.0, p - math.hypot(seeds, p - low)), min(1.0, p + math.hypot(seeds, high - p))
    return Interval(100 * p, 100 * low, 100 * high, runs, f"{found.method}, Wilson for the images", found.df)


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
    The degrees of freedom are Welch-Satterthwaite's; groups of one pool count as one estimate. Where by chance all
    seeds got equally many images right, their disagreement on single images stands for the seed variance of 0.

    Returns None when some group has no known seed spread.
    """
    terms: dict[str, tuple[float, float]] = {}
    for weight, group in parts:
        if group.spread is None:
            return None
        variance, _ = terms.get(group.spread.pool, (0.0, 0.0))
        variance += weight**2 * (group.spread.variance / len(group.values_pct) or _disagreement(group))
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


def _disagreement(group: SeedGroup) -> float:
    """The part of a mean's variance that comes from seeds x images, in squared points; 0 where it is not known."""
    known = group.correctness
    return 0.0 if known is None else 1e4 * known.residual_variance() / len(known.images)


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
