"""Throughput against batch size: a table of the rates and of where each model nears its peak, and the curves."""

from __future__ import annotations

from bench.analyse.batch_curves import NEAR_PEAK, BatchCurve, BatchPoint
from bench.analyse.study import Study
from bench.report.figures import FigureSpec
from bench.report.formats import bare_rate, ends, fixed, rate, span
from bench.report.markdown import Cell, Column, Notes, Table
from bench.report.panels import MOST_PANELS, Line, Panel, Point
from bench.report.section import Section
from bench.report.speed_series import (
    bar,
    conditions_words,
    lines,
    missing_cell,
    model_order,
    resolution_label,
)

_WITHIN = f"{fixed(100 * (1 - NEAR_PEAK), 0)} %"


def batch_section(study: Study) -> Section | None:
    """None unless a model was timed at several batch sizes."""
    curves = study.speed.curves
    if not curves:
        return None
    processes = span({curve.processes for curve in curves})
    text = (
        f"Measured here: {conditions_words(study, [curve.key for curve in curves])}, inputs on the device, {processes} "
        "fresh processes for each model and batch size. ± the longer arm of the 95 % interval over processes, their "
        "relative spread pooled over models and batch sizes that scatter alike. The peak is the best of the batch "
        f"sizes tried: {_split_words(study)} "
        f"Within {_WITHIN} of the peak: the smallest batch whose interval lies above "
        f"{fixed(100 * NEAR_PEAK, 0)} % of it; two numbers: the intervals leave open which of them, or one between."
    )
    return Section("Throughput against batch size", text, batch_table(study), (batch_figure(study),))


def _split_words(study: Study) -> str:
    if all(curve.is_split for curve in study.speed.curves):
        return (
            "each half of the processes chooses its batch for the other half, which gives its value, so that the "
            "choice does not raise it."
        )
    return (
        "where fewer than two processes timed every batch size, the same ones choose its batch and give its value, "
        "which is then too high rather than too low."
    )


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
        peak = Cell(bare_rate(curve.peak_mean), curve.peak_mean, curve.cell_ids)
        row.append(
            Cell(rate(curve.peak), curve.peak.estimate, curve.cell_ids, more=ends(curve.peak)) if curve.peak else peak
        )
        row.append(_peak_batch(curve, notes))
        row.append(_near(curve, notes))
        rows.append(tuple(row))
    return Table("batch_sizes", tuple(heads), tuple(rows), tuple(notes.texts))


def _shared_batches(curves: list[BatchCurve]) -> list[int]:
    """Batch sizes of at least half of the curves: the largest that fits differs from model to model."""
    sizes = sorted({point.batch_size for curve in curves for point in curve.points})
    return [
        size for size in sizes if 2 * sum(any(p.batch_size == size for p in c.points) for c in curves) >= len(curves)
    ]


def _rate(point: BatchPoint) -> Cell:
    if point.rate is None:
        return Cell(bare_rate(point.rate_mean), point.rate_mean, point.cell_ids)
    return Cell(rate(point.rate), point.rate.estimate, point.cell_ids, more=ends(point.rate))


def _peak_batch(curve: BatchCurve, notes: Notes) -> Cell:
    mark = notes.number("the largest that was timed: a larger one may be faster yet") if curve.is_open_ended else None
    shown = " or ".join(fixed(batch, 0) for batch in curve.peak_batches)
    return Cell(shown, curve.peak_batches[0], curve.cell_ids, mark=mark)


def _near(curve: BatchCurve, notes: Notes) -> Cell:
    first, sure = curve.near_from
    falls = curve.falls_again
    mark = None
    if falls is not None:
        share = fixed(100 * falls.share_mean, 0)
        mark = notes.number(f"at batch {fixed(falls.batch_size, 0)} it is down again, to {share} % of the peak")
    shown = fixed(sure, 0) if first == sure else f"{fixed(first, 0)}–{fixed(sure, 0)}"
    return Cell(shown, sure, curve.cell_ids, mark=mark)


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
        "**Throughput against batch size**, both axes logarithmic, one line per model; bars: 95 % intervals over "
        f"processes. Measured here: {conditions_words(study, [curve.key for curve in curves])}."
    )
    return FigureSpec("throughput_vs_batch", "Images per second against batch size, a line per model", caption, panels)


def _curves_at(study: Study, device: str, pixels: int) -> tuple[Line, ...]:
    found = [curve for curve in study.speed.curves if (curve.key.device, curve.key.resolution_px) == (device, pixels)]
    points = [(curve, point) for curve in found for point in curve.points]

    def drawn(pair: tuple[BatchCurve, BatchPoint], family: str) -> Point:
        return Point(pair[1].batch_size, pair[1].rate_mean, family, "", bar(pair[1].rate))

    return lines(study, points, lambda pair: pair[0].key, drawn)
