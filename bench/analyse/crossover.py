"""Where one curve of accuracy passes another along a logarithmic axis, with an interval that may be open.

A curve is measured at a few places; between them it is a straight line in log x. Every place has the t interval of the
difference over seeds and test images (`contrast_interval`); the interval of the passage runs from the last place that
is decided one way to the first that is decided the other way. Where the curves do not meet in range, it is open.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.analyse.intervals import LEVEL, Interval, SeedGroup, contrast_interval

Parts = list[tuple[float, SeedGroup]]
State = Literal[
    "passes", "falls behind", "ahead throughout", "behind throughout", "equal throughout", "crosses several times"
]
_SAME_POINTS = 1e-9  # a difference below this is rounding
_PLACES = 12  # looked at inside each stretch between two measured places
_HALVINGS = 20  # that then close in on an end of the interval: to a millionth of a stretch


@dataclass(frozen=True)
class Node:
    """A curve's accuracy at one place: a weighted mean of models (weights sum to 1)."""

    x: float
    parts: tuple[tuple[float, SeedGroup], ...]
    cell_ids: tuple[str, ...]


Curve = tuple[Node, ...]  # rising x


@dataclass(frozen=True)
class Crossing:
    """Where the first curve passes the second. Ends of None are open: the interval goes on beyond the range."""

    low_x: float  # range that both curves were measured in
    high_x: float
    state: State  # of the estimates
    estimate: float | None
    low: float | None
    high: float | None
    has_interval: bool  # False where nothing says how far seeds differ: low and high then mean nothing
    differences: tuple[tuple[float, float, Interval | None], ...]  # x, first - second in points, its interval
    cell_ids: tuple[str, ...]

    @property
    def is_bounded(self) -> bool:
        """Whether the data say of both ends that the crossing is in range."""
        return self.has_interval and self.low is not None and self.high is not None

    def covers(self, x: float) -> bool:
        """Whether the interval holds this place."""
        return (self.low is None or self.low <= x) and (self.high is None or x <= self.high)


def crossing(pairs: Sequence[tuple[Curve, Curve]], level: float = LEVEL) -> Crossing | None:
    """Where the mean of the first curves passes the mean of the second ones; None without a common stretch.

    pairs: (first, second) on each data set; differences are averaged over the sets. The interval supposes one passage,
    behind on one side of it and ahead on the other: it starts after the last place that is significantly behind and
    ends before the first that is significantly ahead. Where these contradict each other it is open at both ends.
    """
    curves = [(sign / len(pairs), curve) for pair in pairs for sign, curve in zip((1.0, -1.0), pair, strict=True)]
    low_x, high_x = max(curve[0].x for _, curve in curves), min(curve[-1].x for _, curve in curves)
    if not low_x < high_x:
        return None
    inner = {node.x for _, curve in curves for node in curve if low_x < node.x < high_x}
    places = [low_x, *sorted(inner), high_x]

    def at(x: float) -> tuple[float, Interval | None]:
        parts = [(weight * share, group) for weight, curve in curves for share, group in _parts_at(curve, x)]
        return sum(weight * group.mean_pct for weight, group in parts), contrast_interval(parts, level)

    found = [(x, *at(x)) for x in places]
    state, estimate = _passage([(x, delta) for x, delta, _ in found])
    has_interval = all(interval is not None for _, _, interval in found)
    sign = -1 if state == "falls behind" else 1
    low, high = _interval(places, lambda x: sign * _verdict(at(x)[1])) if has_interval else (None, None)
    ids = tuple(sorted({cell_id for _, curve in curves for node in curve for cell_id in node.cell_ids}))
    return Crossing(low_x, high_x, state, estimate, low, high, has_interval, tuple(found), ids)


def _parts_at(curve: Curve, x: float) -> Parts:
    """The curve at x as a weighted sum of groups; a straight line in log x between neighbours."""
    for left, right in itertools.pairwise(curve):
        if left.x <= x <= right.x:
            share = math.log(x / left.x) / math.log(right.x / left.x)
            ends = ((1 - share, left), (share, right))
            return [(w * weight, group) for w, node in ends if w > 0 for weight, group in node.parts]
    raise ValueError(f"{x} is outside the curve")


def _passage(found: Sequence[tuple[float, float]]) -> tuple[State, float | None]:
    """What the estimates do along the axis, and where they change sign if they do so once."""
    changes = []
    known = [(x, delta) for x, delta in found if abs(delta) > _SAME_POINTS]
    for (x, delta), (next_x, next_delta) in itertools.pairwise(known):
        if delta * next_delta < 0:
            share = delta / (delta - next_delta)
            changes.append((delta < 0, math.exp(math.log(x) + share * math.log(next_x / x))))
    if len(changes) > 1:
        return "crosses several times", None
    if changes:
        is_up, x = changes[0]
        return ("passes" if is_up else "falls behind"), x
    if not known:
        return "equal throughout", None
    return ("ahead throughout" if known[0][1] > 0 else "behind throughout"), None


def _verdict(interval: Interval | None) -> int:
    """-1: the first is behind, 1: ahead, 0: not decided."""
    assert interval is not None  # the caller has looked
    return -1 if interval.high < 0 else 1 if interval.low > 0 else 0


def _interval(places: Sequence[float], verdict: Callable[[float], int]) -> tuple[float | None, float | None]:
    """Last place that is behind and first that is ahead; None without one."""
    grid = [
        math.exp(math.log(left) + i / _PLACES * math.log(right / left))
        for left, right in itertools.pairwise(places)
        for i in range(_PLACES)
    ]
    grid = [places[0], *grid[1:], places[-1]]
    low = _last(grid, lambda x: verdict(x) < 0)
    high = _last(grid[::-1], lambda x: verdict(x) > 0)
    return (None, None) if low is not None and high is not None and low > high else (low, high)


def _last(grid: Sequence[float], is_decided: Callable[[float], bool]) -> float | None:
    """Where the last decided place of the grid ends; None without one."""
    decided = [is_decided(x) for x in grid]
    if not any(decided):
        return None
    last = len(grid) - 1 - decided[::-1].index(True)
    if last == len(grid) - 1:
        return grid[-1]
    inside, outside = grid[last], grid[last + 1]
    for _ in range(_HALVINGS):
        middle = math.sqrt(inside * outside)
        inside, outside = (middle, outside) if is_decided(middle) else (inside, middle)
    return outside
