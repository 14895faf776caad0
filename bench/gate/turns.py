"""Turns: who goes when, and one comparison timed alternately in workers that wait for each other."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from itertools import permutations
from statistics import median

from bench.gate.arms import Arm, Pace, Taken
from bench.gate.result import ClockName

WARM_SECONDS = 0.003  # after a switch the first 2 to 4 passes of a small model (1.5 ms) were up to twice as slow
TURN_SECONDS = 0.012  # timed part of a turn: long against a context switch, short against a burst of other work


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
