from __future__ import annotations

from typing import Any

import pytest
from report.synthetic_store import speed_record

from bench.analyse.speed.stability import PROCESS_CHECKS, SPREAD_CHECKS, warnings
from bench.cli.progress import TimingWarnings
from bench.store.record import Record

STEADY = [100.0, 101.0, 99.0, 100.0, 100.0, 101.0, 99.0, 100.0]


def timing(repeat: int = 0, rate: float = 100.0, *, blocks: list[float] = STEADY, state: dict[str, Any] | None = None,
           **values: Any) -> Record:  # fmt: skip
    record = speed_record("vit_32px_s", repeat, rate)
    told = {} if state is None else {"machine_state": {"watched_s": 10.0, **state}}
    return record.model_copy(
        update={"values": {**record.values, **told, **values}, "samples": {"block_img_per_s": blocks}}
    )


def fired(*records: Record) -> list[str]:
    return [warning.check.field for warning in warnings(records)]


def test_a_quiet_timing_raises_no_doubt():
    quiet = {"other_cpu_share": 0.02, "steal_share": 0.0, "cgroup_throttled_s": 0.0, "cpu_mhz_after": 3000.0}
    quiet |= {"gpu_throttle_reasons": ["gpu_idle"], "gpu_other_processes": 0}
    assert fired(timing(0, state=quiet), timing(1, 101.0, state=quiet)) == []


def test_records_from_before_the_state_was_recorded_raise_no_doubt_about_it():
    assert fired(timing()) == []
    assert fired(timing(state=dict.fromkeys(["other_cpu_share", "steal_share", "gpu_throttle_reasons"]))) == []


@pytest.mark.parametrize(
    ("record", "field", "worst"),
    [
        (timing(latency_p50_ms=1.0, latency_p99_ms=3.1), "latency_p99_over_p50", 3.1),
        (timing(blocks=[100.0] * 4 + [80.0] * 4), "block_drift", 0.2),
        (timing(warmup_settled=False), "warmup_unsettled", 1.0),
        (timing(state={"other_cpu_share": 0.4}), "other_cpu_share", 0.4),
        (timing(state={"steal_share": 0.1}), "steal_share", 0.1),
        (timing(state={"cgroup_throttled_s": 2.0}), "throttled_share", 0.2),
        (timing(state={"gpu_throttle_reasons": ["gpu_idle", "hw_thermal_slowdown"]}), "gpu_slowing_reasons", 1.0),
        (timing(state={"gpu_other_processes": 2}), "gpu_other_processes", 2.0),
    ],
)
def test_each_sign_of_trouble_raises_its_own_doubt(record: Record, field: str, worst: float):
    (warning,) = warnings([record, timing(1)])
    assert warning.check.field == field
    assert warning.worst == pytest.approx(worst)
    assert (warning.processes, warning.of_processes) == (1, 2)
    assert warning.cell_ids == (record.cell_id,)


def test_every_check_of_the_table_can_fire():
    assert len({check.field for check in (*PROCESS_CHECKS, *SPREAD_CHECKS)}) == 11


def test_a_p99_that_was_not_taken_is_no_doubt():
    assert fired(timing(latency_p99_ms=None)) == []


def test_processes_that_differ_raise_a_doubt_together():
    (warning,) = warnings([timing(r, rate) for r, rate in enumerate((100.0, 130.0, 90.0))])
    assert warning.check.field == "process_spread"
    assert len(warning.cell_ids) == 3


def test_clocks_that_differ_between_processes_raise_a_doubt():
    (warning,) = warnings([timing(r, state={"cpu_mhz_after": mhz}) for r, mhz in enumerate((3000.0, 2400.0))])
    assert (warning.check.field, warning.worst) == ("clock_spread", pytest.approx(0.25))


@pytest.mark.parametrize(
    ("faults", "worst"),
    [((0.0, 20.0), None), ((5_000.0, 5_010.0), None), ((3.0, 40_003.0), 0.0625), ((None, 40_000.0), None)],
)
def test_page_faults_that_differ_between_processes_raise_a_doubt_where_they_take_time(
    faults: tuple[float | None, ...], worst: float | None
):
    batch_of_64_in_640_ms = [timing(repeat, 100.0, page_faults_per_pass=each) for repeat, each in enumerate(faults)]
    found = warnings(batch_of_64_in_640_ms)
    assert [(warning.check.field, warning.worst) for warning in found] == (
        [] if worst is None else [("page_fault_spread", pytest.approx(worst))]
    )


def test_page_faults_of_latency_and_of_training_steps_count_too():
    one_ms = {"latency_p50_ms": 1.0, "latency_p99_ms": 1.5}
    latency = [timing(r, **one_ms, latency_page_faults_per_pass=each) for r, each in enumerate((0.0, 100.0))]
    assert fired(*latency) == ["page_fault_spread"]
    training = [timing(r, training_img_per_s=6_400.0, page_faults_per_step=each) for r, each in enumerate((0.0, 900.0))]
    assert "page_fault_spread" in fired(*training)


def test_timings_under_two_rules_for_freed_memory_are_not_compared_with_one_another():
    kept, other = timing(0, 100.0), timing(1, 300.0)
    kept.conditions["allocator"], other.conditions["allocator"] = "glibc, freed memory kept", "glibc, nothing set"
    assert fired(kept, other) == []


def test_two_models_are_not_compared_with_one_another():
    assert fired(timing(0, 100.0), speed_record("resnet_32px_s", 0, 500.0)) == []


def test_timings_under_best_settings_are_apart_from_the_fixed_ones():
    best = speed_record("vit_32px_s", 0, 300.0, role="best")
    assert fired(timing(0, 100.0), best) == []
    (warning,) = warnings([best.model_copy(update={"values": {**best.values, "warmup_settled": False}}), timing()])
    assert warning.sentence.startswith("vit_32px_s (best settings): warm-up ended")


def test_trials_and_failures_are_left_out():
    trial = speed_record("vit_32px_s", 0, 100.0, role="trial")
    trial = trial.model_copy(update={"values": {**trial.values, "warmup_settled": False}})
    assert fired(trial, timing(warmup_settled=False).model_copy(update={"status": "failed"})) == []


def test_a_run_warns_of_each_process_and_once_of_all_together():
    warnings = TimingWarnings()
    assert warnings.after(timing(0, 100.0)) == []
    (spread,) = warnings.after(timing(1, 150.0))
    assert spread.startswith("Warning: vit_32px_s: processes differ much from one another in throughput (standard dev")
    (own,) = warnings.after(timing(2, 120.0, latency_p50_ms=1.0, latency_p99_ms=3.1))
    assert own == (
        "Warning: vit_32px_s: latency is unstable: p99 far above p50 (p99 is 3.1 x p50). "
        "Is the machine shared? Close other programs, or time at a quieter hour."
    )


def test_a_run_does_not_warn_of_what_is_no_timing():
    record = timing()
    assert TimingWarnings().after(record.model_copy(update={"cell": {**record.cell, "task": "memory"}})) == []
