"""Where labels go, so that none covers another label, a point or the frame. Plain geometry; no drawing.

All lengths are in one unit (points of 1/72 inch); y grows upwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

PADDING = 1.5  # kept free around each label
_DIRECTIONS = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
_DISTANCES = (5.0, 9.0, 15.0, 22.0, 30.0, 40.0, 52.0, 66.0, 82.0, 100.0)
_LEADER_FROM = 12.0  # farther than this from its point, a label gets a line to it
_CLEARLY = 1.4  # a label without a line is so many times nearer to its own point than to any other


@dataclass(frozen=True)
class Box:
    """An axis-parallel rectangle."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share any area."""
        is_beside = self.left < other.right and other.left < self.right
        return is_beside and self.bottom < other.top and other.bottom < self.top

    def contains(self, other: Box) -> bool:
        """Whether the other lies wholly inside."""
        is_inside = self.left <= other.left and other.right <= self.right
        return is_inside and self.bottom <= other.bottom and other.top <= self.top

    def grown(self, by: float) -> Box:
        """The same rectangle, larger by this much on every side."""
        return Box(self.left - by, self.bottom - by, self.right + by, self.top + by)

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the rectangle that is nearest to (x, y)."""
        return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)


@dataclass(frozen=True)
class Placement:
    """Where one label's box lies, and from where a line leads to its point (None: it stands right beside it)."""

    box: Box
    leader: tuple[float, float] | None


@dataclass(frozen=True)
class PlanningContext:
    """What labels have to get along with.

    bounds: the frame that they must stay in. blocked: what none may cover (markers, interval bars).
    lines: what they should not cover if there is another place. points: every marker, labelled or not.
    """

    bounds: Box
    blocked: Sequence[Box] = ()
    lines: Sequence[Box] = ()
    points: Sequence[tuple[float, float]] = ()


def place_labels(
    anchors: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]], around: PlanningContext
) -> list[Placement | None]:
    """A place for each label: the nearest one that is free, in a fixed order of tries; None where nothing is free.

    anchors: the labelled points. sizes: width and height of each label. A label that lies nearer to another point
    than to its own gets a line to its own. Points with the most company are served first.
    """
    placed: dict[int, Placement] = {}
    for index in sorted(range(len(anchors)), key=lambda i: (-_company(i, anchors), anchors[i], i)):
        spot = _best_spot(anchors[index], sizes[index], anchors, around, placed)
        if spot is not None:
            placed[index] = spot
    return [placed.get(index) for index in range(len(anchors))]


def _company(index: int, anchors: Sequence[tuple[float, float]], radius: float = 40.0) -> int:
    x, y = anchors[index]
    return sum(abs(x - other[0]) < radius and abs(y - other[1]) < radius / 2 for other in anchors)


def _best_spot(
    anchor: tuple[float, float],
    size: tuple[float, float],
    anchors: Sequence[tuple[float, float]],
    around: PlanningContext,
    placed: dict[int, Placement],
) -> Placement | None:
    """The first place with nothing against it; failing that, the nearest of the least bad."""
    fallback: tuple[int, Placement] | None = None
    for distance in _DISTANCES:
        for direction in _DIRECTIONS:
            box = _box_at(anchor, size, direction, distance)
            wide = box.grown(PADDING)
            if not around.bounds.contains(box) or _is_covered(wide, around.blocked, placed):
                continue
            needs_leader = distance > _LEADER_FROM or _is_nearer_to_another(box, anchor, around.points)
            spot = Placement(box, box.nearest(*anchor) if needs_leader else None)
            faults = int(any(wide.overlaps(line) for line in around.lines))
            if spot.leader is not None and _leader_crosses(anchor, spot.leader, anchors, around, placed):
                faults += 2
            if faults == 0:
                return spot
            if fallback is None or faults < fallback[0]:
                fallback = (faults, spot)
    return None if fallback is None else fallback[1]


def _is_nearer_to_another(box: Box, anchor: tuple[float, float], points: Sequence[tuple[float, float]]) -> bool:
    own = math.dist(box.nearest(*anchor), anchor)
    return any(math.dist(box.nearest(*p), p) < _CLEARLY * own for p in points if math.dist(p, anchor) > 0.5)


def _box_at(anchor: tuple[float, float], size: tuple[float, float], direction: tuple[int, int], distance: float) -> Box:
    (x, y), (width, height), (dx, dy) = anchor, size, direction
    reach = distance / math.hypot(dx, dy)
    centre_x, centre_y = x + dx * (reach + width / 2), y + dy * (reach + height / 2)
    return Box(centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2)


def _is_covered(box: Box, obstacles: Sequence[Box], placed: dict[int, Placement]) -> bool:
    return any(box.overlaps(other) for other in (*obstacles, *(spot.box for spot in placed.values())))


def _leader_crosses(
    anchor: tuple[float, float],
    end: tuple[float, float],
    anchors: Sequence[tuple[float, float]],
    around: PlanningContext,
    placed: dict[int, Placement],
) -> bool:
    for other, spot in placed.items():
        if _segment_meets_box(anchor, end, spot.box):
            return True
        if spot.leader is not None and _segments_cross(anchor, end, anchors[other], spot.leader):
            return True
    others = (point for point in around.points if math.dist(point, anchor) > 0.5)
    return any(_segment_meets_box(anchor, end, Box(x, y, x, y).grown(3.0)) for x, y in others)


def _segment_meets_box(start: tuple[float, float], end: tuple[float, float], box: Box) -> bool:
    """Whether a straight line enters the box (Liang and Barsky's clipping)."""
    enter, leave = 0.0, 1.0
    for origin, delta, low, high in (
        (start[0], end[0] - start[0], box.left, box.right),
        (start[1], end[1] - start[1], box.bottom, box.top),
    ):
        if delta == 0:
            if not low <= origin <= high:
                return False
            continue
        first, second = sorted(((low - origin) / delta, (high - origin) / delta))
        enter, leave = max(enter, first), min(leave, second)
    return enter <= leave


def _segments_cross(
    a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], d: tuple[float, float]
) -> bool:
    def side(p: tuple[float, float], q: tuple[float, float], r: tuple[float, float]) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
