"""Speed, latency, memory and largest batch against resolution: a table, and the paper's Figure 12 from our numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.analyse.scores import RunKey
from bench.analyse.speed_study import LargestBatch, ResolutionPoint
from bench.analyse.study import Study
from bench.report.document import Section
from bench.report.figure_parts import FigureSpec
from bench.report.formats import ends, fixed, significant, span, timed_words
from bench.report.panels import Panel, Point
from bench.report.speed_series import (
    bar,
    batches_words,
    conditions_words,
    lines,
    missing_cell,
    model_order,
    resolution_label,
)
from bench.report.table import Cell, Column, Notes, Table
from bench.report.timing_tables import latency_cell

_MEMORY_KINDS = {"process": "growth of the process on a CPU", "device": "allocated on the device"}


def resolution_section(study: Study) -> Section | None:
    """None unless a model was measured at several resolutions."""
    points = study.speed.resolutions
    if not points:
        return None
    text = (
        f"Measured here: {conditions_words(study, [point.key for point in points])}. Throughput "
        f"{batches_words(study)}; latency at batch 1; medians over processes, with their range where five or more "
        "ran. The paper's Figure 12 shows the same quantities for TPUv3 cores; its values are not published "
        "as numbers."
    )
    figures = tuple(figure for figure in (figure_12(study), cost_figure(study)) if figure is not None)
    return Section("Speed and memory against resolution", text, resolution_table(study), figures)


def resolution_table(study: Study) -> Table:
    """One row per model and resolution."""
    points = sorted(study.speed.resolutions, key=lambda point: model_order(study, point.key))
    notes = Notes()
    makers: list[tuple[Column, Callable[[ResolutionPoint], Cell]]] = [
        (Column("Model", is_number=False), lambda point: resolution_label(study, point.key)),
        (Column("Res. [px]"), lambda point: Cell(str(point.key.resolution_px), point.key.resolution_px)),
        (Column("Throughput [img/s]"), lambda point: _throughput(study, point, notes)),
    ]
    if len(study.speed.batches) + study.speed.has_largest > 1:
        makers.append((Column("at batch"), _at_batch))
    if any(point.latency for point in points):
        makers.append((Column("Latency p50 / p99 [ms]"), lambda point: _latency(study, point, notes)))
    if any(point.memory for point in points):
        makers.append((Column(_memory_heading(points)), lambda point: _memory(study, point, notes)))
    if any(point.largest for point in points):
        makers.append((Column("Largest batch"), lambda point: largest_cell(study, point.key, point.largest, notes)))
    rows = tuple(tuple(make(point) for _, make in makers) for point in points)
    return Table("resolutions", tuple(column for column, _ in makers), rows, tuple(notes.texts))


def _throughput(study: Study, point: ResolutionPoint, notes: Notes) -> Cell:
    if point.best is None:
        return missing_cell(study, notes, "speed", point.key)
    rate = point.best.peak.rate
    return Cell(timed_words(rate), rate.median, point.best.cell_ids, more=ends(rate.interval))


def _at_batch(point: ResolutionPoint) -> Cell:
    if point.best is None:
        return Cell("–")
    return Cell(fixed(point.best.peak.batch_size, 0), point.best.peak.batch_size)


def _latency(study: Study, point: ResolutionPoint, notes: Notes) -> Cell:
    if point.latency is None:
        return missing_cell(study, notes, "speed", point.key)
    return latency_cell(point.latency, notes)


def _memory_heading(points: Sequence[ResolutionPoint]) -> str:
    return f"Peak memory, batch {span({p.memory.batch_size for p in points if p.memory})} [MiB]"


def _memory(study: Study, point: ResolutionPoint, notes: Notes) -> Cell:
    if point.memory is None:
        return missing_cell(study, notes, "memory", point.key)
    mark = notes.number(f"{_MEMORY_KINDS[point.memory.kind]}, one process")
    return Cell(significant(point.memory.peak_mib, 3), point.memory.peak_mib, point.memory.cell_ids, mark=mark)


def largest_cell(study: Study, key: RunKey, largest: LargestBatch | None, notes: Notes) -> Cell:
    """The largest batch, marked where the cap or an error stopped the search and not memory."""
    if largest is None:
        return missing_cell(study, notes, "largest_batch", key)
    mark = None
    if largest.stopped_by == "cap":
        mark = notes.number("the cap of the search, not memory, stopped it: a larger batch may fit")
    elif largest.stopped_by == "error":
        mark = notes.number("an error, not a lack of memory, stopped it: see the table of searches")
    return Cell(fixed(largest.largest, 0), largest.largest, (largest.cell_id,), mark=mark)


def figure_12(study: Study) -> FigureSpec | None:
    """Throughput at the best batch, and the largest batch, against resolution; a panel for each device and limit."""
    points = study.speed.resolutions
    panels = []
    for device in sorted({point.key.device for point in points}):
        own = [point for point in points if point.key.device == device]
        words = f" on {device}" if len({point.key.device for point in points}) > 1 else ""
        panels.append(_panel(study, own, f"Speed{words}", "Throughput [img/s], log", _speed_point))
        for limit in sorted({p.largest.limit for p in own if p.largest}, key=str):
            name = f"{fixed(limit[1], 0)} MiB" if limit[1] is not None else "the device's memory"
            at = [point for point in own if point.largest and point.largest.limit == limit]
            panels.append(_panel(study, at, f"Largest batch within {name}{words}", "Images, log", _largest_point))
    drawn = tuple(panel for panel in panels if panel.lines)
    if not drawn:
        return None
    batches = batches_words(study)
    caption = (
        f"**The paper's Figure 12 on this machine.** Throughput {batches}"
        f"{', and the largest batch that fits' if len(drawn) > 1 else ''}, against input size; all axes logarithmic; "
        f"bars: range over processes.{_left_out(points)} Measured here: "
        f"{conditions_words(study, [point.key for point in points])}."
    )
    alternative = "Images per second and largest batch against input size, a line per model"
    return FigureSpec("speed_vs_resolution", alternative, caption, drawn)


def cost_figure(study: Study) -> FigureSpec | None:
    """Latency at batch 1 and peak memory against resolution."""
    points = study.speed.resolutions
    panels = []
    devices = sorted({point.key.device for point in points})
    for device in devices:
        own = [point for point in points if point.key.device == device]
        words = f" on {device}" if len(devices) > 1 else ""
        panels.append(_panel(study, own, f"Latency at batch 1{words}", "Latency p50 [ms], log", _latency_point))
        batch = span({p.memory.batch_size for p in own if p.memory}) if any(p.memory for p in own) else ""
        panels.append(_panel(study, own, f"Memory at batch {batch}{words}", "Peak memory [MiB], log", _memory_point))
    drawn = tuple(panel for panel in panels if panel.lines)
    if not drawn:
        return None
    caption = (
        "**Latency and memory against resolution**, all axes logarithmic; bars: range over processes (memory: "
        f"one process, no interval). Measured here: {conditions_words(study, [point.key for point in points])}."
    )
    alternative = "Latency and peak memory against input size, a line per model"
    return FigureSpec("cost_vs_resolution", alternative, caption, drawn)


def _panel(
    study: Study,
    points: Sequence[ResolutionPoint],
    title: str,
    axis: str,
    drawn: Callable[[ResolutionPoint, str], Point | None],
) -> Panel:
    made = lines(study, sorted(points, key=lambda point: point.key), lambda point: point.key, drawn)
    return Panel(title, "Input height = width [px], log", axis, lines=made, log_base=2, log_y=True)


def _speed_point(point: ResolutionPoint, family: str) -> Point | None:
    if point.best is None:
        return None
    rate = point.best.peak.rate
    return Point(point.key.resolution_px, rate.median, family, "", bar(rate))


def _largest_point(point: ResolutionPoint, family: str) -> Point | None:
    if point.largest is None or not point.largest.largest:  # none has no place on a logarithmic axis
        return None
    return Point(point.key.resolution_px, point.largest.largest, family, "")


def _latency_point(point: ResolutionPoint, family: str) -> Point | None:
    if point.latency is None or point.latency.latency is None:
        return None
    timed = point.latency.latency
    return Point(point.key.resolution_px, timed.median, family, "", bar(timed))


def _memory_point(point: ResolutionPoint, family: str) -> Point | None:
    if point.memory is None or point.memory.peak_mib <= 0:
        return None
    return Point(point.key.resolution_px, point.memory.peak_mib, family, "")


def _left_out(points: Sequence[ResolutionPoint]) -> str:
    none = sum(point.largest is not None and not point.largest.largest for point in points)
    return f" {none} points where not one image fits cannot be drawn." if none else ""
