"""When is head slower than base? The gate's rule, from pair values to verdicts; docs/gate.md says it in words.

A pair value is ln(head time / base time) of two fresh processes. Nothing here runs or reads anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import stats

from bench.holm import holm as holm

RULE_VERSION = 1
Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]

NOISE = ""  # the A/A arm among the models, which have names
PAIRS_PER_LOOK = 5
MAX_LOOKS = 3
PASS_LEVELS = (0.995, 0.9975, 0.9975)  # a look each: at most 1 % false PASS at the threshold over all of them
FAIL_LEVEL = 0.005  # at each look that may FAIL (the second and the third): at most 1 % false FAIL
INTERVAL_LEVEL = 0.95
SPREAD_FLOOR = 0.005  # of a pair value: no two processes were seen to agree better than this in the long run
# Squared correlations of pair values from the same processes: two models (0.3 to 0.9 was measured), a model and the
# A/A arm (they share one process of two). A pooled spread is worth fewer degrees of freedom than its values have.
MODELS_R2 = 0.75
NOISE_R2 = 0.25
# Of the F test by which a model is noisier than the rest. At 1 % a head that scatters three times as much as base
# passed 1.3 to 2.2 % of true 5 % slowdowns; at 25 % at most 1 %, and the same code takes 6.1 pairs instead of 5.7.
OWN_SPREAD_LEVEL = 0.25


@dataclass(frozen=True)
class Estimate:
    """What the pairs of one model say. All in ln units; p is one-sided, against "no slower"."""

    mean: float
    standard_error: float
    degrees: float
    p: float

    def bound(self, level: float) -> float:
        """The one-sided upper bound of the mean at this level, in (0.5, 1)."""
        return self.mean + _t_quantile(level, self.degrees) * self.standard_error

    def interval(self, level: float = INTERVAL_LEVEL) -> tuple[float, float]:
        """Two-sided interval of the mean."""
        half = _t_quantile((1 + level) / 2, self.degrees) * self.standard_error
        return self.mean - half, self.mean + half


@dataclass(frozen=True)
class Look:
    """One model at one look: its estimate, Holm's p over the models of the run, and what follows."""

    pairs: int
    estimate: Estimate
    p_holm: float
    block_means: tuple[float, ...]
    verdict: Verdict | None  # None: undecided, more pairs
    reason: str


def estimate_all(values: Mapping[str, Sequence[float]], noise: Sequence[float] = ()) -> dict[str, Estimate]:
    """The estimate of every model, with a spread pooled over all of them and the A/A arm.

    values: model -> its pair values, two at least in one of the groups. noise: values of the A/A arm.
    Raises ValueError if no group has two values: a spread of one number does not exist.
    """
    groups = {**values, NOISE: noise} if len(noise) > 1 else dict(values)
    squares = {name: _squares(group) for name, group in groups.items()}
    degrees = {name: len(group) - 1 for name, group in groups.items() if len(group) > 1}
    if not degrees:
        raise ValueError("No model has two pairs, so nothing can be said of their spread.")
    estimates = {}
    for name, group in values.items():
        spread, freedom = _spread_for(name, squares, degrees)
        mean = float(np.mean(group))
        error = spread / math.sqrt(len(group))
        estimates[name] = Estimate(mean, error, freedom, float(stats.t.sf(mean / error, freedom)))
    return estimates


def _squares(group: Sequence[float]) -> float:
    array = np.asarray(group, dtype=float)
    return float(((array - array.mean()) ** 2).sum()) if len(array) else 0.0


def _spread_for(name: str, squares: Mapping[str, float], degrees: Mapping[str, int]) -> tuple[float, float]:
    """Standard deviation of a model's pair values and its degrees of freedom: pooled, or its own if it is noisier.

    With its own it has its own few degrees: a model noisier than the others must not borrow their certainty.
    """
    total, own = sum(degrees.values()), degrees.get(name, 0)
    if own and own < total:
        variance = squares[name] / own
        rest = sum(squares[group] for group in degrees if group != name) / (total - own)
        if variance > SPREAD_FLOOR**2 and variance > rest * _f_quantile(own, total - own):
            return math.sqrt(variance), own
    pooled = sum(squares[group] for group in degrees) / total
    return max(math.sqrt(pooled), SPREAD_FLOOR), total / _overlap(degrees)


