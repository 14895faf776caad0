"""Worker processes seen from the parent: start one, hand it a cell, wait for whichever answers first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 5.0  # patience with a worker that was asked to end


class Worker:
    """One process that runs cells, one after another. `current` is what it works on."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.current: Any = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.execute.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environment(threads),
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

    def stop(self) -> None:
        """End the process, now if it is idle, by force if it is not."""
        try:
            self._input.close()  # the worker leaves when its input ends
            self._process.wait(STOP_SECONDS)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self.output.close()
        self._errors.close()


def wait_for_any(workers: Sequence[Worker]) -> list[Worker]:
    """The workers that have something to say, sleeping until there is one."""
    ready = wait([worker.output.fileno() for worker in workers])
    return [worker for worker in workers if worker.output.fileno() in ready]


def _environment(threads: int) -> dict[str, str]:
    """The parent's environment with thread limits that must be set before torch is imported."""
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    path = os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, **limits, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
