"""Worker processes seen from the parent: start one, hand it a cell, wait for whichever answers first."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any

from bench.execute.stopping import PATIENCE_SECONDS

GROUP_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# What torchrun and `accelerate launch` tell the processes they start themselves: that the agent serves the store by
# which they find each other (nobody would serve ours), on which device, how many batches make a step.
LAUNCHER_PREFIXES = ("TORCHELASTIC_", "ACCELERATE_")
WORKER = ("-P", "-m", "bench.execute.worker")  # -P: what lies in the current folder must not replace a package
PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_REASONS_FIRST = ("oom", "skipped", "failed", "ok")
STOP_SECONDS = PATIENCE_SECONDS + 5.0  # patience with a worker that was asked to end; most end at once


class Worker:
    """One process that runs cells, one after another. `current` is what it works on.

    extra: added to the environment, such as that by which the processes of one cell find each other (see `Group`).
    program: what serves the requests, as arguments of Python; None for WORKER.
    """

    def __init__(
        self, threads: int, extra: Mapping[str, str] | None = None, program: Sequence[str] | None = None
    ) -> None:
        self.threads = threads
        self.current: Any = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._process = subprocess.Popen(
            [sys.executable, *(program or WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**_environment(threads), **(extra or {})},
            start_new_session=True,  # Ctrl-C in the terminal is the parent's business
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self.output = self._process.stdin, self._process.stdout

    def send(self, request: Mapping[str, Any]) -> None:
        """Hand over one request. A worker that is already dead shows it at the next `receive`."""
        try:
            self._input.write(json.dumps(request).encode() + b"\n")
            self._input.flush()
        except BrokenPipeError:
            return

    def receive(self) -> dict[str, Any] | None:
        """The reply, waiting for it; None when the worker died instead of answering."""
        line = self.output.readline()
        if not line.endswith(b"\n"):
            return None
        reply: dict[str, Any] = json.loads(line)
        return reply

    def kill(self) -> None:
        """End the process by force, whatever it does."""
        self._process.kill()

    def cause_of_death(self) -> str:
        """One line on how the process ended, with the last line it wrote."""
        code = self._process.wait()
        self._errors.seek(0)
        written = self._errors.read().decode(errors="replace").strip().splitlines()
        last = f" Last line: {written[-1][:300]}" if written else ""
        if code == -signal.SIGKILL:
            return f"The worker was killed (SIGKILL), most often by the system when memory runs out.{last}"
        if code < 0:
            return f"The worker died of {signal.Signals(-code).name}.{last}"
        return f"The worker ended with exit code {code}.{last}"

    def close_input(self) -> None:
        """Ask the process to leave: at once, or after saving what it has."""
        with contextlib.suppress(BrokenPipeError):
            self._input.close()

    def stop(self) -> None:
        """End the process: at once unless it is saving what it has, by force if it does not leave."""
        self.close_input()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.output.close()
        self._errors.close()


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

    @property
    def output(self) -> IO[bytes]:
        return self._workers[0].output

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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_any(workers: Sequence[Worker]) -> list[Worker]:
    """The workers that have something to say, sleeping until there is one."""
    ready = wait([worker.output.fileno() for worker in workers])
    return [worker for worker in workers if worker.output.fileno() in ready]


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
