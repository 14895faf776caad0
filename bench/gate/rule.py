"""When is head slower than base? The gate's rule, from pair values to verdicts; docs/gate.md says it in words.

A pair value is ln(head time / base time) of two fresh processes. What is judged is its median, by the sign test, which
asks nothing of its distribution: neither heavy tails nor a process in ten that is faster move it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Literal

import numpy as np
from scipy import stats

from bench.holm import holm

RULE_VERSION = 2
Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]
VERDICTS: tuple[Verdict, ...] = ("FAIL", "INCONCLUSIVE", "PASS")  # the worst first
SideName = Literal["base", "head"]
AgainstItself = tuple[SideName, float]  # a value of the A/A arm: whose code ran in both processes

PAIRS_PER_LOOK = 8  # the fewest that can decide: all on one side of the truth by chance in 1 of 256
MAX_LOOKS = 4
LEVEL = 0.005  # one-sided, of each look: the sign test allows 0.39, 0.21, 0.33 and 0.35 % after 8 to 32 pairs
INTERVAL_LEVEL = 1 - 2 * LEVEL
ALIKE_LEVEL = 0.05  # of the test by which successive pairs are too alike to be counted as so many


@dataclass(frozen=True)
class Estimate:
    """What the pairs of one model say: median and interval in ln units; p is one-sided, against "no slower"."""

    median: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Look:
    """One model at one look: its estimate, Holm's p over the models of the run, and what follows."""

    pairs: int
    estimate: Estimate
    p_holm: float
    verdict: Verdict | None  # None: undecided, more pairs
    reason: str


def estimate(values: Sequence[float]) -> Estimate:
    """The median of pair values, with the interval and the p of the sign test. Raises ValueError for too few."""
    if len(values) < PAIRS_PER_LOOK:
        raise ValueError(f"{len(values)} pairs: fewer than {PAIRS_PER_LOOK} give no interval at this level.")
    cut = _cut(len(values))
    ordered = sorted(values)
    return Estimate(
        median(ordered), ordered[cut - 1], ordered[-cut], _sign_p(sum(one <= 0 for one in values), len(values))
    )


@lru_cache(maxsize=256)
def _cut(pairs: int) -> int:
    """The end of the interval, counted from the outermost value: the median lies beyond it with LEVEL at most."""
    return int(stats.binom.ppf(LEVEL, pairs, 0.5))


@lru_cache(maxsize=4096)
def _sign_p(not_slower: int, pairs: int) -> float:
    return float(stats.binom.cdf(not_slower, pairs, 0.5))


def are_alike(values: Sequence[float]) -> bool:
    """Whether successive pairs resemble each other: the rank correlation of each with the next is above chance."""
    ranks = stats.rankdata(values) - (len(values) + 1) / 2
    if not ranks.any():
        return False
    correlation = float(ranks[1:] @ ranks[:-1] / (ranks @ ranks))
    return (correlation + 1 / len(values)) * math.sqrt(len(values)) > _ALIKE_LIMIT  # about normal: Bartels 1982


_ALIKE_LIMIT = float(stats.norm.isf(ALIKE_LEVEL))


def look(
    values: Mapping[str, Sequence[float]],
    noise: Sequence[AgainstItself],
    *,
    threshold: float,
    max_looks: int = MAX_LOOKS,
    undecided: Sequence[str] | None = None,
) -> dict[str, Look]:
    """What each undecided model is at this look.

    values: model -> all its pair values, in order, a whole number of blocks of PAIRS_PER_LOOK; models that were decided
    earlier keep contributing to Holm's step-down with what they have. noise: all values of the A/A arm, none where it
    was switched off. threshold: the slowdown worth failing, as a fraction (0.05). undecided: the models that are asked
    about; None for all.
    """
    estimates = {name: estimate(pairs) for name, pairs in values.items()}
    adjusted = holm({name: one.p for name, one in estimates.items()})
    bias = _largest_bias(noise)
    found = {}
    for name in values if undecided is None else undecided:
        verdict, reason = _decide(estimates[name], adjusted[name], values[name], bias, threshold, max_looks)
        found[name] = Look(len(values[name]), estimates[name], adjusted[name], verdict, reason)
    return found


def _largest_bias(noise: Sequence[AgainstItself]) -> AgainstItself:
    """The side whose own code differs more from itself, and by how much: the median over its pairs."""
    by_side = {side: [value for whose, value in noise if whose == side] for side, _ in noise}
    medians: list[AgainstItself] = [(side, median(values)) for side, values in by_side.items()]
    return max(medians, key=lambda one: abs(one[1]), default=("base", 0.0))


def _block_medians(values: Sequence[float]) -> list[float]:
    if len(values) % PAIRS_PER_LOOK:
        raise ValueError(f"Looks come after every {PAIRS_PER_LOOK} pairs, not after {len(values)}.")
    return [float(one) for one in np.median(np.reshape(values, (-1, PAIRS_PER_LOOK)), axis=1)]


def _decide(
    seen: Estimate, p_holm: float, values: Sequence[float], bias: AgainstItself, threshold: float, max_looks: int
) -> tuple[Verdict | None, str]:
    """FAIL is asked before PASS; what is neither goes on, or ends INCONCLUSIVE at the last look."""
    limit, half = math.log1p(threshold), math.log1p(threshold / 2)
    blocks = _block_medians(values)
    is_last = len(blocks) >= max_looks
    is_flagged = blocks[-1] > half
    if abs(bias[1]) > half:
        reason = f"too noisy: {bias[0]} against itself came out {percent(bias[1]):+.1f} %"
    elif are_alike(values):
        reason = "successive pairs are alike: the machine's state lasts longer than a pair, so they prove too little"
    elif is_flagged and len(blocks) > 1 and blocks[-2] > half and p_holm <= LEVEL:
        return "FAIL", "slower in two blocks of pairs one after the other"
    elif seen.high < limit and (is_last or not is_flagged):
        return "PASS", f"at most {percent(seen.high):+.1f} %"
    elif is_flagged and not is_last:
        reason = f"a block of pairs is above {percent(half):.1f} %: to be confirmed by fresh pairs"
    else:
        reason = f"may be as much as {percent(seen.high):+.1f} %, not below {percent(limit):.1f} %"
    return ("INCONCLUSIVE" if is_last else None), reason


def percent(log_ratio: float) -> float:
    """A difference of logarithms as percent: +5 is 5 % slower."""
    return math.expm1(log_ratio) * 100


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """What a run is that has these: FAIL before INCONCLUSIVE before PASS. INCONCLUSIVE if there are none."""
    return next((verdict for verdict in VERDICTS if verdict in verdicts), "INCONCLUSIVE")
