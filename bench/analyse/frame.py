"""Records become tidy tables, one row per finished cell; nothing is averaged here.

Columns are the cell's fields, the values' fields, and where the row comes from (`cell_id`, `machine`, `started_at`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.store.record import Record

SETTING_COLUMNS = ["device", "precision", "memory_format", "compile"]
_ORIGIN = ["cell_id", "machine", "started_at", "suite"]

TRAINING_COLUMNS = [
    *[
        "model",
        "definition",
        "resolution_px",
        *SETTING_COLUMNS,
        "num_classes",
        "dataset",
        "fingerprint",
        "train_images",
        "seed",
        "budget_gflop",
    ],
    *["learning_rate", "batch_size", "recipe", "scored_part", "top1_pct", "top5_pct", "mean_per_class_pct"],
    *["validation_top1_pct", "test_images", "validation_images", "steps", "images_seen", "macs", "params"],
    *["train_flop", "train_img_per_s", "train_seconds", "eval_seconds", "best_validation_step", "final_loss"],
    *["side_by_side", *_ORIGIN],
]
SPEED_COLUMNS = [
    *["model", "definition", "resolution_px", *SETTING_COLUMNS, "num_classes", "batch_size", "repeat"],
    *["threads", "torch", "timm"],
    *["throughput_img_per_s", "throughput_blocks", "warmup_iters", "warmup_settled", "latency_p50_ms"],
    *["latency_p90_ms", "latency_p99_ms", "latency_samples", "compile_s", *_ORIGIN],
]
COMPLEXITY_COLUMNS = [
    *["model", "definition", "resolution_px", "num_classes", "params", "macs", "norm_macs", "flops", "activations"],
    *["attention_macs", "torch_macs", "closed_form_macs", "certificate", "certificate_note", "family", *_ORIGIN],
]
MEMORY_COLUMNS = [
    *["model", "definition", "resolution_px", *SETTING_COLUMNS, "num_classes", "batch_size"],
    *["threads", "torch", "timm", "peak_rss_delta_mib", "peak_allocated_mib", *_ORIGIN],
]


def latest_records(records: Iterable[Record], *, per_machine: bool) -> list[Record]:
    """The newest `ok` record of each cell, in order of cell id.

    per_machine: keep one per machine too (timings), instead of one in all (counts and accuracies, where a
    second record of a cell is the same draw again and not a new one).
    """
    newest: dict[tuple[str, str], Record] = {}
    for record in records:
        if record.status != "ok":
            continue
        key = (record.cell_id, machine_of(record) if per_machine else "")
        if key not in newest or record.started_at >= newest[key].started_at:
            newest[key] = record
    return [newest[key] for key in sorted(newest)]


def unfinished_records(records: Sequence[Record]) -> list[Record]:
    """The newest record of each cell where that one is not `ok`, in order of cell id.

    A cell whose failure was followed by a result is not among them; one that failed after its result is.
    """
    newest: dict[str, Record] = {}
    for record in records:
        other = newest.get(record.cell_id)
        if other is None or _recency(record) >= _recency(other):
            newest[record.cell_id] = record
    return [newest[key] for key in sorted(newest) if newest[key].status != "ok"]


def _recency(record: Record) -> tuple[str, bool, str]:
    return record.started_at, record.status == "ok", record.reason or ""


def machine_of(record: Record) -> str:
    """The fingerprint of the machine that made the record; empty when it says none."""
    return str(record.conditions.get("machine") or "")


def training_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per trained cell; see TRAINING_COLUMNS. Accuracies in percent, `train_flop` in FLOPs."""
    return _frame(records, "train", TRAINING_COLUMNS, _training_row, per_machine=False)


def speed_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per timed process and machine; see SPEED_COLUMNS."""
    return _frame(records, "speed", SPEED_COLUMNS, _settings_row, per_machine=True)


def complexity_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per counted model and resolution; see COMPLEXITY_COLUMNS. Integers, one image."""
    return _frame(records, "complexity", COMPLEXITY_COLUMNS, lambda record: {}, per_machine=False)


def memory_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per memory cell and machine; see MEMORY_COLUMNS. A CPU fills one of the two peaks, a GPU the other."""
    return _frame(records, "memory", MEMORY_COLUMNS, _settings_row, per_machine=True)


def _frame(
    records: Iterable[Record],
    task: str,
    columns: list[str],
    more: Callable[[Record], Mapping[str, Any]],
    *,
    per_machine: bool,
) -> pd.DataFrame:
    of_task = [record for record in records if record.cell.get("task") == task]
    rows = []
    for record in latest_records(of_task, per_machine=per_machine):
        row = {**record.cell, **record.values, **more(record)}
        row |= {"cell_id": record.cell_id, "machine": machine_of(record)}
        row |= {"started_at": record.started_at, "suite": record.suite}
        rows.append([row.get(column) for column in columns])
    return pd.DataFrame(rows, columns=columns)


def _settings_row(record: Record) -> dict[str, Any]:
    settings: Mapping[str, Any] = record.cell.get("settings") or {}
    return {
        "device": record.cell.get("device"),
        "threads": record.conditions.get("threads"),
        "torch": record.conditions.get("torch"),
        "timm": record.conditions.get("timm"),
        "precision": settings.get("precision", "fp32"),
        "memory_format": settings.get("memory_format", "contiguous"),
        "compile": bool(settings.get("compile", False)),
    }


def _training_row(record: Record) -> dict[str, Any]:
    recipe: Mapping[str, Any] = record.cell.get("recipe") or {}
    return {
        **_settings_row(record),
        "learning_rate": recipe.get("learning_rate"),
        "batch_size": recipe.get("batch_size"),
        "recipe": repr(sorted(recipe.items())),
        "side_by_side": record.conditions.get("side_by_side"),
    }
