"""Panels drawn: axes and their ticks, points, lines and fronts, labels beside them, and one legend above all."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.catalog.identity import family_rank
from bench.number_format import fixed, significant
from bench.report.figures.labels import Box, PlanningContext, place_labels
from bench.report.figures.panels import (
    MOST_LABELS,
    MOST_LINE_LABELS,
    MOST_PANELS,
    Line,
    Panel,
    Point,
    front_corners,
    labelled_points,
)
from bench.report.figures.style import GREY, INK, family_style, new_figure
from bench.text import one_line

_LABEL_POINTS = 8.0
_MOST_LETTERS = 34  # of a label
_BARS_BEYOND = 1.5  # a longer bar of x leaves the panel: it would squeeze the points together
_MARKER_POINTS = 6.5
_CROWDED, _CROWDED_POINTS = 200, 3.6  # beyond so many points a panel, smaller markers, the rarest family on top
_PACKED, _PACKED_POINTS = 600, 2.5  # beyond so many, smaller ones still
_LIGHT = 0.4  # opacity of light points
_SEED_POINTS = 4.5
_WIDE, _NARROW, _HEIGHT, _LEGEND_STRIP = 475.0, 320.0, 255.0, 18.0  # of a panel, points
_MARGIN, _WIDE_MARGIN = 46.0, 58.0  # left of the axes: percentages; differences, and numbers of up to six digits
_LEGEND_ENTRIES = 5  # beside one another above a single panel; two panels have room for all


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
    families = {point.family for panel in panels for point in panel.points}
    families |= {line.family for panel in panels for line in panel.lines if not line.is_control}
    has_lines = any(not line.is_control for panel in panels for line in panel.lines)
    has_markers = any(panel.points or any(not line.is_bare for line in panel.lines) for panel in panels)
    handles = []
    for family in sorted(families, key=family_rank):
        style = family_style(family)
        line: Any = style.line if has_lines else "none"
        look = _marker(family) if has_markers else {"color": style.colour}
        handles.append(Line2D([], [], linestyle=line, **look, label=style.name))
    if any(_corners(panel) for panel in panels):
        handles.append(Line2D([], [], color=GREY, linewidth=1.0, label="Pareto front"))
    if any(point.seeds for panel in panels for point in panel.everything):
        handles.append(Line2D([], [], linestyle="none", **_cross(GREY), label="one seed (unstable)"))
    return handles


def _marker(family: str, size: float = _MARKER_POINTS) -> dict[str, Any]:
    style = family_style(family)
    return {
        "marker": style.marker,
        "color": style.colour,
        "markersize": size,
        "markerfacecolor": style.colour if style.is_filled else "white",
        "markeredgecolor": style.colour,
        "markeredgewidth": 1.2 * size / _MARKER_POINTS,
    }


def _cross(colour: str) -> dict[str, Any]:
    return {"marker": "x", "color": colour, "markersize": _SEED_POINTS, "markeredgewidth": 1.1}


def _draw_panel(axes: Any, panel: Panel) -> None:
    axes.set_title(one_line(panel.title), loc="left")
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    _set_axes(axes, panel)
    if corners := _corners(panel):
        axes.plot([x for x, _ in corners], [y for _, y in corners], color=GREY, linewidth=1.0, zorder=1.5)
    if panel.level is not None:
        axes.axhline(panel.level, color=INK, linewidth=0.8, zorder=1.4)
    for point in (point for point in panel.everything if point.seeds):
        cross = _cross(family_style(point.family).colour)
        axes.plot([point.x] * len(point.seeds), point.seeds, linestyle="none", zorder=2.5, **cross)
    for line in panel.lines:
        _draw_line(axes, line)
    _draw_points(axes, panel.points)
    named = panel.lines if len(panel.lines) <= MOST_LINE_LABELS else ()
    labelled = [(point, point.label) for point in labelled_points(panel.points, panel.front)]
    labelled += [(line.points[line.label_at], line.label) for line in named]
    _draw_labels(axes, [(point, label) for point, label in labelled if label], panel)


def _draw_points(axes: Any, points: Sequence[Point]) -> None:
    """All points of a panel, a family at a time, with their interval bars below them, and light ones below all."""
    size, families = _MARKER_POINTS, sorted({point.family for point in points}, key=family_rank)
    if len(points) > _CROWDED:
        size = _CROWDED_POINTS if len(points) <= _PACKED else _PACKED_POINTS
        counts = Counter(point.family for point in points)
        families.sort(key=lambda family: -counts[family])
    for family in families:
        own = [point for point in points if point.family == family]
        if len(points) <= MOST_LABELS:
            _draw_bars(axes, own, family_style(family).colour)
        solid, light = [p for p in own if not p.is_light], [p for p in own if p.is_light]
        marker = _marker(family, size)
        pale = {**marker, "markerfacecolor": "none", "alpha": _LIGHT}
        for group, look, zorder in ((light, pale, 2.2), (solid, marker, 3)):
            if group:
                axes.plot([p.x for p in group], [p.y for p in group], linestyle="none", zorder=zorder, **look)


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
    if line.is_bare:
        ends = [point.y_bar or (point.y, point.y) for point in line.points]
        low, high = [low for low, _ in ends], [high for _, high in ends]
        axes.fill_between(xs, low, high, color=style.colour, alpha=0.18, linewidth=0, zorder=1.3)
        axes.plot(xs, ys, linestyle=style.line, linewidth=1.3, color=style.colour, zorder=3.5)
        return
    axes.plot(xs, ys, linestyle=style.line, linewidth=1.1, zorder=2, **_marker(line.family))
    _draw_bars(axes, line.points, style.colour)


def _corners(panel: Panel) -> list[tuple[float, float]]:
    """The front that a panel draws: none where it is one point."""
    corners = front_corners(panel.points, panel.front) if panel.front else []
    return corners if len(corners) > 1 else []


def _draw_labels(axes: Any, labelled: Sequence[tuple[Point, str]], panel: Panel) -> None:
    """Labels beside their points, moved apart, with a thin line where they had to go far."""
    if not labelled:
        return
    renderer = axes.figure.canvas.get_renderer()
    anchors = [_position(axes, point.x, point.y) for point, _ in labelled]
    texts, sizes = [], []
    for _, label in labelled:
        text = one_line(label)
        texts.append(text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…")
        measured = axes.text(0, 0, texts[-1], fontsize=_LABEL_POINTS, transform=None)
        extent = measured.get_window_extent(renderer)
        sizes.append((extent.width, extent.height))
        measured.remove()
    frame = axes.get_window_extent(renderer)
    bounds = Box(frame.x0 + 2, frame.y0 + 2, frame.x1 + 10, frame.y1 + 2)
    spots = place_labels(anchors, sizes, _surroundings(axes, panel, bounds))
    arrow = {"arrowstyle": "-", "linewidth": 0.6, "color": GREY, "shrinkA": 0, "shrinkB": 3}
    paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.4}
    font = {"ha": "center", "va": "center", "fontsize": _LABEL_POINTS, "color": INK, "bbox": paper}
    for text, (point, _), spot, anchor, size in zip(texts, labelled, spots, anchors, sizes, strict=True):
        if spot is None:
            continue
        at = (point.x, point.y)
        if spot.leader is not None:
            offset = (spot.leader[0] - anchor[0], spot.leader[1] - anchor[1])
            axes.annotate("", at, offset, textcoords="offset points", arrowprops=arrow, zorder=2.5)
        offset = (spot.box.left + size[0] / 2 - anchor[0], spot.box.bottom + size[1] / 2 - anchor[1])
        axes.annotate(text, at, offset, textcoords="offset points", zorder=4, annotation_clip=False, **font)


def _position(axes: Any, x: float, y: float) -> tuple[float, float]:
    placed = axes.transData.transform((x, y))
    return float(placed[0]), float(placed[1])


def _surroundings(axes: Any, panel: Panel, bounds: Box) -> PlanningContext:
    """What labels must not cover (markers and interval bars) and should not (lines), in points."""
    blocked, markers = [], []
    for point in panel.everything:
        marker = _position(axes, point.x, point.y)
        markers.append(marker)
        blocked.append(Box(*marker, *marker).grown(_MARKER_POINTS / 2 + 0.5))
        crosses = [_position(axes, point.x, seed) for seed in point.seeds]
        blocked += [Box(*cross, *cross).grown(_SEED_POINTS / 2 + 0.5) for cross in crosses]
        bars = [[_position(axes, point.x, end) for end in point.y_bar or ()]]
        bars.append([_position(axes, end, point.y) for end in point.x_bar or ()])
        blocked += [Box(*ends[0], *ends[1]).grown(0.8) for ends in bars if ends]
    lines = [[_position(axes, point.x, point.y) for point in line.points] for line in panel.lines]
    lines.append([_position(axes, *corner) for corner in _corners(panel)])
    beads = [bead for line in lines for start, end in itertools.pairwise(line) for bead in _beads(start, end)]
    return PlanningContext(bounds, blocked, beads, markers)


def _beads(start: tuple[float, float], end: tuple[float, float], every: float = 5.0) -> list[Box]:
    """Small boxes along a straight line, so that boxes can be tested against it."""
    count = max(1, math.ceil(math.dist(start, end) / every))
    steps = [i / count for i in range(count + 1)]
    centres = [(start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t) for t in steps]
    return [Box(x, y, x, y).grown(1.0) for x, y in centres]


def _set_axes(axes: Any, panel: Panel) -> None:
    """Scales, limits with room for labels around the points, and ticks that a reader can use.

    Percentages never go beyond 0 and 100 by more than a marker.
    """
    if panel.log_y:
        axes.set_yscale("log")
    low, high = _ends(panel.everything, "y")
    if panel.level is not None:
        low, high = min(low, panel.level), max(high, panel.level)
    if panel.log_base:
        axes.set_xscale("log", base=panel.log_base)
        axes.set_xlim(*_widened(*_ends(panel.everything, "x"), share=0.18 if len(panel.points) <= _CROWDED else 0.04))
        _set_ticks(axes, [point.x for point in panel.everything], panel.log_base)
    if panel.names:
        axes.set_xlim(-0.5, len(panel.names) - 0.5)
        axes.set_xticks(range(len(panel.names)), panel.names)
    if panel.log_y:
        axes.set_ylim(*_widened(low, high, share=0.1))
    else:
        room = max(0.14 * (high - low), 0.4)
        axes.set_ylim(low - room if panel.level is not None else max(low - room, -1.5), high + room)
    if panel.log_y:
        least, most = axes.get_ylim()
        axes.yaxis.set_major_locator(_locator(0.6 * math.log10(most / least)))  # numbers stand above one another
        _format_ticks(axes.yaxis)


def _ends(points: Sequence[Point], axis: str) -> tuple[float, float]:
    """Least and greatest that has to be in sight; bars of x only as far as a factor beyond the points."""
    values = [getattr(point, axis) for point in points]
    low, high = min(values), max(values)
    ends = [end for point in points for end in getattr(point, f"{axis}_bar") or ()]
    ends += [seed for point in points for seed in point.seeds] if axis == "y" else []
    if axis == "x":
        ends = [min(max(end, low / _BARS_BEYOND), high * _BARS_BEYOND) for end in ends]
    return min(low, *ends, low), max(high, *ends, high)


def _widened(low: float, high: float, share: float) -> tuple[float, float]:
    """The ends of a logarithmic axis, moved out by a share of its length."""
    low_log, high_log = math.log(low), math.log(high)
    room = max(share * (high_log - low_log), 0.12)
    return math.exp(low_log - room), math.exp(high_log + room)


def _set_ticks(axes: Any, values: Sequence[float], log_base: int) -> None:
    """Ticks of the logarithmic x axis: the values themselves where they are few and apart, else round numbers."""
    low, high = axes.get_xlim()
    decades = math.log10(high / low)
    values = sorted({float(f"{value:.3g}") if log_base == 10 else value for value in values})
    gaps = [math.log10(after / before) for before, after in itertools.pairwise(values)]
    are_apart = len(values) <= 4 and all(gap > 0.15 * decades for gap in gaps)  # so that their numbers do not touch
    if log_base == 2 or are_apart:
        axes.set_xticks(values if len(values) <= 8 else values[:: math.ceil(len(values) / 8)])
        axes.set_xticks([], minor=True)
    else:
        axes.xaxis.set_major_locator(_locator(decades))
    _format_ticks(axes.xaxis)


def _locator(decades: float) -> LogLocator:
    # the shorter the axis, the more numbers of each decade it needs so that two of them are on it
    steps = (
        (0.3, (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)),
        (0.8, (1, 2, 3, 5, 7)),
        (2.0, (1, 2, 5)),
        (3.2, (1, 3)),
    )
    subs = next((numbers for length, numbers in steps if decades < length), (1,))
    return LogLocator(base=10, subs=subs, numticks=20)


def _format_ticks(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick_text(value)))
    axis.set_minor_locator(NullLocator())


def _tick_text(value: float) -> str:
    """A tick's number, as short as three significant digits allow."""
    text = fixed(value, 0) if value >= 100 else significant(value, 3)
    return text.rstrip("0").rstrip(".") if "." in text else text
