"""Which earlier records still count: same cell, same machine, same threads, same torch and timm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from bench.execute.supplies import Supplies
from bench.measure.timing import allocator_of_timings
from bench.store.record import Record
from bench.suite.model_source import changed_files
from bench.suite.tasks import Task

Mode = Literal["resume", "rerun", "retry-failed"]

MATCHED_CONDITIONS = {
    "nothing": (),
    "versions": ("torch", "timm"),
    "machine": ("device", "cpu_model", "gpu_model", "torch", "timm"),
}


def finished_cells(
    records: Iterable[Record], here: Mapping[str, Any], threads: Callable[[Task], int], mode: Mode
) -> dict[str, Record]:
    """Cell id -> latest record that makes running the cell again needless: of this machine, and of the same files.

    here: this machine's conditions, as records hold them. threads: that cells of a task would have now.
    Under `resume` every finished cell counts, failed ones too; under `retry-failed` only `ok` ones; under
    `rerun` none. The commit is recorded and shown, not matched.
    """
    if mode == "rerun":
        return {}
    done: dict[str, Record] = {}
    for record in sorted(records, key=lambda record: record.started_at):
        earlier = done.get(record.cell_id)
        keeps = earlier is not None and earlier.status == "ok" and record.status != "ok"
        if not keeps and _conditions_match(record, here, threads) and not changed_model_files(record):
            done[record.cell_id] = record
    if mode == "retry-failed":
        done = {cell_id: record for cell_id, record in done.items() if record.status == "ok"}
    return done


def changed_model_files(record: Record) -> list[str]:
    """Files that the record's model was made from, beyond those of its definition, and that are others now."""
    files = record.conditions.get("model_files")
    return changed_files(record.cell["model"], files) if files else []


def _conditions_match(record: Record, here: Mapping[str, Any], threads: Callable[[Task], int]) -> bool:
    conditions = record.conditions
    task = record.task
    if task is None:
        return False
    if task.measures == "time" and conditions.get("allocator") != allocator_of_timings():
        return False
    if task.depends_on == "machine" and conditions.get("threads") != threads(task):
        return False
    return all(conditions.get(key) == here.get(key) for key in MATCHED_CONDITIONS[task.depends_on])


def restated(records: Iterable[Record], supplies: Supplies) -> list[Record]:
    """Those of the records that say something else of what a user's file saw than the supplies do, corrected.

    An owner's word for a file is no part of the cell: another word changes no number, so nothing has to run again.
    """
    found = []
    for record in records:
        weights = str(record.cell.get("weights"))
        is_said = record.values.get("pretraining") == supplies.pretraining.get(weights)
        if record.status != "ok" or weights not in supplies.weights or is_said:
            continue
        values = {name: value for name, value in record.values.items() if name != "pretraining"}
        if weights in supplies.pretraining:
            values["pretraining"] = supplies.pretraining[weights]
        found.append(record.model_copy(update={"values": values}))
    return found
