"""Speed against resolution, largest batches and training steps, put together without mixing what must stay apart."""

import pytest
from records import SETTINGS, record, timed

from bench.analyse.speed.speed_study import speed_study, training_steps
from bench.store.record import Record


def at(batch: int, pixels: int, repeat: int, rate: float, **more: object) -> Record:
    one = timed("vit_32px_m", repeat, rate)
    return record({**one.cell, "batch_size": batch, "resolution_px": pixels}, one.values, **more)


def search(pixels: int, largest: int, budget: int | None = 128, device: str = "cpu") -> Record:
    cell = {
        "task": "largest_batch",
        "model": "vit_32px_m",
        "resolution_px": pixels,
        "cap": 4096,
        "memory_limit_mib": budget,
        "device": device,
        "settings": SETTINGS,
    }
    tries = [{"batch_size": largest + 1, "fits": False, "status": "oom", "reason": "full"}]
    values = {"largest_batch": largest, "stopped_by": "memory", "smallest_refused": largest + 1, "peak_mib": 9.0}
    return record(cell, {**values, "limit_mib": 128.0, "tries": tries})


def test_resolutions_are_compared_at_the_batch_sizes_that_all_have():
    records = [at(batch, 32, r, 1000.0 * batch) for batch in (1, 8, 64) for r in range(2)]
    records += [at(batch, 64, r, 100.0 * batch) for batch in (1, 8) for r in range(2)]
    study = speed_study(records, [], "m1")
    assert study.batches == (1, 8)
    assert [point.best.peak.rate.median for point in study.resolutions if point.best] == [8000.0, 800.0]
    (fall,) = study.falls()
    assert (fall.low_px, fall.high_px, fall.factor) == (32, 64, pytest.approx(10.0))
    assert len(fall.cell_ids) == 8
    assert [len(curve.points) for curve in study.curves] == [3, 2]


def test_the_largest_batch_counts_as_one_choice_although_it_differs():
    records = [search(32, 500), search(64, 100)]
    records += [at(8, pixels, r, 100.0) for pixels in (32, 64) for r in range(2)]
    records += [at(batch, pixels, r, 300.0) for pixels, batch in ((32, 500), (64, 100)) for r in range(2)]
    study = speed_study(records, [], "m1")
    assert (study.batches, study.has_largest) == ((8,), True)
    assert [point.best.peak.batch_size for point in study.resolutions if point.best] == [500, 100]


def test_a_budget_and_a_devices_memory_are_different_limits():
    study = speed_study([search(32, 10), search(32, 10, budget=None, device="cuda")], [], "m1")
    assert {one.limit for one in study.largest} == {("cpu", 128), ("cuda", None)}
    assert {one.reason for one in study.largest} == {"full"}


def test_a_size_at_which_nothing_ran_has_a_point_of_its_own():
    refused = at(8, 50, 0, 1.0, status="skipped", reason="patches")
    study = speed_study([at(8, 32, 0, 1.0)], [refused], "m1")
    assert [(point.key.resolution_px, point.best is None) for point in study.resolutions] == [(32, False), (50, True)]


def test_one_size_and_one_batch_make_no_axis():
    study = speed_study([at(8, 32, r, 1.0) for r in range(3)], [], "m1")
    assert not study.keys


def trained(repeat: int, rate: float) -> Record:
    cell = {
        "task": "training_step",
        "model": "vit_32px_m",
        "resolution_px": 32,
        "batch_size": 64,
        "repeat": repeat,
        "device": "cpu",
        "settings": SETTINGS,
    }
    return record(cell, {"training_img_per_s": rate, "warmup_settled": True})


def test_a_training_step_is_told_against_the_inference_of_its_round():
    # both slow down by half in round 1: the ratio does not move
    timing = [timed("vit_32px_m", 0, 400.0), timed("vit_32px_m", 1, 200.0)]
    steps = [trained(0, 100.0), trained(1, 50.0)]
    records = [*timing, *steps]
    (one,) = training_steps(records, "m1")
    assert one.times is not None
    assert one.times.values == (4.0, 4.0)
    assert one.rate is not None
    assert one.inference is not None
    assert (one.rate.median, one.inference.median) == (75.0, 300.0)
    assert (one.processes, one.is_settled, one.memory) == (2, True, None)
    assert set(one.cell_ids) == {record.cell_id for record in steps}
    assert set(one.inference_ids) == {record.cell_id for record in timing}


def test_a_training_step_without_an_inference_has_no_ratio():
    records = [trained(0, 100.0), trained(1, 90.0)]
    (one,) = training_steps(records, "m1")
    assert (one.times, one.inference, one.inference_ids) == (None, None, ())


def test_an_unsettled_warm_up_of_one_process_is_told_of_the_step():
    records = [trained(0, 100.0), trained(1, 50.0)]
    records[1] = records[1].model_copy(update={"values": {**records[1].values, "warmup_settled": False}})
    (one,) = training_steps(records, "m1")
    assert not one.is_settled
