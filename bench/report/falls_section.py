"""By which factor throughput falls from the lowest to the highest resolution: the figures behind the finding."""

from __future__ import annotations

from bench.analyse.speed_study import Fall
from bench.analyse.study import Study
from bench.report.document import Section
from bench.report.formats import fixed
from bench.report.speed_series import conditions_words, macs_growth, model_order, resolution_label, short_batches_words
from bench.report.table import Cell, Column, Notes, Table


def falls_section(study: Study) -> Section | None:
    """None unless a model was timed at two resolutions."""
    falls = sorted(study.speed.falls(), key=lambda fall: model_order(study, fall.series))
    if not falls:
        return None
    keys = [point.key for point in study.speed.resolutions]
    text = (
        f"Measured here: {conditions_words(study, keys)}, {short_batches_words(study)}: "
        "throughput at the lowest over throughput at the highest resolution of each model, medians over processes."
    )
    heads = (
        Column("Model", is_number=False),
        Column("From [px]"),
        Column("To [px]"),
        Column("Pixels grow"),
        Column("Throughput falls"),
        Column("MACs grow"),
    )
    notes = Notes()
    rows = tuple(_cells(study, fall, notes) for fall in falls)
    return Section("Throughput lost with resolution", text, Table("resolution_falls", heads, rows, tuple(notes.texts)))


def _cells(study: Study, fall: Fall, notes: Notes) -> tuple[Cell, ...]:
    pixels = (fall.high_px / fall.low_px) ** 2
    grown = macs_growth(study, fall)
    return (
        resolution_label(study, fall.series),
        Cell(str(fall.low_px), fall.low_px),
        Cell(str(fall.high_px), fall.high_px),
        Cell(f"{fixed(pixels, 0 if fall.high_px % fall.low_px == 0 else 1)} ×", pixels, fall.cell_ids),
        Cell(f"{fixed(fall.factor, 1)} ×", fall.factor, fall.cell_ids),
        notes.missing("not counted at both") if grown is None else Cell(f"{fixed(grown[0], 1)} ×", *grown),
    )
