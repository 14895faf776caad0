import math

import numpy as np
import pytest
from scipy import stats

from bench.analyse.compare.differences import BestSet, Difference, alike, not_separable
from bench.analyse.stats.intervals import SeedGroup, difference
from bench.store.correctness import Correctness

NO_IMAGES = 10**12  # so many test images that only seeds are left


def group(*values):
    return SeedGroup(values, NO_IMAGES)


FIRST, SECOND, THIRD = group(90.0, 92.0, 91.0), group(88.0, 88.5, 87.0, 89.5), group(90.5, 91.0, 89.5)


def test_a_difference_is_decided_where_welchs_p_is_below_five_percent():
    found = [stats.ttest_ind(FIRST.values_pct, other.values_pct, equal_var=False).pvalue for other in (SECOND, THIRD)]
    assert found[0] < 0.05 < found[1]
    assert [Difference.of(FIRST, other).verdict for other in (SECOND, THIRD)] == ["ahead", "not decided"]


def test_the_interval_is_welchs_and_leaves_zero_out_just_where_the_sign_is_decided():
    one = Difference.of(FIRST, SECOND)
    assert one.delta_pp == pytest.approx(91.0 - 88.25)
    ends = stats.ttest_ind(FIRST.values_pct, SECOND.values_pct, equal_var=False).confidence_interval(0.95)
    assert (one.interval.low, one.interval.high) == pytest.approx((ends.low, ends.high), abs=1e-3)
    assert one.interval.low > 0
    assert one.is_decided


def test_the_sign_says_who_is_ahead():
    low = group(80.0, 80.1, 80.2)
    assert (Difference.of(FIRST, low).verdict, Difference.of(low, FIRST).verdict) == ("ahead", "behind")


def test_unstable_seeds_and_single_seeds_decide_nothing():
    unstable, single = Difference.of(FIRST, group(74.4, 92.0, 91.8)), Difference.of(FIRST, group(50.0))
    assert (unstable.verdict, single.verdict) == ("unstable", "one seed")
    assert not unstable.is_decided
    assert unstable.interval is not None
    assert single.interval is None


def test_one_seed_far_from_the_median_is_unstable_however_many_there_are():
    ten = (91.0, 91.2, 90.8, 91.1, 90.9, 91.3, 90.7, 91.0, 91.1)
    assert group(*ten, 70.0).is_unstable
    assert not group(*ten, 82.0).is_unstable


def test_equal_seeds_without_any_spread_do_not_differ():
    same = SeedGroup((100.0, 100.0), 100)
    assert Difference.of(same, same).verdict == "not decided"


def test_what_cannot_be_told_from_the_best_is_beside_it_with_the_best_first():
    shown = {"low": group(80.0, 80.1, 80.2), "near": THIRD, "best": FIRST}
    assert not_separable(shown) == BestSet(("best", "near"), (), 3)


def test_unstable_and_single_seeds_are_in_no_set_of_the_best():
    shown = {"unstable": group(74.4, 99.0, 99.0), "one": group(99.0), "a": FIRST, "b": THIRD}
    assert not_separable(shown) == BestSet(("a", "b"), ("unstable", "one"), 2)
    assert not_separable({"one": group(99.0)}) == BestSet((), ("one",), 0)
    assert not_separable({"a": FIRST}).members == ("a",)


def test_holm_counts_all_rows_so_that_more_rows_can_bring_one_back_into_the_set():
    lower = group(88.4, 89.1, 88.3)
    p = difference(FIRST, lower).p_value
    assert 0.025 < p < 0.05
    assert not_separable({"best": FIRST, "lower": lower}).members == ("best",)
    assert "lower" in not_separable({"best": FIRST, "lower": lower, "near": THIRD}).members


def test_shared_images_decide_what_images_drawn_anew_do_not():
    right = np.arange(2000) >= 200
    other = right & (np.arange(2000) >= 230)
    keys = tuple(f"{i:04d}" for i in range(2000))
    tables = [np.array([one] * 3) for one in (right, other)]
    known = [SeedGroup((100 * float(t.mean()),) * 3, 2000, Correctness(keys, t)) for t in tables]
    unknown = [SeedGroup(one.values_pct, 2000) for one in known]
    assert Difference.of(*known).verdict == "ahead"
    assert Difference.of(*unknown).verdict == "not decided"


def test_the_cheapest_is_chosen_among_the_members_that_have_a_cost():
    found = BestSet(("a", "b", "c"), (), 3)
    assert found.cheapest({"a": 3.0, "b": 2.0, "d": 1.0}) == "b"
    assert found.cheapest({}) is None


def test_models_are_alike_by_their_size_class_or_within_a_factor_of_one_and_a_half():
    assert alike(("S", "S"), (1.0, 9.0))
    assert not alike(("S", "M"), (1.0, 1.0))
    assert alike(("", ""), (2.0, 3.0))
    assert not alike(("", ""), (2.0, math.nextafter(3.0, 4.0)))
