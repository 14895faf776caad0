import itertools
import random

import pytest

from bench.analyse.compare.choose import pareto_front


def test_a_dearer_and_worse_point_is_off_the_front():
    assert pareto_front([1, 2, 3], [80, 85, 84]) == [True, True, False]


def test_equal_points_are_on_the_front_together():
    assert pareto_front([1, 1, 2], [80, 80, 80]) == [True, True, False]


def test_of_two_equal_costs_the_better_stays():
    assert pareto_front([1, 1], [80, 81]) == [False, True]


def test_front_agrees_with_its_definition_on_random_points():
    rng = random.Random(0)
    for _ in range(200):
        points = [(rng.randint(0, 6), rng.randint(0, 6)) for _ in range(8)]
        beaten = [any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points) for cost, gain in points]
        costs, gains = zip(*points, strict=True)
        assert pareto_front(costs, gains) == [not b for b in beaten]


def test_front_of_nothing_is_empty():
    assert pareto_front([], []) == []


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="shorter"):
        pareto_front([1, 2], [3])


def test_order_of_points_does_not_matter():
    points = [(1, 80), (2, 85), (3, 84), (3, 90)]
    expected = dict(zip(points, pareto_front(*zip(*points, strict=True)), strict=True))
    for order in itertools.permutations(points):
        assert dict(zip(order, pareto_front(*zip(*order, strict=True)), strict=True)) == expected
