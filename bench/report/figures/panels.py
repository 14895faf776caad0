"""What figures are made of: points with interval bars, lines along an axis, panels, and words that captions share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.analyse.compare.choose import pareto_front
from bench.analyse.stats.intervals import Interval, SeedGroup
from bench.analyse.study import Study
from bench.catalog.identity import DatasetIdentity, family_rank

MOST_LABELS = 40  # per panel; with more points no bars are drawn and only the fronts of the families are labelled
MOST_LINE_LABELS = 16  # per panel of lines; with more, none is labelled
MOST_PANELS = 6
MOST_SVG_POINTS = 1_000  # of a figure; with more, each a shape of its own, the SVG would be larger than the page
TOP1 = "Top-1 [%]"
FRONT_WORDS = "grey line: Pareto front of the estimates"
_SEEDS_WORDS = "crosses: every seed where seeds are unstable (table), with the marker at their median"

Ends = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """One point of a panel. Bars are given by their ends; None draws none.

    is_light: drawn hollow and pale, below the others, such as an estimate.
    """

    x: float
    y: float
    family: str
    label: str
    y_bar: Ends | None = None
    x_bar: Ends | None = None
    seeds: tuple[float, ...] = ()  # y of every seed, where they are shown one by one
    is_light: bool = False


@dataclass(frozen=True)
class Line:
    """Points of one model (or family) along the axis, joined in their order; labelled at `label_at`.

    is_control: a level that others are held against, drawn thin and without markers; it is in no legend.
    is_bare: without markers, the y bars of its points joined to a band.
    """

    points: tuple[Point, ...]
    family: str
    label: str
    label_at: int = -1
    is_control: bool = False
    is_bare: bool = False


@dataclass(frozen=True)
class Panel:
    """What one panel shows. x is drawn on a logarithmic axis unless log_base is 0, y on a linear one unless log_y."""

    title: str
    x_label: str
    y_label: str
    points: tuple[Point, ...] = ()
    lines: tuple[Line, ...] = ()
    front: str = ""  # "low x" or "high x": which way is better; empty draws no front
    log_base: int = 10
    log_y: bool = False
    level: float | None = None  # a line across, such as zero for differences
    names: tuple[str, ...] = ()  # what stands at x = 0, 1, 2, ... of an axis without numbers

    @property
    def everything(self) -> list[Point]:
        """All points, those of lines included."""
        return [*self.points, *(point for line in self.lines for point in line.points)]


@dataclass(frozen=True)
class FigureSpec:
    """One figure: its file name, what it shows in words (Markdown), and its panels."""

    name: str
    alternative: str  # for readers who cannot see it
    caption: str
    panels: tuple[Panel, ...]

    @property
    def has_svg(self) -> bool:
        """Whether it is written as SVG too."""
        return sum(len(panel.points) for panel in self.panels) <= MOST_SVG_POINTS


def first_panels(panels: Iterable[Panel | None]) -> tuple[Panel, ...]:
    """The panels that there are data for, at most MOST_PANELS."""
    return tuple(panel for panel in panels if panel is not None)[:MOST_PANELS]


def per_dataset(study: Study, panel: Callable[[DatasetIdentity], Panel | None]) -> tuple[Panel, ...]:
    """A panel for each data set that has one."""
    return first_panels(map(panel, study.datasets))


def set_title(dataset: DatasetIdentity) -> str:
    """The title of a data set's panel: its name and what kind of images it holds."""
    return f"{dataset.title} ({dataset.kind})"


def lines_panel(
    title: str, x_label: str, lines: Sequence[Line], *, front: str = "", log_base: int = 10, levels: Sequence[Line] = ()
) -> Panel:
    """Lines of top-1; labelled points with their front where no line has two of them. levels: controls beside them."""
    if any(len(line.points) > 1 for line in lines):
        return Panel(title, x_label, TOP1, lines=(*lines, *levels), log_base=log_base)
    points = tuple(replace(point, label=line.label) for line in lines for point in line.points)
    return Panel(title, x_label, TOP1, points, tuple(levels), front, log_base)


def pixels_level(places: Mapping[float, float]) -> list[Line]:
    """Logistic regression on pixels across a panel: x -> its top-1; none where there are not two places to join."""
    points = tuple(Point(x, y, "other", "") for x, y in sorted(places.items()))
    return [Line(points, "other", "pixels", label_at=0, is_control=True)] if len(points) > 1 else []


def pixels_words(panels: Iterable[Panel]) -> str:
    """What the caption says of the level, where a panel has one."""
    return "; dotted: logistic regression on pixels" if any(x.is_control for p in panels for x in p.lines) else ""


def bar_of(interval: Interval | None) -> Ends | None:
    """The ends of an interval, as a point wants them."""
    return None if interval is None else (interval.low, interval.high)


def accuracy_point(x: float, group: SeedGroup, interval: Interval | None, family: str, label: str = "") -> Point:
    """Mean with its interval bar, if any; where seeds are unstable their median and every seed, without a bar."""
    if group.is_unstable:
        return Point(x, group.median_pct, family, label, seeds=group.values_pct)
    return Point(x, group.mean_pct, family, label, bar_of(interval))


def labelled_points(points: Sequence[Point], front: str = "") -> list[Point]:
    """The points that get a label: all that have one, or beyond MOST_LABELS those on the front of their family."""
    points = [point for point in points if point.label]
    if len(points) <= MOST_LABELS:
        return points
    families = sorted({point.family for point in points}, key=family_rank)
    chosen = [on for family in families for on in _on_front([p for p in points if p.family == family], front)]
    return chosen[:MOST_LABELS]


def _on_front(points: Sequence[Point], front: str) -> list[Point]:
    """Points that no other is better than, in their order."""
    sign = -1.0 if front == "high x" else 1.0
    is_on_front = pareto_front([sign * point.x for point in points], [point.y for point in points])
    return [point for point, is_on in zip(points, is_on_front, strict=True) if is_on]


def front_corners(points: Sequence[Point], front: str) -> list[tuple[float, float]]:
    """The Pareto front over all families as a line of steps: what accuracy is to be had at each cost, in rising x.

    Unstable seeds are in no ranking, so not on it.
    """
    ranked = [point for point in points if not point.seeds]
    best = sorted(_on_front(ranked, front), key=lambda point: (point.x, point.y))
    corners = [(point.x, point.y) for point in best[:1]]
    for before, after in itertools.pairwise(best):
        corners.append((after.x, before.y) if front == "low x" else (before.x, after.y))
        corners.append((after.x, after.y))
    return corners


def unstable_words(panels: Sequence[Panel]) -> str:
    """What the caption says of seeds that are drawn one by one; empty where none are."""
    if not any(point.seeds for panel in panels for point in panel.everything):
        return ""
    return f"; {_SEEDS_WORDS}{', on no front' if any(panel.front for panel in panels) else ''}"


def thinned(panels: Sequence[Panel], labels: str = "the front of each family") -> str:
    """What the caption must say where not everything is labelled or shown. labels: what a crowded panel labels."""
    words = ""
    if any(len(panel.points) > MOST_LABELS for panel in panels):
        words += f" Beyond {MOST_LABELS} points a panel draws no bars and labels only {labels}."
    if any(len(panel.lines) > MOST_LINE_LABELS for panel in panels):
        words += f" Beyond {MOST_LINE_LABELS} models a panel of lines names none; the table does."
    if len(panels) == MOST_PANELS:
        words += f" At most {MOST_PANELS} panels are drawn."
    return words
