"""Stored baselines: what is written comes back, and what cannot be read is named."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import StoreError
from bench.store.baselines import Baseline, ProcessTurns, baseline_folder, read_baselines, save_baseline


def make_baseline(**changes: Any) -> Baseline:
    one_ms = (ProcessTurns(forwards=2, clock="cpu", ns=(2_000_000, 2_000_000, 9_000_000)),)
    fields: dict[str, Any] = {
        "saved_at": "2026-01-02T03:04:05+00:00",
        "workload": {"model": "net/with:odd name", "batch_size": 1},
        "device": "cpu",
        "threads": 1,
        "processes": one_ms,
        "calibration_version": 1,
        "kernels": {"matmul": one_ms},
        "conditions": {"machine": "abcd1234"},
    }
    return Baseline(**(fields | changes))


def test_a_baseline_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = make_baseline()
    path = save_baseline(tmp_path, saved, local=True)
    assert path.parent == tmp_path / "local" / "baseline"
    assert read_baselines(tmp_path, local=True).baselines == [saved]
    assert read_baselines(tmp_path, local=False).baselines == []


def test_a_second_one_of_the_same_question_replaces_the_first(tmp_path: Path) -> None:
    save_baseline(tmp_path, make_baseline(), local=False)
    save_baseline(tmp_path, make_baseline(saved_at="2026-02-02T00:00:00+00:00"), local=False)
    assert [one.saved_at[:7] for one in read_baselines(tmp_path, local=False).baselines] == ["2026-02"]


@pytest.mark.parametrize(
    "changes",
    [
        {"threads": 2},
        {"device": "cuda"},
        {"conditions": {"machine": "ffff0000"}},
        {"workload": {"model": "net/with:odd name", "batch_size": 8}},
        {"workload": {"model": "net/with odd/name", "batch_size": 1}},
    ],
)
def test_another_question_or_machine_has_a_name_of_its_own(changes: dict[str, Any]) -> None:
    assert make_baseline(**changes).name != make_baseline().name


def test_a_name_is_one_that_every_file_system_takes() -> None:
    assert make_baseline().name.startswith("net-with-odd-name-")


def test_the_time_is_the_median_over_processes_of_the_median_over_turns() -> None:
    processes = tuple(ProcessTurns(forwards=10, clock="cpu", ns=(ms * 10_000_000,) * 3) for ms in (1, 2, 7))
    assert make_baseline(processes=processes).forward_ms == 2.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is not JSON"),
        ("[]", "it is not a JSON object"),
        ('{"format_version": 7}', "it has format version 7, and this vitbench reads 1"),
        ('{"format_version": 1}', "saved_at: Field required"),
    ],
)
def test_a_file_that_is_no_baseline_is_named_and_the_others_are_read(tmp_path: Path, text: str, reason: str) -> None:
    save_baseline(tmp_path, make_baseline(), local=True)
    odd = baseline_folder(tmp_path, local=True) / "odd.json"
    odd.write_text(text)
    found = read_baselines(tmp_path, local=True)
    assert len(found.baselines) == 1
    assert found.warnings == [f"Baseline '{odd}' is none: {reason}. It is passed over."]


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    folder = baseline_folder(tmp_path, local=True)
    (folder / "folder.json").mkdir(parents=True)
    assert read_baselines(tmp_path, local=True).warnings == [
        f"Baseline '{folder / 'folder.json'}' cannot be read: Is a directory."
    ]


def test_a_full_disk_keeps_the_old_baseline_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_baseline(tmp_path, make_baseline(), local=True)
    before = path.read_bytes()

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(StoreError, match="Nothing was replaced; free some space and save again"):
        save_baseline(tmp_path, make_baseline(saved_at="2027-01-01T00:00:00+00:00"), local=True)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "local").touch()
    with pytest.raises(StoreError, match=r"cannot be written: Not a directory\. Give --results another folder"):
        save_baseline(tmp_path, make_baseline(), local=True)


def test_a_file_is_one_object_with_its_version_and_every_turn(tmp_path: Path) -> None:
    stored = json.loads(save_baseline(tmp_path, make_baseline(), local=True).read_text())
    assert stored["format_version"] == 1
    assert stored["processes"] == [{"forwards": 2, "clock": "cpu", "ns": [2_000_000, 2_000_000, 9_000_000]}]
