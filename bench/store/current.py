"""Which records a report may put together: of every model and data set the newest definition, of timings one software.

A model's name can come to stand for another network, a data set's for other images, and a machine's timings for
another torch: such records measure different things, so only the newest of them are shown and the rest is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bench.store.record import Record

Group = tuple[str, ...]
_TIMING_CONDITIONS = ("threads", "torch", "timm")


def definition_of(record: Record) -> Group:
    """What the model's name stood for: its definition, and the files of the user's that it was made from besides."""
    files = record.conditions.get("model_files") or {}
    return str(record.cell.get("definition") or ""), *(f"{name} {digest}" for name, digest in sorted(files.items()))


def data_of(record: Record) -> Group:
    """What the data set's name stood for: fingerprint and number of classes.

    A checkpoint with a head of its own has its own number of classes, which says nothing about the data.
    """
    task = record.task
    classes = "" if task is not None and task.has_own_head else str(record.cell.get("num_classes") or "")
    return str(record.cell.get("fingerprint") or ""), classes


def timing_of(record: Record) -> Group:
    """What two timings on one machine must share: classes, threads, versions of torch and timm, rule for freed memory.

    The rule is of times alone: peak memory is measured without one.
    """
    is_timed = record.task is not None and record.task.measures == "time"
    keys = (*_TIMING_CONDITIONS, "allocator") if is_timed else _TIMING_CONDITIONS
    return str(record.cell.get("num_classes") or ""), *(str(record.conditions.get(key) or "") for key in keys)


def current_records(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """The `ok` records of the newest group of each model, data set and timed model, and those of older groups.

    Data are compared by set and not by model, because models trained on other images do not compare. Both lists
    keep the order of the records; records that are not `ok` are in neither.
    """
    kept = [record for record in records if record.status == "ok"]
    for subject, group in (
        (_protocol, _metric_version),
        (_model, definition_of),
        (_dataset, data_of),
        (_timed_model, timing_of),
    ):
        kept = _newest(kept, subject, group)
    shown = {id(record) for record in kept}
    return kept, [record for record in records if record.status == "ok" and id(record) not in shown]


def failed_trials(task: str, records: Iterable[Record], shown: Iterable[Record]) -> list[Record]:
    """Failed trainings (or fine-tunings) to be scored on validation, of the models and data of those that are shown."""

    def kind(record: Record) -> tuple[object, ...]:
        return _model(record), _dataset(record), definition_of(record), data_of(record)

    def is_trial(record: Record) -> bool:
        return record.cell.get("task") == task and record.cell.get("scored_part") == "validation"

    kinds = {kind(record) for record in shown if is_trial(record)}
    return [r for r in records if r.status == "failed" and is_trial(r) and kind(r) in kinds]


def _newest(
    records: Sequence[Record], subject: Callable[[Record], Group | None], group: Callable[[Record], Group]
) -> list[Record]:
    """The records whose group is that of their subject's newest record; all records without a subject."""
    newest: dict[Group, tuple[str, Group]] = {}
    for record in records:
        key = subject(record)
        if key is not None:
            newest[key] = max(newest.get(key, ("", ())), (record.started_at, group(record)))
    return [r for r in records if (key := subject(r)) is None or newest[key][1] == group(r)]


def _protocol(record: Record) -> Group | None:
    return (str(record.cell.get("task")),)


def _metric_version(record: Record) -> Group:
    return (str(record.cell.get("metric_version") or ""),)


def _model(record: Record) -> Group | None:
    return None if record.task is not None and not record.task.has_model else (str(record.cell.get("model")),)


def _dataset(record: Record) -> Group | None:
    """Protocol and set: their fingerprints are of different parts, so each protocol has its own newest images."""
    if record.task is None or not record.task.has_images:
        return None
    return record.task.name, str(record.cell.get("dataset"))


def _timed_model(record: Record) -> Group | None:
    if record.task is None or record.task.measures is None:
        return None
    cell = record.cell
    settings = repr(sorted((cell.get("settings") or {}).items()))
    places = (str(cell.get(key)) for key in ("model", "resolution_px", "device"))
    return (record.task.name, *places, settings, str(record.conditions.get("machine") or ""))
