"""The workers of a check seen from the parent: start one, hand it the token, notice when it dies, hangs or lies."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bench.errors import BenchError
from bench.gate.result import Workload
from bench.gate.trees import SideBrokenError, SideCode
from bench.suite.cell import Device

WORKER = Path(__file__).with_name("worker.py")
SIDE_VARIABLE = "VITBENCH_GATE_SIDE"  # a letter for each worker: an environment's length moves the stack, and so speed
START_SECONDS = 180.0  # imports from a cold disk
BUILD_SECONDS = 300.0
COMPILE_SECONDS = 1_800.0
TURN_SECONDS = 20.0  # and TURN_FACTOR times what the turn should take, whichever is longer
TURN_FACTOR = 200.0
STDERR_CHARACTERS = 300


class WorkerLostError(BenchError):
    """A worker died, hung, or answered for somebody else; what its pair measured is worth nothing."""


class Pace(NamedTuple):
    """Passes of one turn: `warm` untimed ones first, then `forwards` timed ones."""

    warm: int
    forwards: int


class Taken(NamedTuple):
    """What the timed passes of one turn took, in nanoseconds.

    wall_ns: by the clock. cpu_ns: of the worker's thread. waits: how often that thread gave the CPU up by itself; None
    where its CPU time is not all there is (a GPU, several threads) or the system does not count.
    """

    wall_ns: int
    cpu_ns: int
    waits: int | None


class Arm(Protocol):
    """One process that takes turns. Tests put a simulated one in its place."""

    def build(self, workload: Workload) -> int | str:
        """Make the next workload ready: nanoseconds of a forward pass, or why the side cannot make it."""

    def turn(self, index: int, pace: Pace, expected_ns: float) -> Taken:
        """One turn with a built workload. Raises WorkerLostError."""

    def close(self) -> None:
        """End the process at once."""


class ProcessArm:
    """A worker process of one side, pinned and waiting. `versions` are python, torch and timm as it sees them.

    notes: sentences on what it read of no tree's own.

    Raises SideBrokenError from `ready` if the side's code cannot be imported, WorkerLostError if the process is lost.
    """

    def __init__(self, name: str, code: SideCode, *, device: Device, threads: int, cpus: Sequence[int] | None) -> None:
        self.name, self._code, self._device, self._threads = name, code, device, threads
        self.versions: dict[str, str] = {}
        self.notes: tuple[str, ...] = ()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._process = subprocess.Popen(
            [str(code.python), "-P", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=code.folder,
            env={**code.environment(threads), SIDE_VARIABLE: name[0]},
            start_new_session=True,  # Ctrl-C in the terminal is the parent's business
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self._buffer = b""
        watch = None if code.apart is None else code.apart.asked()
        self._send({"do": "start", "cpus": cpus, "threads": threads, "device": device, "watch": watch})

    def ready(self) -> None:
        """Wait until the process has imported what it needs, and check that it runs the code it should."""
        reply = self._receive(START_SECONDS, "importing")
        if "error" in reply:
            raise SideBrokenError(f"{self._code.side.label} {reply['error']}")
        self._code.require_origin(Path(reply["origin"]))
        self.versions = {key: reply[key] for key in ("python", "torch", "timm")}

    def build(self, workload: Workload) -> int | str:
        """Nanoseconds of a forward pass, or the side's own reason why it cannot make the model.

        Raises SideBrokenError where the worker read what is not its side's own.
        """
        self._send({"do": "build", "workload": workload.model_dump(mode="json"), "device": self._device})
        patience = COMPILE_SECONDS if workload.settings.get("compile") else BUILD_SECONDS
        reply = self._receive(patience, f"building {workload.model}")
        self.notes = tuple(dict.fromkeys((*self.notes, *self._code.judge(reply.get("seen")))))
        return str(reply["error"]) if "error" in reply else int(reply["forward_ns"])

    def turn(self, index: int, pace: Pace, expected_ns: float) -> Taken:
        """What the timed passes took. expected_ns: what the turn should take; patience follows from it."""
        self._send({"do": "turn", "workload": index, "warm": pace.warm, "forwards": pace.forwards})
        patience = max(TURN_SECONDS, TURN_FACTOR * expected_ns / 1e9)
        reply = self._receive(patience, "a turn")
        return Taken(reply["ns"], reply["cpu_ns"], reply["waits"])

    def conditions(self) -> dict[str, Any]:
        """The conditions of the run, as stored records have them."""
        self._send({"do": "conditions", "device": self._device, "threads": self._threads})
        found: dict[str, Any] = self._receive(START_SECONDS, "describing the machine")["conditions"]
        return found

    def close(self) -> None:
        """End the process at once, with whatever its model has started; nothing in it is worth keeping."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._input, self._output, self._errors):
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def _send(self, request: Mapping[str, Any]) -> None:
        try:
            self._input.write(json.dumps(request, separators=(",", ":")).encode() + b"\n")
            self._input.flush()
        except BrokenPipeError:
            return  # it is dead, and the reply that never comes says so

    def _receive(self, seconds: float, doing: str) -> dict[str, Any]:
        line = self._read_line(time.monotonic() + seconds)
        if line is None:
            raise WorkerLostError(f"The {self.name} worker hung while {doing}: no answer within {seconds:.0f} s.")
        if not line:
            raise WorkerLostError(f"The {self.name} worker ended while {doing} ({self._cause()}).")
        reply: dict[str, Any] = json.loads(line)
        if reply.get("side") != self.name[0]:
            raise WorkerLostError(
                f"The worker that should be {self.name} says that it is {reply.get('side')!r}: labels are swapped."
            )
        return reply

    def _read_line(self, deadline: float) -> bytes | None:
        """The next line, empty when the process has ended, None when time is up."""
        descriptor = self._output.fileno()
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                return None
            read = self._output.read1(65_536)  # type: ignore[attr-defined]
            if not read:
                return b""
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _cause(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        words = f"exit code {code}" if code >= 0 else f"signal {-code}"
        return f"{words}; its last line: {lines[-1][:STDERR_CHARACTERS]}" if lines else words
