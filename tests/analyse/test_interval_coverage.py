"""Do the intervals hold the truth as often as docs/intervals.md says? Fewer studies than there, fixed seeds."""

import pytest
from interval_coverage import (
    PROCESSES,
    Normal,
    World,
    best_set,
    bootstrap,
    difference_coverage,
    mean_coverage,
    median_coverage,
    paired,
    unstable_share,
    wilson_coverage,
    without_predictions,
)


def test_a_mean_of_3_seeds_is_held_by_t_and_not_by_a_percentile_bootstrap():
    assert 0.92 <= mean_coverage(Normal(3), count=500).covered <= 0.98
    assert mean_coverage(Normal(3), bootstrap, 500).covered < 0.85


@pytest.mark.parametrize("noisy", [1.0, 5.0, 10.0])
def test_a_difference_of_3_seeds_each_is_held_also_where_one_scatters_more(noisy):
    assert 0.92 <= difference_coverage([Normal(3), Normal(3, noisy)], count=500).covered <= 0.98


def test_a_noisy_third_model_does_not_change_a_difference():
    alone = difference_coverage([Normal(3), Normal(3)], count=500)
    beside = difference_coverage([Normal(3), Normal(3), Normal(3, 10.0)], count=500)
    assert 0.92 <= beside.covered <= 0.98
    assert beside.half_width == pytest.approx(alone.half_width, rel=0.1)


@pytest.mark.parametrize("kind", PROCESSES)
def test_the_median_of_5_processes_is_held_whatever_their_distribution(kind):
    assert 0.90 <= median_coverage(kind, 5, count=300).covered <= 0.98


def test_a_training_that_collapses_once_in_ten_is_called_unstable_where_3_seeds_show_it():
    model = Normal(3, collapses=0.1)
    always, seen = unstable_share(model, 500)
    assert seen > 0.99
    assert always == pytest.approx(1 - 0.9**3, abs=0.06)
    assert mean_coverage(model, count=500).covered < 0.8  # a limit: what three seeds did not show is in no interval


def test_wilson_covers_95_percent_on_average_and_never_below_80():
    grid = wilson_coverage(50, [0.5 + 0.0025 * step for step in range(200)])
    assert sum(grid) / len(grid) == pytest.approx(0.95, abs=0.005)
    assert min(grid) > 0.80


@pytest.mark.parametrize(("images", "share"), [(50, 0.1), (300, 0.3), (2000, 0.1)])
def test_two_equal_checkpoints_differ_in_at_most_5_percent_and_tango_covers(images, share):
    held, refused = paired(images, share / 2, share / 2, 500)
    assert held.covered > 0.92
    assert refused < 0.07


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("truth", [70.0, 90.0, 98.0])
def test_a_mean_over_seeds_and_images_is_held(truth, seeds):
    assert 0.92 <= mean_coverage(World(truth, 300, seeds), count=1000).covered <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.03, 0.15])
def test_a_difference_on_the_same_images_is_held_and_too_wide_without_predictions(spread):
    pair = [World(98.0, 300, 3), World(95.0, 300, 3, spread)]
    known, unknown = difference_coverage(pair, count=1000), difference_coverage(pair, without_predictions, 1000)
    assert 0.925 <= known.covered <= 0.98
    assert unknown.covered >= known.covered
    assert unknown.half_width > known.half_width


@pytest.mark.slow
def test_a_crossed_bootstrap_of_5_seeds_misses_where_welch_holds():
    pair = [World(90.0, 2000, 5)] * 2
    assert difference_coverage(pair, bootstrap, 500).covered < 0.93 < difference_coverage(pair, count=500).covered


@pytest.mark.slow
@pytest.mark.parametrize("lead", [0.0, 3.0])
def test_the_truly_best_of_4_is_left_out_in_at_most_5_percent(lead):
    others = [World(90.0 - lead, 300, 3)] * 3
    assert best_set([World(90.0, 300, 3), *others], 500)[0] <= 0.05
