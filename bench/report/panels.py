"""Panels of points with interval bars, labels and a Pareto front, and of lines along an axis. Data in, axes drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.patheffects as effects
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.analyse.front import pareto_front
from bench.analyse.identity import family_rank
from bench.report.formats import fixed, significant
from bench.report.labels import Box, place_labels
from bench.report.style import GREY, INK, family_style, new_figure

MOST_LABELS = 40  # per panel; with more points only the fronts of the families are labelled
MOST_PANELS = 6
_LABEL_POINTS = 7.5
_MARKER_POINTS = 6.5


@dataclass(frozen=True)
class Point:
    """One point of a panel. Bars are given by their ends; None draws none."""

    x: float
    y: float
    family: str
    label: str
    y_bar: tuple[float, float] | None = None
    x_bar: tuple[float, float] | None = None


@dataclass(frozen=True)
class Line:
    """Points of one model (or family) along the axis, joined in their order; labelled at `label_at`."""

    points: tuple[Point, ...]
    family: str
    label: str
    label_at: int = -1


@dataclass(frozen=True)
class Panel:
    """What one panel shows. x is drawn on a logarithmic axis."""

    title: str
    x_label: str
    y_label: str
    points: tuple[Point, ...] = ()
    lines: tuple[Line, ...] = ()
    front: str = ""  # "low x" or "high x": which way is better; empty draws no front
    log_base: int = 10


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
    """The Pareto front over all families, in rising x."""
    sign = -1.0 if front == "high x" else 1.0
    is_on_front = pareto_front([sign * point.x for point in points], [point.y for point in points])
    return sorted((p for p, is_on in zip(points, is_on_front, strict=True) if is_on), key=lambda p: (p.x, p.y))


def draw_panels(panels: Sequence[Panel]) -> Figure:
    """One figure with the panels in rows of two (three when there are three), a legend of families above them."""
    panels = panels[:MOST_PANELS]
    columns = {1: 1, 2: 2, 3: 3}.get(len(panels), 2 if len(panels) == 4 else 3)
    rows = math.ceil(len(panels) / columns)
    width, height = (6.6, 3.9) if columns == 1 else (4.4 if columns == 2 else 3.9, 3.5)
    figure = new_figure(columns * width, rows * height + 0.35)
    total_w, total_h = columns * width * 72, (rows * height + 0.35) * 72
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        left = column * width * 72 + 50
        bottom = (rows - 1 - row) * height * 72 + 40
        box = (left / total_w, bottom / total_h, (width * 72 - 62) / total_w, (height * 72 - 66) / total_h)
        _draw_panel(figure.add_axes(box), panel)
    _draw_legend(figure, panels)
    return figure


def _draw_legend(figure: Figure, panels: Sequence[Panel]) -> None:
    families = {p.family for panel in panels for p in panel.points}
    families |= {line.family for panel in panels for line in panel.lines}
    handles = [
        _legend_handle(family, any(panel.lines for panel in panels)) for family in sorted(families, key=family_rank)
    ]
    if any(panel.front for panel in panels):
        handles.append(Line2D([], [], color=GREY, linewidth=1.0, label="Pareto front"))
    figure.legend(handles=handles, loc="upper center", ncols=len(handles), borderaxespad=0.3)


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


def _draw_panel(axes: Any, panel: Panel) -> None:
    everything = [*panel.points, *(point for line in panel.lines for point in line.points)]
    axes.set_title(panel.title, loc="left")
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.set_xscale("log", base=panel.log_base)
    _set_limits(axes, everything)
    _set_ticks(axes, panel, everything)
    if panel.front and len(panel.points) > 1:
        best = front_points(panel.points, panel.front)
        where = "post" if panel.front == "low x" else "pre"
        axes.step([p.x for p in best], [p.y for p in best], where=where, color=GREY, linewidth=1.0, zorder=1.5)
    for line in panel.lines:
        _draw_line(axes, line)
    for point in panel.points:
        _draw_point(axes, point)
    labelled = labelled_points(panel.points, panel.front)
    ends = [(line.points[line.label_at], line.label) for line in panel.lines if line.label]
    _draw_labels(axes, [*((point, point.label) for point in labelled), *ends], everything)


def _draw_point(axes: Any, point: Point) -> None:
    colour = family_style(point.family).colour
    if point.y_bar is not None:
        axes.plot([point.x, point.x], point.y_bar, color=colour, linewidth=1.0, zorder=2)
    if point.x_bar is not None:
        axes.plot(point.x_bar, [point.y, point.y], color=colour, linewidth=1.0, zorder=2)
    axes.plot([point.x], [point.y], linestyle="none", zorder=3, **_marker(point.family))


def _draw_line(axes: Any, line: Line) -> None:
    style = family_style(line.family)
    xs, ys = [point.x for point in line.points], [point.y for point in line.points]
    axes.plot(xs, ys, linestyle=style.line, linewidth=1.1, zorder=2, **_marker(line.family))
    for point in line.points:
        if point.y_bar is not None:
            axes.plot([point.x, point.x], point.y_bar, color=style.colour, linewidth=1.0, zorder=2)


def _ends(points: Sequence[Point], axis: str) -> tuple[float, float]:
    values = [getattr(point, axis) for point in points]
    for point in points:
        values += getattr(point, f"{axis}_bar") or ()
    return min(values), max(values)


def _set_limits(axes: Any, points: Sequence[Point]) -> None:
    """Room for labels around the points; percentages never beyond 0 and 100 by more than a marker."""
    low, high = _ends(points, "x")
    low_log, high_log = math.log(low), math.log(high)
    room = max(0.18 * (high_log - low_log), 0.12)
    axes.set_xlim(math.exp(low_log - room), math.exp(high_log + room))
    low, high = _ends(points, "y")
    room = max(0.14 * (high - low), 0.4)
    axes.set_ylim(max(low - room, -1.5), high + room)


def _set_ticks(axes: Any, panel: Panel, points: Sequence[Point]) -> None:
    low, high = axes.get_xlim()
    decades = math.log10(high / low)
    if panel.log_base == 2:
        ticks = sorted({point.x for point in points})
        axes.set_xticks(ticks if len(ticks) <= 8 else ticks[:: math.ceil(len(ticks) / 8)])
    else:
        subs = (1, 2, 3, 5, 7) if decades < 0.8 else (1, 2, 5) if decades < 2 else (1, 3) if decades < 3.2 else (1,)
        axes.xaxis.set_major_locator(LogLocator(base=10, subs=subs, numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick_text(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", length=0)


def _tick_text(value: float) -> str:
    return fixed(value, 0) if value >= 10 else significant(value, 1 if value < 1 else 2).removesuffix(".0")


def _draw_labels(axes: Any, labelled: Sequence[tuple[Point, str]], everything: Sequence[Point]) -> None:
    """Labels beside their points, moved apart, with a thin line where they had to go far."""
    renderer = axes.figure.canvas.get_renderer()
    anchors = [_position(axes, point.x, point.y) for point, _ in labelled]
    texts = [" ".join(text.split()) for _, text in labelled]
    texts = [text if len(text) <= 34 else f"{text[:33]}…" for text in texts]
    artists = [axes.text(0, 0, text, fontsize=_LABEL_POINTS, transform=None) for text in texts]
    sizes = []
    for artist in artists:
        extent = artist.get_window_extent(renderer)
        sizes.append((extent.width, extent.height))
    frame = axes.get_window_extent(renderer)
    bounds = Box(frame.x0 + 2, frame.y0 + 2, frame.x1 + 8, frame.y1 + 2)
    spots = place_labels(anchors, sizes, _obstacles(axes, everything), bounds)
    halo = [effects.withStroke(linewidth=2.2, foreground="white")]
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
            path_effects=halo,
            zorder=4,
            annotation_clip=False,
        )


def _position(axes: Any, x: float, y: float) -> tuple[float, float]:
    placed = axes.transData.transform((x, y))
    return float(placed[0]), float(placed[1])


def _obstacles(axes: Any, points: Sequence[Point]) -> list[Box]:
    """What labels must not cover: every marker and every interval bar."""
    boxes = []
    for point in points:
        x, y = _position(axes, point.x, point.y)
        boxes.append(Box(x, y, x, y).grown(_MARKER_POINTS / 2 + 0.5))
        for bar, is_vertical in ((point.y_bar, True), (point.x_bar, False)):
            if bar is not None:
                ends = [_position(axes, point.x, end) if is_vertical else _position(axes, end, point.y) for end in bar]
                boxes.append(Box(ends[0][0], ends[0][1], ends[1][0], ends[1][1]).grown(0.8))
    return boxes
