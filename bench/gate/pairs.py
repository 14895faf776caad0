"""One pair: fresh processes of base and head, in one comparison a second one of either, timed in turns and ended."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from statistics import median
from typing import NamedTuple, Protocol

from bench.errors import RequestError
from bench.gate.arms import Arm, ArmName, Pace, StartArms, Taken, WorkerLostError, side_of
from bench.gate.result import ClockName, Comparison, PairTurns
from bench.gate.rule import Look, SideName

SIDES: tuple[SideName, ...] = ("base", "head")
AGAIN: dict[SideName, ArmName] = {"base": "again base", "head": "again head"}  # the A/A arm's worker
MAX_LOST_PAIRS = 2  # in one check: a third one means that the workers do not live here
WARM_SECONDS = 0.003  # after a switch the first 2 to 4 passes of a small model (1.5 ms) were up to twice as slow
TURN_SECONDS = 0.012  # timed part of a turn: long against a context switch, short against a burst of other work


class Again(NamedTuple):
    """The A/A arm of one pair: the comparison that it takes part in, and the side whose code it runs once more."""

    comparison: str
    side: SideName


@dataclass(frozen=True)
class Pair:
    """What one pair of processes gave: turns of each comparison, and why a comparison could not be built.

    number: counts from 0; head starts first in the odd ones.
    """

    number: int
    turns: dict[str, PairTurns]
    unbuilt: dict[str, str]


class Listener(Protocol):
    """Told of everything that a person may want to see."""

    def pair_done(self, number: int, pair: Pair) -> None: ...
    def pair_lost(self, reason: str) -> None: ...
    def looked(self, looks: Mapping[str, Look]) -> None: ...


class PairRunner:
    """Runs pairs one after the other. `lost` says why pairs were thrown away; each of them was run again."""

    def __init__(self, start: StartArms, *, turns: int, seed: int, listener: Listener) -> None:
        self._start, self._turns, self._listener = start, turns, listener
        self._random = random.Random(seed)
        self._again_sides = self._draw_again_sides()
        self._paces: dict[str, Pace] = {}  # chosen in the first pair of a comparison and kept, so that pairs are alike
        self._number = 0
        self.lost: list[str] = []

    def _draw_again_sides(self) -> Iterator[SideName]:
        """The side of each pair's A/A arm: each once in every two pairs, in an order that is drawn."""
        while True:
            yield from self._random.sample(SIDES, 2)

    def run(self, comparisons: Sequence[Comparison], *, has_again_arm: bool = True) -> Pair:
        """The next pair, in which every comparison is timed once; the A/A arm takes part in one of them, in turn.

        Raises WorkerLostError once MAX_LOST_PAIRS were lost before, and SideBrokenError.
        """
        while True:
            again = None
            if has_again_arm:
                again = Again(comparisons[self._number % len(comparisons)].name, next(self._again_sides))
            try:
                pair = self._run(comparisons, again)
            except WorkerLostError as error:
                self.lost.append(str(error))
                self._listener.pair_lost(str(error))
                if len(self.lost) > MAX_LOST_PAIRS:
                    raise
                continue
            self._number += 1
            return pair

    def _run(self, comparisons: Sequence[Comparison], again: Again | None) -> Pair:
        """Start the workers, time every comparison, end them. If a worker is lost, nothing of the pair counts."""
        first: SideName = "head" if self._number % 2 else "base"
        names: list[ArmName] = ["base", "head"] if first == "base" else ["head", "base"]
        if again is not None:
            names.insert(self._random.randrange(3), AGAIN[again.side])
        with self._start(names) as arms:
            forward_ns, unbuilt = _build(arms, comparisons, names, is_first=self._number == 0)
            order = [index for index, one in enumerate(comparisons) if one.name in forward_ns]
            self._random.shuffle(order)
            found = {}
            for index in order:
                name = comparisons[index].name
                own_again = again if again is not None and again.comparison == name else None
                plants = (comparisons[index].base.plant, comparisons[index].head.plant)
                pace = self._paces.setdefault(name, pace_for(forward_ns[name], plants))
                found[name] = self._time(arms, index, pace, max(forward_ns[name]), first, own_again)
        return Pair(self._number, found, unbuilt)

    def _time(
        self,
        arms: Mapping[ArmName, Arm],
        index: int,
        pace: Pace,
        slowest_ns: float,
        first: SideName,
        again: Again | None,
    ) -> PairTurns:
        """All turns of the comparison that each worker built as its number `index`."""
        taking: dict[str, Arm] = {"b": arms["base"], "h": arms["head"]}
        if again is not None:
            taking["a"] = arms[AGAIN[again.side]]
        orders = draw_orders("".join(sorted(taking)), self._turns, self._random)
        taken = take_turns(taking, dict.fromkeys(taking, index), pace, orders, expected_ns=sum(pace) * slowest_ns)
        clock = clock_for(taken)
        return PairTurns(
            pair=self._number,
            clock=clock,
            started_first=first,
            forwards=pace.forwards,
            orders=orders,
            base_ns=nanoseconds(taken["b"], clock),
            head_ns=nanoseconds(taken["h"], clock),
            again_ns=nanoseconds(taken.get("a", ()), clock),
            again_of=again.side if again is not None else "base",
        )


