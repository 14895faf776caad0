"""Recording planted pairs on a simulated machine, and resampling them into verdicts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gate.simulated import Machine, Quiet, starts

from bench.gate.result import Side, Workload
from bench.gate.rule import percent
from bench.gate.selftest import (
    Recording,
    Values,
    planted,
    rates,
    record_pairs,
    smallest_visible_pct,
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


def test_the_smallest_visible_slowdown_falls_with_the_root_of_the_time() -> None:
    one, four = (smallest_visible_pct(0.02, 5.0, seconds) for seconds in (500, 2_000))
    assert one is not None
    assert four is not None
    assert math.log1p(one / 100) / math.log1p(four / 100) == pytest.approx(2.0, abs=0.02)
    # 100 pairs: t(0.995, 198) = 2.601 and z(0.95) = 1.645, times 0.02 / 10
    assert one == pytest.approx(percent((2.601 + 1.645) * 0.002), abs=1e-3)
    assert smallest_visible_pct(0.02, 30.0, 60) is None


def test_a_model_that_cannot_be_built_stops_the_recording() -> None:
    start = starts(Machine(unbuildable={"head": "out of ideas"}))
    with pytest.raises(ValueError, match="out of ideas"):
        record_pairs([planted(Workload(model="net"), 0.0)], 1, 2, 0, start, Quiet())
