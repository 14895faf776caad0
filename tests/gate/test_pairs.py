from __future__ import annotations

import random
from collections import Counter
from itertools import combinations

import pytest

from bench.gate.arms import Pace, Taken
from bench.gate.pairs import clock_for, draw_orders, nanoseconds, pace_for, take_turns


@pytest.mark.parametrize("arms", ["bh", "abh"])
def test_every_arm_goes_before_every_other_equally_often(arms: str) -> None:
    orders = draw_orders(arms, 40, random.Random(1))
    assert len(orders) == 40
    for one, other in combinations(arms, 2):
        assert sum(order.index(one) < order.index(other) for order in orders) == 20


def test_each_arm_is_first_middle_and_last_about_equally_often() -> None:
    firsts = Counter(order[0] for order in draw_orders("abh", 42, random.Random(1)))
    assert firsts == {"a": 14, "b": 14, "h": 14}


def test_orders_are_drawn_and_repeat_with_the_seed() -> None:
    assert draw_orders("bh", 40, random.Random(1)) == draw_orders("bh", 40, random.Random(1))
    assert draw_orders("bh", 40, random.Random(1)) != draw_orders("bh", 40, random.Random(2))
    assert draw_orders("bh", 40, random.Random(1)) != tuple(["bh", "hb"] * 20)


def test_a_turn_of_short_passes_holds_many_and_of_long_ones_one() -> None:
    assert pace_for([500_000, 750_000], [None, None]) == Pace(warm=4, forwards=16)
    assert pace_for([20_000_000], [None, None]) == Pace(warm=1, forwards=1)


def test_a_plant_gets_a_whole_multiple_of_its_share() -> None:
    assert pace_for([750_000], [None, (1, 33)]) == Pace(warm=4, forwards=33)
    assert pace_for([500_000], [None, (1, 20)]).forwards % 20 == 0


def test_turns_go_in_the_order_drawn() -> None:
    went: list[str] = []

    class Arm:
        def __init__(self, letter: str) -> None:
            self.letter = letter

        def build(self, workload: object) -> int:
            return 1

        def turn(self, index: int, pace: Pace, expected_ns: float) -> Taken:
            went.append(f"{self.letter}{index}")
            return Taken(len(went), 0, None)

        def close(self) -> None:
            return

    taken = take_turns({"b": Arm("b"), "h": Arm("h")}, {"b": 0, "h": 3}, Pace(1, 1), ["bh", "hb"], 1.0)
    assert went == ["b0", "h3", "h3", "b0"]
    assert {letter: nanoseconds(turns, "wall") for letter, turns in taken.items()} == {"b": (1, 4), "h": (2, 3)}


def test_cpu_time_counts_where_no_worker_waits() -> None:
    steady, preempted = Taken(10, 10, 0), Taken(30, 10, 0)
    assert clock_for({"b": [steady, preempted], "h": [preempted, steady]}) == "cpu"
    assert nanoseconds([preempted], "cpu") == (10,)


def test_the_wall_clock_counts_where_a_side_waits_in_most_turns() -> None:
    steady, waiting = Taken(10, 10, 0), Taken(30, 10, 2)
    assert clock_for({"b": [steady] * 3, "h": [waiting, waiting, steady]}) == "wall"
    assert clock_for({"b": [steady] * 3, "h": [waiting, steady, steady]}) == "cpu"


def test_the_wall_clock_counts_where_one_thread_is_not_all() -> None:
    assert clock_for({"b": [Taken(10, 10, 0)], "h": [Taken(10, 10, None)]}) == "wall"
