"""The workers of a check seen from the parent: start one, hand it the token, notice when it dies, hangs or lies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from bench.errors import BenchError, RequestError
from bench.gate.result import Side, Workload
from bench.gate.rule import SideName
from bench.gate.trees import SideBrokenError, SideCode
from bench.processes import JsonProcess
from bench.suite.cell import Device

ArmName = Literal["base", "head", "again base", "again head"]
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


# Starts workers in this order, all ready; they are ended when the block ends.
StartArms = Callable[[Sequence[ArmName]], AbstractContextManager[Mapping[ArmName, Arm]]]


def side_of(arm: ArmName) -> SideName:
    """Whose code a worker runs."""
    return "head" if arm.endswith("head") else "base"


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


@dataclass
class Launcher:
    """Starts the workers of pairs, and remembers what they say of themselves.

    head_copy: runs head against itself in the A/A arm; None: head's own tree does. versions: of each worker by its
    name. notes: sentences on what workers read of no tree's own. conditions: as stored records have them.
    """

    base: SideCode
    head: SideCode
    device: Device
    threads: int
    cpus: tuple[int, ...] | None
    head_copy: SideCode | None = None
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)  # in their order, each once
    conditions: dict[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def __call__(self, names: Sequence[ArmName]) -> Iterator[Mapping[ArmName, Arm]]:
        arms: dict[ArmName, ProcessArm] = {}
        try:
            for name in names:  # all import at once
                code = self.code_of(name)
                arms[name] = ProcessArm(name, code, device=self.device, threads=self.threads, cpus=self.cpus)
            for name, arm in arms.items():
                arm.ready()
                self.versions[name] = arm.versions
            yield arms
            self.notes.update(dict.fromkeys(note for arm in arms.values() for note in arm.notes))
            if not self.conditions:  # after the turns: what it imports would be in one worker and not in the others
                self.conditions = arms["head"].conditions()
        finally:
            for arm in arms.values():
                arm.close()

    def code_of(self, name: ArmName) -> SideCode:
        """What a worker runs."""
        if name == "again head" and self.head_copy is not None:
            return self.head_copy
        return self.head if side_of(name) == "head" else self.base

    def side(self, name: SideName) -> Side:
        """A side with the versions that its worker reported, if one ran."""
        return self.code_of(name).side.model_copy(update=self.versions.get(name, {}))

    def differing_packages(self) -> list[str]:
        """`torch 2.10 and 2.11`: the versions in which the two sides' workers differ."""
        base, head = self.versions.get("base", {}), self.versions.get("head", {})
        return [f"{key} {base[key]} and {head[key]}" for key in base if base[key] != head.get(key)]


def choose_cpus(threads: int) -> tuple[int, ...] | None:
    """The CPUs that every worker is pinned to: the last ones that this process may use. None where pinning is absent.

    The last ones, because the system's own work tends to sit on the first. Raises RequestError if there are too few.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    if threads > len(allowed):
        raise RequestError(f"--threads {threads}: this process may use {len(allowed)} CPUs.")
    return tuple(allowed[-threads:])


@contextlib.contextmanager
def alone_on_machine(cache: Path) -> Iterator[None]:
    """Refuse a second check on this machine: each would measure the other."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "check.lock", "a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            raise RequestError(
                f"Another check (process {holder}) is running on this machine, and each would measure the other. "
                "Wait for it."
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield
