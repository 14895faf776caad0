"""The results folder: append-only JSON Lines, one file per run, one writer. Nothing else touches `results/`.

results/<suite>/<run>.jsonl                       shipped with the project
results/local/<suite>/<run>.jsonl                 a user's own runs, ignored by git
results[/local]/<suite>/predictions/<cell id>.parquet
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from bench.errors import StoreError
from bench.store.record import FORMAT_VERSION, Record
from bench.whole_files import replacing

LOCAL = "local"
LOCK = ".lock"
PART_BYTES = 900_000
_PART = re.compile(r"-\d{1,4}$")  # after the name of a run that outgrew them; a machine's fingerprint is longer
# Keys share long beginnings, and the bytes of probabilities compress better apart: half the size of the defaults.
_PREDICTIONS_FORMAT: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 19,
    "use_dictionary": ["label", "prediction"],
    "column_encoding": {"key": "DELTA_BYTE_ARRAY", "label_probability": "BYTE_STREAM_SPLIT"},
    "write_statistics": False,
}
HEADROOM_BYTES = 1 << 20  # a run starts only if this much can be written; a record is a few KB


@dataclass
class StoredRun:
    """The records of one run, all its files together, and what it took; None for one that was stopped half-way."""

    name: str
    records: list[Record] = field(default_factory=list)
    summary: dict[str, Any] | None = None


@dataclass(frozen=True)
class ReadResult:
    """Records in the order of their files' names and lines, the same by run, and what was passed over."""

    records: list[Record] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    summaries: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[str, StoredRun] = field(default_factory=dict)


def suite_folder(results: Path, suite: str, *, local: bool) -> Path:
    """Where the runs of a suite lie under a results folder."""
    return results / LOCAL / suite if local else results / suite


def stored_suites(results: Path, *, local: bool) -> list[str]:
    """Names of the suites that have at least one run file."""
    root = results / LOCAL if local else results
    found = root.glob("*/*.jsonl")
    return sorted({path.parent.name for path in found if local or path.parent.name != LOCAL})


def read_records(folder: Path) -> ReadResult:
    """Every record of every run in `folder`.

    A torn last line (a run that was killed) is passed over with a warning. Raises StoreError for a line that
    is not a record and for a file that another format version wrote: results must not vanish silently.
    """
    result = ReadResult()
    for path in run_files(folder):
        name = _PART.sub("", path.stem)
        run = result.runs.setdefault(name, StoredRun(name))
        told = len(result.summaries)
        run.records.extend(record for _, record in _records_of(path, result))
        run.summary = result.summaries[-1] if len(result.summaries) > told else run.summary
    result.records.extend(record for run in result.runs.values() for record in run.records)
    return result


def run_files(folder: Path) -> list[Path]:
    """The files of all runs in `folder`, in the order of their names."""
    return sorted(folder.glob("*.jsonl"))


def read_run(path: Path) -> ReadResult:
    """Every record of one file; see `read_records`."""
    result = ReadResult()
    result.records.extend(record for _, record in _records_of(path, result))
    return result


@dataclass(frozen=True)
class StoredRecord:
    """A record and where it is written: file, and line counted from 1."""

    path: Path
    line: int
    record: Record


def find_records(folder: Path, cell_ids: Collection[str]) -> list[StoredRecord]:
    """Every record of these cells under `folder`, in the order of files and lines. Raises as `read_records` does."""
    found = []
    for path in run_files(folder):
        for number, record in _records_of(path, ReadResult()):
            if record.cell_id in cell_ids:
                found.append(StoredRecord(path, number, record))
    return found


def _records_of(path: Path, result: ReadResult) -> Iterator[tuple[int, Record]]:
    """Each record of a file with its line; warnings and summaries go to `result`."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise StoreError(f"Results file '{path}' cannot be read: {error.strerror}.") from None
    lines = text.split(b"\n")
    if lines[-1]:
        result.warnings.append(
            f"'{path.name}' line {len(lines)} is torn (the run was stopped while writing it); "
            f"the {len(lines) - 1} lines before it are read."
        )
    for number, line in enumerate(lines[:-1], 1):
        data = _parse_line(path, number, line)
        if "run_summary" in data:
            result.summaries.append(data["run_summary"])
        else:
            yield number, _parse_record(path, number, data)


def _parse_line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise StoreError(
            f"Results file '{path}' line {number} is not JSON. Remove that line, or move the file away."
        ) from None
    if not isinstance(data, dict):
        raise StoreError(f"Results file '{path}' line {number} is not a JSON object. Remove that line.")
    version = data.get("format_version")
    if version != FORMAT_VERSION:
        raise StoreError(
            f"Results file '{path}' line {number} has format version {version!r}; this vitbench reads "
            f"{FORMAT_VERSION}. Read it with the version that wrote it, or move the file away."
        )
    return data


def _parse_record(path: Path, number: int, data: dict[str, Any]) -> Record:
    try:
        return Record.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise StoreError(
            f"Results file '{path}' line {number} is not a record: {key}: {first['msg']}. "
            "Remove that line, or move the file away."
        ) from None


class RunWriter:
    """The one writer of one run: holds the lock, appends whole lines, syncs each.

    A run that outgrows PART_BYTES goes on in `<run>-2.jsonl` and so on, so that no file grows past what a
    repository or a diff can take.
    """

    def __init__(self, folder: Path, path: Path) -> None:
        self.folder, self.path = folder, path
        self._first, self._parts = path, 1
        self._stream: IO[bytes] = open(path, "xb", buffering=0)  # noqa: SIM115 - closed by close()

    def close(self) -> None:
        """Close the file; one that holds no line is removed."""
        is_empty = os.fstat(self._stream.fileno()).st_size == 0
        self._stream.close()
        if is_empty:
            self.path.unlink()

    def append(self, record: Record) -> None:
        """Add one record; it is on the disk when this returns. Raises StoreError and leaves no torn line."""
        self._append_line(record.model_dump(mode="json"))

    def append_summary(self, summary: Mapping[str, Any]) -> None:
        """Add what the run as a whole took; not a record, and readers of records pass over it."""
        self._append_line({"format_version": FORMAT_VERSION, "run_summary": dict(summary)})

    def _append_line(self, data: Mapping[str, Any]) -> None:
        line = json.dumps(data, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        try:
            whole = os.fstat(self._stream.fileno()).st_size
            if whole and whole + len(line) > PART_BYTES:
                self._open_next_part()
                whole = 0
        except OSError as error:
            raise _disk_error(self.path, error) from None
        try:
            _write_all(self._stream.fileno(), line)
            os.fsync(self._stream.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._stream.fileno(), whole)
            raise _disk_error(self.path, error) from None

    def _open_next_part(self) -> None:
        path = self._first.with_name(f"{self._first.stem}-{self._parts + 1}.jsonl")
        stream = open(path, "xb", buffering=0)  # noqa: SIM115 - closed by close()
        self._stream.close()
        self._stream, self.path, self._parts = stream, path, self._parts + 1

    def write_predictions(self, cell_id: str, columns: Mapping[str, Any]) -> None:
        """Per-image predictions of one cell, whole or not at all (temporary name, then renamed).

        columns: key (str), label (int16), prediction (int16), label_probability (float32), all of one length.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table(
            {
                "key": pa.array(columns["key"], pa.string()),
                "label": pa.array(columns["label"], pa.int16()),
                "prediction": pa.array(columns["prediction"], pa.int16()),
                "label_probability": pa.array(columns["label_probability"], pa.float32()),
            }
        )
        path = predictions_path(self.folder, cell_id)
        try:
            with replacing(path) as temporary:
                pq.write_table(table, temporary, **_PREDICTIONS_FORMAT)
        except OSError as error:
            raise _disk_error(path, error) from None


