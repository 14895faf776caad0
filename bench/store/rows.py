"""Records become rows for the analyses, one for each finished cell; nothing is averaged here.

Columns are the cell's fields, the values' fields, and where the row comes from (`cell_id`, `machine`, `started_at`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.store.record import Record
from bench.suite.tasks import TIMING_TASKS

Rows = list[dict[str, Any]]
_ORIGIN = "cell_id machine started_at suite"
_MODEL = "model definition resolution_px device precision memory_format compile fold num_classes"
_TIMED = f"{_MODEL} batch_size threads torch timm"
_WEIGHTS = f"{_MODEL} weights trained_on pretraining dataset fingerprint weights_sha256 params macs notes"
_TOP = "top1_pct top5_pct mean_per_class_pct"
_OF_RECIPE = ("learning_rate", "weight_decay", "batch_size", "augmentation")
_WEIGHED = f"{_TIMED} peak_rss_delta_mib peak_allocated_mib"

COLUMNS = {  # by task; the origin besides
    task: f"{names} {_ORIGIN}".split()
    for task, names in {
        "train": f"{_MODEL} dataset fingerprint train_images seed budget_gflop learning_rate weight_decay batch_size "
        f"augmentation recipe scored_part {_TOP} validation_top1_pct test_images validation_images steps images_seen "
        "macs params train_flop train_img_per_s train_seconds certificate_note side_by_side looks_pct",
        "speed": f"{_TIMED} repeat throughput_img_per_s warmup_settled latency_p50_ms latency_p99_ms latency_samples",
        "complexity": "model definition resolution_px num_classes params macs norm_macs activations "
        "attention_macs certificate certificate_note family",
        "memory": _WEIGHED,
        "training_memory": _WEIGHED,
        "training_step": f"{_TIMED} repeat training_img_per_s warmup_settled",
        "largest_batch": f"{_MODEL} cap memory_limit_mib threads torch timm largest_batch stopped_by smallest_refused "
        "peak_mib limit_mib tries",
        "evaluate": f"{_WEIGHTS} {_TOP} real_top1_pct real_images images correct_top1 published_top1_pct "
        "published_source delta_pp self_check self_check_note preprocessing",
        "fewshot": f"{_WEIGHTS} fixed_l2 shots rule draw top1_pct train_images short_classes fewest_images "
        "feature_width layer test_images overlap overlap_note",
        "finetune": f"{_WEIGHTS} seed learning_rate recipe_name recipe batch_size scored_part {_TOP} scored_images "
        "train_images steps images_seen train_flop train_img_per_s pipeline_img_per_s model_img_per_s wait_share "
        "train_seconds resumed micro_batch_size processes",
        "pixels": "dataset fingerprint resolution_px num_classes seed train_images top1_pct scored_images",
        "preflight": "dataset fingerprint images bad bad_share converted wrong_extension tiny_classes classes_missing "
        "exact_duplicates near_duplicates split_made_here parts missing_parts width_px height_px notes img_per_s "
        "processes",
    }.items()
}


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


def task_rows(records: Iterable[Record], task: str) -> Rows:
    """One row for each of the newest finished cells of a task, in order of cell id: the task's COLUMNS.

    Few-shot has one for each number of shots, rule for lambda and draw of a cell. None where a record has no value.
    """
    rows = full_rows(records, task)
    if task == "fewshot":
        rows = [row | _own_overlap(row) | one for row in rows for one in row.get("results") or ()]
    return [{column: row.get(column) for column in COLUMNS[task]} for row in rows]


def speed_rows(records: Iterable[Record], role: str = "fixed") -> Rows:
    """One row per timed process and machine. role: as in SpeedCell."""
    return task_rows((record for record in records if record.cell.get("role", "fixed") == role), "speed")


def number(row: Mapping[str, Any], column: str) -> float | None:
    """A column's value as a number, None where there is none."""
    value = row[column]
    return None if value is None or value != value else float(value)


def whole(row: Mapping[str, Any], column: str) -> int | None:
    """A column's value as a whole number, None where there is none."""
    value = number(row, column)
    return None if value is None else int(value)


def words(value: object) -> str:
    """A column's text; empty where there is none."""
    return value if isinstance(value, str) else ""


def notes_of(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """What the records say about themselves, each note once, in order."""
    found = [str(note) for row in rows for note in row.get("notes") or ()]
    return tuple(dict.fromkeys(found))


def full_rows(records: Iterable[Record], task: str) -> Rows:
    """The newest records of a task, one of each machine where machines were measured, with all fields in one dict.

    trained_on: the data set of the training among the records that ended with the row's weights.
    """
    records = list(records)
    origins = {
        str(record.values["weights_sha256"]): str(record.cell["dataset"])
        for record in records
        if record.cell.get("task") == "train" and record.status == "ok" and record.values.get("weights_sha256")
    }
    of_task = [record for record in records if record.cell.get("task") == task]
    return [
        {
            **record.cell,
            **record.values,
            **_conditions(record),
            "fixed_l2": record.cell.get("l2"),
            "trained_on": origins.get(str(record.cell.get("weights")), ""),
            "cell_id": record.cell_id,
            "machine": machine_of(record),
            "started_at": record.started_at,
            "suite": record.suite,
            "looks_pct": record.samples.get("validation_top1_pct"),
        }
        for record in latest_records(of_task, per_machine=task in TIMING_TASKS)
    ]


def _conditions(record: Record) -> dict[str, Any]:
    """The fields of settings and recipe, each by its name, and of the conditions those that a table needs."""
    settings: Mapping[str, Any] = record.cell.get("settings") or {}
    found = {
        "threads": record.conditions.get("threads"),
        "torch": record.conditions.get("torch"),
        "timm": record.conditions.get("timm"),
        "side_by_side": record.conditions.get("side_by_side"),
        "precision": settings.get("precision", "fp32"),
        "memory_format": settings.get("memory_format", "contiguous"),
        "compile": bool(settings.get("compile", False)),
        "fold": bool(settings.get("fold", False)),
    }
    if "recipe" in record.cell:
        recipe: Mapping[str, Any] = record.cell["recipe"] or {}
        found |= {name: recipe.get(name) for name in _OF_RECIPE}
        found |= {"recipe_name": recipe.get("name", "vit"), "recipe": repr(sorted(recipe.items()))}
    return found


def _own_overlap(row: Mapping[str, Any]) -> dict[str, Any]:
    """Overlap of weights that this suite trained on the very set that they are tried on."""
    if not row["trained_on"] or row["trained_on"] != row["dataset"]:
        return {}
    return {"overlap": True, "overlap_note": "Trained on this set's own training part in this suite."}
