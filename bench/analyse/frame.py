"""Records become tidy tables, one row per finished cell; nothing is averaged here.

Columns are the cell's fields, the values' fields, and where the row comes from (`cell_id`, `machine`, `started_at`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.store.record import Record

SETTING_COLUMNS = ["device", "precision", "memory_format", "compile", "fold"]
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
    *["certificate_note", "side_by_side", *_ORIGIN],
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
TRAINING_STEP_COLUMNS = [
    *["model", "definition", "resolution_px", *SETTING_COLUMNS, "num_classes", "batch_size", "repeat"],
    *["threads", "torch", "timm", "training_img_per_s", "training_blocks", "warmup_iters", "warmup_settled"],
    *["compile_s", *_ORIGIN],
]
LARGEST_BATCH_COLUMNS = [
    *["model", "definition", "resolution_px", *SETTING_COLUMNS, "num_classes", "cap", "memory_limit_mib"],
    *["threads", "torch", "timm", "largest_batch", "stopped_by", "smallest_refused", "peak_mib", "limit_mib"],
    *["tries", *_ORIGIN],
]
_WEIGHTS = [
    "model",
    "definition",
    "resolution_px",
    *SETTING_COLUMNS,
    "num_classes",
    "weights",
    "trained_on",
    "pretraining",
    "dataset",
    "fingerprint",
]
EVALUATE_COLUMNS = [
    *[*_WEIGHTS, "top1_pct", "top5_pct", "mean_per_class_pct", "real_top1_pct", "real_images", "images"],
    *["correct_top1", "img_per_s", "weights_sha256", "params", "macs", "published_top1_pct", "published_source"],
    *["delta_pp", "self_check", "self_check_note", "preprocessing", "processes", "notes", *_ORIGIN],
]
FEWSHOT_COLUMNS = [
    *[*_WEIGHTS, "fixed_l2", "resized_px", "shots", "rule", "draw", "l2", "top1_pct", "train_images"],
    *[
        "short_classes",
        "fewest_images",
        "feature_width",
        "layer",
        "test_images",
        "overlap",
        "overlap_note",
        "weights_sha256",
        "params",
        "macs",
    ],
    *["notes", *_ORIGIN],
]
FINETUNE_COLUMNS = [
    *[*_WEIGHTS, "seed", "learning_rate", "recipe_name", "recipe", "batch_size", "scored_part"],
    *["top1_pct", "top5_pct", "mean_per_class_pct", "scored_images", "train_images", "steps", "images_seen"],
    *["macs", "params", "train_flop", "train_img_per_s", "pipeline_img_per_s", "model_img_per_s", "wait_share"],
    *["train_seconds", "eval_seconds", "weights_sha256", "initial_weights_sha256", "resumed", "micro_batch_size"],
    *["processes", "final_loss", "notes", *_ORIGIN],
]
PREFLIGHT_COLUMNS = [
    *["dataset", "fingerprint", "images", "bad", "bad_share", "converted", "wrong_extension", "tiny_classes"],
    *[
        "classes_missing",
        "exact_duplicates",
        "near_duplicates",
        "split_made_here",
        "parts",
        "missing_parts",
        "width_px",
    ],
    *["height_px", "notes", "seconds", "img_per_s", "processes", *_ORIGIN],
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


def speed_frame(records: Iterable[Record], role: str = "fixed") -> pd.DataFrame:
    """One row per timed process and machine; see SPEED_COLUMNS. role: as in SpeedCell."""
    records = [record for record in records if record.cell.get("role", "fixed") == role]
    return _frame(records, "speed", SPEED_COLUMNS, _settings_row, per_machine=True)


def complexity_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per counted model and resolution; see COMPLEXITY_COLUMNS. Integers, one image."""
    return _frame(records, "complexity", COMPLEXITY_COLUMNS, lambda record: {}, per_machine=False)


def memory_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per memory cell and machine; see MEMORY_COLUMNS. A CPU fills one of the two peaks, a GPU the other."""
    return _frame(records, "memory", MEMORY_COLUMNS, _settings_row, per_machine=True)


def training_step_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per process that timed a training step; see TRAINING_STEP_COLUMNS."""
    return _frame(records, "training_step", TRAINING_STEP_COLUMNS, _settings_row, per_machine=True)


def training_memory_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per cell and machine that weighed a training step; the columns of `memory_frame`."""
    return _frame(records, "training_memory", MEMORY_COLUMNS, _settings_row, per_machine=True)


def largest_batch_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per search for the largest batch and machine; see LARGEST_BATCH_COLUMNS. `tries` are dictionaries."""
    return _frame(records, "largest_batch", LARGEST_BATCH_COLUMNS, _settings_row, per_machine=True)


def evaluate_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per evaluated checkpoint and data set; see EVALUATE_COLUMNS. Accuracies in percent."""
    records = list(records)
    return _frame(records, "evaluate", EVALUATE_COLUMNS, _from_weights(records, _settings_row), per_machine=False)


def fewshot_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per number of shots, rule for lambda and draw of each few-shot cell; see FEWSHOT_COLUMNS."""
    records = list(records)
    rows = [
        row | _own_overlap(row) | {"fixed_l2": record.cell.get("l2"), **result}
        for record, row in _rows(records, "fewshot", _from_weights(records, _settings_row), per_machine=False)
        for result in record.values.get("results") or ()
    ]
    return pd.DataFrame([[row.get(column) for column in FEWSHOT_COLUMNS] for row in rows], columns=FEWSHOT_COLUMNS)


def finetune_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per fine-tuned cell, trials of a sweep included; see FINETUNE_COLUMNS."""
    records = list(records)
    return _frame(records, "finetune", FINETUNE_COLUMNS, _from_weights(records, _finetune_row), per_machine=False)


def preflight_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per checked data set; see PREFLIGHT_COLUMNS. There is no model."""
    return _frame(records, "preflight", PREFLIGHT_COLUMNS, lambda record: {}, per_machine=False)


def _frame(
    records: Iterable[Record],
    task: str,
    columns: list[str],
    more: Callable[[Record], Mapping[str, Any]],
    *,
    per_machine: bool,
) -> pd.DataFrame:
    rows = [row for _, row in _rows(records, task, more, per_machine=per_machine)]
    return pd.DataFrame([[row.get(column) for column in columns] for row in rows], columns=columns)


def _rows(
    records: Iterable[Record], task: str, more: Callable[[Record], Mapping[str, Any]], *, per_machine: bool
) -> list[tuple[Record, dict[str, Any]]]:
    """The newest records of a task, each with its fields in one dict."""
    of_task = [record for record in records if record.cell.get("task") == task]
    rows = []
    for record in latest_records(of_task, per_machine=per_machine):
        row = {**record.cell, **record.values, **more(record)}
        row |= {"cell_id": record.cell_id, "machine": machine_of(record)}
        row |= {"started_at": record.started_at, "suite": record.suite}
        rows.append((record, row))
    return rows


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
        "fold": bool(settings.get("fold", False)),
    }


def _own_overlap(row: Mapping[str, Any]) -> dict[str, Any]:
    """Overlap of weights that this suite trained on the very set that they are tried on."""
    if not row["trained_on"] or row["trained_on"] != row["dataset"]:
        return {}
    return {"overlap": True, "overlap_note": "Trained on this set's own training part in this suite."}


def _from_weights(
    records: Iterable[Record], more: Callable[[Record], Mapping[str, Any]]
) -> Callable[[Record], Mapping[str, Any]]:
    """`more` with `trained_on`: the data set of the training among the records that ended with the row's weights."""
    origins = {
        str(record.values["weights_sha256"]): str(record.cell["dataset"])
        for record in records
        if record.cell.get("task") == "train" and record.status == "ok" and record.values.get("weights_sha256")
    }
    return lambda record: {**more(record), "trained_on": origins.get(str(record.cell.get("weights")), "")}


def _training_row(record: Record) -> dict[str, Any]:
    recipe: Mapping[str, Any] = record.cell.get("recipe") or {}
    return {
        **_settings_row(record),
        "learning_rate": recipe.get("learning_rate"),
        "batch_size": recipe.get("batch_size"),
        "recipe": repr(sorted(recipe.items())),
        "side_by_side": record.conditions.get("side_by_side"),
    }


def _finetune_row(record: Record) -> dict[str, Any]:
    recipe: Mapping[str, Any] = record.cell.get("recipe") or {}
    return {
        **_settings_row(record),
        "learning_rate": recipe.get("learning_rate"),
        "batch_size": recipe.get("batch_size"),
        "recipe_name": recipe.get("name", "vit"),
        "recipe": repr(sorted(recipe.items())),
    }
