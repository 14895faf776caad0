"""Runs the cells of a plan that no earlier record stands for, and writes a record for each.

Training runs side by side, timing alone and one at a time.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Literal, Protocol

from bench.execute.pool import IMPORT, Group, Worker, request_of
from bench.execute.run_options import RunOptions
from bench.learn.checkpoint import discard
from bench.measure.timing.timing import allocator_of, allocator_of_timings, kept_memory
from bench.places import checkpoint_folder
from bench.processes import usable_cores, wait_for_any
from bench.store.files import RunWriter
from bench.store.record import Record, Status
from bench.suite.cell import Cell, FinetuneCell, PretrainCell
from bench.suite.model_source import changed_files
from bench.suite.tasks import Task, is_timing, task_of

Mode = Literal["resume", "rerun", "retry-failed"]
MOST_STARTED_TOGETHER = 4  # processes that wait for their turn, with some 0.3 GB each

MATCHED_CONDITIONS = {
    "nothing": (),
    "versions": ("torch", "timm"),
    "machine": ("device", "cpu_model", "gpu_model", "torch", "timm"),
}


@dataclass(frozen=True)
class Resources:
    """What a run may use. timing_threads: for one timed model; each training has one thread.

    processes: that share one evaluation, fine-tuning or pretraining, each with a device of its own where there are
    several.
    """

    training_workers: int
    timing_threads: int
    processes: int = 1
    options: RunOptions = field(default_factory=RunOptions)

    def is_shared(self, cell: Cell) -> bool:
        """Whether several processes work on the cell together."""
        return self.processes > 1 and task_of(cell).threads == "shared"

    def threads(self, task: Task) -> int:
        """That a cell of the task computes with."""
        match task.threads:
            case "one":
                return 1
            case "timed":
                return self.timing_threads
            case "shared":
                return threads_each(self.processes)


class Listener(Protocol):
    """Told of everything that a person may want to see; the command line is one."""

    def planned(self, waiting: int, done: int) -> None: ...
    def started(self, cell: Cell) -> None: ...
    def finished(self, record: Record) -> None: ...


@dataclass
class Summary:
    """What a run took. Overhead compares wall time x workers with the seconds spent inside cells."""

    counts: dict[Status, int] = field(default_factory=lambda: {"ok": 0, "failed": 0, "oom": 0, "skipped": 0})
    resumed: int = 0
    workers: int = 1
    preparing_s: float = 0.0  # reading the store, planning, checking; counted with all workers, which it keeps waiting
    training_wall_s: float = 0.0
    training_in_cell_s: float = 0.0
    timing_wall_s: float = 0.0
    timing_in_cell_s: float = 0.0

    @property
    def overhead_ratio(self) -> float | None:
        """((preparing + training wall) x workers + timing wall) / in-cell seconds; None when nothing ran."""
        inside = self.training_in_cell_s + self.timing_in_cell_s
        if not inside:
            return None
        return ((self.preparing_s + self.training_wall_s) * self.workers + self.timing_wall_s) / inside

    def as_json(self) -> dict[str, Any]:
        return {
            "counts": dict(self.counts),
            "resumed": self.resumed,
            "workers": self.workers,
            "wall_s": self.preparing_s + self.training_wall_s + self.timing_wall_s,
            "in_cell_s": self.training_in_cell_s + self.timing_in_cell_s,
            "preparing_s": self.preparing_s,
            "training_wall_s": self.training_wall_s,
            "training_in_cell_s": self.training_in_cell_s,
            "timing_wall_s": self.timing_wall_s,
            "timing_in_cell_s": self.timing_in_cell_s,
            "overhead_ratio": self.overhead_ratio,
        }


def _extra_environment(cell: Cell) -> dict[str, str]:
    """What times keeps freed memory; what weighs memory does not, or its peak would hold what is no longer used."""
    return kept_memory(os.environ) if task_of(cell).measures == "time" else {}


def run_plan(
    suite: str,
    plan: Callable[[Iterable[Record]], list[Cell]],
    done: Mapping[str, Record],
    resources: Resources,
    writer: RunWriter,
    listener: Listener,
) -> tuple[Summary, dict[str, Record]]:
    """Run what the plan asks for and `done` does not hold, until the plan has nothing new to ask.

    plan: finished records -> every cell known so far; a sweep asks for more once its first trials are in.
    done: cell id -> record of an earlier run that counts, also of cells that the plan asks for later.
    Each record is on the disk before the next cell starts.
    Returns what the run took, and cell id -> record of every planned cell, earlier runs included.
    """
    finished = dict(done)
    summary = Summary(workers=resources.training_workers)
    run = _Run(suite, resources, writer, listener, summary, finished)
    first = True
    cells = plan(finished.values())
    while waiting := [cell for cell in cells if cell.cell_id not in finished]:
        known = len(cells) - len(waiting)
        if first:
            summary.resumed = known
            first = False
        listener.planned(len(waiting), known)
        shared = [cell for cell in waiting if resources.is_shared(cell)]
        run.side_by_side([cell for cell in waiting if not is_timing(cell) and not resources.is_shared(cell)])
        run.one_at_a_time(shared, lambda _: Group(threads_each(resources.processes), resources.processes))
        timings = [cell for cell in waiting if is_timing(cell)]
        run.one_at_a_time(timings, lambda cell: Worker(resources.timing_threads, _extra_environment(cell)))
        cells = plan(finished.values())
    return summary, {cell.cell_id: finished[cell.cell_id] for cell in cells}


@dataclass
class _Run:
    suite: str
    resources: Resources
    writer: RunWriter
    listener: Listener
    summary: Summary
    finished: dict[str, Record]

    def side_by_side(self, cells: list[Cell]) -> None:
        """Long-lived workers, one thread each; a worker that dies is replaced."""
        started = time.monotonic()
        queue = deque(cells)
        workers = [Worker(threads=1) for _ in range(min(self.resources.training_workers, len(cells)))]
        try:
            busy = [worker for worker in workers if self._hand_over(worker, queue, len(workers))]
            while busy:
                for worker in wait_for_any(busy):
                    record = self._take(worker)
                    if record is None:  # died; its cell is recorded, a fresh worker takes the next one
                        workers.remove(worker)
                        busy.remove(worker)
                        worker.stop()
                        worker = Worker(threads=1)
                        workers.append(worker)
                        busy.append(worker)
                    else:
                        self.summary.training_in_cell_s += record.wall_s
                    if not self._hand_over(worker, queue, len(workers)):
                        busy.remove(worker)
        finally:
            for worker in workers:
                worker.close_input()  # all at once: each may have something to save
            for worker in workers:
                worker.stop()
            self.summary.training_wall_s += time.monotonic() - started

    def one_at_a_time(self, cells: list[Cell], make_worker: Callable[[Cell], Worker | Group]) -> None:
        """A fresh process, or group of them, for every cell and nothing beside it; the parent sleeps meanwhile."""
        started = time.monotonic()
        try:
            for several in _started_together(cells):
                workers = deque(make_worker(cell) for cell in several)
                try:
                    if len(workers) > 1:
                        _import_side_by_side(workers)
                    for cell in several:
                        self._hand_over(workers[0], deque([cell]), 1)
                        record = self._take(workers[0])
                        self.summary.timing_in_cell_s += record.wall_s if record else 0.0
                        workers.popleft().stop()
                finally:
                    for worker in workers:
                        worker.stop()
        finally:
            self.summary.timing_wall_s += time.monotonic() - started

    def _hand_over(self, worker: Worker | Group, queue: deque[Cell], side_by_side: int) -> bool:
        if not queue:
            worker.current = None
            return False
        cell = queue.popleft()
        worker.current = cell
        self.listener.started(cell)
        worker.send(request_of(cell, worker.threads, self.resources.options, side_by_side))
        return True

    def _take(self, worker: Worker | Group) -> Record | None:
        """Record the worker's answer; None when it died, which is recorded too."""
        cell: Cell = worker.current
        reply = worker.receive()
        if reply is None:
            self._write(cell, _obituary(worker), None)
            return None
        return self._write(cell, reply, reply.pop("predictions", None))

    def _write(self, cell: Cell, reply: dict[str, Any], predictions: Mapping[str, Any] | None) -> Record:
        record = Record(suite=self.suite, cell_id=cell.cell_id, cell=cell.model_dump(mode="json"), **reply)
        if predictions is not None:
            self.writer.write_predictions(record.cell_id, predictions)  # first: a record promises its predictions
        self.writer.append(record)
        if record.status == "ok" and isinstance(cell, FinetuneCell | PretrainCell):
            discard(checkpoint_folder(record.cell_id))  # the record is safe now
        self.finished[record.cell_id] = record
        self.summary.counts[record.status] += 1
        self.listener.finished(record)
        return record


