"""Workers of a machine that exists only as arithmetic: noise, drift, bursts and accidents on order, no waiting."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.gate.arms import Arm, ArmName, Pace, StartArms, Taken, WorkerLostError, side_of
from bench.gate.pairs import Pair
from bench.gate.result import Comparison, Workload
from bench.gate.rule import Look

FORWARD_S = 0.001


@dataclass
class Machine:
    """What every worker of a simulated check shares. All spreads are of logarithms."""

    process_spread: float = 0.01  # a process is that much faster or slower for its whole life
    turn_spread: float = 0.01
    drift_per_s: float = 0.0  # the machine becomes slower
    burst_share: float = 0.0  # of turns that other work spoils
    burst_factor: float = 3.0
    cold_passes: Mapping[str, int] = field(
        default_factory=dict
    )  # side -> passes after a switch that take twice as long
    slowdown: Mapping[str, float] = field(default_factory=dict)  # side -> true slowdown of its code, as a fraction
    bias: Mapping[str, float] = field(default_factory=dict)  # arm -> how much slower it is with any code, as a fraction
    accident: Callable[[str, int], None] = lambda name, turn: None
    unbuildable: Mapping[str, str] = field(default_factory=dict)  # side -> why it cannot build anything
    seed: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.clock_s = 0.0
        self.started: list[list[str]] = []
        self.closed = 0


class SimulatedArm:
    """One worker: a fixed factor for its life, and whatever the machine does to its turns."""

    def __init__(self, name: ArmName, machine: Machine) -> None:
        self.name, self._side, self._machine, self._turns = name, side_of(name), machine, 0
        self._factor = math.exp(machine.random.gauss(0, machine.process_spread))
        self._workloads: list[Workload] = []

    def build(self, workload: Workload) -> int | str:
        self._workloads.append(workload)
        if self._side in self._machine.unbuildable:
            return self._machine.unbuildable[self._side]
        return round(FORWARD_S * 1e9)

    def turn(self, index: int, pace: Pace, expected_ns: float) -> Taken:
        machine = self._machine
        machine.accident(self.name, self._turns)
        self._turns += 1
        extra, per = self._workloads[index].plant or (0, 1)
        timed = pace.forwards + extra * pace.forwards // per
        cold = max(0, machine.cold_passes.get(self._side, 0) - pace.warm)
        seconds = FORWARD_S * self._factor * (timed + min(cold, timed)) * (1 + machine.slowdown.get(self._side, 0.0))
        seconds *= 1 + machine.bias.get(self.name, 0.0)
        seconds *= math.exp(machine.random.gauss(0, machine.turn_spread)) * (1 + machine.drift_per_s * machine.clock_s)
        if machine.random.random() < machine.burst_share:
            seconds *= machine.burst_factor
        machine.clock_s += seconds + FORWARD_S * pace.warm
        return Taken(round(seconds * 1e9), round(seconds * 1e9), 0)

    def close(self) -> None:
        self._machine.closed += 1


def starts(machine: Machine) -> StartArms:
    """How a check starts the workers of this machine."""

    @contextlib.contextmanager
    def start(names: Sequence[ArmName]) -> Iterator[Mapping[ArmName, Arm]]:
        machine.started.append(list(names))
        arms: dict[ArmName, Arm] = {name: SimulatedArm(name, machine) for name in names}
        try:
            yield arms
        finally:
            for arm in arms.values():
                arm.close()

    return start


class Quiet:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []
        self.lost: list[str] = []

    def pair_done(self, number: int, pair: Pair) -> None:
        self.pairs.append(pair)

    def pair_lost(self, reason: str) -> None:
        self.lost.append(reason)

    def looked(self, looks: Mapping[str, Look]) -> None:
        return


def same(model: str = "net", head: Workload | None = None) -> Comparison:
    """A model against itself, or against another workload."""
    return Comparison(name=model, base=Workload(model=model), head=head or Workload(model=model))


def dies(name: str, *, at_turn: int, times: int = 1) -> Callable[[str, int], None]:
    """An accident: the worker of that name dies at that turn, so many times in all."""
    left = [times]

    def accident(arm: str, turn: int) -> None:
        if arm == name and turn == at_turn and left[0]:
            left[0] -= 1
            raise WorkerLostError(f"The {name} worker ended while a turn (signal 9).")

    return accident
