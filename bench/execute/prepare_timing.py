"""What each kind of timing cell does inside a worker: each has a fresh process, so that imports are kept few.

The search for the largest batch hands each try to a process of its own: `python -m bench.execute.prepare_timing`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from bench.errors import CellFailedError, UnsupportedError
from bench.execute.machine_state import MachineWatch
from bench.execute.pool import Worker
from bench.measure.build import build_model, check_takes_resolution, native_resolution
from bench.measure.outcome import Outcome
from bench.measure.timing.memory import Try, as_values, judged, measure_memory, measure_try, require_free_memory, search
from bench.measure.timing.speed import measure_speed, measure_training_step
from bench.processes import serve_json
from bench.suite.cell import (
    Cell,
    LargestBatchCell,
    MemoryCell,
    SpeedCell,
    TimingCell,
    TrainingMemoryCell,
    TrainingStepCell,
)
from bench.suite.model_source import is_user_model

TRY_PROGRAM = ("-P", "-m", "bench.execute.prepare_timing")


def timed_model(cell: TimingCell) -> torch.nn.Module:
    """The network in evaluation mode. Raises ResolutionError also for a size that fails only when it is run."""
    if cell.resolution_px != native_resolution(cell.model):
        check_takes_resolution(cell.model, cell.resolution_px)
    return build_model(cell.model, num_classes=cell.num_classes, resolution_px=cell.resolution_px).eval()


def _watched(device: str, measure: Callable[[], tuple[dict[str, Any], dict[str, list[float]]]]) -> Outcome:
    """What a measurement of time gives, with what else went on in the machine meanwhile."""
    watch = MachineWatch(device)
    values, samples = measure()
    return Outcome(values | {"machine_state": watch.state()}, samples)


def _speed(cell: SpeedCell) -> Callable[[], Outcome]:
    model = timed_model(cell)
    return lambda: _watched(cell.device, lambda: measure_speed(cell, model))


def _training_step(cell: TrainingStepCell) -> Callable[[], Outcome]:
    model = timed_model(cell)
    return lambda: _watched(cell.device, lambda: measure_training_step(cell, model))


def _memory(cell: MemoryCell | TrainingMemoryCell) -> Callable[[], Outcome]:
    return lambda: Outcome(measure_memory(cell, lambda: timed_model(cell)))


def _largest_batch(cell: LargestBatchCell) -> Callable[[], Outcome]:
    if is_user_model(cell.model):
        timed_model(cell)  # each try makes its own; here, so that the record says from which files
    return lambda: Outcome(find_largest_batch(cell, torch.get_num_threads()))


def find_largest_batch(cell: LargestBatchCell, threads: int) -> dict[str, Any]:
    """Values of a largest-batch cell: the batch, what stopped the search, and every try.

    A lack of memory is a result, even for a single image. Raises UnsupportedError if the model or the device cannot
    do it at all, or if the machine is too full to try; CellFailedError if one image fails for another reason.
    """
    require_free_memory(cell)
    tries = search(lambda batch_size: _in_a_fresh_process(cell, batch_size, threads), cell.cap)
    first = min(tries, key=lambda one: one.batch_size)
    if first.status == "skipped":
        raise UnsupportedError(first.reason or "no reason was given")
    if first.status == "failed":
        raise CellFailedError(f"Even a batch of {first.batch_size} fails: {first.reason}")
    return as_values(tries)


def _in_a_fresh_process(cell: LargestBatchCell, batch_size: int, threads: int) -> Try:
    started = time.monotonic()
    worker = Worker(threads, program=TRY_PROGRAM)
    try:
        worker.send({"cell": cell.model_dump(mode="json"), "batch_size": batch_size, "threads": threads})
        reply = worker.receive()
        if reply is None:
            status = "oom" if worker.ending().was_killed else "failed"
            reply = {"status": status, "reason": worker.cause_of_death()}
    finally:
        worker.stop()
    return judged(batch_size, reply, time.monotonic() - started)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Status, reason and values of one try. request: `cell` (JSON of a LargestBatchCell), `batch_size`, `threads`."""
    from bench.execute.environment import limit_threads, set_backends
    from bench.execute.worker import attempt

    cell = LargestBatchCell.model_validate(request["cell"])
    limit_threads(request["threads"])
    set_backends("memory")  # the pass is a memory cell's
    reply: dict[str, Any] = {"wall_s": 0.0}

    def perform() -> Outcome:
        return Outcome(measure_try(cell, request["batch_size"], lambda: timed_model(cell)))

    return reply | attempt(lambda: perform, reply)


PREPARE_TIMING: Mapping[type[Cell], Callable[[Any], Callable[[], Outcome]]] = {
    SpeedCell: _speed,
    TrainingStepCell: _training_step,
    MemoryCell: _memory,
    TrainingMemoryCell: _memory,
    LargestBatchCell: _largest_batch,
}


def prepare_timing(cell: Cell) -> Callable[[], Outcome]:
    """Build what the cell needs; the returned function does the work that is worth timing.

    Raises what building raises: RequestError, UnsupportedError, CellFailedError.
    """
    return PREPARE_TIMING[type(cell)](cell)


if __name__ == "__main__":
    serve_json(answer)
