import math

import pytest
from scipy import stats

from bench.analyse.crossover import Node, crossing
from bench.analyse.intervals import SeedGroup, Spread

IMAGES = 10**9  # test images that add nothing to the variance
SD = 1.0  # of one seed, known from very many


def group(mean, seeds=4, sd=SD):
    return SeedGroup((mean,) * seeds, Spread(sd**2, 10**6, f"{mean}"), IMAGES)


def curve(values, places=(100, 1000, 10_000)):
    return tuple(
        Node(float(x), ((1.0, group(value)),), (f"{value} at {x}",)) for x, value in zip(places, values, strict=True)
    )


HALF = stats.norm.ppf(0.975) * math.sqrt(2 * SD**2 / 4)  # of a difference of two means of four seeds


def test_curves_that_meet_between_two_places_cross_where_the_lines_in_log_x_do():
    found = crossing([(curve([50, 60, 70]), curve([55, 61, 65]))])
    # -1 at 1,000 and +5 at 10,000: one sixth of the way in log x
    assert found.state == "passes"
    assert found.estimate == pytest.approx(1000 * 10 ** (1 / 6))
    assert [delta for _, delta, _ in found.differences] == pytest.approx([-5, -1, 5])


def test_the_interval_holds_the_places_whose_difference_may_be_zero():
    found = crossing([(curve([40, 60, 80]), curve([60, 60, 60]))])
    # the difference is 20 log10(x / 1000); at a measured place its interval is +-HALF, between two places the seeds
    # of both add to (1 - s)^2 + s^2 of that, so solve 20 s = HALF sqrt((1 - s)^2 + s^2) for the share s of a decade
    share = _share(20.0)
    assert found.estimate == pytest.approx(1000)
    assert found.high == pytest.approx(1000 * 10**share, rel=1e-3)
    assert found.low == pytest.approx(1000 / 10**share, rel=1e-3)
    assert found.is_bounded
    assert found.covers(1000)
    assert not found.covers(1000 * 10 ** (2 * share))


def _share(slope):
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        behind = slope * middle < HALF * math.sqrt((1 - middle) ** 2 + middle**2)
        low, high = (middle, high) if behind else (low, middle)
    return low


def test_a_curve_behind_throughout_is_not_passed_below_the_end_of_the_range():
    found = crossing([(curve([50, 50, 50]), curve([60, 60, 60]))])
    assert (found.state, found.estimate) == ("behind throughout", None)
    assert (found.low, found.high) == (10_000, None)
    assert found.covers(1e6)
    assert not found.covers(500)


def test_a_curve_ahead_throughout_passes_before_the_range():
    found = crossing([(curve([60, 60, 60]), curve([50, 50, 50]))])
    assert (found.state, found.low, found.high) == ("ahead throughout", None, 100)


def test_curves_too_near_to_tell_leave_both_ends_open():
    found = crossing([(curve([50.1, 50.0, 50.1]), curve([50, 50.1, 50]))])
    assert (found.low, found.high) == (None, None)
    assert found.state == "crosses several times"
    assert not found.is_bounded


def test_a_curve_that_falls_behind_is_told_with_the_roles_exchanged():
    up = crossing([(curve([40, 60, 80]), curve([60, 60, 60]))])
    down = crossing([(curve([60, 60, 60]), curve([40, 60, 80]))])
    assert (down.state, down.estimate) == ("falls behind", pytest.approx(up.estimate))
    assert (down.low, down.high) == pytest.approx((up.low, up.high))


def test_one_seed_gives_an_estimate_without_an_interval():
    alone = SeedGroup((50.0,), None, 100)
    nodes = tuple(Node(x, ((1.0, alone),), ("a",)) for x in (100.0, 10_000.0))
    found = crossing([(nodes, curve([40, 60], (100, 10_000)))])
    assert found.state == "falls behind"
    assert not found.has_interval
    assert (found.low, found.high) == (None, None)


def test_curves_are_compared_where_both_were_measured():
    found = crossing([(curve([50, 60, 70], (10, 100, 1000)), curve([55, 61, 65], (100, 1000, 10_000)))])
    assert (found.low_x, found.high_x) == (100, 1000)
    assert crossing([(curve([50, 60, 70], (1, 2, 3)), curve([55, 61, 65], (5, 6, 7)))]) is None


def test_the_mean_over_sets_is_narrower_than_one_of_them():
    def pair():
        return curve([45, 60, 75]), curve([60, 60, 60])

    one, both = crossing([pair()]), crossing([pair(), pair()])
    assert both.estimate == pytest.approx(one.estimate)
    assert math.log(both.high / both.low) < 0.8 * math.log(one.high / one.low)


def test_every_record_behind_the_curves_is_named():
    found = crossing([(curve([50, 60, 70]), curve([55, 61, 65]))])
    assert len(found.cell_ids) == 6


def test_equal_curves_have_no_difference():
    found = crossing([(curve([50, 60, 70]), curve([50, 60, 70]))])
    assert (found.state, found.estimate, found.low, found.high) == ("equal throughout", None, None, None)
