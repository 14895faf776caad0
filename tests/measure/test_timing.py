from __future__ import annotations

import itertools

import numpy as np
import pytest
from fake_clock import FakeClock, FakeStep

from bench.errors import TooSlowError
from bench.measure.timing.timing import (
    MAX_TIMED_SECONDS,
    MIN_BLOCKS,
    MIN_SAMPLES,
    MIN_WARMUP_ITERS,
    Latency,
    Throughput,
    measure_latency,
    measure_throughput,
    percentile,
)

MS = 1e-3


def test_block_rate_is_what_the_clock_says():
    clock = FakeClock()
    found = measure_throughput(FakeStep(clock, [5 * MS]), images_per_step=8, clock=clock, blocks=6)
    assert found.block_img_per_s == pytest.approx([8 / (5 * MS)] * 6)
    assert found.img_per_s == pytest.approx(1600)


def test_a_block_lasts_about_as_long_as_asked():
    clock = FakeClock()
    found = measure_throughput(FakeStep(clock, [5 * MS]), images_per_step=8, clock=clock, block_seconds=0.25)
    assert found.iters_per_block == 0.25 / (5 * MS)


def test_a_step_longer_than_a_block_is_a_block_of_its_own():
    clock = FakeClock()
    found = measure_throughput(FakeStep(clock, [1.0]), images_per_step=2, clock=clock, blocks=4, max_warmup_seconds=3.0)
    assert found.iters_per_block == 1
    assert found.block_img_per_s == pytest.approx([2.0] * 4)


def test_page_faults_are_those_of_the_timed_steps(monkeypatch: pytest.MonkeyPatch):
    clock, step_faults = FakeClock(), 7
    step = FakeStep(clock, [5 * MS])
    monkeypatch.setattr("bench.measure.timing.timing.page_faults", lambda: 1_000 + step_faults * step.calls)
    assert measure_throughput(step, images_per_step=1, clock=clock).page_faults_per_step == step_faults


def test_throughput_excludes_warmup():
    clock = FakeClock()
    step = FakeStep(clock, [2.0, 100 * MS, 50 * MS, 20 * MS, 10 * MS])  # slow first steps, then steady
    found = measure_throughput(step, images_per_step=1, clock=clock, blocks=5)
    assert found.block_img_per_s == pytest.approx([100.0] * 5)
    assert step.calls == found.warmup_iters + 5 * found.iters_per_block


def test_warmup_stops_when_the_rate_has_settled():
    clock = FakeClock()
    found = measure_throughput(
        FakeStep(clock, [5 * MS]), images_per_step=1, clock=clock, block_seconds=0.2, max_warmup_seconds=60.0
    )
    assert found.warmup_settled
    assert found.warmup_iters == 1 + 7 * 10  # a first look at the rate, then seven warm-up blocks of 0.05 s


def test_a_rate_that_drifts_to_the_end_of_warmup_is_flagged():
    clock = FakeClock()
    faster_and_faster = (5 * MS * 0.999**i for i in itertools.count())  # 1 % each ten steps
    found = measure_throughput(
        FakeStep(clock, faster_and_faster), images_per_step=1, clock=clock, max_warmup_seconds=1.5
    )
    assert not found.warmup_settled


def test_warmup_ends_at_its_time_limit():
    clock = FakeClock()
    step = FakeStep(clock, itertools.cycle([1 * MS] * 60 + [2 * MS] * 150))
    found = measure_throughput(step, images_per_step=1, clock=clock, max_warmup_seconds=1.0, blocks=3)
    assert clock.seconds <= 1.0 + 0.25 + 3 * 0.6
    assert len(found.block_img_per_s) == 3


def test_every_block_is_kept_and_the_median_stands_for_them():
    clock = FakeClock()
    step = FakeStep(clock, [1.0] * 8 + [1.0, 0.5, 0.25])
    found = measure_throughput(step, images_per_step=1, clock=clock, blocks=3, max_warmup_seconds=7.5)
    assert found.warmup_iters == 8
    assert found.block_img_per_s == pytest.approx([1.0, 2.0, 4.0])
    assert found.img_per_s == pytest.approx(2.0)


