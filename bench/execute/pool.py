"""Worker processes that run cells, and groups of them that share one cell, as torchrun starts them."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.errors import RequestError
from bench.execute.run_options import RunOptions
from bench.processes import PATIENCE_SECONDS, JsonProcess, wait_for_any
from bench.suite.cell import Cell

GROUP_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# What torchrun and `accelerate launch` tell the processes they start themselves: that the agent serves the store by
# which they find each other (nobody would serve ours), on which device, how many batches make a step.
LAUNCHER_PREFIXES = ("TORCHELASTIC_", "ACCELERATE_")
WORKER = ("-P", "-m", "bench.execute.worker")  # -P: what lies in the current folder must not replace a package
PACKAGE_ROOT = Path(__file__).resolve().parents[2]
IMPORT = {"import": "what a timing needs"}  # a request that a worker answers once it has
_REASONS_FIRST = ("oom", "skipped", "failed", "ok")
STOP_SECONDS = PATIENCE_SECONDS + 5.0  # patience with a worker that was asked to end; most end at once


class Worker(JsonProcess):
    """One process that runs cells, one after another. `current` is what it works on.

    extra: added to the environment, such as that by which the processes of one cell find each other (see `Group`).
    program: what serves the requests, as arguments of Python; None for WORKER.
    """

    def __init__(
        self, threads: int, extra: Mapping[str, str] | None = None, program: Sequence[str] | None = None
    ) -> None:
        self.threads = threads
        self.current: Any = None
        environment = {**_environment(threads), **(extra or {})}
        super().__init__([sys.executable, *(program or WORKER)], environment=environment)

    def cause_of_death(self) -> str:
        """One line on how the process ended, with the last line it wrote."""
        ending = self.ending()
        return f"The worker {ending.words}.{f' Last line: {ending.last_line}' if ending.last_line else ''}"

    def stop(self, patience_s: float = STOP_SECONDS) -> None:
        """End the process: at once unless it is saving what it has, by force if it does not leave."""
        super().stop(patience_s)


class Group:
    """Several processes that run one cell together, as torchrun would start them; the first one answers for all.

    It looks like a Worker. When one of them dies, the others would wait for it: they are ended too.
    """

    def __init__(self, threads: int, processes: int) -> None:
        port = _free_port()
        self.threads = threads
        self._workers = [
            Worker(
                threads,
                {
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(processes),
                    "LOCAL_WORLD_SIZE": str(processes),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                },
            )
            for rank in range(processes)
        ]
        self._dead: Worker | None = None

    @property
    def current(self) -> Any:
        return self._workers[0].current

    @current.setter
    def current(self, cell: Any) -> None:
        self._workers[0].current = cell

    def send(self, request: Mapping[str, Any]) -> None:
        """Hand the same request to every process."""
        for worker in self._workers:
            worker.send(request)

    def receive(self) -> dict[str, Any] | None:
        """The first process's reply once all have answered; None when one of them died instead."""
        replies: dict[int, dict[str, Any]] = {}
        while waiting := [worker for rank, worker in enumerate(self._workers) if rank not in replies]:
            for worker in wait_for_any(waiting):
                reply = worker.receive()
                if reply is None:
                    self._dead = worker
                    self._kill()
                    return None
                replies[self._workers.index(worker)] = reply
            if any(reply["status"] != "ok" for reply in replies.values()):  # the others may wait for it for ever
                self._kill()
                # of those that failed, one lost its partner: another says why
                return min(replies.values(), key=lambda reply: _REASONS_FIRST.index(reply["status"]))
        return replies[0]

    def _kill(self) -> None:
        for worker in self._workers:
            worker.kill()

    def cause_of_death(self) -> str:
        """How the first process that died ended."""
        return (self._dead or self._workers[0]).cause_of_death()

    def stop(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.close_input()  # all at once: they may save what they have together
        for worker in self._workers:
            worker.stop()


def request_of(cell: Cell, threads: int, options: RunOptions, side_by_side: int = 1) -> dict[str, Any]:
    """What a worker is sent for a cell. side_by_side: cells that run at once."""
    return {
        "cell": cell.model_dump(mode="json"),
        "threads": threads,
        "side_by_side": side_by_side,
        "options": replace(options, beside=side_by_side).as_json(),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(threads: int) -> dict[str, str]:
    """The parent's environment with thread limits that must be set before torch is imported."""
    # whatever started this run may have been one of several; its workers are so only where a group says it
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in GROUP_VARIABLES and not name.startswith(LAUNCHER_PREFIXES)
    }
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    path = os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**kept, **limits, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def processes_of_torchrun() -> int:
    """Processes per cell that torchrun asked for, 1 without it. Ends the process in all copies but the first.

    `torchrun --nproc-per-node N -m bench run SUITE` does what `vitbench run SUITE --processes N` does: of the N copies
    of the command one runs the suite and starts the processes of each cell itself, so that a cell which dies takes
    nobody along; the others leave at once.
    Raises RequestError on several machines: the results folder has one writer.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 1
    if os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
        raise RequestError("torchrun on several machines is not supported; run it on one, with --nnodes 1.")
    if os.environ.get("RANK", "0") != "0":
        sys.exit(0)
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
