"""Speed, latency, memory and largest batch against resolution: tables, and the paper's Figure 12 from our numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bench.analyse.accuracies.subjects import RunKey
from bench.analyse.speed.speed_study import Fall, LargestBatch, ResolutionPoint
from bench.analyse.speed.speeds import Timed
from bench.analyse.study import Study
from bench.number_format import fixed, significant, span, whole
from bench.report.document import Section
from bench.report.figures.panels import FigureSpec, Panel
from bench.report.figures.speed_series import (
    batches_words,
    lines,
    macs_growth,
    missing_cell,
    model_order,
    series_label,
    short_batches_words,
)
from bench.report.tables.columns import condition, no_records, number, words
from bench.report.tables.table import Cell, ColumnSpec, Notes, Table, make_table
from bench.report.tables.timing_tables import latency_cell, timed_cell
from bench.report.words.conditions import conditions_words

_MEMORY_KINDS = {"process": "growth of the process on a CPU", "device": "allocated on the device"}


def keyed_columns(study: Study) -> list[ColumnSpec[Any]]:
    """Model and resolution, of rows with a key."""
    return [
        words("Model", lambda row: series_label(study, row.key), lambda row: row.key.model),
        condition("Res. [px]", lambda row: row.key.resolution_px),
    ]


def resolution_section(study: Study) -> Section:
    """Everything against resolution; empty unless a model was measured at several."""
    points = study.speed.resolutions
    heading = "Speed and memory against resolution"
    if not points:
        return Section(heading)
    text = (
        f"Measured here: {conditions_words(study, [point.key for point in points])}. Throughput "
        f"{batches_words(study)}; latency at batch 1; medians over processes, with their range where five or more "
        "ran. The paper's Figure 12 shows the same quantities for TPUv3 cores; its values are not published "
        "as numbers."
    )
    figures = tuple(figure for figure in (figure_12(study), _cost_figure(study)) if figure is not None)
    return Section(heading, text, resolution_table(study), figures)


def resolution_table(study: Study) -> Table | None:
    """One row per model and resolution."""
    points = sorted(study.speed.resolutions, key=lambda point: model_order(study, point.key))

    def throughput(point: ResolutionPoint, notes: Notes) -> Cell:
        if point.best is None:
            return missing_cell(study, notes, "speed", point.key)
        return timed_cell(point.best.peak.rate, point.best.cell_ids)

    def latency(point: ResolutionPoint, notes: Notes) -> Cell:
        if point.latency is None:
            return missing_cell(study, notes, "speed", point.key)
        return latency_cell(point.latency, notes)

    def memory(point: ResolutionPoint, notes: Notes) -> Cell:
        if point.memory is None:
            return missing_cell(study, notes, "memory", point.key)
        mark = notes.number(f"{_MEMORY_KINDS[point.memory.kind]}, one process")
        return Cell(significant(point.memory.peak_mib, 3), point.memory.peak_mib, point.memory.cell_ids, mark=mark)

    columns: list[ColumnSpec[ResolutionPoint]] = [*keyed_columns(study), ColumnSpec("Throughput [img/s]", throughput)]
    if len(study.speed.batches) + study.speed.has_largest > 1:
        columns.append(number("at batch", lambda one: one.best and one.best.peak.batch_size, whole, records=no_records))
    if any(point.latency for point in points):
        columns.append(ColumnSpec("Latency p50 / p99 [ms]", latency))
    if any(point.memory for point in points):
        columns.append(ColumnSpec(f"Peak memory, batch {_memory_batches(points)} [MiB]", memory))
    if any(point.largest for point in points):
        columns.append(
            ColumnSpec("Largest batch", lambda point, notes: largest_cell(study, point.key, point.largest, notes))
        )
    return make_table("resolutions", points, columns)


def _memory_batches(points: Sequence[ResolutionPoint]) -> str:
    return span({p.memory.batch_size for p in points if p.memory}) if any(p.memory for p in points) else ""


def largest_cell(study: Study, key: RunKey, largest: LargestBatch | None, notes: Notes) -> Cell:
    """The largest batch, marked where the cap or an error stopped the search and not memory."""
    if largest is None:
        return missing_cell(study, notes, "largest_batch", key)
    stops = {
        "cap": "the cap of the search, not memory, stopped it: a larger batch may fit",
        "error": "an error, not a lack of memory, stopped it: see the table of searches",
    }
    mark = notes.mark(stops.get(largest.stopped_by))
    return Cell(whole(largest.largest), largest.largest, (largest.cell_id,), mark=mark)


def figure_12(study: Study) -> FigureSpec | None:
    """Throughput at the best batch, and the largest batch, against resolution; a panel for each device and limit."""
    points = study.speed.resolutions
    panels = []
    for on_device, own in _by_device(points):
        rates = [(point.key, point.best.peak.rate if point.best else None) for point in own]
        panels.append(_panel(study, rates, f"Speed{on_device}", "Throughput [img/s], log"))
        for limit in sorted({p.largest.limit for p in own if p.largest}, key=str):
            name = f"{whole(limit[1])} MiB" if limit[1] is not None else "the device's memory"
            at = [(p.key, p.largest.largest) for p in own if p.largest and p.largest.limit == limit]
            panels.append(_panel(study, at, f"Largest batch within {name}{on_device}", "Images, log"))
    drawn = tuple(panel for panel in panels if panel.lines)
    none = sum(point.largest is not None and not point.largest.largest for point in points)
    left_out = f" {none} points where not one image fits cannot be drawn." if none else ""
    caption = (
        f"**The paper's Figure 12 on this machine.** Throughput {batches_words(study)}"
        f"{', and the largest batch that fits' if len(drawn) > 1 else ''}, against input size; all axes logarithmic; "
        f"bars: range over processes.{left_out} Measured here: "
        f"{conditions_words(study, [point.key for point in points])}."
    )
    alternative = "Images per second and largest batch against input size, a line per model"
    return FigureSpec("speed_vs_resolution", alternative, caption, drawn) if drawn else None


def _cost_figure(study: Study) -> FigureSpec | None:
    """Latency at batch 1 and peak memory against resolution."""
    points = study.speed.resolutions
    panels = []
    for on_device, own in _by_device(points):
        latencies = [(point.key, point.latency.latency if point.latency else None) for point in own]
        panels.append(_panel(study, latencies, f"Latency at batch 1{on_device}", "Latency p50 [ms], log"))
        memories = [(point.key, point.memory.peak_mib if point.memory else None) for point in own]
        title = f"Memory at batch {_memory_batches(own)}{on_device}"
        panels.append(_panel(study, memories, title, "Peak memory [MiB], log"))
    drawn = tuple(panel for panel in panels if panel.lines)
    caption = (
        "**Latency and memory against resolution**, all axes logarithmic; bars: range over processes (memory: "
        f"one process, no interval). Measured here: {conditions_words(study, [point.key for point in points])}."
    )
    alternative = "Latency and peak memory against input size, a line per model"
    return FigureSpec("cost_vs_resolution", alternative, caption, drawn) if drawn else None


def _by_device(points: Sequence[ResolutionPoint]) -> list[tuple[str, list[ResolutionPoint]]]:
    """The points of each device, with words for the titles of its panels where there are several."""
    devices = sorted({point.key.device for point in points})
    return [
        (f" on {device}" if len(devices) > 1 else "", [point for point in points if point.key.device == device])
        for device in devices
    ]


def _panel(study: Study, measured: Iterable[tuple[RunKey, Timed | float | None]], title: str, axis: str) -> Panel:
    ordered = sorted(measured, key=lambda one: one[0])
    made = lines(study, ((key, key.resolution_px, value) for key, value in ordered))
    return Panel(title, "Input height = width [px], log", axis, lines=made, log_base=2, log_y=True)


def falls_section(study: Study) -> Section:
    """By which factor throughput falls from the lowest to the highest resolution; empty unless two were timed."""
    keys = [point.key for point in study.speed.resolutions]
    falls = sorted(study.speed.falls(), key=lambda fall: model_order(study, fall.series))
    growths = {fall.series: macs_growth(study, fall) for fall in falls}
    heading = "Throughput lost with resolution"
    if not falls:
        return Section(heading)
    text = (
        f"Measured here: {conditions_words(study, keys)}, {short_batches_words(study)}: "
        "throughput at the lowest over throughput at the highest resolution of each model, medians over processes."
    )

    def pixels(fall: Fall, _: Notes) -> Cell:
        grown = (fall.high_px / fall.low_px) ** 2
        return Cell(f"{fixed(grown, 0 if fall.high_px % fall.low_px == 0 else 1)} ×", grown, fall.cell_ids)

    def macs(fall: Fall, notes: Notes) -> Cell:
        grown = growths[fall.series]
        return notes.missing("not counted at both") if grown is None else Cell(f"{fixed(grown[0], 1)} ×", *grown)

    columns: list[ColumnSpec[Fall]] = [
        words("Model", lambda fall: series_label(study, fall.series), lambda fall: fall.series.model),
        condition("From [px]", lambda fall: fall.low_px),
        condition("To [px]", lambda fall: fall.high_px),
        ColumnSpec("Pixels grow", pixels),
        number("Throughput falls", lambda fall: fall.factor, lambda factor: f"{fixed(factor, 1)} ×"),
        ColumnSpec("MACs grow", macs),
    ]
    return Section(heading, text, make_table("resolution_falls", falls, columns))
