import math

import pytest

from bench.analyse.claims.interpolate import (
    CostRatio,
    Point,
    cost_at,
    gain_at,
    ratios_at_first,
    ratios_at_second,
    rising_front,
)

CURVE = [Point("a", 1.0, 70.0), Point("b", 100.0, 80.0)]


def test_half_of_the_gain_lies_at_the_geometric_middle_of_the_costs():
    assert cost_at(CURVE, 75.0) == (pytest.approx(10.0), pytest.approx(10.0))
    assert gain_at(CURVE, 10.0) == pytest.approx(75.0)


def test_nothing_is_extrapolated():
    assert cost_at(CURVE, 69.0) == (0.0, 1.0)
    assert cost_at(CURVE, 81.0) == (100.0, math.inf)
    assert gain_at(CURVE, 101.0) is None


def test_a_point_that_a_cheaper_one_matches_is_not_on_the_curve():
    points = [*CURVE, Point("dear", 50.0, 70.0), Point("equal", 200.0, 80.0)]
    assert [point.name for point in rising_front(points)] == ["a", "b"]


def test_ratios_say_how_much_more_the_second_costs_and_are_open_where_the_first_has_no_such_accuracy():
    second = [Point("low", 4.0, 60.0), Point("middle", 30.0, 75.0), Point("high", 500.0, 90.0)]
    low, middle, high = ratios_at_second(CURVE, second)
    assert (middle.low, middle.high) == (pytest.approx(3.0), pytest.approx(3.0))
    assert low == CostRatio("low", 4.0, math.inf)  # the first needs less than 1 for it
    assert high == CostRatio("high", 0.0, 5.0)  # and more than 100 for this


def test_seen_from_the_first_the_second_is_interpolated():
    second = [Point("x", 2.0, 70.0), Point("y", 200.0, 80.0)]
    assert [ratio.low for ratio in ratios_at_first(CURVE, second)] == [pytest.approx(2.0), pytest.approx(2.0)]


def test_a_family_without_points_has_no_ratios():
    assert ratios_at_second([], CURVE) == ratios_at_first(CURVE, []) == []
