"""The results folder: what a reader sees after every kind of accident."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bench.errors import StoreError
from bench.store.files import (
    LOCK,
    open_run,
    predictions_path,
    read_predictions,
    read_records,
    stored_suites,
    suite_folder,
)
from bench.store.record import Record


def make_record(cell_id: str = "0" * 16, **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "suite": "s",
        "cell_id": cell_id,
        "cell": {"task": "complexity", "model": "m"},
        "status": "ok",
        "values": {"macs": 3},
        "conditions": {"device": "cpu"},
        "started_at": "2026-01-01T00:00:00.000+00:00",
        "wall_s": 0.5,
    }
    return Record(**(fields | changes))


def write(results: Path, *records: Record) -> Path:
    with open_run(results, "s", "abcd", local=True) as writer:
        for record in records:
            writer.append(record)
    return writer.path


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    records = [make_record("a" * 16), make_record("b" * 16, status="failed", reason="why")]

    write(tmp_path, *records)

    assert read_records(suite_folder(tmp_path, "s", local=True)).records == records


def test_a_torn_last_line_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path, make_record("a" * 16), make_record("b" * 16))
    path.write_bytes(path.read_bytes()[:-20])

    result = read_records(path.parent)

    assert [record.cell_id for record in result.records] == ["a" * 16]
    assert "line 2 is torn" in result.warnings[0]


def test_a_line_that_is_not_json_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = write(tmp_path, make_record())
    path.write_bytes(b"hello\n" + path.read_bytes())

    with pytest.raises(StoreError, match=r"line 1 is not JSON"):
        read_records(path.parent)


def test_a_foreign_format_version_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = write(tmp_path, make_record())
    data = json.loads(path.read_text()) | {"format_version": 99}
    path.write_text(json.dumps(data) + "\n")

    with pytest.raises(StoreError, match=r"format version 99; this vitbench reads 1"):
        read_records(path.parent)


def test_a_line_with_a_missing_key_is_an_error_that_names_the_key(tmp_path: Path) -> None:
    path = write(tmp_path, make_record())
    data = json.loads(path.read_text())
    del data["cell_id"]
    path.write_text(json.dumps(data) + "\n")

    with pytest.raises(StoreError, match=r"line 1 is not a record: cell_id"):
        read_records(path.parent)


def test_summaries_are_kept_apart_from_records(tmp_path: Path) -> None:
    with open_run(tmp_path, "s", "abcd", local=True) as writer:
        writer.append(make_record())
        writer.append_summary({"wall_s": 2.0})

    result = read_records(writer.folder)

    assert len(result.records) == 1
    assert result.summaries == [{"wall_s": 2.0}]


def test_a_run_without_a_record_leaves_nothing_behind(tmp_path: Path) -> None:
    results = tmp_path / "results"

    with open_run(results, "s", "abcd", local=True):
        pass

    assert not results.exists()


def test_a_second_run_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with open_run(tmp_path, "s", "abcd", local=True) as writer:
        writer.append(make_record())
        with (
            pytest.raises(StoreError, match=rf"Another run \(process {os.getpid()}\)"),
            open_run(tmp_path, "other", "abcd", local=True),
        ):
            pass


def test_the_folder_is_free_again_after_its_holder_was_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD_FOREVER.format(folder=str(tmp_path))], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()

    path = write(tmp_path, make_record())

    assert len(read_records(path.parent).records) == 2  # the killed run's line, and the new one


_HOLD_FOREVER = """
import time
from pathlib import Path
from bench.store.files import open_run
from bench.store.record import Record
record = Record(suite="s", cell_id="c" * 16, cell={{"task": "complexity"}}, status="ok", conditions={{}},
                started_at="2026-01-01T00:00:00.000+00:00", wall_s=0.0)
with open_run(Path("{folder}"), "s", "dead", local=True) as writer:
    writer.append(record)
    print("held", flush=True)
    time.sleep(60)
