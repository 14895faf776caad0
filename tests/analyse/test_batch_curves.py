"""Curves of throughput against batch size: the peak by medians, and where a model nears it."""

from records import timed

from bench.analyse.speed.speed_study import batch_curves
from bench.store.record import Record
from bench.store.rows import speed_rows
from bench.suite.cell import cell_id_of


def at(batch: int, repeat: int, rate: float, model: str = "vit_32px_m", **more: object) -> Record:
    one = timed(model, repeat, rate, **more)
    cell = {**one.cell, "batch_size": batch}
    return one.model_copy(update={"cell": cell, "cell_id": cell_id_of(cell)})


def curve(rates: dict[int, list[float]]):  # type: ignore[no-untyped-def]
    records = [at(batch, repeat, rate) for batch, found in rates.items() for repeat, rate in enumerate(found)]
    (one,) = batch_curves(speed_rows(records), "m1")
    return one


def test_the_peak_is_the_batch_with_the_highest_median():
    # the single fastest process is at 8, the highest mean at 8 too: neither is the peak
    one = curve({1: [10.0, 11.0, 12.0], 8: [90.0, 91.0, 200.0], 64: [99.0, 101.0, 100.0]})
    assert (one.peak.batch_size, one.peak.rate.median) == (64, 100.0)
    assert sorted(one.peak.rate.values) == [99.0, 100.0, 101.0]


def test_of_equal_medians_the_smaller_batch_is_the_peak():
    assert curve({8: [100.0], 64: [100.0]}).peak.batch_size == 8


def test_a_peak_has_an_interval_from_five_processes_on():
    five = [100.0, 104.0, 101.0, 103.0, 102.0]
    peak = curve({1: [10.0] * 5, 64: five}).peak
    assert peak.rate.interval is not None
    assert (peak.rate.median, peak.rate.interval.low, peak.rate.interval.high) == (102.0, 100.0, 104.0)
    assert curve({1: [10.0] * 4, 64: five[:4]}).peak.rate.interval is None


def test_near_the_peak_is_the_smallest_batch_within_5_percent_of_it():
    assert curve({1: [50.0], 8: [95.0], 64: [100.0], 512: [99.0]}).near_from == 8
    assert curve({1: [50.0], 8: [94.9], 64: [100.0], 512: [99.0]}).near_from == 64


def test_a_peak_at_the_largest_batch_may_lie_higher_beyond():
    assert curve({1: [10.0, 10.0], 64: [100.0, 100.0]}).is_open_ended
    assert not curve({1: [10.0, 10.0], 64: [100.0, 100.0], 512: [70.0, 70.0]}).is_open_ended


def test_a_curve_has_as_many_processes_as_its_poorest_batch_and_names_the_records_of_all():
    one = curve({1: [10.0, 10.0, 10.0], 64: [100.0, 101.0]})
    assert (one.processes, len(set(one.cell_ids))) == (2, 5)


def test_other_machines_are_in_no_curve():
    records = [at(8, 0, 100.0), at(8, 0, 1.0, machine="m2"), at(64, 0, 120.0)]
    (one,) = batch_curves(speed_rows(records), "m1")
    assert [point.rate.median for point in one.points] == [100.0, 120.0]


def test_only_the_batch_sizes_that_are_asked_for_are_looked_at():
    records = [at(batch, 0, 10.0 * batch) for batch in (1, 8, 64)]
    (key,) = {one.key for one in batch_curves(speed_rows(records), "m1")}
    (one,) = batch_curves(speed_rows(records), "m1", {key: {1, 8}})
    assert [point.batch_size for point in one.points] == [1, 8]
    assert batch_curves(speed_rows(records), "m1", {}) == []