def _build(
    arms: Mapping[ArmName, Arm], comparisons: Sequence[Comparison], names: Sequence[ArmName], *, is_first: bool
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Build every comparison in every worker, in the workers' order of start.

    Returns nanoseconds of a forward pass on base and head, and why a comparison could not be built.

    The A/A arm's worker builds all of them too, though it takes part in one: what lies in a process's memory moves its
    speed, and two workers of one side must differ by chance alone. Raises RequestError for what fails alike on both
    sides in the first pair: later it is an accident.
    """
    forward_ns: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    for comparison in comparisons:
        outcomes = {
            name: arms[name].build(comparison.head if side_of(name) == "head" else comparison.base) for name in names
        }
        problems = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, str)}
        if problems.get("base", "") == problems.get("head"):
            raise RequestError(f"{comparison.name}: neither side can run it: {problems['head']}")
        if problems:
            failed[comparison.name] = "; ".join(f"{side} cannot run it: {why}" for side, why in problems.items())
        else:
            forward_ns[comparison.name] = [float(outcomes["base"]), float(outcomes["head"])]
    return forward_ns, failed


def draw_orders(arms: str, turns: int, random_state: random.Random) -> tuple[str, ...]:
    """An order of the arms (a letter each) for every turn.

    Orders are drawn in twos, one the reverse of the other, so that over an even number of turns every arm goes before
    every other equally often and a steady drift cancels; then they are shuffled.
    """
    every = ["".join(order) for order in permutations(arms)]
    orders: list[str] = []
    pool: list[str] = []
    while len(orders) < turns:
        if not pool:
            pool = [order for order in every if order < order[::-1]]
            random_state.shuffle(pool)
        order = pool.pop()
        orders += [order, order[::-1]]
    orders = orders[:turns]
    random_state.shuffle(orders)
    return tuple(orders)


def pace_for(forward_ns: Sequence[float], plants: Sequence[tuple[int, int] | None]) -> Pace:
    """Passes of a turn: enough for the slowest side to fill WARM_SECONDS and TURN_SECONDS, at least one of each.

    A planted slowdown of `extra` passes among `per` needs a whole multiple of `per`.
    """
    slowest_s = max(forward_ns) / 1e9
    multiple = math.lcm(*(plant[1] for plant in plants if plant is not None))
    timed = max(1, math.ceil(TURN_SECONDS / slowest_s / multiple))
    return Pace(max(1, math.ceil(WARM_SECONDS / slowest_s)), timed * multiple)


def take_turns(
    arms: Mapping[str, Arm], indices: Mapping[str, int], pace: Pace, orders: Sequence[str], expected_ns: float
) -> dict[str, list[Taken]]:
    """What every arm took in every turn.

    arms, indices: letter -> worker, and which of its workloads is meant. expected_ns: of one turn of one arm, from
    which patience with a hanging worker follows. Raises WorkerLostError.
    """
    taken: dict[str, list[Taken]] = {letter: [] for letter in arms}
    for order in orders:
        for letter in order:
            taken[letter].append(arms[letter].turn(indices[letter], pace, expected_ns))
    return taken


def clock_for(taken: Mapping[str, Sequence[Taken]]) -> ClockName:
    """Which clock the turns of one comparison are compared by.

    CPU time leaves out what other processes took, by which a busy machine spoils every turn; but it holds the whole
    work only if the worker's one thread did not wait for something in most turns. Else it is the wall clock.
    """
    for turns in taken.values():
        waits = [turn.waits for turn in turns]
        if any(count is None for count in waits) or median(count or 0 for count in waits) > 0:
            return "wall"
    return "cpu"


def nanoseconds(turns: Sequence[Taken], clock: ClockName) -> tuple[int, ...]:
    """The times of turns by that clock."""
    return tuple(turn.cpu_ns if clock == "cpu" else turn.wall_ns for turn in turns)
