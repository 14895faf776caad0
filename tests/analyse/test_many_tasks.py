"""Mean rank and interquartile mean over many tasks, by hand; the bootstrap by what it must and must not depend on."""

import numpy as np
import pytest

from bench.analyse.compare.means import FEWEST_TASKS, many_tasks
from bench.analyse.stats.intervals import SeedGroup

TASKS = [f"task_{i}" for i in range(FEWEST_TASKS)]


def model(*top1: float) -> dict[str, SeedGroup]:
    return {task: SeedGroup((value, value), 1000) for task, value in zip(TASKS, top1, strict=True)}


def test_ranks_are_averaged_over_tasks_and_ties_share():
    ahead_on_six = model(*[90.0] * 6, 50.0, 50.0)
    other = model(*[80.0] * 6, 60.0, 50.0)
    found = many_tasks({"a": ahead_on_six, "b": other}, TASKS)
    assert found["a"].mean_rank == pytest.approx((6 * 1 + 2 + 1.5) / 8)
    assert found["b"].mean_rank == pytest.approx((6 * 2 + 1 + 1.5) / 8)


def test_the_interquartile_mean_leaves_out_two_of_eight_tasks_at_either_end():
    found = many_tasks({"a": model(0, 1, 40, 50, 60, 70, 99, 100), "b": model(*[10.0] * 8)}, TASKS)
    assert found["a"].iqm.estimate == pytest.approx((40 + 50 + 60 + 70) / 4)
    assert (found["b"].iqm.low, found["b"].iqm.high) == (10.0, 10.0)


def test_the_interval_holds_the_estimate_and_comes_again_with_the_same_seed():
    scores = {"a": model(0, 1, 40, 50, 60, 70, 99, 100), "b": model(*[10.0] * 8)}
    first, again = (many_tasks(scores, TASKS)["a"].iqm for _ in range(2))
    assert first == again
    assert 0 < first.low < first.estimate < first.high < 100


def test_every_model_gets_the_same_resampled_tasks():
    found = many_tasks({"a": model(0, 1, 40, 50, 60, 70, 80, 90), "b": model(10, 11, 50, 60, 70, 80, 90, 100)}, TASKS)
    for end in ("low", "estimate", "high"):
        assert getattr(found["b"].iqm, end) - getattr(found["a"].iqm, end) == pytest.approx(10.0)


def test_unstable_seeds_on_one_task_are_in_no_rank():
    unstable = {**model(*[90.0] * 8), TASKS[0]: SeedGroup((20.0, 90.0, 91.0), 1000)}
    found = many_tasks({"a": unstable, "b": model(*[80.0] * 8), "c": model(*[70.0] * 8)}, TASKS)
    assert {key: one.mean_rank for key, one in found.items()} == {"b": 1.0, "c": 2.0}


def test_seven_tasks_or_one_model_are_not_ranked():
    two = {"a": model(*[90.0] * 8), "b": model(*[80.0] * 8)}
    assert many_tasks(two, TASKS[:-1]) == {}
    assert many_tasks({"a": two["a"]}, TASKS) == {}


@pytest.mark.slow
def test_the_interval_holds_the_interquartile_mean_of_all_tasks_that_tasks_are_drawn_from():
    random = np.random.default_rng(4)
    tasks = [f"task_{i}" for i in range(19)]
    truth, held = 60.0, 0  # of a symmetric distribution the interquartile mean is its middle
    for _ in range(200):
        drawn = {
            task: SeedGroup((value, value), 1000)
            for task, value in zip(tasks, random.normal(truth, 15, 19), strict=True)
        }
        interval = many_tasks({"a": drawn, "b": drawn}, tasks)["a"].iqm
        held += interval.low <= truth <= interval.high
    assert 0.86 <= held / 200 <= 0.98
