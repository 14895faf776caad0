"""The search for the largest batch: each try is handed to a process of its own, which starts from nothing.

That process is `python -m bench.execute.largest_batch`.
"""

from __future__ import annotations

import time
from typing import Any

from bench.errors import CellFailedError, UnsupportedError
from bench.execute.pool import Worker
from bench.measure.memory import Try, as_values, judged, measure_try, require_free_memory, search
from bench.processes import serve_json
from bench.suite.cell import LargestBatchCell

TRY_PROGRAM = ("-P", "-m", "bench.execute.largest_batch")


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
    from bench.execute.prepare_timing import timed_model
    from bench.execute.worker import attempt
    from bench.measure.outcome import Outcome

    cell = LargestBatchCell.model_validate(request["cell"])
    limit_threads(request["threads"])
    set_backends("memory")  # the pass is a memory cell's
    reply: dict[str, Any] = {"wall_s": 0.0}

    def perform() -> Outcome:
        return Outcome(measure_try(cell, request["batch_size"], lambda: timed_model(cell)))

    return reply | attempt(lambda: perform, reply)


if __name__ == "__main__":
    serve_json(answer)
