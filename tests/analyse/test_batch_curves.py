"""Curves of throughput against batch size: the peak without the gain of choosing it, and where a model nears it."""

import pytest
from records import timed

from bench.analyse.batch_curves import batch_curves
from bench.analyse.frame import speed_frame
from bench.store.record import Record
from bench.suite.cell import cell_id_of


def at(batch: int, repeat: int, rate: float, model: str = "vit_32px_m", **more: object) -> Record:
    one = timed(model, repeat, rate, **more)
    cell = {**one.cell, "batch_size": batch}
    return one.model_copy(update={"cell": cell, "cell_id": cell_id_of(cell)})


def curve(rates: dict[int, list[float]]):  # type: ignore[no-untyped-def]
    records = [at(batch, repeat, rate) for batch, found in rates.items() for repeat, rate in enumerate(found)]
    (one,) = batch_curves(speed_frame(records), "m1")
    return one


def test_the_peak_is_valued_by_processes_that_did_not_choose_it():
    # each process alone would take its own lucky batch and report 120
    one = curve({8: [120.0, 100.0], 64: [100.0, 120.0]})
    assert one.peak_mean == pytest.approx(100.0)
    assert one.peak_batches == (8, 64)
    assert one.is_split


def test_a_clear_peak_is_the_mean_of_its_processes():
    one = curve({1: [10.0, 11.0], 64: [99.0, 101.0]})
    assert one.peak_batches == (64,)
    assert one.peak_mean == pytest.approx((99.0 * 101.0) ** 0.5)


def test_one_process_both_chooses_and_values_its_peak_and_says_so():
    one = curve({1: [10.0], 64: [100.0]})
    assert not one.is_split
    assert one.peak_mean == pytest.approx(100.0)
    assert one.peak is None
    assert one.near_from == (64, 64)


def test_near_the_peak_means_that_the_whole_interval_is_above_95_percent():
    one = curve({1: [50.0, 50.1], 8: [97.9, 98.0], 64: [100.0, 100.1], 512: [99.9, 100.0]})
    assert [point.is_near for point in one.points][:2] == [False, True]
    assert one.near_from == (8, 8)
    assert one.falls_again is None


def test_what_the_intervals_leave_open_is_told_as_a_range():
    one = curve({1: [50.0, 50.0], 8: [90.0, 99.0], 64: [100.0, 101.0], 512: [104.0, 105.0]})
    first, sure = one.near_from
    assert first == 8
    assert sure == 512


def test_a_batch_beyond_the_best_that_is_slow_again_is_found():
    one = curve({1: [50.0, 50.1], 64: [100.0, 100.1], 4096: [60.0, 60.1]})
    assert one.falls_again is not None
    assert one.falls_again.batch_size == 4096
    assert one.falls_again.share_mean == pytest.approx(0.6, rel=0.01)


def test_other_machines_are_in_no_curve():
    records = [at(8, 0, 100.0), at(8, 0, 1.0, machine="m2"), at(64, 0, 120.0)]
    (one,) = batch_curves(speed_frame(records), "m1")
    assert [point.rate_mean for point in one.points] == pytest.approx([100.0, 120.0])


def test_a_round_that_lacks_a_batch_size_neither_chooses_nor_values():
    # round 1 never timed the fastest batch: what it would choose is not the peak
    one = curve({1: [10.0, 10.0], 64: [100.0], 512: [70.0, 70.0]})
    assert one.peak_batches == (64,)
    assert one.peak_mean == pytest.approx(100.0)
    assert not one.is_split


def test_a_peak_at_the_largest_batch_may_lie_higher_beyond():
    assert curve({1: [10.0, 10.0], 64: [100.0, 100.0]}).is_open_ended
    assert not curve({1: [10.0, 10.0], 64: [100.0, 100.0], 512: [70.0, 70.0]}).is_open_ended
