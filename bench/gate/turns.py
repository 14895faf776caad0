"""Turns: who goes when, and one comparison timed alternately in workers that wait for each other."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from itertools import permutations

from bench.gate.arms import Arm

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


def forwards_for(forward_ns: Sequence[float], plants: Sequence[tuple[int, int] | None]) -> int:
    """Timed forward passes of a turn: enough for the slowest side to fill TURN_SECONDS, at least one.

    A planted slowdown of `extra` passes among `per` needs a whole multiple of `per`.
    """
    needed = max(1, math.ceil(TURN_SECONDS * 1e9 / max(forward_ns)))
    multiple = math.lcm(*(plant[1] for plant in plants if plant is not None)) if any(plants) else 1
    return math.ceil(needed / multiple) * multiple


def take_turns(
    arms: Mapping[str, Arm], indices: Mapping[str, int], forwards: int, orders: Sequence[str], expected_ns: float
) -> dict[str, tuple[int, ...]]:
    """Nanoseconds of every arm in every turn.

    arms, indices: letter -> worker, and which of its workloads is meant. expected_ns: of one turn of one arm, from
    which patience with a hanging worker follows. Raises WorkerLostError.
    """
    times: dict[str, list[int]] = {letter: [] for letter in arms}
    for order in orders:
        for letter in order:
            times[letter].append(arms[letter].turn(indices[letter], forwards, expected_ns))
    return {letter: tuple(taken) for letter, taken in times.items()}
