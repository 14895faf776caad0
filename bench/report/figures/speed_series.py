"""What the sections on speed share: order and names of models, panels of lines, and reasons of missing cells."""

from __future__ import annotations

from collections.abc import Iterable

from bench.analyse.accuracies.subjects import RunKey
from bench.analyse.speed.speed_study import Fall, series_of
from bench.analyse.speed.speeds import Timed
from bench.analyse.study import Row, Study
from bench.catalog.identity import ModelIdentity, family_rank, identify_model
from bench.number_format import fixed, listed
from bench.report.figures.panels import Ends, Line, Point, bar_of
from bench.report.tables.table import Cell, Notes
from bench.text import escape


def identity_of(study: Study, key: RunKey) -> ModelIdentity:
    """The model's family and title, as counted where no catalog knows it."""
    return next((row.identity for row in study.rows if row.key.model == key.model), identify_model(key.model))


def model_order(study: Study, key: RunKey) -> tuple[object, ...]:
    """Sort key: families together, rising MACs, then resolution and settings."""
    counts = (row.macs for row in study.rows if row.key.model == key.model and row.macs)
    return (*family_rank(identity_of(study, key).family), min(counts, default=0.0), key.model, key)


def series_label(study: Study, key: RunKey) -> str:
    """The model's title, with its settings where it has several; without its resolution."""
    return study.series_labels[series_of(key)]


def lines(study: Study, measured: Iterable[tuple[RunKey, float, Timed | float | None]]) -> tuple[Line, ...]:
    """One line per model and settings through what was measured, in its order: of what, where along x, and what.

    What is missing is left out, and so is zero, which has no place on a logarithmic axis.
    """
    by_series: dict[RunKey, list[tuple[float, float, Ends | None]]] = {}
    for key, x, y in measured:
        value, bar = (y.median, bar_of(y.interval)) if isinstance(y, Timed) else (y or 0.0, None)
        if value > 0:
            by_series.setdefault(series_of(key), []).append((x, value, bar))
    drawn = []
    for series in sorted(by_series, key=lambda one: model_order(study, one)):
        family = identity_of(study, series).family
        points = (Point(x, value, family, "", bar) for x, value, bar in by_series[series])
        drawn.append(Line(tuple(points), family, study.series_labels[series]))
    return tuple(drawn)


def missing_cell(study: Study, notes: Notes, task: str, key: RunKey, batch_size: int | None = None) -> Cell:
    """Why a cell has no number: its status with the reason at the foot, or a dash where it was not asked for."""
    for record in study.failures:
        cell = record.cell
        settings = cell.get("settings") or {}
        same = (cell.get("model"), cell.get("resolution_px"), cell.get("device"), settings.get("precision", "fp32"))
        if (
            cell.get("task") == task
            and same == (key.model, key.resolution_px, key.device, key.precision)
            and batch_size in (None, cell.get("batch_size"))
        ):
            return Cell(record.status, mark=notes.number(escape(record.reason or "no reason was recorded")))
    return Cell("–")


def batches_words(study: Study) -> str:
    """At which batch sizes the throughputs along resolutions are; no full stop."""
    sizes = [fixed(batch, 0) for batch in study.speed.batches]
    if study.speed.has_largest:
        sizes.append("the largest that fits")
    if len(sizes) == 1:
        return f"at batch {sizes[0]}"
    return f"at the best of batch {listed(sizes)}"


def short_batches_words(study: Study) -> str:
    """`at batch 64`, or `at the best batch tried`; for a sentence."""
    one_only = len(study.speed.batches) + study.speed.has_largest == 1
    return batches_words(study) if one_only else "at the best batch tried"


def macs_growth(study: Study, fall: Fall) -> tuple[float, tuple[str, ...]] | None:
    """By which factor the multiply-adds of an image grow meanwhile, and the records; None unless both were counted."""
    rows: dict[int, Row] = {row.key.resolution_px: row for row in study.rows if row.key.model == fall.series.model}
    low, high = rows.get(fall.low_px), rows.get(fall.high_px)
    if low is None or high is None or not low.macs or not high.macs:
        return None
    ids = tuple(row.count.cell_id for row in (low, high) if row.count is not None)
    return high.macs / low.macs, ids
