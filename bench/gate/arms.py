"""The workers of a check seen from the parent: start one, hand it the token, notice when it dies, hangs or lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bench.errors import BenchError
from bench.gate.result import Workload
from bench.gate.trees import SideBrokenError, SideCode
from bench.processes import JsonProcess
from bench.suite.cell import Device

WORKER = Path(__file__).with_name("worker.py")
SIDE_VARIABLE = "VITBENCH_GATE_SIDE"  # a letter for each worker: an environment's length moves the stack, and so speed
START_SECONDS = 180.0  # imports from a cold disk
BUILD_SECONDS = 300.0
COMPILE_SECONDS = 1_800.0
TURN_SECONDS = 20.0  # and TURN_FACTOR times what the turn should take, whichever is longer
TURN_FACTOR = 200.0


class WorkerLostError(BenchError):
    """A worker died, hung, or answered for somebody else; what its pair measured is worth nothing.

    ending: what became of the process, to be said after its name.
    """

    def __init__(self, message: str, ending: str = "") -> None:
        super().__init__(message)
        self.ending = ending


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
    """A worker process of one side, pinned and waiting. Each of its methods raises WorkerLostError if it is lost.

    versions: python, torch and timm as it sees them. notes: sentences on what it read of no tree's own.
    """

    def __init__(self, name: str, code: SideCode, *, device: Device, threads: int, cpus: Sequence[int] | None) -> None:
        self.name, self._code, self._device, self._threads = name, code, device, threads
        self.versions: dict[str, str] = {}
        self.notes: tuple[str, ...] = ()
        self._process = JsonProcess(
            [str(code.python), "-P", str(WORKER)],
            environment={**code.environment(threads), SIDE_VARIABLE: name[0]},
            folder=code.folder,
        )
        watch = None if code.apart is None else code.apart.asked()
        self._process.send({"do": "start", "cpus": cpus, "threads": threads, "device": device, "watch": watch})

    def ready(self) -> None:
        """Wait until the process has imported what it needs. Raises SideBrokenError if it cannot, or has other code."""
        problem = self.import_problem(START_SECONDS)
        if problem is not None:
            raise SideBrokenError(f"{self._code.side.label} {problem}")

    def import_problem(self, seconds: float) -> str | None:
        """Why the side's code cannot be imported. Raises SideBrokenError if it is not the code that it should be."""
        reply = self._receive(seconds, "importing")
        if "error" in reply:
            return str(reply["error"])
        self._code.require_origin(Path(reply["origin"]))
        self.versions = {key: reply[key] for key in ("python", "torch", "timm")}
        return None

    def build(self, workload: Workload) -> int | str:
        """Nanoseconds of a forward pass, or the side's own reason why it cannot make the model.

        Raises SideBrokenError where the worker read what is not its side's own.
        """
        patience = COMPILE_SECONDS if workload.settings.get("compile") else BUILD_SECONDS
        reply = self._ask_about(workload, "build", "building", patience)
        return str(reply["error"]) if "error" in reply else int(reply["forward_ns"])

    def count(self, workload: Workload, seconds: float) -> dict[str, Any]:
        """What a forward pass holds, as facts.py says it. Raises SideBrokenError as `build` does."""
        return self._ask_about(workload, "count", "counting", seconds)

    def turn(self, index: int, pace: Pace, expected_ns: float) -> Taken:
        """What the timed passes took. expected_ns: what the turn should take; patience follows from it."""
        self._process.send({"do": "turn", "workload": index, "warm": pace.warm, "forwards": pace.forwards})
        patience = max(TURN_SECONDS, TURN_FACTOR * expected_ns / 1e9)
        reply = self._receive(patience, "a turn")
        return Taken(reply["ns"], reply["cpu_ns"], reply["waits"])

    def conditions(self) -> dict[str, Any]:
        """The conditions of the run, as stored records have them."""
        self._process.send({"do": "conditions", "device": self._device, "threads": self._threads})
        found: dict[str, Any] = self._receive(START_SECONDS, "describing the machine")["conditions"]
        return found

    def close(self) -> None:
        """End the process at once, with whatever its model has started; nothing in it is worth keeping."""
        self._process.kill()
        self._process.stop()

    def _ask_about(self, workload: Workload, do: str, doing: str, seconds: float) -> dict[str, Any]:
        self._process.send({"do": do, "workload": workload.model_dump(mode="json"), "device": self._device})
        reply = self._receive(seconds, f"{doing} {workload.model}")
        self.notes = tuple(dict.fromkeys((*self.notes, *self._code.judge(reply.pop("seen", None)))))
        return reply

    def _receive(self, seconds: float, doing: str) -> dict[str, Any]:
        try:
            reply = self._process.receive(seconds)
        except TimeoutError:
            message = f"The {self.name} worker hung while {doing}: no answer within {seconds:.0f} s."
            raise WorkerLostError(message, "hung and was ended") from None
        if reply is None:
            ending = self._process.ending()
            cause = ending.code_words + (f"; its last line: {ending.last_line}" if ending.last_line else "")
            raise WorkerLostError(f"The {self.name} worker ended while {doing} ({cause}).", f"ended with {cause}")
        side = reply.pop("side", None)
        if side != self.name[0]:
            raise WorkerLostError(
                f"The worker that should be {self.name} says that it is {side!r}: labels are swapped."
            )
        return reply
