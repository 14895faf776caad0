"""Cost at equal accuracy from points of two families: piecewise linear in the logarithm of the cost, never beyond them.

A family's curve joins the points of its front (those that no cheaper point matches) in order of cost. Where an
accuracy lies below the first or above the last of them, the cost is only bounded: it is censored, not extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.analyse.front import pareto_front


@dataclass(frozen=True)
class Point:
    """One model: what it costs and what it reaches. Of a cost where less is worse, pass its reciprocal."""

    name: str
    cost: float  # above 0
    gain: float


@dataclass(frozen=True)
class CostRatio:
    """How many times as much the second family costs as the first, at the accuracy of one point.

    low < high where the other family's curve does not reach that accuracy: 0 or infinity is the open end.
    """

    at: str  # the point's name
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether the accuracy lies in the other family's range."""
        return self.low == self.high


def rising_front(points: Sequence[Point]) -> list[Point]:
    """The points that no cheaper or equal one matches, in rising cost and accuracy."""
    kept = pareto_front([point.cost for point in points], [point.gain for point in points])
    front = sorted((point for point, on in zip(points, kept, strict=True) if on), key=lambda p: (p.cost, p.name))
    return [point for i, point in enumerate(front) if i == 0 or point.gain > front[i - 1].gain]


def cost_at(front: Sequence[Point], gain: float) -> tuple[float, float]:
    """Bounds of the cost at which the curve reaches the gain; equal where it lies in the curve's range.

    front: as `rising_front` gives it, not empty.
    """
    if gain < front[0].gain:
        return 0.0, front[0].cost
    if gain > front[-1].gain:
        return front[-1].cost, math.inf
    for left, right in pairwise(front):
        if left.gain <= gain <= right.gain:
            share = (gain - left.gain) / (right.gain - left.gain)
            cost = math.exp(math.log(left.cost) + share * (math.log(right.cost) - math.log(left.cost)))
            return cost, cost
    return front[0].cost, front[0].cost  # a curve of one point, met exactly


def gain_at(front: Sequence[Point], cost: float) -> float | None:
    """The curve's accuracy at this cost; None outside its range."""
    if not front or not front[0].cost <= cost <= front[-1].cost:
        return None
    for left, right in pairwise(front):
        if left.cost <= cost <= right.cost:
            share = math.log(cost / left.cost) / math.log(right.cost / left.cost)
            return left.gain + share * (right.gain - left.gain)
    return front[0].gain


def ratios_at_second(first: Sequence[Point], second: Sequence[Point]) -> list[CostRatio]:
    """Cost of each point on the second family's front over the first's cost at that accuracy."""
    if not first or not second:
        return []
    curve = rising_front(first)
    found = []
    for point in rising_front(second):
        low, high = cost_at(curve, point.gain)
        found.append(CostRatio(point.name, point.cost / high, point.cost / low if low > 0 else math.inf))
    return found


def ratios_at_first(first: Sequence[Point], second: Sequence[Point]) -> list[CostRatio]:
    """The second family's cost at the accuracy of each point on the first's front, over that point's cost."""
    if not first or not second:
        return []
    curve = rising_front(second)
    found = []
    for point in rising_front(first):
        low, high = cost_at(curve, point.gain)
        found.append(CostRatio(point.name, low / point.cost, high / point.cost))
    return found
