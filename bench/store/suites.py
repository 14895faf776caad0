"""All stored runs of one suite, from one or several results folders (machines)."""

from __future__ import annotations

from collections.abc import Sequence
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
    _keys: KeyColumns = field(default_factory=KeyColumns, repr=False, compare=False)

    def predictions(self, cell_id: str) -> dict[str, Any] | None:
        """Per-image predictions of a cell from the first folder that has them; None if none has."""
        for folder in self.folders:
            path = predictions_path(folder, cell_id)
            if path.exists():
                return read_predictions(path, self._keys)
        return None


def read_suite(roots: Sequence[Path], name: str, *, local: bool) -> StoredSuite:
    """The suite's records under every results folder. Raises StoreError as `read_records` does."""
    folders = tuple(suite_folder(root, name, local=local) for root in roots)
    read = [read_records(folder) for folder in folders]
    return StoredSuite(
        name,
        folders,
        tuple(record for one in read for record in one.records),
        tuple(warning for one in read for warning in one.warnings),
        tuple(run for one in read for run in one.runs.values()),
    )