"""


def test_no_space_left_keeps_the_lines_before_and_tears_none(tmp_path: Path) -> None:
    with open_run(tmp_path, "s", "abcd", local=True) as writer:
        writer.append(make_record("a" * 16))
        size = writer.path.stat().st_size
        with file_size_limit(size + 10), pytest.raises(StoreError, match="cannot be written"):
            writer.append(make_record("b" * 16))

    result = read_records(writer.folder)
    assert [record.cell_id for record in result.records] == ["a" * 16]
    assert result.warnings == []


class file_size_limit:  # noqa: N801 - reads as the statement it is
    """Make writes beyond `size` bytes fail, as a full disk does (EFBIG instead of ENOSPC)."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)
        signal.signal(signal.SIGXFSZ, self.handler)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a Linux device")
def test_a_full_disk_is_named_as_such(tmp_path: Path) -> None:
    with open_run(tmp_path, "s", "abcd", local=True) as writer:
        writer.append(make_record())
        with open("/dev/full", "wb", buffering=0) as full, pytest.MonkeyPatch.context() as patch:
            patch.setattr(writer, "_stream", full)
            with pytest.raises(StoreError, match="No space left"):
                writer.append(make_record())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be written"):
        write(tmp_path / "results", make_record())


def test_a_results_path_under_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("not a folder")
    with pytest.raises(StoreError, match="cannot be written"):
        write(tmp_path / "results", make_record())


def test_a_long_run_goes_on_in_a_second_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.store.files.PART_BYTES", 500)
    records = [make_record(f"{i:016x}") for i in range(5)]
    path = write(tmp_path, *records)
    parts = sorted(path.parent.glob("*.jsonl"))
    assert len(parts) > 1
    assert all(part.stat().st_size <= 500 for part in parts)
    assert sorted(record.cell_id for record in read_records(path.parent).records) == [r.cell_id for r in records]


def test_predictions_are_whole_files_with_small_types(tmp_path: Path) -> None:
    columns = {"key": ["x", "y"], "label": [0, 1], "prediction": [1, 1], "label_probability": [0.25, 0.5]}
    with open_run(tmp_path, "s", "abcd", local=True) as writer:
        writer.append(make_record())
        writer.write_predictions("a" * 16, columns)

    table = pq.read_table(predictions_path(writer.folder, "a" * 16))

    assert table.to_pydict() == columns
    assert [str(field.type) for field in table.schema] == ["string", "int16", "int16", "float"]
    assert [path.name for path in (writer.folder / "predictions").iterdir()] == ["a" * 16 + ".parquet"]


def test_stored_suites_tells_local_from_shipped(tmp_path: Path) -> None:
    for local, suite in ((True, "mine"), (False, "theirs")):
        with open_run(tmp_path, suite, "abcd", local=local) as writer:
            writer.append(make_record())

    assert stored_suites(tmp_path, local=True) == ["mine"]
    assert stored_suites(tmp_path, local=False) == ["theirs"]
    assert (tmp_path / LOCK).exists()


def test_predictions_are_read_back_as_they_were_written(tmp_path):
    with open_run(tmp_path, "s", "m", local=False) as writer:
        columns = {"key": ["b", "a"], "label": [0, 1], "prediction": [0, 2], "label_probability": [0.5, 0.25]}
        writer.write_predictions("0123456789abcdef", columns)
    read = read_predictions(predictions_path(suite_folder(tmp_path, "s", local=False), "0123456789abcdef"))
    assert {name: list(column) for name, column in read.items()} == {
        name: columns[name] for name in ("key", "label", "prediction")
    }


@pytest.mark.parametrize("content", [b"", b"not parquet"])
def test_a_file_that_holds_no_predictions_is_named(tmp_path, content):
    path = tmp_path / "0123456789abcdef.parquet"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"0123456789abcdef\.parquet' cannot be read"):
        read_predictions(path)
