"""Throughput against batch size: a table of the rates and of where each model nears its peak, and the curves."""

from __future__ import annotations

from bench.analyse.intervals import PROCESSES_FOR_INTERVAL
from bench.analyse.speed_study import NEAR_PEAK, BatchCurve, BatchPoint
from bench.analyse.study import Study
from bench.report.document import Section
from bench.report.figure_parts import FigureSpec
from bench.report.formats import ends, fixed, span, timed_words
from bench.report.panels import MOST_PANELS, Line, Panel, Point
from bench.report.speed_series import (
    bar,
    conditions_words,
    lines,
    missing_cell,
    model_order,
    resolution_label,
)
from bench.report.table import Cell, Column, Notes, Table

_WITHIN = f"{fixed(100 * (1 - NEAR_PEAK), 0)} %"


def batch_section(study: Study) -> Section | None:
    """None unless a model was timed at several batch sizes."""
    curves = study.speed.curves
    if not curves:
        return None
    processes = span({curve.processes for curve in curves})
    text = (
        f"Measured here: {conditions_words(study, [curve.key for curve in curves])}, inputs on the device; medians of "
        f"{processes} fresh processes for each model and batch size, with their range where five or more ran. The "
        "peak is the best of the batch sizes tried, told where five or more processes timed each: the best of "
        f"several is a little too high by choice alone. Within {_WITHIN} of the peak, by the medians."
    )
    return Section("Throughput against batch size", text, batch_table(study), (batch_figure(study),))


def batch_table(study: Study) -> Table:
    """One row per model and resolution, a column per batch size that several of them have."""
    curves = sorted(study.speed.curves, key=lambda curve: model_order(study, curve.key))
    shared = _shared_batches(curves)
    heads = [Column("Model", is_number=False), Column("Res. [px]")]
    heads += [Column(f"Batch {fixed(batch, 0)} [img/s]") for batch in shared]
    heads += [Column("Peak [img/s]"), Column("at batch"), Column(f"Within {_WITHIN} of the peak from batch")]
    notes = Notes()
    rows = []
    for curve in curves:
        points = {point.batch_size: point for point in curve.points}
        row = [resolution_label(study, curve.key), Cell(str(curve.key.resolution_px), curve.key.resolution_px)]
        for batch in shared:
            point = points.get(batch)
            row.append(_rate(point) if point else missing_cell(study, notes, "speed", curve.key, batch))
        row += _peak_cells(curve, notes)
        rows.append(tuple(row))
    return Table("batch_sizes", tuple(heads), tuple(rows), tuple(notes.texts))


def _shared_batches(curves: list[BatchCurve]) -> list[int]:
    """Batch sizes of at least half of the curves: the largest that fits differs from model to model."""
    sizes = sorted({point.batch_size for curve in curves for point in curve.points})
    return [
        size for size in sizes if 2 * sum(any(p.batch_size == size for p in c.points) for c in curves) >= len(curves)
    ]


def _rate(point: BatchPoint) -> Cell:
    return Cell(timed_words(point.rate), point.rate.median, point.cell_ids, more=ends(point.rate.interval))


def _peak_cells(curve: BatchCurve, notes: Notes) -> list[Cell]:
    """Peak, its batch size, and from where on the model is near it; none of them with fewer than five processes."""
    if curve.processes < PROCESSES_FOR_INTERVAL:
        return [notes.missing("fewer than five processes at some batch size: no peak is told")] * 3
    peak, ids = curve.peak, curve.cell_ids
    mark = notes.number("the largest that was timed: a larger one may be faster yet") if curve.is_open_ended else None
    return [
        Cell(timed_words(peak.rate), peak.rate.median, peak.cell_ids, more=ends(peak.rate.interval)),
        Cell(fixed(peak.batch_size, 0), peak.batch_size, ids, mark=mark),
        Cell(fixed(curve.near_from, 0), curve.near_from, ids),
    ]


def batch_figure(study: Study) -> FigureSpec:
    """Images per second against batch size, both on logarithmic axes, a panel for each resolution."""
    curves = study.speed.curves
    sizes = sorted({(curve.key.device, curve.key.resolution_px) for curve in curves})[:MOST_PANELS]
    devices = {device for device, _ in sizes}
    panels = tuple(
        Panel(
            f"{pixels} px{f', {device}' if len(devices) > 1 else ''}",
            "Batch size [images], log",
            "Throughput [img/s], log",
            lines=_curves_at(study, device, pixels),
            log_base=2,
            log_y=True,
        )
        for device, pixels in sizes
    )
    caption = (
        "**Throughput against batch size**, both axes logarithmic, one line per model; bars: range over "
        f"processes. Measured here: {conditions_words(study, [curve.key for curve in curves])}."
    )
    return FigureSpec("throughput_vs_batch", "Images per second against batch size, a line per model", caption, panels)


def _curves_at(study: Study, device: str, pixels: int) -> tuple[Line, ...]:
    found = [curve for curve in study.speed.curves if (curve.key.device, curve.key.resolution_px) == (device, pixels)]
    points = [(curve, point) for curve in found for point in curve.points]

    def drawn(pair: tuple[BatchCurve, BatchPoint], family: str) -> Point:
        return Point(pair[1].batch_size, pair[1].rate.median, family, "", bar(pair[1].rate))

    return lines(study, points, lambda pair: pair[0].key, drawn)
