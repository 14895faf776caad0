import math

import numpy as np
import pytest
from scipy import stats

from bench.analyse.correctness import Correctness
from bench.analyse.intervals import (
    SeedGroup,
    Spread,
    accuracy_interval,
    contrast,
    contrast_interval,
    pooled_spread,
    process_interval,
    spread_of,
    t_interval,
    wilson_interval,
)


def group(values, spread=None, images=1000, correctness=None):
    spread = spread or pooled_spread([values], f"own {values}")
    return SeedGroup(tuple(values), spread, images, correctness)


def test_wilson_interval_is_scipys():
    expected = stats.binomtest(180, 200).proportion_ci(method="wilson")
    interval = wilson_interval(180, 200)
    assert interval.estimate == pytest.approx(90.0)
    assert (interval.low, interval.high) == pytest.approx((100 * expected.low, 100 * expected.high))


def test_wilson_interval_refuses_no_images():
    with pytest.raises(ValueError, match="no images"):
        wilson_interval(0, 0)


def test_pooled_spread_takes_each_group_around_its_own_mean():
    spread = pooled_spread([(1.0, 3.0), (10.0, 11.0, 12.0), (50.0,)], "pool")
    assert spread == Spread(variance=(2.0 + 2.0) / 3, df=3, pool="pool")


def test_pooled_spread_of_single_values_is_unknown():
    assert pooled_spread([(1.0,), (2.0,)], "pool") is None


def test_a_group_that_scatters_far_more_is_left_out_of_the_pool_and_keeps_its_own_spread():
    quiet = [(1.0, 1.1, 0.9), (2.0, 2.1, 1.9), (3.0, 3.1, 2.9)]
    noisy = (0.0, 30.0, 60.0)
    pooled = pooled_spread([*quiet, noisy], "pool")
    assert (pooled.variance, pooled.df) == (pytest.approx(0.01), 6)
    assert pooled.left_out == {noisy}
    assert spread_of(noisy, pooled, "own") == Spread(variance=900.0, df=2, pool="own")
    assert spread_of(quiet[0], pooled, "own") is pooled


def test_a_group_that_scatters_more_than_the_rest_allows_has_its_own_spread():
    # F of 4 against the rest of 4 degrees of freedom; the upper quarter begins at 2.0, the upper hundredth at 18
    groups = [(0.0, 2.0, 4.0), (0.0, 1.0, 2.0), (0.0, 1.0, 2.0)]
    pooled = pooled_spread(groups, "pool")
    assert (pooled.variance, pooled.df, pooled.left_out) == (pytest.approx(2.0), 6, frozenset())
    assert stats.f.isf(0.25, 2, 4) == pytest.approx(2.0)
    assert spread_of(groups[0], pooled, "own") == Spread(variance=4.0, df=2, pool="own")
    assert spread_of(groups[1], pooled, "own") is pooled


def test_five_values_speak_for_themselves():
    pooled = pooled_spread([(0.0, 1.0, 2.0, 3.0, 4.0), (0.0, 2.0)], "pool")
    assert spread_of((0.0, 1.0, 2.0, 3.0, 4.0), pooled, "own").df == 4
    assert spread_of((0.0, 1.0), pooled, "own") is pooled


def test_groups_without_any_scatter_leave_nobody_out():
    pooled = pooled_spread([(1.0, 1.0), (2.0, 2.0), (3.0, 4.0)], "pool")
    assert (pooled.variance, pooled.left_out) == (pytest.approx(0.5 / 3), frozenset())


def test_seeds_that_agree_by_chance_keep_their_disagreement_on_single_images():
    # both seeds get 90 of 100, not the same ones: 20 images at 0.5, so the residual mean square is not 0
    right = np.array([[True] * 90 + [False] * 10, [False] * 10 + [True] * 90])
    known = Correctness(tuple(map(str, range(100))), right)
    same = group((90.0, 90.0), Spread(0.0, 1, "p"), 100, known)
    found = contrast([(1.0, same)])
    assert known.residual_variance() > 0
    assert found.standard_error**2 == pytest.approx(1e4 * known.residual_variance() / 100)


