"""The runner, with a worker that a test scripts: what is run, recorded, resumed and replaced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bench.execute import runner
from bench.execute.pool import IMPORT
from bench.execute.runner import Resources, run_plan
from bench.store.files import open_run, read_records
from bench.store.record import Record
from bench.suite.cell import Cell, ComplexityCell, MemoryCell, Settings, SpeedCell


class ScriptedWorker:
    """Answers at once; dies on the model `killer`."""

    alive: ClassVar[list[ScriptedWorker]] = []
    working = most_working = 0  # that have a cell

    environments: ClassVar[list[dict[str, str]]] = []

    def __init__(self, threads: int, extra: dict[str, str] | None = None) -> None:
        self.threads, self.current = threads, None
        self.environments.append(extra or {})
        self.request: dict[str, Any] = {}
        self.is_asked_to_leave = False
        self.alive.append(self)

    def send(self, request: dict[str, Any]) -> None:
        self.request = request
        if request != IMPORT:
            ScriptedWorker.working += 1
            ScriptedWorker.most_working = max(self.most_working, self.working)

    def receive(self) -> dict[str, Any] | None:
        if self.request == IMPORT:
            return {}
        ScriptedWorker.working -= 1
        model = self.request["cell"]["model"]
        if model == "killer":
            return None
        return {
            "status": "failed" if model == "broken" else "ok",
            "reason": "it is broken" if model == "broken" else None,
            "values": {"macs": 1},
            "conditions": {"threads": self.threads},
            "started_at": "2026-01-01T00:00:00.000+00:00",
            "wall_s": 1.0,
        }

    def cause_of_death(self) -> str:
        return "The worker was killed (SIGKILL)."

    def close_input(self) -> None:
        self.is_asked_to_leave = True

    def stop(self) -> None:
        self.alive.remove(self)


class Silent:
    def __init__(self) -> None:
        self.totals: list[tuple[int, int]] = []

    def planned(self, waiting: int, done: int) -> None:
        self.totals.append((waiting, done))

    def started(self, cell: Cell) -> None:
        return

    def finished(self, record: Record) -> None:
        return


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(runner, "Worker", ScriptedWorker)
    monkeypatch.setattr(runner, "wait_for_any", lambda workers: list(workers))
    ScriptedWorker.working = ScriptedWorker.most_working = 0
    ScriptedWorker.environments.clear()
    yield
    assert ScriptedWorker.alive == []  # no worker outlives its run


def counted(model: str) -> ComplexityCell:
    return ComplexityCell(metric_version=1, model=model, resolution_px=32)


def timed(model: str, repeat: int = 0) -> SpeedCell:
    return SpeedCell(
        metric_version=1, model=model, resolution_px=32, batch_size=1, metrics=("latency",), repeat=repeat,
        device="cpu", settings=Settings(),
    )  # fmt: skip


def run(
    cells: list[Cell], results: Path, done: Iterable[Record] = (), workers: int = 2
) -> tuple[runner.Summary, list[Record]]:
    with open_run(results, "s", "abcd", local=True) as writer:
        summary, _ = run_plan(
            "s",
            lambda _: cells,
            {record.cell_id: record for record in done},
            Resources(workers, timing_threads=4),
            writer,
            Silent(),
        )
    return summary, read_records(writer.folder).records


def test_what_times_keeps_freed_memory_and_what_weighs_memory_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "kept_memory", lambda environment: {"KEPT": "1"})
    memory = MemoryCell(metric_version=1, model="a", resolution_px=32, batch_size=1, device="cpu", settings=Settings())
    run([counted("a"), timed("a"), memory], tmp_path, workers=1)
    assert ScriptedWorker.environments == [{}, {"KEPT": "1"}, {}]


def test_every_cell_gets_one_record(tmp_path: Path) -> None:
    cells: list[Cell] = [counted("a"), counted("b"), counted("c"), timed("a")]
    summary, records = run(cells, tmp_path)
    assert sorted(record.cell_id for record in records) == sorted(cell.cell_id for cell in cells)
    assert summary.counts == {"ok": 4, "failed": 0, "oom": 0, "skipped": 0}


def test_finished_cells_are_not_run_again(tmp_path: Path) -> None:
    _, first = run([counted("a")], tmp_path)
    summary, records = run([counted("a"), counted("b")], tmp_path, done=first)
    assert summary.resumed == 1
    assert [record.cell["model"] for record in records] == ["a", "b"]


def test_trainings_share_workers_and_timings_have_the_machine_alone(tmp_path: Path) -> None:
    run([counted(name) for name in "abcdef"], tmp_path / "side", workers=2)
    assert ScriptedWorker.most_working == 2
    ScriptedWorker.most_working = 0
    run([timed(name) for name in "abc"], tmp_path / "alone", workers=2)
    assert ScriptedWorker.most_working == 1


def test_every_timing_has_a_fresh_process_though_several_import_side_by_side(tmp_path: Path) -> None:
    run([timed(name) for name in "abcde"], tmp_path)
    assert len(ScriptedWorker.environments) == 5


def test_a_run_that_is_interrupted_ends_the_processes_that_wait_for_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(worker: ScriptedWorker) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ScriptedWorker, "receive", interrupt)
    monkeypatch.setattr(runner, "usable_cores", lambda: 3)
    with pytest.raises(KeyboardInterrupt):
        run([timed(name) for name in "abc"], tmp_path)
    assert len(ScriptedWorker.environments) == 3


def test_timed_cells_get_their_own_threads_and_trainings_one(tmp_path: Path) -> None:
    _, records = run([counted("a"), timed("a")], tmp_path)
    assert [record.conditions["threads"] for record in records] == [1, 4]


def test_a_failed_cell_is_a_record_and_the_run_goes_on(tmp_path: Path) -> None:
    summary, records = run([counted("broken"), counted("a")], tmp_path)
    assert summary.counts["failed"] == 1
    assert {record.reason for record in records} == {"it is broken", None}


def test_a_worker_that_dies_is_recorded_and_replaced(tmp_path: Path) -> None:
    summary, records = run([counted("killer"), counted("a"), timed("killer"), timed("a")], tmp_path, workers=1)
    assert summary.counts == {"ok": 2, "failed": 2, "oom": 0, "skipped": 0}
    assert {record.reason for record in records} == {"The worker was killed (SIGKILL).", None}


def test_an_interrupted_run_asks_all_workers_at_once_to_save_what_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited_for = []

    def interrupt(worker: ScriptedWorker) -> None:
        raise KeyboardInterrupt

    def stop(worker: ScriptedWorker) -> None:
        waited_for.append([other.is_asked_to_leave for other in ScriptedWorker.alive])
        ScriptedWorker.alive.remove(worker)

    monkeypatch.setattr(ScriptedWorker, "receive", interrupt)
    monkeypatch.setattr(ScriptedWorker, "stop", stop)
    with pytest.raises(KeyboardInterrupt):
        run([counted("a"), counted("b")], tmp_path)
    assert waited_for == [[True, True], [True]]


def test_a_plan_that_grows_is_followed_to_its_end(tmp_path: Path) -> None:
    def plan(finished: Iterable[Record]) -> list[Cell]:
        return [counted(name) for name in "abcd"[: len(list(finished)) + 1]]

    with open_run(tmp_path, "s", "abcd", local=True) as writer:
        run_plan("s", plan, {}, Resources(1, 1), writer, Silent())
    assert [record.cell["model"] for record in read_records(writer.folder).records] == ["a", "b", "c", "d"]


def test_what_is_planned_only_later_is_not_run_again(tmp_path: Path) -> None:
    """Transfers of an earlier run are not planned while a training that was added is still to come."""
    _, first = run([counted("late"), counted("unplanned")], tmp_path / "first")

    def plan(finished: Iterable[Record]) -> list[Cell]:
        is_trained = counted("new").cell_id in {record.cell_id for record in finished}
        return [counted("new"), *([counted("late")] if is_trained else [])]

    with open_run(tmp_path / "second", "s", "abcd", local=True) as writer:
        done = {record.cell_id: record for record in first}
        summary, ended = run_plan("s", plan, done, Resources(1, 1), writer, Silent())
    assert [record.cell["model"] for record in read_records(writer.folder).records] == ["new"]
    assert {record.cell["model"] for record in ended.values()} == {"new", "late"}
    assert summary.resumed == 0, "of what was planned at first"


def test_overhead_counts_training_with_all_workers_and_timing_with_one() -> None:
    summary = runner.Summary(
        workers=2, preparing_s=1.0, training_wall_s=10.0, training_in_cell_s=20.0, timing_wall_s=3.0
    )
    summary.timing_in_cell_s = 2.0
    assert summary.overhead_ratio == pytest.approx((2 * 11 + 3) / 22)
    assert runner.Summary().overhead_ratio is None
