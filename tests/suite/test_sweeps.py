"""How a learning rate is chosen: by hand-made results, with edges, chance, noise and seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from bench.suite.spec import Sweep
from bench.suite.sweeps import FAILED, MAX_EXTENSIONS, Result, Search, search, settle

IMAGES = 1000
CLASSES = 10
GRID = (0.001, 0.003, 0.009)
SEEDS = (7, 8, 9)
Known = Callable[[float, int], Result | None]


def of(table: Mapping[float, float | Sequence[float]]) -> Known:
    """Rate -> accuracy of every seed, or one for each seed that is known."""

    def result(rate: float, seed: int) -> Result | None:
        found = table.get(rate)
        if not isinstance(found, Sequence):
            return None if found is None else Result(found, IMAGES)
        place = SEEDS.index(seed)
        return Result(found[place], IMAGES) if place < len(found) else None

    return result


def curve(best: float) -> Known:
    """Every rate has learned, and the nearer to the best one the more, by more than any noise."""
    return lambda rate, _: Result(95 - 60 * (1 - min(best / rate, rate / best)), IMAGES)


def swept(result: Known, extra_trials: int = 0) -> Search[float]:
    return search(Sweep(learning_rates=GRID, extra_trials=extra_trials), SEEDS, CLASSES, result)


def first_seeds(found: Search[float]) -> list[float]:
    return sorted(rate for rate, seed in found.trials if seed == SEEDS[0])


def test_a_sweep_waits_until_its_first_trials_are_known() -> None:
    found = swept(of({0.001: 50.0, 0.003: 60.0}), extra_trials=2)
    assert found.is_open
    assert found.trials == tuple((rate, 7) for rate in GRID)


def test_an_optimum_inside_is_refined_on_both_sides() -> None:
    assert first_seeds(swept(curve(0.003), extra_trials=2)) == [0.001, 0.00173, 0.003, 0.0052, 0.009]


@pytest.mark.parametrize(("best", "added"), [(0.027, [0.027, 0.081]), (0.000333, [0.000111, 0.000333])])
def test_the_grid_grows_until_the_best_is_inside_it(best: float, added: list[float]) -> None:
    found = swept(curve(best))
    assert found.chosen == best
    assert sorted(set(first_seeds(found)) - set(GRID)) == added


def test_a_best_rate_that_stays_at_the_edge_is_not_chosen() -> None:
    found = swept(curve(1e9))
    assert (found.chosen, found.is_open) == (None, False)
    assert len(first_seeds(found)) == len(GRID) + MAX_EXTENSIONS
    assert found.at_edge == max(first_seeds(found))


def test_a_trial_at_chance_or_failed_bounds_the_grid_and_is_never_chosen() -> None:
    known = of({0.001: 30.0, 0.003: 50.0, 0.009: 12.0})  # 12 % of 1,000 images is within 3 errors of 10 %
    assert swept(known).chosen == 0.003
    assert swept(lambda rate, seed: FAILED if rate == 0.009 else known(rate, seed)).chosen == 0.003


@pytest.mark.parametrize("top1", [10.0, 12.5])
def test_where_nothing_learned_nothing_is_chosen_and_the_grid_does_not_grow(top1: float) -> None:
    found = swept(of({0.001: 10.0, 0.003: 9.0, 0.009: top1}), extra_trials=2)
    assert (found.chosen, found.is_open, found.have_all_failed) == (None, False, False)
    assert len(found.trials) == len(GRID)


def test_a_search_knows_when_every_trial_failed() -> None:
    assert swept(lambda *_: FAILED).have_all_failed


def test_a_clear_best_is_tried_with_every_seed_and_the_others_with_one() -> None:
    found = swept(of({0.001: 60.0, 0.003: [90.0, 91.0, 89.0], 0.009: 70.0}))
    assert found.chosen == 0.003
    assert [trial for trial in found.trials if trial[1] != 7] == [(0.003, 8), (0.003, 9)]


def test_rates_within_the_images_noise_are_tried_with_every_seed_and_the_mean_chooses() -> None:
    grid = {0.001: 60.0, 0.009: 70.0}
    one = swept(of({**grid, 0.003: [90.0], 0.0052: [88.5]}), extra_trials=0)
    assert one.is_open
    found = search(
        Sweep(learning_rates=(0.001, 0.003, 0.0052, 0.009)), SEEDS, CLASSES,
        of({**grid, 0.003: [90.0, 86.0, 86.5], 0.0052: [88.5, 89.0, 88.0]}),
    )  # fmt: skip
    assert found.chosen == 0.0052
    assert {trial for trial in found.trials if trial[1] != 7} == {(r, s) for r in (0.003, 0.0052) for s in (8, 9)}


def test_the_spread_over_seeds_widens_the_noise() -> None:
    """5 points apart is more than two errors of 1,000 images, and less than those of seeds that differ by 10 points."""
    steady = of({0.001: 60.0, 0.003: [90.0, 90.0, 90.0], 0.009: [85.0, 85.0, 85.0]})
    noisy = of({0.001: 60.0, 0.003: [90.0, 80.0, 91.0], 0.009: [85.0, 85.0, 85.0]})
    assert (0.009, 8) not in swept(steady).trials
    assert (0.009, 8) in swept(noisy).trials


def test_a_mean_that_moves_to_the_edge_makes_the_grid_grow() -> None:
    found = swept(of({0.001: 60.0, 0.003: [90.0, 80.0, 80.0], 0.009: [89.0, 89.0, 89.0], 0.027: 70.0}))
    assert found.chosen == 0.009
    assert (0.027, 7) in found.trials


def test_of_equal_means_the_smaller_rate_is_taken() -> None:
    assert swept(of({0.001: 60.0, 0.003: 90.0, 0.009: 90.0, 0.027: 60.0})).chosen == 0.003


def test_recipes_that_are_no_grid_may_be_chosen_at_its_end() -> None:
    values = {"one": 50.0, "two": 80.0}
    found = settle(["one", "two"], SEEDS, CLASSES, lambda name, _: Result(values[name], IMAGES))
    assert found.chosen == "two"
