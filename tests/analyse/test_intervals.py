import math

import numpy as np
import pytest
from analyse.interval_coverage import t_interval
from scipy import stats

from bench.analyse.stats.intervals import (
    SeedGroup,
    accuracy_interval,
    contrast,
    contrast_interval,
    median_interval,
    wilson_interval,
)
from bench.store.correctness import Correctness


def group(values, images=1000, correctness=None):
    return SeedGroup(tuple(values), images, correctness)


def welch_df(seeds, images, df_images):
    """Of one group of three seeds: Welch-Satterthwaite's with the seeds' variance doubled."""
    return (2 * seeds + images) ** 2 / ((2 * seeds) ** 2 / 2 + images**2 / df_images)


def test_wilson_interval_is_scipys():
    expected = stats.binomtest(180, 200).proportion_ci(method="wilson")
    interval = wilson_interval(180, 200)
    assert interval.estimate == pytest.approx(90.0)
    assert (interval.low, interval.high) == pytest.approx((100 * expected.low, 100 * expected.high))


def test_wilson_interval_refuses_no_images():
    with pytest.raises(ValueError, match="no images"):
        wilson_interval(0, 0)


def test_seeds_that_agree_by_chance_keep_their_disagreement_on_single_images():
    # both seeds get 90 of 100, not the same ones: 20 images at 0.5, so the residual mean square is not 0
    right = np.array([[True] * 90 + [False] * 10, [False] * 10 + [True] * 90])
    known = Correctness(tuple(map(str, range(100))), right)
    same = group((90.0, 90.0), 100, known)
    found = contrast([(1.0, same)])
    assert known.residual_variance() > 0
    assert found.standard_error**2 == pytest.approx(1e4 * known.residual_variance() / 100)


def test_t_interval_is_scipys():
    values = [90.0, 91.0, 93.5]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    interval = t_interval(values)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_difference_of_seeds_alone_is_welchs():
    # 10^9 test images: their share of the variance vanishes and Welch's interval is left
    first, second = (90.0, 92.0, 91.0), (88.0, 88.5, 87.0, 89.5)
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    interval = contrast_interval([(1, group(first, images=10**9)), (-1, group(second, images=10**9))])
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-4)


def test_difference_without_a_known_seed_spread_has_no_interval():
    alone = SeedGroup((90.0,), 1000)
    assert contrast_interval([(1, alone), (-1, group((88.0, 89.0)))]) is None


def test_shared_test_images_narrow_a_difference():
    rng = np.random.default_rng(0)
    hard = rng.random(2000) < 0.2
    right = np.array([~hard, ~hard])
    other = right.copy()
    other[:, :40] = False
    keys = tuple(str(i) for i in range(2000))
    pairs = [(1.0, right), (-1.0, other)]
    means = [tuple(100 * table.mean(axis=1)) for _, table in pairs]
    joint = [(w, group(m, 2000, Correctness(keys, t))) for (w, t), m in zip(pairs, means, strict=True)]
    apart = [(w, group(m, 2000)) for (w, _), m in zip(pairs, means, strict=True)]
    assert contrast_interval(joint).half_width < 0.5 * contrast_interval(apart).half_width


def test_accuracy_of_one_seed_is_wilsons_and_says_so():
    interval = accuracy_interval(SeedGroup((90.0,), 200))
    wilson = wilson_interval(180, 200)
    assert (interval.low, interval.high, interval.method) == (wilson.low, wilson.high, "test images alone")


def test_intervals_of_accuracies_stay_between_0_and_100():
    assert accuracy_interval(group((99.9, 95.8, 100.0), images=100)).high == 100.0


def test_accuracy_puts_the_reach_of_seeds_and_wilsons_of_the_images_together():
    interval = accuracy_interval(group((89.0, 90.0, 91.0), images=900))
    seeds, images = 1.0 / 3, 1e4 * 0.9 * 0.1 / 900
    t = stats.t.ppf(0.975, welch_df(seeds, images, 899))
    q2 = t**2 / 900
    centre, half = (0.9 + q2 / 2) / (1 + q2), t / (1 + q2) * math.sqrt(0.09 / 900 + q2 / 4 / 900)
    assert interval.low == pytest.approx(90 - math.hypot(t * math.sqrt(seeds), 90 - 100 * (centre - half)))
    assert interval.high == pytest.approx(90 + math.hypot(t * math.sqrt(seeds), 100 * (centre + half) - 90))


def test_the_joint_image_variance_is_that_of_the_per_image_difference():
    # all seeds agree on every image, so nothing is taken off for their disagreement and nothing is left of the seeds
    right, other = (np.array([[True] * count + [False] * (100 - count)] * 3) for count in (90, 80))
    keys = tuple(str(i) for i in range(100))
    sides = [(1.0, group((90.0,) * 3, 100, Correctness(keys, right)))]
    sides += [(-1.0, group((80.0,) * 3, 100, Correctness(keys, other)))]
    half = stats.t.ppf(0.975, 99) * 100 * np.std([0.0] * 80 + [1.0] * 10 + [0.0] * 10, ddof=1) / math.sqrt(100)
    assert contrast_interval(sides).half_width == pytest.approx(half)


def test_images_of_two_sets_are_drawn_apart_and_those_of_one_set_together():
    # on each set both models are right on the same half of the images: their difference has no image variance
    table = np.array([[True, False] * 50] * 3)
    keys = [tuple(f"{name}/{i:03d}" for i in range(100)) for name in ("a", "b")]
    groups = [group((49.0, 50.0, 51.0), 100, Correctness(keys[index], table)) for index in (0, 0, 1, 1)]
    found = contrast(list(zip((0.5, -0.5, 0.5, -0.5), groups, strict=True)))
    assert found.standard_error**2 == pytest.approx(4 * 0.25 / 3)
    assert found.df == pytest.approx(8)
    mean = contrast([(0.5, groups[0]), (0.5, groups[2])])
    images = 2 * 0.25 * 1e4 * 0.25 * (100 / 99) / 100
    assert mean.standard_error**2 == pytest.approx(2 * 0.25 / 3 + images)


@pytest.mark.parametrize(("values", "unstable"), [
    ((74.4, 92.0, 91.8), True),
    ((90.0, 91.0, 92.0), False),
    ((90.0,), False),
    ((50.0, 90.0, 90.0, 90.0, 90.0), True),
])  # fmt: skip
def test_seeds_are_unstable_where_their_interval_is_wider_than_20_points(values, unstable):
    assert group(values).is_unstable is unstable


def test_of_unstable_seeds_the_median_and_those_near_the_best_are_told():
    seeds = group((74.4, 92.0, 91.8))
    assert (seeds.median_pct, seeds.near_best) == (91.8, 2)


@pytest.mark.parametrize(("n", "k", "coverage"), [(5, 1, 93.75), (6, 1, 96.875), (8, 1, 99.21875), (9, 2, 96.09375)])
def test_the_median_of_processes_is_held_by_order_statistics(n, k, coverage):
    rates = list(range(100, 100 + n))
    found = median_interval(rates[::-1])
    assert (found.low, found.high, found.estimate) == (rates[k - 1], rates[n - k], np.median(rates))
    assert f"{coverage:.1f} %" in found.method


def test_ten_processes_leave_out_the_extreme_ones_and_four_have_no_interval():
    found = median_interval([5, 1, 9, 3, 7, 2, 8, 4, 6, 10])
    assert (found.low, found.high) == (2, 9)
    assert median_interval([1, 2, 3, 4]) is None
