"""Panels of points with interval bars, labels and a Pareto front, and of lines along an axis. Data in, axes drawn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analyse.choose import pareto_front
from bench.catalog.identity import family_rank
from bench.markdown_text import one_line
from bench.report.axes import set_limits, set_log_y_ticks, set_ticks
from bench.report.labels import Box, Surroundings, place_labels
from bench.report.style import GREY, INK, family_style, new_figure

MOST_LABELS = 40  # per panel; with more points no bars are drawn and only the fronts of the families are labelled
MOST_LINE_LABELS = 16  # per panel of lines; with more, none is labelled
MOST_PANELS = 6
_LABEL_POINTS = 8.0
_BARS_BEYOND = 1.5  # a longer bar of x leaves the panel: it would squeeze the points together
_MARKER_POINTS = 6.5
_SEED_POINTS = 4.5
_WIDE, _NARROW, _HEIGHT, _LEGEND_STRIP = 475.0, 320.0, 255.0, 18.0  # of a panel, points
_MARGIN, _WIDE_MARGIN = 46.0, 58.0  # left of the axes: percentages; differences, and numbers of up to six digits
_LEGEND_ENTRIES = 5  # beside one another above a single panel; two panels have room for all


@dataclass(frozen=True)
class Point:
    """One point of a panel. Bars are given by their ends; None draws none."""

    x: float
    y: float
    family: str
    label: str
    y_bar: tuple[float, float] | None = None
    x_bar: tuple[float, float] | None = None
    seeds: tuple[float, ...] = ()  # y of every seed, where they are shown one by one


@dataclass(frozen=True)
class Line:
    """Points of one model (or family) along the axis, joined in their order; labelled at `label_at`.

    is_control: a level that others are held against, drawn thin and without markers; it is in no legend.
    """

    points: tuple[Point, ...]
    family: str
    label: str
    label_at: int = -1
    is_control: bool = False


@dataclass(frozen=True)
class Panel:
    """What one panel shows. x is drawn on a logarithmic axis, y on a linear one unless log_y."""

    title: str
    x_label: str
    y_label: str
    points: tuple[Point, ...] = ()
    lines: tuple[Line, ...] = ()
    front: str = ""  # "low x" or "high x": which way is better; empty draws no front
    log_base: int = 10
    log_y: bool = False
    level: float | None = None  # a line across, such as zero for differences


def labelled_points(points: Sequence[Point], front: str = "") -> list[Point]:
    """The points that get a label: all of them, or beyond MOST_LABELS those on the front of their family."""
    if len(points) <= MOST_LABELS:
        return list(points)
    sign = -1.0 if front == "high x" else 1.0
    chosen = []
    for family in sorted({point.family for point in points}, key=family_rank):
        own = [point for point in points if point.family == family]
        on_front = pareto_front([sign * point.x for point in own], [point.y for point in own])
        chosen += [point for point, is_on in zip(own, on_front, strict=True) if is_on]
    return chosen[:MOST_LABELS]


def front_points(points: Sequence[Point], front: str) -> list[Point]:
    """The Pareto front over all families, in rising x; unstable seeds are in no ranking, so not on it."""
    sign = -1.0 if front == "high x" else 1.0
    ranked = [point for point in points if not point.seeds]
    is_on_front = pareto_front([sign * point.x for point in ranked], [point.y for point in ranked])
    return sorted((p for p, is_on in zip(ranked, is_on_front, strict=True) if is_on), key=lambda p: (p.x, p.y))


def draw_panels(panels: Sequence[Panel]) -> Figure:
    """One figure with the panels in rows of two, and a legend of families above them."""
    panels = panels[:MOST_PANELS]
    columns = min(len(panels), 2)
    rows = math.ceil(len(panels) / columns)
    width, height = (_WIDE if columns == 1 else _NARROW), _HEIGHT
    handles = _legend_handles(panels)
    legend_rows = 1 if columns > 1 or len(handles) <= _LEGEND_ENTRIES else 2
    total_w, total_h = columns * width, rows * height + legend_rows * _LEGEND_STRIP
    figure = new_figure(total_w / 72, total_h / 72)
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        margin = _WIDE_MARGIN if panel.log_y or panel.level is not None else _MARGIN
        left, bottom = column * width + margin, (rows - 1 - row) * height + 38
        box = (left / total_w, bottom / total_h, (width - margin - 14) / total_w, (height - 60) / total_h)
        _draw_panel(figure.add_axes(box), panel)
    per_row = math.ceil(len(handles) / legend_rows)
    figure.legend(handles=handles, loc="upper center", ncols=per_row, borderaxespad=0.2, handlelength=2.8)
    return figure


def _legend_handles(panels: Sequence[Panel]) -> list[Line2D]:
    families = {p.family for panel in panels for p in panel.points}
    families |= {line.family for panel in panels for line in panel.lines if not line.is_control}
    handles = [
        _legend_handle(family, any(panel.lines for panel in panels)) for family in sorted(families, key=family_rank)
    ]
    if any(_corners(panel) for panel in panels):
        handles.append(Line2D([], [], color=GREY, linewidth=1.0, label="Pareto front"))
    if any(point.seeds for panel in panels for point in _points_of(panel)):
        handles.append(Line2D([], [], linestyle="none", **_cross(GREY), label="one seed (unstable)"))
    return handles


def _points_of(panel: Panel) -> list[Point]:
    return [*panel.points, *(point for line in panel.lines for point in line.points)]


def _legend_handle(family: str, has_lines: bool) -> Line2D:
    style = family_style(family)
    return Line2D([], [], linestyle=style.line if has_lines else "none", **_marker(family), label=style.name)


def _marker(family: str) -> dict[str, Any]:
    style = family_style(family)
    return {
        "marker": style.marker,
        "color": style.colour,
        "markersize": _MARKER_POINTS,
        "markerfacecolor": style.colour if style.is_filled else "white",
        "markeredgecolor": style.colour,
        "markeredgewidth": 1.2,
    }


def _cross(colour: str) -> dict[str, Any]:
    return {"marker": "x", "color": colour, "markersize": _SEED_POINTS, "markeredgewidth": 1.1}


def _draw_panel(axes: Any, panel: Panel) -> None:
    everything = _points_of(panel)
    axes.set_title(one_line(panel.title), loc="left")
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.set_xscale("log", base=panel.log_base)
    if panel.log_y:
        axes.set_yscale("log")
    low, high = _ends(everything, "y")
    if panel.level is not None:
        low, high = min(low, panel.level), max(high, panel.level)
    set_limits(axes, _ends(everything, "x"), (low, high), log_y=panel.log_y, may_be_negative=panel.level is not None)
    set_ticks(axes, [point.x for point in everything], panel.log_base)
    if panel.log_y:
        set_log_y_ticks(axes)
    if corners := _corners(panel):
        axes.plot([x for x, _ in corners], [y for _, y in corners], color=GREY, linewidth=1.0, zorder=1.5)
    if panel.level is not None:
        axes.axhline(panel.level, color=INK, linewidth=0.8, zorder=1.4)
    for point in (point for point in everything if point.seeds):
        cross = _cross(family_style(point.family).colour)
        axes.plot([point.x] * len(point.seeds), point.seeds, linestyle="none", zorder=2.5, **cross)
    for line in panel.lines:
        _draw_line(axes, line)
    _draw_points(axes, panel.points)
    labelled = labelled_points(panel.points, panel.front)
    named = panel.lines if len(panel.lines) <= MOST_LINE_LABELS else ()
    ends = [(line.points[line.label_at], line.label) for line in named if line.label]
    _draw_labels(axes, [*((point, point.label) for point in labelled if point.label), *ends], panel)


def _draw_points(axes: Any, points: Sequence[Point]) -> None:
    """All points of a panel, a family at a time, with their interval bars below them."""
    for family in sorted({point.family for point in points}, key=family_rank):
        own = [point for point in points if point.family == family]
        if len(points) <= MOST_LABELS:
            _draw_bars(axes, own, family_style(family).colour)
        axes.plot([p.x for p in own], [p.y for p in own], linestyle="none", zorder=3, **_marker(family))


def _draw_bars(axes: Any, points: Sequence[Point], colour: str) -> None:
    upright = [((p.x, p.y_bar[0]), (p.x, p.y_bar[1])) for p in points if p.y_bar is not None]
    lying = [((p.x_bar[0], p.y), (p.x_bar[1], p.y)) for p in points if p.x_bar is not None]
    if upright or lying:
        axes.add_collection(LineCollection([*upright, *lying], colors=colour, linewidths=1.0, zorder=2))


def _draw_line(axes: Any, line: Line) -> None:
    style = family_style(line.family)
    xs, ys = [point.x for point in line.points], [point.y for point in line.points]
    if line.is_control:
        axes.plot(xs, ys, linestyle=(0, (1, 2)), linewidth=1.0, color=style.colour, zorder=1.5)
        return
    axes.plot(xs, ys, linestyle=style.line, linewidth=1.1, zorder=2, **_marker(line.family))
    _draw_bars(axes, line.points, style.colour)


def _ends(points: Sequence[Point], axis: str) -> tuple[float, float]:
    """Least and greatest that has to be in sight; bars of x only as far as a factor beyond the points."""
    values = [getattr(point, axis) for point in points]
    low, high = min(values), max(values)
    ends = [end for point in points for end in getattr(point, f"{axis}_bar") or ()]
    ends += [seed for point in points for seed in point.seeds] if axis == "y" else []
    if axis == "x":
        ends = [min(max(end, low / _BARS_BEYOND), high * _BARS_BEYOND) for end in ends]
    return min(low, *ends, low), max(high, *ends, high)


def _draw_labels(axes: Any, labelled: Sequence[tuple[Point, str]], panel: Panel) -> None:
    """Labels beside their points, moved apart, with a thin line where they had to go far."""
    renderer = axes.figure.canvas.get_renderer()
    anchors = [_position(axes, point.x, point.y) for point, _ in labelled]
    texts = [one_line(text) for _, text in labelled]
    texts = [text if len(text) <= 34 else f"{text[:33]}…" for text in texts]
    artists = [axes.text(0, 0, text, fontsize=_LABEL_POINTS, transform=None) for text in texts]
    sizes = []
    for artist in artists:
        extent = artist.get_window_extent(renderer)
        sizes.append((extent.width, extent.height))
    frame = axes.get_window_extent(renderer)
    bounds = Box(frame.x0 + 2, frame.y0 + 2, frame.x1 + 10, frame.y1 + 2)
    spots = place_labels(anchors, sizes, _surroundings(axes, panel, bounds))
    paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.4}
    for artist, (point, _), spot, anchor, size in zip(artists, labelled, spots, anchors, sizes, strict=True):
        if spot is None:
            artist.remove()
            continue
        centre = (spot.box.left + size[0] / 2, spot.box.bottom + size[1] / 2)
        artist.remove()
        arrow = None
        if spot.leader is not None:
            arrow = {"arrowstyle": "-", "linewidth": 0.6, "color": GREY, "shrinkA": 0, "shrinkB": 3}
            offset = (spot.leader[0] - anchor[0], spot.leader[1] - anchor[1])
            axes.annotate("", (point.x, point.y), offset, textcoords="offset points", arrowprops=arrow, zorder=2.5)
        axes.annotate(
            artist.get_text(),
            (point.x, point.y),
            (centre[0] - anchor[0], centre[1] - anchor[1]),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=_LABEL_POINTS,
            color=INK,
            bbox=paper,
            zorder=4,
            annotation_clip=False,
        )


def _position(axes: Any, x: float, y: float) -> tuple[float, float]:
    placed = axes.transData.transform((x, y))
    return float(placed[0]), float(placed[1])


def _surroundings(axes: Any, panel: Panel, bounds: Box) -> Surroundings:
    """What labels must not cover (markers and interval bars) and should not (lines), in points."""
    everything = _points_of(panel)
    blocked = []
    for point in everything:
        x, y = _position(axes, point.x, point.y)
        blocked.append(Box(x, y, x, y).grown(_MARKER_POINTS / 2 + 0.5))
        crosses = [_position(axes, point.x, seed) for seed in point.seeds]
        blocked += [Box(*cross, *cross).grown(_SEED_POINTS / 2 + 0.5) for cross in crosses]
        for bar, is_vertical in ((point.y_bar, True), (point.x_bar, False)):
            if bar is not None:
                ends = [_position(axes, point.x, end) if is_vertical else _position(axes, end, point.y) for end in bar]
                blocked.append(Box(*ends[0], *ends[1]).grown(0.8))
    lines = [[_position(axes, point.x, point.y) for point in line.points] for line in panel.lines]
    lines.append([_position(axes, *corner) for corner in _corners(panel)])
    beads = [bead for line in lines for start, end in itertools.pairwise(line) for bead in _beads(start, end)]
    return Surroundings(bounds, blocked, beads, [_position(axes, point.x, point.y) for point in everything])


def _corners(panel: Panel) -> list[tuple[float, float]]:
    """The front that a panel draws: none where it is one point."""
    corners = front_corners(panel.points, panel.front) if panel.front else []
    return corners if len(corners) > 1 else []


def front_corners(points: Sequence[Point], front: str) -> list[tuple[float, float]]:
    """The Pareto front as a line of steps: what accuracy is to be had at each cost, in rising x."""
    best = front_points(points, front)
    corners = [(point.x, point.y) for point in best[:1]]
    for before, after in itertools.pairwise(best):
        corners.append((after.x, before.y) if front == "low x" else (before.x, after.y))
        corners.append((after.x, after.y))
    return corners


def _beads(start: tuple[float, float], end: tuple[float, float], every: float = 5.0) -> list[Box]:
    """Small boxes along a straight line, so that boxes can be tested against it."""
    count = max(1, math.ceil(math.dist(start, end) / every))
    steps = [i / count for i in range(count + 1)]
    centres = [(start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t) for t in steps]
    return [Box(x, y, x, y).grown(1.0) for x, y in centres]
