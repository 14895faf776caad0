from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from bench.execute.run_options import RunOptions
from bench.execute.runner import finished_cells, restated
from bench.measure.timing.timing import allocator_of_timings
from bench.store.record import Record
from bench.suite.tasks import Task

HERE = {"device": "cpu", "cpu_model": "X", "gpu_model": None, "torch": "2.15", "timm": "1.0"}


def threads(task: Task) -> int:
    return {"train": 1, "speed": 2, "memory": 2}[task.name]


def make_record(status: str = "ok", task: str = "train", at: int = 0, **conditions: Any) -> Record:
    return Record(
        suite="s",
        cell_id="a" * 16,
        cell={"task": task},
        status=status,  # type: ignore[arg-type]
        conditions={**HERE, "threads": 1, **conditions},
        started_at=f"2026-01-01T00:00:{at:02d}.000+00:00",
        wall_s=0.0,
    )


def test_a_finished_cell_of_this_machine_counts() -> None:
    assert len(finished_cells([make_record()], HERE, threads, "resume")) == 1


@pytest.mark.parametrize("key", ["device", "cpu_model", "gpu_model", "torch", "timm", "threads"])
def test_a_record_under_another_condition_does_not_count(key: str) -> None:
    assert finished_cells([make_record(**{key: "other"})], HERE, threads, "resume") == {}


def test_a_timing_under_another_rule_for_freed_memory_does_not_count() -> None:
    def counts(task: str, allocator: str) -> bool:
        return bool(finished_cells([make_record(task=task, threads=2, allocator=allocator)], HERE, threads, "resume"))

    assert counts("speed", allocator_of_timings())
    assert not counts("speed", "another")
    assert counts("memory", "another")


def test_the_commit_is_not_matched() -> None:
    assert finished_cells([make_record(git_commit="other")], HERE, threads, "resume")


def test_a_count_needs_no_machine_only_the_same_libraries() -> None:
    assert finished_cells([make_record(task="complexity", cpu_model="Y", threads=9)], HERE, threads, "resume")
    assert not finished_cells([make_record(task="complexity", torch="2.11")], HERE, threads, "resume")


def test_a_failed_cell_counts_until_it_is_retried() -> None:
    records = [make_record("failed")]
    assert len(finished_cells(records, HERE, threads, "resume")) == 1
    assert finished_cells(records, HERE, threads, "retry-failed") == {}


def test_an_ok_record_is_not_hidden_by_a_later_failure() -> None:
    records = [make_record("ok", at=1), make_record("failed", at=2)]
    assert finished_cells(records, HERE, threads, "retry-failed")["a" * 16].status == "ok"


def test_rerun_counts_nothing() -> None:
    assert finished_cells([make_record()], HERE, threads, "rerun") == {}


def test_a_look_at_images_counts_on_every_machine() -> None:
    assert finished_cells(
        [make_record(task="preflight", cpu_model="Y", torch="2.11", threads=9)], HERE, threads, "resume"
    )


def test_another_word_of_a_files_owner_is_written_anew_and_no_cell_runs_again() -> None:
    record = make_record(task="evaluate").model_copy(
        update={"cell": {"task": "evaluate", "weights": "sha256 a"}, "values": {"top1_pct": 80.0, "pretraining": "x"}}
    )
    files = {"sha256 a": "a.safetensors"}
    (changed,) = restated([record], RunOptions(weights=files, pretraining={"sha256 a": "our shop"}))
    assert changed.values == {"top1_pct": 80.0, "pretraining": "our shop"}
    assert changed.cell_id == record.cell_id
    (silent,) = restated([record], RunOptions(weights=files))
    assert silent.values == {"top1_pct": 80.0}
    assert restated([record], RunOptions(weights=files, pretraining={"sha256 a": "x"})) == []
    assert restated([record], RunOptions()) == []  # weights of this suite's own trainings have no owner to ask


def test_a_record_does_not_count_once_a_file_that_its_model_read_has_changed(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"width": 4}')
    record = make_record(model_files={"config.json": sha256(config.read_bytes()).hexdigest()[:16]})
    record.cell["model"] = f"{tmp_path}/net.py:build"
    assert finished_cells([record], HERE, threads, "resume")
    config.write_text('{"width": 9}')
    assert finished_cells([record], HERE, threads, "resume") == {}
