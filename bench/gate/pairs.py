"""One pair: fresh processes of base and head, in one comparison a second one of either, timed in turns and ended."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from bench.errors import RequestError
from bench.gate.arms import Arm, Pace
from bench.gate.result import Comparison, PairTurns, Workload
from bench.gate.rule import SideName
from bench.gate.turns import clock_for, draw_orders, nanoseconds, pace_for, take_turns

ArmName = Literal["base", "head", "again base", "again head"]
# Workers started in this order, all ready; they are ended when the block ends.
StartArms = Callable[[Sequence[ArmName]], AbstractContextManager[Mapping[ArmName, Arm]]]
SIDES: tuple[SideName, ...] = ("base", "head")
AGAIN: dict[SideName, ArmName] = {"base": "again base", "head": "again head"}  # the A/A arm's worker


class Again(NamedTuple):
    """The A/A arm of one pair: the comparison that it takes part in, and the side whose code it runs once more."""

    comparison: str
    side: SideName


def side_of(arm: ArmName) -> SideName:
    """Whose code a worker runs."""
    return "head" if arm.endswith("head") else "base"


def again_sides(random_state: random.Random) -> Iterator[SideName]:
    """The side of each pair's A/A arm: each once in every two pairs, in an order that is drawn."""
    while True:
        yield from random_state.sample(SIDES, 2)


@dataclass
class Pacing:
    """Passes of a turn for each comparison: chosen in its first pair and kept, so that pairs are alike."""

    chosen: dict[str, Pace] = field(default_factory=dict)

    def of(self, comparison: Comparison, forward_ns: Sequence[float]) -> Pace:
        plants = (comparison.base.plant, comparison.head.plant)
        return self.chosen.setdefault(comparison.name, pace_for(forward_ns, plants))


@dataclass(frozen=True)
class Pair:
    """What one pair of processes gave: turns of each comparison, and why a comparison could not be built."""

    turns: dict[str, PairTurns]
    unbuilt: dict[str, str]


def run_pair(
    number: int,
    comparisons: Sequence[Comparison],
    again: Again | None,
    start: StartArms,
    *,
    turns: int,
    pacing: Pacing,
    random_state: random.Random,
) -> Pair:
    """Start the workers, time every comparison once, end them.

    number: counts from 0; head starts first in the odd ones. Raises WorkerLostError and SideBrokenError; then nothing
    of the pair counts.
    """
    first: SideName = "head" if number % 2 else "base"
    names: list[ArmName] = ["base", "head"] if first == "base" else ["head", "base"]
    if again is not None:
        names.insert(random_state.randrange(3), AGAIN[again.side])
    with start(names) as arms:
        built = _build(arms, comparisons, names, is_first=number == 0)
        found: dict[str, PairTurns] = {}
        order = [comparison for comparison in comparisons if comparison.name in built.ready]
        random_state.shuffle(order)
        for comparison in order:
            spot = built.ready[comparison.name]
            has_again = again is not None and again.comparison == comparison.name
            taking = {name[0]: name for name in names if has_again or name in ("base", "head")}
            pace = pacing.of(comparison, spot.forward_ns)
            orders = draw_orders("".join(sorted(taking)), turns, random_state)
            taken = take_turns(
                {letter: arms[name] for letter, name in taking.items()},
                {letter: spot.indices[name] for letter, name in taking.items()},
                pace,
                orders,
                expected_ns=sum(pace) * max(spot.forward_ns),
            )
            clock = clock_for(taken)
            found[comparison.name] = PairTurns(
                pair=number,
                clock=clock,
                started_first=first,
                forwards=pace.forwards,
                orders=orders,
                base_ns=nanoseconds(taken["b"], clock),
                head_ns=nanoseconds(taken["h"], clock),
                again_ns=nanoseconds(taken.get("a", ()), clock),
                again_of=again.side if has_again and again is not None else "base",
            )
    return Pair(found, built.failed)


@dataclass
class _Spot:
    """Where a comparison's models stand in each worker, and nanoseconds of a forward pass on base and head."""

    indices: dict[ArmName, int]
    forward_ns: list[float]


@dataclass
class _Built:
    ready: dict[str, _Spot] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def _build(
    arms: Mapping[ArmName, Arm], comparisons: Sequence[Comparison], names: Sequence[ArmName], *, is_first: bool
) -> _Built:
    """Build every comparison in every worker, in the workers' order of start.

    The A/A arm's worker builds all of them too, though it takes part in one: what lies in a process's memory moves its
    speed, and two workers of one side must differ by chance alone. Raises RequestError for what fails alike on both
    sides in the first pair: later it is an accident.
    """
    built = _Built()
    counts = dict.fromkeys(names, 0)
    for comparison in comparisons:
        spot, problems = _Spot({}, []), {}
        for name in names:
            workload: Workload = comparison.head if side_of(name) == "head" else comparison.base
            outcome = arms[name].build(workload)
            spot.indices[name] = counts[name]
            counts[name] += 1
            if isinstance(outcome, str):
                problems[name] = outcome
            elif name in ("base", "head"):
                spot.forward_ns.append(outcome)
        if problems.get("base", "") == problems.get("head"):
            raise RequestError(f"{comparison.name}: neither side can run it: {problems['head']}")
        if problems:
            built.failed[comparison.name] = "; ".join(f"{side} cannot run it: {why}" for side, why in problems.items())
        else:
            built.ready[comparison.name] = spot
    return built
