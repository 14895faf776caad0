from __future__ import annotations

import pytest
from fake_clock import FakeClock, FakeStep

from bench.measure.timing import MIN_SAMPLES, MIN_WARMUP_ITERS, Latency, measure_latency

MS = 1e-3


def test_latency_is_what_the_clock_says():
    clock = FakeClock()
    found = measure_latency(FakeStep(clock, [5 * MS]), clock=clock, iterations=40)
    assert found.latency_ms == pytest.approx([5.0] * 40)
    assert found.p50_ms == pytest.approx(5.0)


def test_latency_excludes_warmup():
    clock = FakeClock()
    step = FakeStep(clock, [900 * MS] * MIN_WARMUP_ITERS + [5 * MS])
    found = measure_latency(step, clock=clock, iterations=40)
    assert found.warmup_iters == MIN_WARMUP_ITERS
    assert max(found.latency_ms) == pytest.approx(5.0)


def test_latency_warms_up_for_a_while_when_steps_are_short():
    clock = FakeClock()
    assert measure_latency(FakeStep(clock, [2 * MS]), clock=clock, warmup_seconds=0.2).warmup_iters in (100, 101)


def test_latency_stops_when_time_is_up():
    clock = FakeClock()
    found = measure_latency(FakeStep(clock, [10 * MS]), clock=clock, iterations=10_000, max_seconds=1.005)
    assert len(found.latency_ms) == 101


def test_latency_of_a_slow_model_still_has_thirty_samples():
    clock = FakeClock()
    found = measure_latency(FakeStep(clock, [1.0]), clock=clock, max_seconds=2.0)
    assert len(found.latency_ms) == MIN_SAMPLES == 30


def test_each_sample_starts_from_an_empty_queue():
    clock = FakeClock()
    measure_latency(FakeStep(clock, [5 * MS]), clock=clock, iterations=40)
    assert clock.synchronised == 40


def test_latency_percentiles_are_those_of_the_samples():
    found = Latency(tuple(float(ms) for ms in range(1001)), warmup_iters=0, page_faults_per_step=0.0)
    assert (found.p50_ms, found.p90_ms, found.p99_ms) == (500.0, 900.0, 990.0)


@pytest.mark.parametrize(("samples", "has_p99"), [(999, False), (1000, True)])
def test_p99_exists_from_a_thousand_samples_up(samples: int, has_p99: bool):
    found = Latency((1.0,) * samples, warmup_iters=0, page_faults_per_step=0.0)
    assert (found.p99_ms is not None) == has_p99