def test_t_interval_is_scipys():
    values = [90.0, 91.0, 93.5]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    interval = t_interval(values)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_process_interval_is_a_t_interval_of_logarithms():
    rates = [1000.0, 1030.0, 990.0, 1010.0, 1005.0]
    logs = np.log(rates)
    half = stats.t.ppf(0.975, 4) * logs.std(ddof=1) / math.sqrt(5)
    interval = process_interval(rates)
    assert interval.estimate == pytest.approx(math.exp(logs.mean()))
    assert interval.low == pytest.approx(math.exp(logs.mean() - half))
    assert interval.high == pytest.approx(math.exp(logs.mean() + half))


def test_process_interval_of_one_process_is_unknown_unless_pooled():
    assert process_interval([1000.0]) is None
    pooled = process_interval([1000.0], Spread(0.0001, 10, "machine"))
    assert pooled.high == pytest.approx(1000 * math.exp(stats.t.ppf(0.975, 10) * 0.01))


def test_difference_of_seeds_alone_is_welchs():
    # 10^9 test images: their share of the variance vanishes and Welch's interval is left
    first, second = (90.0, 92.0, 91.0), (88.0, 88.5, 87.0, 89.5)
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    interval = contrast_interval([(1, group(first, images=10**9)), (-1, group(second, images=10**9))])
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-4)


def test_difference_without_a_known_seed_spread_has_no_interval():
    alone = SeedGroup((90.0,), None, 1000)
    assert contrast_interval([(1, alone), (-1, group((88.0, 89.0)))]) is None


def test_groups_of_one_pool_share_its_degrees_of_freedom():
    spread = Spread(1.0, 4, "vit")
    interval = contrast_interval([(1, group((90.0, 91.0), spread, 10**9)), (-1, group((80.0, 82.0), spread, 10**9))])
    assert interval.half_width == pytest.approx(stats.t.ppf(0.975, 4) * math.sqrt(1.0 / 2 + 1.0 / 2), rel=1e-4)


def test_shared_test_images_narrow_a_difference():
    rng = np.random.default_rng(0)
    hard = rng.random(2000) < 0.2
    right = np.array([~hard, ~hard])
    other = right.copy()
    other[:, :40] = False
    keys = tuple(str(i) for i in range(2000))
    spread = Spread(1e-6, 4, "both")
    pairs = [(1.0, right), (-1.0, other)]
    means = [tuple(100 * table.mean(axis=1)) for _, table in pairs]
    joint = [(w, group(m, spread, 2000, Correctness(keys, t))) for (w, t), m in zip(pairs, means, strict=True)]
    apart = [(w, group(m, spread, 2000)) for (w, _), m in zip(pairs, means, strict=True)]
    assert contrast_interval(joint).half_width < 0.5 * contrast_interval(apart).half_width


def test_joint_image_variance_is_the_variance_of_the_per_image_difference():
    # both seeds agree on every image, so nothing is taken off for their disagreement
    right = np.array([[True] * 90 + [False] * 10] * 2)
    other = np.array([[True] * 80 + [False] * 20] * 2)
    keys = tuple(str(i) for i in range(100))
    spread = Spread(0.0, 5, "p")
    interval = contrast_interval(
        [
            (1.0, group((90.0, 90.0), spread, 100, Correctness(keys, right))),
            (-1.0, group((80.0, 80.0), spread, 100, Correctness(keys, other))),
        ]
    )
    difference = np.array([0.0] * 80 + [1.0] * 10 + [0.0] * 10)
    half = stats.t.ppf(0.975, 99) * 100 * difference.std(ddof=1) / math.sqrt(100)
    assert interval.half_width == pytest.approx(half)


def test_accuracy_of_one_seed_is_wilsons_and_says_so():
    interval = accuracy_interval(SeedGroup((90.0,), None, 200))
    wilson = wilson_interval(180, 200)
    assert (interval.low, interval.high, interval.method) == (wilson.low, wilson.high, "test images alone")


