"""Differences of two models, each with its own 95 % interval, and who cannot be told from the best.

Two models meet where nothing but the model differs: data, training images, training compute and setting. Unstable
seeds (`SeedGroup.is_unstable`) are in no ranking.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from bench.analyse.intervals import LEVEL, Interval, SeedGroup, difference
from bench.analyse.proportions import checkpoint_difference
from bench.holm import holm

Verdict = Literal["ahead", "behind", "not decided", "unstable", "one seed"]
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Difference:
    """First minus second, in percentage points. interval: 95 % for this difference alone; None with one seed."""

    delta_pp: float
    interval: Interval | None
    verdict: Verdict  # of the first

    @classmethod
    def of(cls, first: SeedGroup, second: SeedGroup) -> Difference:
        """By Welch's t over seeds and common test images."""
        delta, found = first.mean_pct - second.mean_pct, difference(first, second)
        if found is None:
            return cls(delta, None, "one seed")
        if first.is_unstable or second.is_unstable:
            return cls(delta, found.interval(), "unstable")
        if found.p_value >= 1 - LEVEL:
            return cls(delta, found.interval(), "not decided")
        return cls(delta, found.interval(), "ahead" if delta > 0 else "behind")

    @property
    def is_decided(self) -> bool:
        """Whether the interval leaves zero out, and the seeds are stable."""
        return self.verdict in ("ahead", "behind")


@dataclass(frozen=True)
class BestSet(Generic[K]):
    """The models that cannot be told from the most accurate one of those shown.

    members: with the best first. unranked: unstable, or of one seed. compared: with which Holm's correction counts.
    """

    members: tuple[K, ...]
    unranked: tuple[K, ...]
    compared: int

    def cheapest(self, costs: Mapping[K, float]) -> K | None:
        """The member of the least cost; None where no member has one."""
        return min((one for one in self.members if one in costs), key=lambda one: costs[one], default=None)


def not_separable(groups: Mapping[K, SeedGroup], *, of_checkpoints: bool = False) -> BestSet[K]:
    """The best by mean over seeds, and those that it is not ahead of, by Welch's t on common test images.

    of_checkpoints: of one run each, which are compared as these checkpoints (`checkpoint_difference`).
    """

    def p_value(one: K, other: K) -> float | None:
        if of_checkpoints:
            return checkpoint_difference(groups[one], groups[other])[1]
        found = difference(groups[one], groups[other])
        return None if found is None else found.p_value

    unranked = [key for key, group in groups.items() if group.is_unstable or not (group.has_spread or of_checkpoints)]
    return best_set({key: group.mean_pct for key, group in groups.items()}, p_value, unranked)


def best_set(
    means: Mapping[K, float], p_value: Callable[[K, K], float | None], unranked: Collection[K] = ()
) -> BestSet[K]:
    """The highest mean and those that it is not ahead of, Holm's correction over all that it is compared with.

    p_value: of two of the keys, that their true means are equal; None where nothing says it, and the second then stays.
    The truly best is left out of the set in at most 5 % of cases: that takes a false lead over it.
    """
    ranked = sorted((key for key in means if key not in unranked), key=lambda key: -means[key])
    if not ranked:
        return BestSet((), tuple(unranked), 0)
    best, *others = ranked
    p_values = {key: p for key in others if (p := p_value(best, key)) is not None}
    behind = {key for key, p in holm(p_values).items() if p < 1 - LEVEL}
    return BestSet((best, *(key for key in others if key not in behind)), tuple(unranked), len(ranked))


def alike(sizes: Sequence[str], macs: Sequence[float]) -> bool:
    """Whether two models are of one size: the same size class, or multiply-adds within a factor of 1.5."""
    if all(sizes):
        return sizes[0] == sizes[1]
    return min(macs) > 0 and max(macs) <= 1.5 * min(macs)
