from __future__ import annotations

import itertools

import pytest
from fake_clock import FakeClock, FakeStep

from bench.measure.timing import MAX_TIMED_SECONDS, MIN_BLOCKS, Throughput, measure_throughput

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
    monkeypatch.setattr("bench.measure.timing.page_faults", lambda: 1_000 + step_faults * step.calls)
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
