"""Every public row as one CSV: a line each, for programs more than for readers."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from bench.analyse.public.rows import PublicRow, Timing
from bench.analyse.public.study import PublicStudy
from bench.catalog.public_results import SOURCE

ROWS_FILE = "public.csv"
_LEFT_OUT = ("model", "img_size")  # of the published fields: they come first
_COUNTS = ("params", "macs", "norm_macs", "activations", "certificate")
_COLUMNS: dict[str, Callable[[PublicRow], object]] = {
    "model": lambda row: row.model,
    "img_size": lambda row: row.result.img_size,
    "family": lambda row: row.family,
    "stratum": lambda row: row.training.stratum,
    "pretraining": lambda row: row.training.pretraining,
    "self_supervised": lambda row: int(row.training.self_supervised),
    "distilled": lambda row: int(row.training.distilled),
    "larger_than_trained": lambda row: int(row.result.is_larger_than_trained),
}
_TIMES: dict[Timing, str] = {"latency": "latency_ms", "throughput": "throughput_img_per_s"}
_OF_TIME = {"": "value", "_kind": "kind", "_low": "low", "_high": "high"}


def rows_file(study: PublicStudy) -> str:
    """Published values as timm has them, counts, and times here with their kind and ends, to six digits."""
    published = [name for name in vars(study.rows[0].result) if name not in _LEFT_OUT]
    times = [f"{name}{part}" for name in _TIMES.values() for part in _OF_TIME]
    stream = io.StringIO()
    stream.write(f"# Published values: {SOURCE}\n")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*_COLUMNS, *published, *_COUNTS, *times])
    for row in study.rows:
        values = [value(row) for value in _COLUMNS.values()]
        values += [getattr(row.result, name) for name in published]
        values += [getattr(row.count, name, None) for name in _COUNTS]
        values += [getattr(row.times.get(timing), name, None) for timing in _TIMES for name in _OF_TIME.values()]
        writer.writerow(f"{value:.6g}" if isinstance(value, float) else value for value in values)
    return stream.getvalue()
