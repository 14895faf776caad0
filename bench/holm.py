"""Holm's correction for several tests at once. Knows no model, no record and no gate."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def holm(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """Holm's step-down: p adjusted so that comparing each with a level bounds the chance of any false alarm.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    adjusted, highest = {}, 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p))
        adjusted[name] = highest
    return adjusted


def holm_levels(p_values: Mapping[Name, float], level: float) -> dict[Name, float]:
    """The level of the interval that excludes zero just where Holm's p is below 1 - level; level: 0.95, say.

    The r-th smallest of n p-values is tested at (1 - level) / (n - r + 1), all after the first that is not decided at
    that one's.
    """
    levels, share = {}, 0.0
    is_open = False
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        if not is_open:
            share = (1 - level) / (len(p_values) - rank)
            is_open = p >= share
        levels[name] = 1 - share
    return levels
