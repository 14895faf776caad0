"""All stored runs of one suite, from one or several results folders (machines)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.store.files import KeyColumns, StoredRun, predictions_path, read_predictions, read_records, suite_folder
from bench.store.record import Record


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
