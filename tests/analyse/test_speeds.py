import math

import pytest
from records import record, timed

from bench.analyse.frame import memory_frame, speed_frame
from bench.analyse.scores import RunKey
from bench.analyse.speeds import home_machine, memories, speed_ratios, speeds


def key(model):
    return RunKey(model, 32, "cpu", "fp32", "contiguous", False)


def test_speed_of_a_model_is_over_its_processes():
    (one,) = speeds(speed_frame([timed("vit_32px_s", i, rate) for i, rate in enumerate((100.0, 110.0, 90.0))]))
    assert one.processes == 3
    assert one.throughput_median == 100.0
    assert one.throughput_img_per_s.estimate == pytest.approx(math.prod((100, 110, 90)) ** (1 / 3))
    assert one.latency_samples == 900
    assert one.latency_p99_median is None


def test_two_machines_are_two_speeds():
    found = speeds(speed_frame([timed("vit_32px_s", 0, 100.0, machine=m) for m in ("m1", "m2")]))
    assert [one.machine for one in found] == ["m1", "m2"]


def test_ratio_is_paired_by_process_round():
    # the machine halves its speed in round 1: the ratio does not notice
    records = [timed("vit_32px_s", i, rate) for i, rate in enumerate((100.0, 50.0))]
    records += [timed("resnet_32px_s", i, rate) for i, rate in enumerate((200.0, 100.0))]
    (ratio,) = speed_ratios(speed_frame(records), {key("resnet_32px_s"): key("vit_32px_s")})
    assert ratio.ratio_mean == pytest.approx(2.0)
    assert ratio.ratio.half_width == pytest.approx(0.0, abs=1e-9)


def test_no_ratio_crosses_machines():
    records = [timed("vit_32px_s", 0, 100.0, machine="m1"), timed("resnet_32px_s", 0, 200.0, machine="m2")]
    assert speed_ratios(speed_frame(records), {key("resnet_32px_s"): key("vit_32px_s")}) == []


def test_home_is_the_machine_with_the_most_timings():
    records = [timed("vit_32px_s", i, 1.0, machine=m) for i, m in enumerate(("a", "b", "b"))]
    assert home_machine(speed_frame(records)) == "b"
    assert home_machine(speed_frame([])) == ""


def test_a_cpus_and_a_gpus_memory_are_two_kinds():
    cell = {"task": "memory", "model": "m", "resolution_px": 32, "batch_size": 8, "device": "cpu", "settings": {}}
    records = [record(cell, {"peak_rss_delta_mib": 5.0})]
    records.append(record({**cell, "device": "cuda"}, {"peak_allocated_mib": 7.0}))
    assert [(one.kind, one.peak_mib) for one in memories(memory_frame(records))] == [("process", 5.0), ("device", 7.0)]
