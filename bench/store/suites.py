"""All stored runs of one suite, from one or several results folders; what they took, and one held against others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.errors import RequestError
from bench.store.files import (
    LOCAL,
    KeyColumns,
    StoredRun,
    predictions_path,
    read_predictions,
    read_records,
    read_run,
    run_files,
    suite_folder,
)
from bench.store.record import Record

_SUMMED = ("wall_s", "in_cell_s", "timing_wall_s", "timing_in_cell_s")


@dataclass(frozen=True)
class StoredSuite:
    """The records of one suite in the order of folders, files and lines, and what was passed over."""

    name: str
    folders: tuple[Path, ...]
    records: tuple[Record, ...]
    warnings: tuple[str, ...]
    runs: tuple[StoredRun, ...]
    _owners: Mapping[str, Path] = field(repr=False)  # cell id -> the folder of its newest result
    _keys: KeyColumns = field(default_factory=KeyColumns, repr=False, compare=False)

    def predictions(self, cell_id: str) -> dict[str, Any] | None:
        """Per-image predictions behind the newest result of a cell; None if there are none beside that one."""
        folder = self._owners.get(cell_id)
        path = None if folder is None else predictions_path(folder, cell_id)
        return None if path is None or not path.exists() else read_predictions(path, self._keys)


def read_suite(roots: Sequence[Path], name: str, *, local: bool) -> StoredSuite:
    """The suite's records under every results folder. Raises StoreError as `read_records` does."""
    folders = tuple(suite_folder(root, name, local=local) for root in roots)
    read = [read_records(folder) for folder in folders]
    results = [
        (record.started_at, i, record.cell_id)
        for i, one in enumerate(read)
        for record in one.records
        if record.status == "ok"
    ]
    return StoredSuite(
        name,
        folders,
        tuple(record for one in read for record in one.records),
        tuple(warning for one in read for warning in one.warnings),
        tuple(run for one in read for run in one.runs.values()),
        {cell_id: folders[i] for _, i, cell_id in sorted(results)},
    )


@dataclass(frozen=True)
class RunPredictions:
    """Predictions of the cells whose newest result is this run's: a later run of a cell overwrites its file."""

    suite: StoredSuite
    owned: frozenset[str]

    def __call__(self, cell_id: str) -> dict[str, Any] | None:
        return self.suite.predictions(cell_id) if cell_id in self.owned else None


@dataclass(frozen=True)
class TwoRuns:
    """What is compared. told: which run is which, plain text."""

    before: StoredSuite
    after: StoredSuite
    before_predictions: RunPredictions
    after_predictions: RunPredictions
    told_before: str
    told_after: str


def total_of(runs: Sequence[StoredRun]) -> dict[str, Any] | None:
    """What the runs behind the newest record of each cell and machine took together; None if none of them says it.

    Keys as in a run's summary, and `runs`; `untold_records` and `untold_in_cell_s` are of runs that were stopped, which
    leave no summary. workers: those of each run, once each.
    """
    newest: dict[tuple[str, str], tuple[str, int]] = {}
    for index, run in enumerate(runs):
        for record in run.records:
            cell = record.cell_id, str(record.conditions.get("machine"))
            newest[cell] = max(newest.get(cell, ("", 0)), (record.started_at, index))
    behind = [runs[index] for index in sorted({index for _, index in newest.values()})]
    told = [run.summary for run in behind if run.summary is not None]
    untold = [record for run in behind if run.summary is None for record in run.records]
    if not told:
        return None
    total: dict[str, Any] = {key: sum(one.get(key) or 0.0 for one in told) for key in _SUMMED}
    inside = total["in_cell_s"]
    taken = sum((one.get("overhead_ratio") or 0.0) * (one.get("in_cell_s") or 0.0) for one in told)
    return total | {
        "runs": len(told),
        "workers": sorted({int(one["workers"]) for one in told if one.get("workers") is not None}),
        "overhead_ratio": taken / inside if inside else None,
        "untold_records": len(untold),
        "untold_in_cell_s": sum(record.wall_s for record in untold),
    }


def runs_to_compare(stored: StoredSuite, roots: Sequence[Path], run: str, *, local: bool) -> TwoRuns:
    """The run that is named, and what it is held against.

    run: a results folder (of another machine, or a copy of an earlier state), a suite's folder in one, or the
    beginning of a run's file name in `stored`, such as `20261123`: all runs that begin so are before, all others
    after. Raises RequestError where there is no such run, or nothing but it.
    """
    place = Path(run)
    if place.is_dir():
        before = _other_folder(place, stored.name, local=local)
        return _two(before, stored, before.records, stored.records, f"the results in {place}", "this report's results")
    name = place.name.removesuffix(".jsonl")
    files = [path for folder in stored.folders for path in run_files(folder)]
    chosen = [path for path in files if path.stem.startswith(name)] if name else []
    others = [path for path in files if path not in chosen]
    known = ", ".join(sorted({path.stem for path in files}))
    if not chosen:
        raise RequestError(
            f"No run of suite '{stored.name}' begins with {name!r}, and no folder has that name. Runs: {known}."
        )
    if not others:
        raise RequestError(
            f"Every run of suite '{stored.name}' begins with {name!r}: nothing is left to compare. Runs: {known}."
        )
    told = f"run {name}" if len(chosen) == 1 else f"the {len(chosen)} files of runs that begin with {name}"
    after = f"the other run, {others[0].stem}" if len(others) == 1 else f"the {len(others)} files of the other runs"
    return _two(stored, stored, _records(chosen), _records(others), told, after)


def _other_folder(place: Path, suite: str, *, local: bool) -> StoredSuite:
    """The suite under a results folder, the like of its own (local or shipped) first; or the folder itself."""
    if run_files(place):
        return replace(read_suite([place.parent], place.name, local=False), name=suite)
    for is_local in (local, not local):
        if run_files(suite_folder(place, suite, local=is_local)):
            return read_suite([place], suite, local=is_local)
    raise RequestError(
        f"'{place}' holds no results of suite '{suite}', neither in '{suite}/' nor in '{LOCAL}/{suite}/'."
    )


def _records(paths: Iterable[Path]) -> tuple[Record, ...]:
    return tuple(record for path in paths for record in read_run(path).records)


def _two(before: StoredSuite, after: StoredSuite, old: Sequence[Record], new: Sequence[Record], told_before: str,
         told_after: str) -> TwoRuns:  # fmt: skip
    newest = {record.cell_id: record.started_at for record in sorted([*old, *new], key=lambda r: r.started_at)}

    def predictions(suite: StoredSuite, records: Sequence[Record]) -> RunPredictions:
        own = {r.cell_id for r in records if before is not after or r.started_at == newest[r.cell_id]}
        return RunPredictions(suite, frozenset(own))

    return TwoRuns(
        before=replace(before, records=tuple(old)),
        after=replace(after, records=tuple(new)),
        before_predictions=predictions(before, old),
        after_predictions=predictions(after, new),
        told_before=told_before,
        told_after=told_after,
    )