def test_accuracy_puts_the_reach_of_seeds_and_wilsons_of_the_images_together():
    interval = accuracy_interval(group((90.0, 90.0, 90.0), Spread(0.75, 6, "vit"), images=900))
    seed, image = 0.75 / 3, 1e4 * 0.9 * 0.1 / 900
    t = stats.t.ppf(0.975, (seed + image) ** 2 / (seed**2 / 6 + image**2 / 899))
    q2 = t**2 / 900
    centre, half = (0.9 + q2 / 2) / (1 + q2), t / (1 + q2) * math.sqrt(0.09 / 900 + q2 / 4 / 900)
    assert interval.low == pytest.approx(90 - math.hypot(t * math.sqrt(seed), 90 - 100 * (centre - half)))
    assert interval.high == pytest.approx(90 + math.hypot(t * math.sqrt(seed), 100 * (centre + half) - 90))


def test_where_seeds_scatter_much_an_accuracy_near_100_reaches_as_far_as_they_do():
    interval = accuracy_interval(group((99.8, 99.9, 99.7), Spread(9.0, 100, "vit"), images=10**6))
    assert 99.8 - interval.low == pytest.approx(stats.t.ppf(0.975, 100) * 3 / math.sqrt(3), rel=1e-3)


def test_intervals_of_accuracies_stay_between_0_and_100():
    assert accuracy_interval(group((99.9, 99.8, 100.0), Spread(4.0, 2, "vit"), images=100)).high == 100.0


@pytest.mark.parametrize("seeds", [3, 5])
def test_difference_covers_the_truth_about_as_often_as_it_says(seeds):
    # two families of two models, seed spread 1 point, images of shared difficulty; 400 draws
    rng = np.random.default_rng(seeds)
    hits, draws, images = 0, 400, 300
    for _ in range(draws):
        difficulty = rng.normal(size=images)
        keys = tuple(map(str, range(images)))
        sides = []
        for family in ("a", "b"):
            tables = []
            for _model in range(2):
                shift = rng.normal(1.2, 0.05, size=(seeds, 1))
                tables.append(difficulty + 0.6 * rng.normal(size=(seeds, images)) < shift)
            values = [tuple(100 * table.mean(axis=1)) for table in tables]
            spread = pooled_spread(values, family)
            sides.append(SeedGroup(values[0], spread, images, Correctness(keys, tables[0])))
        interval = contrast_interval([(1.0, sides[0]), (-1.0, sides[1])])
        hits += interval.low <= 0.0 <= interval.high
    assert 0.92 <= hits / draws <= 0.985


def test_images_of_two_sets_are_drawn_apart_and_those_of_one_set_together():
    # On each set both models are right on the same half of the images: their difference has no image variance.
    spread = Spread(4.0, 6, "pool")
    table = np.array([[True, False] * 50] * 3)
    one, other = (Correctness(tuple(f"{name}/{i:03d}" for i in range(100)), table) for name in ("a", "b"))
    groups = [SeedGroup((50.0,) * 3, spread, 100, known) for known in (one, one, other, other)]
    difference = contrast_interval([(w, g) for w, g in zip((0.5, -0.5, 0.5, -0.5), groups, strict=True)])
    # seeds alone: 4 groups x 0.25 x 4 / 3 = 4 / 3, one pool of 6 degrees of freedom
    assert difference.half_width == pytest.approx(stats.t.ppf(0.975, 6) * math.sqrt(4 / 3))
    assert difference.df == pytest.approx(6)
    mean = contrast_interval([(0.5, groups[0]), (0.5, groups[2])])
    # each set: 0.25 x 100 / 99 x 0.25 of squared share over 100 images, and the two add
    images = 2 * 1e4 * 0.25 * 0.25 * (100 / 99) / 100
    seeds = 2 * 0.25 * 4 / 3
    df = (images + seeds) ** 2 / (2 * (images / 2) ** 2 / 99 + seeds**2 / 6)
    assert mean.half_width == pytest.approx(stats.t.ppf(0.975, df) * math.sqrt(images + seeds))