def test_each_block_starts_from_an_empty_queue():
    clock = FakeClock()
    clock.queued = 7.0  # left over from something else
    step = FakeStep(clock, [5 * MS])
    found = measure_throughput(step, images_per_step=1, clock=clock, blocks=5)
    assert found.block_img_per_s == pytest.approx([200.0] * 5)
    warmup_blocks = clock.synchronised - 5
    assert warmup_blocks == 8  # one synchronise for each block


def test_a_very_slow_model_gets_fewer_blocks_but_not_too_few():
    clock = FakeClock()
    found = measure_throughput(FakeStep(clock, [MAX_TIMED_SECONDS]), images_per_step=1, clock=clock, blocks=8)
    assert len(found.block_img_per_s) == MIN_BLOCKS


def test_the_median_of_an_even_number_of_blocks_is_halfway():
    assert Throughput((1.0, 3.0), 1, 0, True, 0.0).img_per_s == 2.0


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


def test_a_percentile_between_two_samples_is_interpolated():
    assert percentile([30.0, 10.0, 20.0, 40.0], 50) == 25.0
    assert percentile([10.0, 20.0], 90) == pytest.approx(19.0)


def test_the_ends_are_the_extremes():
    assert (percentile([3.0, 1.0, 2.0], 0), percentile([3.0, 1.0, 2.0], 100)) == (1.0, 3.0)


def test_percentiles_agree_with_numpy():
    samples = np.random.default_rng(0).exponential(size=137).tolist()
    for percent in (1, 25, 50, 90, 99):
        assert percentile(samples, percent) == pytest.approx(np.percentile(samples, percent))


@pytest.mark.parametrize(("samples", "percent"), [([], 50), ([1.0], 101), ([1.0], -1)])
def test_a_percentile_that_does_not_exist_is_refused(samples: list[float], percent: float):
    with pytest.raises(ValueError, match="does not exist"):
        percentile(samples, percent)


def test_a_slow_model_gets_the_blocks_that_end_before_its_time_limit():
    clock = FakeClock()
    found = measure_throughput(
        FakeStep(clock, [2.0]), images_per_step=8, clock=clock, max_warmup_seconds=0.8, min_blocks=1, until=8.0
    )
    assert (found.warmup_iters, found.block_img_per_s) == (1, (4.0, 4.0, 4.0))
    assert clock.seconds == 8.0


def test_a_model_that_is_fast_enough_ends_long_before_its_time_limit():
    clock = FakeClock()
    found = measure_throughput(
        FakeStep(clock, [0.5]), images_per_step=8, clock=clock, max_warmup_seconds=0.8, min_blocks=1, max_seconds=0.8,
        until=8.0,
    )  # fmt: skip
    assert (found.warmup_iters, len(found.block_img_per_s)) == (2, 2)


def test_a_throughput_that_cannot_be_in_time_is_refused_after_one_warm_up():
    clock = FakeClock()
    step = FakeStep(clock, [4.5])
    with pytest.raises(TooSlowError, match=r"^one pass took 4.5 s, and 3.5 s were left of the time limit$"):
        measure_throughput(step, images_per_step=8, clock=clock, max_warmup_seconds=0.8, until=8.0)
    assert step.calls == 1


def test_a_slow_models_latency_gives_as_many_samples_as_the_time_limit_holds():
    clock = FakeClock()
    step = FakeStep(clock, [2.5])
    found = measure_latency(step, clock=clock, max_seconds=9.0, max_warmup_seconds=0.8, min_samples=1, until=8.0)
    assert (found.warmup_iters, found.latency_ms) == (1, (2500.0, 2500.0))
    assert (found.p50_ms, found.p90_ms, found.p99_ms) == (2500.0, None, None)


def test_a_latency_that_cannot_be_in_time_is_refused_after_one_warm_up():
    clock = FakeClock()
    with pytest.raises(TooSlowError, match=r"^one pass took 5 s, and 3 s were left of the time limit$"):
        measure_latency(FakeStep(clock, [5.0]), clock=clock, max_warmup_seconds=0.8, until=8.0)
