import pytest
from records import record, timed

from bench.analyse.accuracies.subjects import RunKey
from bench.analyse.speed.speeds import Timed, home_machine, memories, speed_ratios, speeds
from bench.store.rows import speed_rows, task_rows


def key(model):
    return RunKey(model, 32, "cpu", "fp32", "contiguous", False)


def test_speed_of_a_model_is_over_its_processes():
    (one,) = speeds(speed_rows([timed("vit_32px_s", i, rate) for i, rate in enumerate((100.0, 110.0, 90.0))]))
    assert one.processes == 3
    assert one.throughput.median == 100.0
    assert sorted(one.throughput.values) == [90.0, 100.0, 110.0]
    assert one.latency.median == pytest.approx(10.0)
    assert one.latency_samples == 900
    assert one.latency_p99_median is None


def test_five_processes_have_the_range_of_all_of_them_and_fewer_have_none():
    # 1 - 2 / 2^5 = 93.75 % that the median of all processes lies within the range of five
    five = Timed.of([5.0, 1.0, 4.0, 2.0, 3.0])
    assert (five.median, five.interval.low, five.interval.high, five.interval.n) == (3.0, 1.0, 5.0, 5)
    assert Timed.of([1.0, 2.0, 3.0, 4.0]).interval is None
    assert Timed.of([]) is None


def test_two_modes_are_within_the_range_of_five_processes():
    timed_ = Timed.of([100.0, 100.0, 150.0, 150.0, 150.0])
    assert (timed_.median, timed_.interval.low, timed_.interval.high) == (150.0, 100.0, 150.0)


def test_one_timing_exceeds_another_only_where_the_ranges_are_apart():
    low, high = Timed.of([1.0, 2.0, 3.0, 4.0, 5.0]), Timed.of([6.0, 7.0, 8.0, 9.0, 10.0])
    touching = Timed.of([5.0, 7.0, 8.0, 9.0, 10.0])
    few = Timed.of([60.0, 70.0, 80.0])
    assert high.surely_exceeds(low)
    assert not low.surely_exceeds(high)
    assert not touching.surely_exceeds(low)
    assert not few.surely_exceeds(low)


def test_a_rate_of_nought_is_no_rate():
    records = [timed("vit_32px_s", 0, 100.0), timed("vit_32px_s", 1, 100.0)]
    records[1] = records[1].model_copy(update={"values": {**records[1].values, "throughput_img_per_s": 0.0}})
    (one,) = speeds(speed_rows(records))
    assert (one.processes, one.throughput.values) == (2, (100.0,))


def test_two_machines_are_two_speeds():
    found = speeds(speed_rows([timed("vit_32px_s", 0, 100.0, machine=m) for m in ("m1", "m2")]))
    assert [one.machine for one in found] == ["m1", "m2"]


def test_ratio_is_paired_by_process_round():
    # the machine halves its speed in round 1: the ratio does not notice
    records = [timed("vit_32px_s", i, rate) for i, rate in enumerate((100.0, 50.0))]
    records += [timed("resnet_32px_s", i, rate) for i, rate in enumerate((200.0, 100.0))]
    (ratio,) = speed_ratios(speed_rows(records), {key("resnet_32px_s"): key("vit_32px_s")})
    assert ratio.ratio.values == (2.0, 2.0)


def test_no_ratio_crosses_machines():
    records = [timed("vit_32px_s", 0, 100.0, machine="m1"), timed("resnet_32px_s", 0, 200.0, machine="m2")]
    assert speed_ratios(speed_rows(records), {key("resnet_32px_s"): key("vit_32px_s")}) == []


def test_home_is_the_machine_with_the_most_timings():
    records = [timed("vit_32px_s", i, 1.0, machine=m) for i, m in enumerate(("a", "b", "b"))]
    assert home_machine(speed_rows(records)) == "b"
    assert home_machine(speed_rows([])) == ""


def test_a_cpus_and_a_gpus_memory_are_two_kinds():
    cell = {"task": "memory", "model": "m", "resolution_px": 32, "batch_size": 8, "device": "cpu", "settings": {}}
    records = [record(cell, {"peak_rss_delta_mib": 5.0})]
    records.append(record({**cell, "device": "cuda"}, {"peak_allocated_mib": 7.0}))
    found = memories(task_rows(records, "memory"))
    assert [(one.kind, one.peak_mib) for one in found] == [
        ("process", 5.0),
        ("device", 7.0),
    ]