def _overlap(degrees: Mapping[str, int]) -> float:
    """By how much the variance of a pooled variance exceeds that of as many independent values, from 1 up.

    Groups of equal size whose values correlate by r have variances that correlate by r squared.
    """
    groups = len(degrees)
    models = groups - (NOISE in degrees)
    return 1 + (models * (models - 1) * MODELS_R2 + 2 * models * (groups - models) * NOISE_R2) / groups


@lru_cache(maxsize=1024)
def _t_quantile(level: float, degrees: float) -> float:
    return float(stats.t.ppf(level, degrees))


@lru_cache(maxsize=1024)
def _f_quantile(own: int, others: int) -> float:
    return float(stats.f.isf(OWN_SPREAD_LEVEL, own, others))


def look(
    values: Mapping[str, Sequence[float]],
    noise: Sequence[float],
    *,
    threshold: float,
    max_looks: int = MAX_LOOKS,
    undecided: Sequence[str] | None = None,
) -> dict[str, Look]:
    """What each undecided model is at this look.

    values: model -> all its pair values, in order, a whole number of blocks of PAIRS_PER_LOOK; models that were decided
    earlier keep contributing to the pooled spread and to Holm's step-down with what they have. noise: all values of
    the A/A arm, none where it was switched off. threshold: the slowdown worth failing, as a fraction (0.05).
    undecided: the models that are asked about; None for all.
    """
    estimates = estimate_all(values, noise)
    adjusted = holm({name: estimate.p for name, estimate in estimates.items()})
    noise_mean = float(np.mean(noise)) if len(noise) else 0.0
    found = {}
    for name in values if undecided is None else undecided:
        blocks = _block_means(values[name])
        verdict, reason = _decide(estimates[name], adjusted[name], blocks, noise_mean, threshold, max_looks)
        found[name] = Look(len(values[name]), estimates[name], adjusted[name], blocks, verdict, reason)
    return found


def _block_means(values: Sequence[float]) -> tuple[float, ...]:
    if not len(values) or len(values) % PAIRS_PER_LOOK:
        raise ValueError(f"Looks come after every {PAIRS_PER_LOOK} pairs, not after {len(values)}.")
    array = np.asarray(values, dtype=float).reshape(-1, PAIRS_PER_LOOK)
    return tuple(float(mean) for mean in array.mean(axis=1))


def _decide(
    estimate: Estimate,
    p_holm: float,
    blocks: tuple[float, ...],
    noise_mean: float,
    threshold: float,
    max_looks: int,
) -> tuple[Verdict | None, str]:
    """FAIL is asked before PASS; what is neither goes on, or ends INCONCLUSIVE at the last look."""
    limit, half = math.log1p(threshold), math.log1p(threshold / 2)
    number = len(blocks)
    is_last = number >= max_looks
    is_flagged = blocks[-1] > half
    if abs(noise_mean) > half:
        reason = f"too noisy: base against itself came out {percent(noise_mean):+.1f} %"
        return ("INCONCLUSIVE" if is_last else None), reason
    is_confirmed = number > 1 and is_flagged and blocks[-2] > half
    if is_confirmed and p_holm <= FAIL_LEVEL and estimate.interval()[0] > 0:
        return "FAIL", "slower in two blocks of pairs one after the other"
    level = PASS_LEVELS[min(number, len(PASS_LEVELS)) - 1]
    upper = estimate.bound(level)
    if upper < limit and (is_last or not is_flagged):
        return "PASS", f"at most {percent(upper):+.1f} % ({level * 100:g} % bound)"
    if is_flagged and not is_last:
        return None, f"a block of pairs is above {percent(half):.1f} %: to be confirmed by fresh pairs"
    reason = f"the {level * 100:g} % bound is {percent(upper):+.1f} %, not below {percent(limit):.1f} %"
    return ("INCONCLUSIVE" if is_last else None), reason


def percent(log_ratio: float) -> float:
    """A difference of logarithms as percent: +5 is 5 % slower."""
    return math.expm1(log_ratio) * 100


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """What a run is that has these: FAIL before INCONCLUSIVE before PASS. INCONCLUSIVE if there are none."""
    ranks: tuple[Verdict, ...] = ("FAIL", "INCONCLUSIVE", "PASS")
    return next((verdict for verdict in ranks if verdict in verdicts), "INCONCLUSIVE")
