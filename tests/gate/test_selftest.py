"""Recording planted pairs on a simulated machine, and resampling them into verdicts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gate.simulated import Machine, Quiet, dies, starts

from bench.gate.arms import WorkerLostError
from bench.gate.result import Side, Workload
from bench.gate.selftest import (
    Recording,
    Values,
    one_model_pair_s,
    planted,
    rates,
    record_pairs,
    smallest_caught_pct,
    values_of,
)


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
    calm = Values(0.0, random.normal(0.0, 0.01, 60), random.normal(0.0, 0.01, 60))
    slow = Values(math.log(1.1), random.normal(math.log(1.1), 0.01, 60), calm.noise)
    found = rates("calm", calm, threshold=0.05)
    assert (found.shares["PASS"].share, found.shares["FAIL"].share) == (1.0, 0.0)
    assert found.mean_pairs == 5.0
    found = rates("slow", slow, threshold=0.05)
    assert (found.shares["FAIL"].share, found.mean_pairs) == (1.0, 10.0)
    assert found.error_median_pp < found.error_p95_pp < 2
    assert found.truth_pct == pytest.approx(10.0)


def test_an_interval_of_a_rate_is_over_the_pairs() -> None:
    random = np.random.default_rng(3)
    noisy = Values(0.0, random.normal(0.0, 0.05, 30), random.normal(0.0, 0.05, 30))
    found = rates("noisy", noisy, threshold=0.05).shares["INCONCLUSIVE"]
    assert found.low < found.share < found.high


def test_the_smallest_slowdown_that_is_caught_grows_with_the_noise() -> None:
    random = np.random.default_rng(0)
    calm, noisy = (Values(0.0, random.normal(0, one, 60), random.normal(0, one, 60)) for one in (0.005, 0.02))
    found = [smallest_caught_pct(one, threshold=0.05, max_pairs=15) for one in (calm, noisy)]
    assert found[0] is not None
    assert found[1] is not None
    assert 2.5 < found[0] < found[1] < 8  # half the threshold is where FAIL begins


def test_nothing_is_caught_with_pairs_for_one_look() -> None:
    even = Values(0.0, np.zeros(10), np.zeros(10))
    assert smallest_caught_pct(even, threshold=0.05, max_pairs=5) is None


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
