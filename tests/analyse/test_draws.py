import numpy as np
import pytest
from scipy import stats

from bench.analyse.correctness import Correctness
from bench.analyse.draws import accuracy_draws, normals, rate_draws, uniforms
from bench.analyse.intervals import SeedGroup, Spread, contrast_interval, process_interval, t_quantile

MANY = 40_000


def seeds_of(mean, keys, ability, seeds=3, spread=None):
    rng = np.random.default_rng(int(mean * 10))
    right = rng.random((seeds, len(keys))) < np.clip(mean / 100 + ability, 0, 1)
    values = tuple(100 * right.mean(axis=1))
    return SeedGroup(values, spread or Spread(6.0, 8, "pool"), len(keys), Correctness(keys, right))


def two_groups(images=400):
    keys = tuple(f"set/test/{i:05d}" for i in range(images))
    ability = np.random.default_rng(5).normal(0, 0.2, images)
    return {"a": seeds_of(80.0, keys, ability), "b": seeds_of(70.0, keys, ability)}


def test_uniforms_are_the_same_for_a_name_and_never_reach_the_ends():
    first = uniforms("a name", 5)
    assert first == pytest.approx([0.16000039, 0.26621596, 0.31306912, 0.51800368, 0.21353133], abs=1e-8)
    assert (first == uniforms("a name", 5)).all()
    assert not (first == uniforms("another", 5)).any()
    many = uniforms("many", 100_000)
    assert 0 < many.min() < many.max() < 1
    assert stats.kstest(many, "uniform").pvalue > 0.01


def test_normals_are_normal():
    assert stats.kstest(normals("many", 100_000), "norm").pvalue > 0.01


def test_draws_of_a_difference_spread_as_its_interval_says():
    groups = two_groups()
    interval = contrast_interval([(1.0, groups["a"]), (-1.0, groups["b"])])
    drawn = accuracy_draws(groups, MANY)
    difference = drawn[:, 0] - drawn[:, 1]
    assert difference.mean() == pytest.approx(interval.estimate, abs=0.05)
    low, high = np.quantile(difference, [0.025, 0.975])
    # The interval does not let the images' part fall below zero, the draws let it: they may be a little narrower.
    assert (low, high) == pytest.approx((interval.low, interval.high), abs=0.1 * interval.half_width)


def test_draws_share_the_images_of_a_set():
    groups = two_groups()
    together = accuracy_draws(groups, MANY)
    spread = (together[:, 0] - together[:, 1]).std()
    apart = np.hypot(*(accuracy_draws({name: group}, MANY).std() for name, group in groups.items()))
    assert spread < 0.95 * apart


def test_draws_without_predictions_have_the_binomial_spread():
    group = SeedGroup((80.0,), None, 400, None)
    drawn = accuracy_draws({"a": group}, MANY)[:, 0]
    assert drawn.std() == pytest.approx(100 * np.sqrt(0.8 * 0.2 / 400), rel=0.03)


def test_draws_stay_inside_0_and_100_percent_and_never_tie_there():
    drawn = accuracy_draws({"a": SeedGroup((99.9, 99.8), Spread(4.0, 1, "pool"), 1000, None)})
    assert 0.0 < drawn.min() < drawn.max() <= 100.0
    assert len(np.unique(drawn)) > 900


def test_every_image_right_is_not_certainty():
    keys = tuple(f"set/test/{i:05d}" for i in range(500))
    perfect = SeedGroup((100.0,), None, 500, Correctness(keys, np.ones((1, 500), dtype=bool)))
    unpaired = SeedGroup((100.0,), None, 500, None)
    for name, group in (("perfect", perfect), ("unpaired", unpaired)):
        drawn = accuracy_draws({name: group}, MANY)[:, 0]
        # the Jeffreys posterior of 500 of 500: Beta(500.5, 0.5)
        expected = 100 * stats.beta.ppf([0.025, 0.5], 500.5, 0.5)
        assert np.quantile(drawn, [0.025, 0.5]) == pytest.approx(expected, abs=0.03), name


def test_seeds_spread_as_their_standard_error_away_from_the_ends():
    group = SeedGroup((70.0,) * 4, Spread(16.0, 10**6, "pool"), 10**8, None)
    drawn = accuracy_draws({"a": group}, MANY)[:, 0]
    assert drawn.std() == pytest.approx(2.0, rel=0.02)


def test_a_groups_draws_do_not_depend_on_who_else_is_drawn():
    groups = two_groups()
    assert accuracy_draws(groups)[:, 1] == pytest.approx(accuracy_draws({"b": groups["b"]})[:, 0])


def test_images_in_several_blocks_have_the_variance_of_one():
    keys = tuple(f"set/test/{i:05d}" for i in range(9000))
    right = np.arange(9000)[None, :] % 4 > 0
    drawn = accuracy_draws({"a": SeedGroup((75.0,), None, 9000, Correctness(keys, right))}, 4000)[:, 0]
    assert drawn.std() == pytest.approx(100 * np.sqrt(0.75 * 0.25 / 9000), rel=0.04)


def test_draws_of_two_processes_that_differ_widely_stay_finite():
    drawn = rate_draws("net", process_interval([1.0, 1000.0]))
    assert np.isfinite(drawn).all()
    assert (drawn > 0).all()


def test_rate_draws_spread_as_the_interval_of_processes_says():
    interval = process_interval([90.0, 100.0, 110.0, 105.0, 95.0])
    drawn = rate_draws("a model", interval, MANY)
    assert np.quantile(drawn, [0.025, 0.5, 0.975]) == pytest.approx(
        [interval.low, interval.estimate, interval.high], rel=0.01
    )
    assert interval.df == 4
    assert t_quantile(4) == pytest.approx(2.776, abs=1e-3)