@dataclass
class KeyColumns:
    """Image keys that were read before: thousands of files name the images of a few data sets in the same order."""

    known: list[tuple[Any, Any]] = field(default_factory=list)  # Arrow column and its strings, newest first

    def strings(self, column: Any) -> Any:
        """The column (pyarrow.ChunkedArray of strings) as an object array, the same one for equal columns."""
        for other, strings in self.known:
            if other.equals(column):
                return strings
        strings = column.to_numpy()
        self.known = [(column, strings), *self.known[:7]]
        return strings


def read_predictions(path: Path, keys: KeyColumns | None = None) -> dict[str, Any]:
    """Arrays key (object), label and prediction of one cell's images, (N,) each. keys: what earlier reads made.

    Raises StoreError for a file that is not a table of predictions. A report over ten thousand records reads
    thousands of these, so no data frame is made of any.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=["key", "label", "prediction"], use_threads=False)
        key, label, prediction = (table.column(name) for name in ("key", "label", "prediction"))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise StoreError(
            f"Predictions '{path}' cannot be read ({type(error).__name__}). Move the file away; its record stays."
        ) from None
    strings = (keys or KeyColumns()).strings(key)
    return {"key": strings, "label": label.to_numpy(), "prediction": prediction.to_numpy()}


def predictions_path(folder: Path, cell_id: str) -> Path:
    """Where the per-image predictions of a cell lie under its suite's folder."""
    return folder / "predictions" / f"{cell_id}.parquet"


@contextlib.contextmanager
def open_run(results: Path, suite: str, machine: str, *, local: bool) -> Iterator[RunWriter]:
    """A new run file of `suite`, alone on this results folder until the block ends.

    machine: short fingerprint, part of the run's name. Raises StoreError when another run holds the folder, when
    it cannot be written or when the disk is full; then nothing has been left behind. A run that wrote no line
    leaves no file.
    """
    folder = suite_folder(results, suite, local=local)
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(_lock(results))
            _check_headroom(folder)
            path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z-{machine}.jsonl"
            writer = RunWriter(folder, path)
        except OSError as error:
            _remove_empty(created)
            raise _disk_error(folder, error) from None
        except StoreError:
            _remove_empty(created)
            raise
        try:
            yield writer
        finally:
            writer.close()
            _remove_empty(created)


def _remove_empty(folders: list[Path]) -> None:
    """Remove the folders that this run made, deepest first, as far as they hold nothing."""
    for folder in folders:
        with contextlib.suppress(OSError):
            (folder / LOCK).unlink(missing_ok=True)
            folder.rmdir()


@contextlib.contextmanager
def _lock(results: Path) -> Iterator[None]:
    """An advisory lock that the system drops when its holder dies, however it dies."""
    path = results / LOCK
    with open(path, "a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            raise StoreError(
                f"Another run (process {holder}) is writing to '{results}'. Wait for it, or give --results "
                "another folder."
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield  # the file stays: removing it would let two later runs lock two different files of this name


def _check_headroom(folder: Path) -> None:
    """Raises OSError (ENOSPC) when a run could not even write its first records."""
    probe = folder / f".space-{os.getpid()}"
    try:
        with open(probe, "xb", buffering=0) as stream:
            _write_all(stream.fileno(), bytes(HEADROOM_BYTES))
            os.fsync(stream.fileno())
    finally:
        probe.unlink(missing_ok=True)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _disk_error(path: Path, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"No space left for '{path}'. Finished cells are safe; free some space and run again to resume."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(f"Results folder '{path}' cannot be written ({error.strerror}). Give --results another one.")
    return StoreError(f"Results at '{path}' cannot be written: {error.strerror or error}.")