def _started_together(cells: Sequence[Cell]) -> Iterator[Sequence[Cell]]:
    """The cells in order, those whose processes start together as one: a time takes no harm from others that sleep."""
    for is_timed, alike in groupby(cells, key=lambda cell: task_of(cell).measures == "time"):
        several, size = list(alike), min(usable_cores(), MOST_STARTED_TOGETHER) if is_timed else 1
        yield from (several[i : i + size] for i in range(0, len(several), size))


def _import_side_by_side(workers: Iterable[Worker | Group]) -> None:
    """Return once all have imported torch and timm, which takes one thread about as long as a model is timed."""
    for worker in workers:
        worker.send(IMPORT)
    for worker in workers:
        worker.receive()  # one that died says so when it is handed its cell


def _obituary(worker: Worker | Group) -> dict[str, Any]:
    """The reply that a dead worker could not give. Its conditions are the parent's."""
    from bench.execute.environment import describe_conditions

    device = getattr(worker.current, "device", "cpu")
    allocator = allocator_of({**os.environ, **_extra_environment(worker.current)})
    return {
        "status": "failed",
        "reason": worker.cause_of_death(),
        "conditions": {**describe_conditions(device, worker.threads, 1), "allocator": allocator},
        "started_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "wall_s": 0.0,
    }


