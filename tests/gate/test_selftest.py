"""Recording planted pairs on a simulated machine, and resampling them into verdicts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from gate.simulated import Machine, Quiet, dies, starts
from speed.gate_rates import counted_share

from bench.gate.arms import WorkerLostError
from bench.gate.result import CheckResult, Side, Workload
from bench.gate.selftest import (
    Recording,
    Values,
    count_bounds,
    one_model_pair_s,
    planted,
    rates,
    record_pairs,
    smallest_caught_pct,
    values_of,
)

SELFTESTS = Path(__file__).resolve().parents[2] / "results" / "selftests"


def recording(pairs: int = 6, **machine: float) -> Recording:
    comparisons = [planted(Workload(model="net"), slowdown) for slowdown in (0.0, 10.0)]
    recorded = record_pairs(comparisons, pairs, 6, 0, starts(Machine(**machine)), Quiet())  # type: ignore[arg-type]
    return Recording(
        started_at="2026-01-01T00:00:00+00:00",
        wall_s=pairs * 2.0,
        seed=0,
        side=Side(label="this tree"),
        conditions={},
        comparisons=tuple(comparisons),
        pairs=recorded,
    )


def even(random: np.random.Generator, spread: float, pairs: int = 60) -> Values:
    """Pairs of the same code whose values scatter by so much."""
    arm = random.normal(0, spread, pairs).tolist()
    return Values(0.0, random.normal(0, spread, pairs), [(("base", "head")[i % 2], one) for i, one in enumerate(arm)])


def test_recorded_pairs_hold_the_planted_slowdown() -> None:
    found = values_of([recording(process_spread=0.0, turn_spread=0.0)])
    assert list(found) == ["net +0 %", "net +10 %"]
    assert found["net +0 %"].values == pytest.approx(np.zeros(6))
    assert found["net +10 %"].values == pytest.approx(np.full(6, math.log(1.1)), abs=1e-6)
    assert found["net +10 %"].truth == pytest.approx(math.log(1.1))


def test_recordings_of_one_runner_are_put_together() -> None:
    assert len(values_of([recording(), recording(pairs=4)])["net +0 %"].values) == 10


def test_a_recording_survives_its_json() -> None:
    one = recording()
    assert Recording.model_validate_json(one.model_dump_json(exclude_defaults=True)) == one


def test_rates_come_from_the_pairs_that_were_run() -> None:
    random = np.random.default_rng(0)
    calm = even(random, 0.006)
    slow = Values(math.log(1.1), random.normal(math.log(1.1), 0.01, 60), calm.noise)
    found = rates("calm", calm, threshold=0.05)
    assert found.shares["PASS"].share >= 0.99
    assert found.shares["FAIL"].share == 0
    assert found.mean_pairs == pytest.approx(8, abs=0.5)
    found = rates("slow", slow, threshold=0.05)
    assert found.shares["FAIL"].share >= 0.9
    assert found.mean_pairs >= 16
    assert found.error_median_pp < found.error_p95_pp < 2
    assert found.truth_pct == pytest.approx(10.0)


def test_a_rate_has_the_bounds_of_as_many_verdicts_as_use_no_pair_twice() -> None:
    calm = rates("calm", even(np.random.default_rng(3), 0.002), threshold=0.05).shares["FAIL"]
    assert (calm.share, calm.low, calm.high) == (0, 0, pytest.approx(1 - 0.05 ** (1 / 7)))  # 60 pairs: 7 verdicts


def test_the_smallest_slowdown_that_is_caught_grows_with_the_noise() -> None:
    random = np.random.default_rng(0)
    calm, noisy = (even(random, one) for one in (0.005, 0.02))
    found = [smallest_caught_pct(one, threshold=0.05, max_pairs=32) for one in (calm, noisy)]
    assert found[0] is not None
    assert found[1] is not None
    assert 2.5 < found[0] < found[1] < 8  # half the threshold is where FAIL begins


def test_nothing_is_caught_with_pairs_for_one_look() -> None:
    assert smallest_caught_pct(even(np.random.default_rng(0), 0.0), threshold=0.05, max_pairs=8) is None


def test_a_pair_of_one_model_takes_its_start_and_its_own_turns() -> None:
    one = recording(process_spread=0.0, turn_spread=0.0)
    plain, slowed = (turns.forwards for turns in one.pairs[0].turns)
    # six turns of so many passes of 1 ms: base and head of both comparisons, and an A/A arm that changes between them
    all_turns_s = 6 * 0.001 * (2 * plain + 2.1 * slowed + (plain + slowed) / 2)
    assert one_model_pair_s([one]) == pytest.approx(2.0 - all_turns_s + 6 * 0.001 * 3 * plain, abs=0.01)


def test_a_lost_pair_is_run_again_and_a_third_one_ends_the_recording() -> None:
    listener = Quiet()
    comparisons = [planted(Workload(model="net"), 0.0)]
    done = record_pairs(comparisons, 2, 2, 0, starts(Machine(accident=dies("head", at_turn=1))), listener)
    assert (len(done), len(listener.lost)) == (2, 1)
    with pytest.raises(WorkerLostError):
        record_pairs(comparisons, 2, 2, 0, starts(Machine(accident=dies("head", at_turn=1, times=9))), Quiet())


def test_a_model_that_cannot_be_built_stops_the_recording() -> None:
    start = starts(Machine(unbuildable={"head": "out of ideas"}))
    with pytest.raises(ValueError, match="out of ideas"):
        record_pairs([planted(Workload(model="net"), 0.0)], 1, 2, 0, start, Quiet())


def test_self_tests_of_the_first_rule_are_still_read() -> None:
    recording = Recording.model_validate_json((SELFTESTS / "pairs-1.json").read_text())
    check = CheckResult.model_validate_json((SELFTESTS / "quiet-06.json").read_text())
    assert {side for one in values_of([recording]).values() for side, _ in one.noise} == {"base"}
    assert check.noise == ()
    assert len([pair for model in check.models for pair in model.pairs if pair.against_itself is not None]) == 15


def test_none_and_all_have_a_bound_on_one_side() -> None:
    assert counted_share(0, 30) == "0 of 30 (95 %: at most 10 %)"
    assert counted_share(30, 30) == "30 of 30 (95 %: at least 90 %)"
    assert count_bounds(0, 30)[1] == pytest.approx(1 - 0.05 ** (1 / 30))


def test_a_bound_is_never_shown_as_none_or_all() -> None:
    assert counted_share(0, 2_000) == "0 of 2000 (95 %: at most 0.15 %)"
    assert counted_share(2_000, 2_000) == "2000 of 2000 (95 %: at least 99.85 %)"


def test_some_have_two() -> None:
    assert counted_share(7, 10) == "7 of 10 (95 %: 35 to 93 %)"
