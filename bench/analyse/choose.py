"""Which models meet a budget, best first, and the chance that each is really the best of those that do."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.analyse.candidates import COST_AXES, Candidate
from bench.analyse.draws import DRAWS, Floats, accuracy_draws
from bench.analyse.front import cost_draws
from bench.analyse.scores import RunKey


@dataclass(frozen=True)
class Choice:
    """One candidate that meets the budget."""

    candidate: Candidate
    chance_of_best: float | None  # share of the draws in which it is the most accurate within the budget; see `choose`
    chance_within: float  # share of the draws in which it meets the budget


@dataclass(frozen=True)
class Choices:
    """What a budget leaves: those that qualify, best first, and those that do not, with the reason."""

    limits: dict[str, float]
    choices: tuple[Choice, ...]
    too_costly: tuple[Candidate, ...]
    unknown: tuple[tuple[Candidate, tuple[str, ...]], ...]  # not measured on these axes, so neither in nor out
    chance_of_others: float | None = 0.0  # that the best is one whose estimate is outside the budget
    draws: int = field(default=DRAWS)


def choose(candidates: Sequence[Candidate], limits: dict[str, float], draws: int = DRAWS) -> Choices:
    """Candidates (of one data set and protocol, costs comparable) within the limits, by falling mean accuracy.

    limits: by cost name, the most that is allowed (the least, where more is better). Ties in a draw are shared. No
    chance is told where some candidate has one run and nothing says how far runs differ.
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
    may_draw = all(one.has_known_spread for one in known)
    found = [
        Choice(one, float(chance) if may_draw else None, float(share))
        for one, chance, share, is_in in zip(known, chances, shares, qualifies, strict=True)
        if is_in
    ]
    return Choices(
        limits=limits,
        choices=tuple(sorted(found, key=lambda c: (-c.candidate.group.mean_pct, c.candidate.name))),
        too_costly=tuple(one for one, is_in in zip(known, qualifies, strict=True) if not is_in),
        unknown=tuple(unknown),
        chance_of_others=float(chances[~qualifies].sum()) if may_draw else None,
        draws=draws,
    )


def by_condition(candidates: Sequence[Candidate], limits: Collection[str]) -> dict[tuple[str, ...], list[Candidate]]:
    """Candidates that may be ranked together: by what their limited costs share (machine, batch), most of them first.

    Those that were not measured on some axis go with the first group, which says so of them.
    """
    groups: dict[tuple[str, ...], list[Candidate]] = {}
    unknown = []
    for one in candidates:
        if all(name in one.costs for name in limits):
            groups.setdefault(tuple(one.costs[name].condition for name in limits), []).append(one)
        else:
            unknown.append(one)
    ordered = dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))) or {(): []}
    ordered[next(iter(ordered))] += unknown
    return ordered


def at_one_budget(candidates: Sequence[Candidate], limits: Mapping[str, float]) -> list[Candidate]:
    """Each model once: at its largest training budget within the limit, or its smallest where none is.

    Without a limit on training compute, at the largest: a model does not compete with itself.
    """
    limit = limits.get("train_flop", math.inf)
    best: dict[tuple[RunKey, float | None, str], Candidate] = {}

    def rank(one: Candidate) -> tuple[bool, float]:
        flop = one.costs["train_flop"].value if "train_flop" in one.costs else 0.0
        return flop <= limit, flop if flop <= limit else -flop

    for one in candidates:
        key = (one.key, one.train_images, one.label)
        if key not in best or rank(one) > rank(best[key]):
            best[key] = one
    return list(best.values())


def _chances_of_best(gains: Floats) -> Floats:
    """Share of the draws in which each column holds the largest number; columns of -inf never do."""
    best = gains.max(axis=1, keepdims=True)
    is_best = (gains == best) & np.isfinite(best)
    ties = np.maximum(is_best.sum(axis=1, keepdims=True), 1)
    return np.asarray((is_best / ties).mean(axis=0))