def default_workers(device: str) -> int:
    """Trainings side by side: one per core on a CPU machine, one at a time on an accelerator."""
    return 1 if device != "cpu" else usable_cores()


def default_loader_workers(device: str, processes: int) -> int:
    """Processes that decode images for each process that computes: the cores that computing leaves, at most 16."""
    return 0 if device == "cpu" else min(16, max(1, usable_cores() // processes - 1))


def threads_each(processes: int) -> int:
    """Threads of each of the processes that share a cell; a lone one has a single thread, like every training."""
    return 1 if processes == 1 else max(1, usable_cores() // processes)


def finished_cells(
    records: Iterable[Record], here: Mapping[str, Any], threads: Callable[[Task], int], mode: Mode
) -> dict[str, Record]:
    """Cell id -> latest record that makes running the cell again needless: of this machine, and of the same files.

    here: this machine's conditions, as records hold them. threads: that cells of a task would have now.
    Under `resume` every finished cell counts, failed ones too; under `retry-failed` only `ok` ones; under
    `rerun` none. The commit is recorded and shown, not matched.
    """
    if mode == "rerun":
        return {}
    done: dict[str, Record] = {}
    for record in sorted(records, key=lambda record: record.started_at):
        earlier = done.get(record.cell_id)
        keeps = earlier is not None and earlier.status == "ok" and record.status != "ok"
        if not keeps and _conditions_match(record, here, threads) and not changed_model_files(record):
            done[record.cell_id] = record
    if mode == "retry-failed":
        done = {cell_id: record for cell_id, record in done.items() if record.status == "ok"}
    return done


def changed_model_files(record: Record) -> list[str]:
    """Files that the record's model was made from, beyond those of its definition, and that are others now."""
    files = record.conditions.get("model_files")
    return changed_files(record.cell["model"], files) if files else []


def _conditions_match(record: Record, here: Mapping[str, Any], threads: Callable[[Task], int]) -> bool:
    conditions = record.conditions
    task = record.task
    if task is None:
        return False
    if task.measures == "time" and conditions.get("allocator") != allocator_of_timings():
        return False
    if task.depends_on == "machine" and conditions.get("threads") != threads(task):
        return False
    return all(conditions.get(key) == here.get(key) for key in MATCHED_CONDITIONS[task.depends_on])


def restated(records: Iterable[Record], options: RunOptions) -> list[Record]:
    """Those of the records that say something else of what a user's file saw than the options do, corrected.

    An owner's word for a file is no part of the cell: another word changes no number, so nothing has to run again.
    """
    found = []
    for record in records:
        weights = str(record.cell.get("weights"))
        is_said = record.values.get("pretraining") == options.pretraining.get(weights)
        if record.status != "ok" or weights not in options.weights or is_said:
            continue
        values = {name: value for name, value in record.values.items() if name != "pretraining"}
        if weights in options.pretraining:
            values["pretraining"] = options.pretraining[weights]
        found.append(record.model_copy(update={"values": values}))
    return found
