"""The search for the largest batch, with a worker that a test scripts, and once with real processes."""

from __future__ import annotations

import signal
from typing import Any, ClassVar

import pytest

from bench.errors import CellFailedError, UnsupportedError
from bench.execute import prepare_timing
from bench.execute.prepare_timing import TRY_PROGRAM, find_largest_batch
from bench.processes import Ending
from bench.suite.cell import LargestBatchCell, Settings

CELL = LargestBatchCell(
    metric_version=1, model="vit_32px_s", num_classes=10, resolution_px=32, cap=64, memory_limit_mib=64, device="cpu",
    settings=Settings(),
)  # fmt: skip


class ScriptedWorker:
    """Uses 10 MiB an image; dies as `death` says where that is more than it has."""

    has_mib: ClassVar[float] = 200.0
    death: ClassVar[Ending] = Ending(-signal.SIGKILL, "")
    answers: ClassVar[dict[int, dict[str, Any]]] = {}
    started: ClassVar[int] = 0
    alive: ClassVar[int] = 0

    def __init__(self, threads: int, program: tuple[str, ...]) -> None:
        assert program == TRY_PROGRAM
        type(self).started += 1
        type(self).alive += 1
        self.batch_size = 0

    def send(self, request: dict[str, Any]) -> None:
        self.batch_size = request["batch_size"]

    def receive(self) -> dict[str, Any] | None:
        if self.batch_size in self.answers:
            return self.answers[self.batch_size]
        peak = 10.0 * self.batch_size
        return {"status": "ok", "values": {"peak_mib": peak, "limit_mib": 64.0}} if peak <= self.has_mib else None

    def ending(self) -> Ending:
        return self.death

    def cause_of_death(self) -> str:
        return f"The worker {self.death.words}."

    def stop(self) -> None:
        type(self).alive -= 1


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "slow" in request.keywords:
        return
    monkeypatch.setattr(prepare_timing, "Worker", ScriptedWorker)
    for name, value in {"has_mib": 200.0, "answers": {}, "started": 0, "alive": 0}.items():
        monkeypatch.setattr(ScriptedWorker, name, value)


def test_every_try_runs_in_a_process_of_its_own_which_is_ended() -> None:
    values = find_largest_batch(CELL, threads=1)
    assert values["largest_batch"] == 6  # 60 of 64 MiB
    assert values["smallest_refused"] == 7
    assert ScriptedWorker.started == len(values["tries"])
    assert ScriptedWorker.alive == 0


def test_a_process_killed_by_the_system_ran_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedWorker, "has_mib", 40.0)
    values = find_largest_batch(CELL, threads=1)
    assert (values["largest_batch"], values["stopped_by"]) == (4, "memory")
    assert all("SIGKILL" in one["reason"] for one in values["tries"] if not one["fits"])


def test_a_process_that_crashes_is_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedWorker, "has_mib", 40.0)
    monkeypatch.setattr(ScriptedWorker, "death", Ending(-signal.SIGSEGV, ""))
    assert find_largest_batch(CELL, threads=1)["stopped_by"] == "error"


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [("skipped", UnsupportedError, "no 50 px"), ("failed", CellFailedError, "Even a batch of 1 fails: no 50 px")],
)
def test_a_model_that_cannot_run_gives_its_reason(
    status: str, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedWorker, "answers", {n: {"status": status, "reason": "no 50 px"} for n in (1, 8)})
    with pytest.raises(error, match=message):
        find_largest_batch(CELL, threads=1)


def test_no_process_starts_on_a_machine_that_is_too_full() -> None:
    with pytest.raises(UnsupportedError, match="are free"):
        find_largest_batch(CELL.model_copy(update={"memory_limit_mib": 1 << 40}), threads=1)
    assert ScriptedWorker.started == 0


@pytest.mark.slow
def test_a_real_search_ends_within_its_budget() -> None:
    values = find_largest_batch(CELL.model_copy(update={"cap": 4096, "memory_limit_mib": 48}), threads=1)
    assert values["stopped_by"] == "memory"
    assert values["largest_batch"] > 64
    assert values["peak_mib"] <= 48
    assert any(one["peak_mib"] > 48 for one in values["tries"] if not one["fits"])
