"""A process that tries one batch size: `python -m bench.execute.batch_try`, started by bench.execute.largest_batch."""

from __future__ import annotations

from typing import Any

from bench.execute.worker import attempt, serve


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Status, reason and values of one try. request: `cell` (JSON of a LargestBatchCell), `batch_size`, `threads`."""
    from bench.execute.environment import limit_threads, set_backends
    from bench.execute.outcome import Outcome
    from bench.execute.timing_tasks import timed_model
    from bench.measure.largest_batch import measure_try
    from bench.suite.cell import LargestBatchCell

    cell = LargestBatchCell.model_validate(request["cell"])
    limit_threads(request["threads"])
    set_backends("memory")  # the pass is a memory cell's
    reply: dict[str, Any] = {"wall_s": 0.0}

    def perform() -> Outcome:
        return Outcome(measure_try(cell, request["batch_size"], lambda: timed_model(cell)))

    return reply | attempt(lambda: perform, reply)


if __name__ == "__main__":
    serve(answer)
