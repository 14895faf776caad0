"""Which models meet a budget, best first, and the chance that each is really the best of those that do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.analyse.candidates import COST_AXES, Candidate
from bench.analyse.draws import DRAWS, Floats, accuracy_draws
from bench.analyse.front import cost_draws, usual_condition


@dataclass(frozen=True)
class Choice:
    """One candidate that meets the budget."""

    candidate: Candidate
    chance_of_best: float  # share of the draws in which it meets the budget and is the most accurate that does
    chance_within: float  # share of the draws in which it meets the budget


@dataclass(frozen=True)
class Choices:
    """What a budget leaves: those that qualify, best first, and those that do not, with the reason."""

    limits: dict[str, float]
    choices: tuple[Choice, ...]
    too_costly: tuple[Candidate, ...]
    unknown: tuple[tuple[Candidate, tuple[str, ...]], ...]  # not measured on these axes, so neither in nor out
    chance_of_others: float = 0.0  # that the best is one whose estimate is outside the budget
    draws: int = field(default=DRAWS)


def choose(candidates: Sequence[Candidate], limits: dict[str, float], draws: int = DRAWS) -> Choices:
    """Candidates (of one data set and protocol, costs comparable) within the limits, by rising chance of being best.

    limits: by cost name, the most that is allowed (the least, where more is better). Ties in a draw are shared.
    """
    known, unknown = [], []
    for one in candidates:
        missing = tuple(name for name in limits if name not in one.costs)
        if missing:
            unknown.append((one, missing))
        else:
            known.append(one)
    if not known:
        return Choices(limits, (), (), tuple(unknown), draws=draws)
    gains = accuracy_draws({one.name: one.group for one in known}, draws)
    within = np.ones_like(gains, dtype=bool)
    qualifies = np.ones(len(known), dtype=bool)
    for name, limit in limits.items():
        costs = np.stack([cost_draws(one, one.costs[name], draws) for one in known], axis=1)
        sign = -1.0 if COST_AXES[name].more_is_better else 1.0
        within &= sign * costs <= sign * limit
        qualifies &= np.array([sign * one.costs[name].value <= sign * limit for one in known])
    chances = _chances_of_best(np.where(within, gains, -np.inf))
    shares = within.mean(axis=0)
    found = [
        Choice(one, float(chance), float(share))
        for one, chance, share, is_in in zip(known, chances, shares, qualifies, strict=True)
        if is_in
    ]
    return Choices(
        limits=limits,
        choices=tuple(sorted(found, key=lambda c: (-c.candidate.group.mean_pct, c.candidate.name))),
        too_costly=tuple(one for one, is_in in zip(known, qualifies, strict=True) if not is_in),
        unknown=tuple(unknown),
        chance_of_others=float(chances[~qualifies].sum()),
        draws=draws,
    )


def comparable(candidates: Sequence[Candidate], axis: str) -> list[Candidate]:
    """Candidates whose cost was taken under the condition that most share, and those that have no such cost."""
    usual = usual_condition(candidates, axis)
    return [one for one in candidates if axis not in one.costs or one.costs[axis].condition == usual]


def _chances_of_best(gains: Floats) -> Floats:
    """Share of the draws in which each column holds the largest number; columns of -inf never do."""
    best = gains.max(axis=1, keepdims=True)
    is_best = (gains == best) & np.isfinite(best)
    ties = np.maximum(is_best.sum(axis=1, keepdims=True), 1)
    return np.asarray((is_best / ties).mean(axis=0))
