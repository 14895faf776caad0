"""Stored baselines beside today's times: what is an alarm, what is not comparable, and what is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from gate.simulated import Machine, dies, starts

from bench.errors import CellFailedError
from bench.gate import calibration
from bench.gate.arms import Arm, WorkerLostError
from bench.gate.baseline import (
    CALIBRATION_VERSION,
    KERNELS,
    Here,
    Today,
    baselines_of,
    make_baselines,
    notes_for,
    time_baselines,
    time_kernels,
)
from bench.gate.check import Measured
from bench.gate.pairs import ArmName
from bench.gate.result import BaselineNote, Comparison, ModelResult, PairTurns, Side, Workload
from bench.gate.session import Launcher, Request, recall
from bench.gate.trees import SideCode
from bench.store.baselines import Baseline, ProcessTurns


def took(ms: float) -> tuple[ProcessTurns, ...]:
    return (ProcessTurns(forwards=1, clock="cpu", ns=(round(ms * 1e6),)),)


def stored(ms: float = 4.0, *, kernel_ms: float = 1.0, **changes: Any) -> Baseline:
    fields: dict[str, Any] = {
        "saved_at": "2026-11-01T10:00:00+00:00",
        "workload": Workload(model="net").model_dump(mode="json"),
        "device": "cpu",
        "threads": 1,
        "processes": took(ms),
        "calibration_version": CALIBRATION_VERSION,
        "kernels": dict.fromkeys(KERNELS, took(kernel_ms)),
        "conditions": {"machine": "aaaa", "torch": "2.14", "cpu_model": "Old CPU", "git_commit": "0123456789abcdef"},
    }
    return Baseline(**(fields | changes))


def note(baseline: Baseline, ms: float, *, workload: Workload | None = None, **here: Any) -> BaselineNote:
    where: dict[str, Any] = {"machine": "aaaa", "device": "cpu", "threads": 1, "torch": "2.14"}
    [found] = notes_for([Today("net", workload or Workload(model="net"), ms)], [baseline], Here(**(where | here)))
    return found


def kernels(ms: float) -> dict[str, float]:
    return dict.fromkeys(KERNELS, ms)


def test_a_time_within_the_band_is_no_alarm() -> None:
    found = note(stored(4.0), 4.4)
    assert (found.is_alarm, found.is_same_machine, found.stored_ms, found.now_ms) == (False, True, 4.0, 4.4)
    assert found.ratio == pytest.approx(1.1)
    assert found.text == "10.0 % slower than on 2026-11-01, within the band of 15 %"


@pytest.mark.parametrize(("ms", "is_alarm"), [(4.6, False), (4.601, True), (3.4, False), (3.399, True)])
def test_the_band_ends_at_fifteen_percent_either_way(ms: float, is_alarm: bool) -> None:
    assert note(stored(4.0), ms).is_alarm is is_alarm


def test_an_alarm_says_that_it_is_advisory_and_what_decides() -> None:
    assert note(stored(4.0), 6.0, kernels_ms=kernels(1.3)).text == (
        "50.0 % slower than on 2026-11-01, outside the band of 15 %; the machine's own kernels take 1.30 x as long as "
        "then. Advisory: a machine changes too; `vitbench check --base 01234567` decides"
    )


def test_another_machine_is_not_comparable_and_estimated_by_its_kernels() -> None:
    found = note(stored(4.0), 6.6, machine="bbbb", kernels_ms=kernels(1.5))
    assert (found.is_same_machine, found.is_alarm) == (False, False)
    assert found.ratio == pytest.approx(6.6 / (4.0 * 1.5))
    assert found.text == (
        "not comparable: from another machine (Old CPU, aaaa). This machine's kernels take 1.50 x as long, so about "
        "6.00 ms would be expected: 1.10 x that was measured"
    )


@pytest.mark.parametrize(("ms", "is_alarm"), [(12.0, False), (12.1, True), (0.1, False)])
def test_an_estimate_alarms_above_two_times_alone(ms: float, is_alarm: bool) -> None:
    found = note(stored(4.0), ms, machine="bbbb", kernels_ms=kernels(1.5))
    assert found.is_alarm is is_alarm
    assert found.text.endswith(", more than 2 x. Advisory") is is_alarm


def test_a_raw_number_of_another_machine_never_alarms() -> None:
    for baseline, now in ((stored(4.0), None), (stored(4.0, calibration_version=0), kernels(1.0))):
        found = note(baseline, 400.0, machine="bbbb", kernels_ms=now)
        assert not found.is_alarm
        assert found.text == (
            "not comparable: from another machine (Old CPU, aaaa), and its kernels' times cannot be compared with "
            "this one's"
        )


def test_the_scale_between_machines_is_the_geometric_mean_of_their_kernels() -> None:
    now = dict(zip(KERNELS, (1.0, 2.0, 2.0, 4.0), strict=True))
    assert note(stored(1.0), 2.0, machine="bbbb", kernels_ms=now).ratio == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threads": 4}, "threads was 1 and is 4"),
        ({"device": "cuda"}, "device was cpu and is cuda"),
        ({"workload": Workload(model="net", settings={"compile": True})}, "compile was default and is on"),
        (
            {"threads": 4, "workload": Workload(model="net", settings={"fold": True})},
            "fold was default and is on and threads was 1 and is 4",
        ),
    ],
)
def test_other_conditions_are_said_and_never_alarm(changes: dict[str, Any], said: str) -> None:
    found = note(stored(4.0), 40.0, **changes)
    assert (found.is_alarm, found.text) == (False, f"not comparable: {said}")


def test_times_under_two_rules_for_freed_memory_are_not_comparable_and_a_baseline_that_says_none_is() -> None:
    silent = stored(4.0)
    other = stored(4.0, conditions={**silent.conditions, "allocator": "glibc, nothing set"})
    kept = "glibc, freed memory kept"
    assert note(other, 40.0, allocator=kept).text == f"not comparable: allocator was glibc, nothing set and is {kept}"
    assert note(silent, 40.0, allocator=kept).is_alarm


def test_times_by_two_clocks_are_not_comparable() -> None:
    today = Today("net", Workload(model="net"), 40.0, clock="wall")
    [found] = notes_for([today], [stored()], Here("aaaa", "cpu", 1, "2.14"))
    assert (found.is_alarm, found.text) == (False, "not comparable: clock was cpu and is wall")


def test_another_torch_is_said_beside_the_ratio() -> None:
    assert note(stored(4.0), 4.0, torch="2.15").text.endswith("; torch 2.14 then, 2.15 now")


def test_a_baseline_answers_for_the_same_images_alone() -> None:
    workload = Workload(model="net", batch_size=8)
    assert notes_for([Today("net", workload, 4.0)], [stored()], Here("aaaa", "cpu", 1, "2.14")) == ()


def test_of_two_baselines_of_one_question_the_youngest_speaks() -> None:
    young = stored(5.0, saved_at="2026-11-20T00:00:00+00:00")
    assert baselines_of(Workload(model="net"), [young, stored(4.0)]) == [young]


def test_models_and_kernels_take_turns_in_the_same_fresh_processes() -> None:
    machine, done = Machine(process_spread=0.05, turn_spread=0.0), []
    asked = [Workload(model="one"), Workload(model="two")]
    times = time_baselines(asked, starts(machine), processes=3, turns=4, progress=done.append)
    assert machine.started == [["head"]] * 3
    assert machine.closed == 3
    assert done == [1, 2, 3]
    assert [len(process.ns) for taken in times.workloads for process in taken] == [4] * 6
    assert set(times.kernels) == set(KERNELS)
    # a process is fast or slow for all that runs in it
    for one, kernel in zip(times.workloads[0], times.kernels["matmul"], strict=True):
        assert one.forward_ms == pytest.approx(kernel.forward_ms, rel=1e-3)


def test_what_was_timed_is_what_is_stored() -> None:
    asked = [Workload(model="one")]
    times = time_baselines(asked, starts(Machine()), processes=2, turns=2)
    [made] = make_baselines(asked, times, {"machine": "m"}, device="cpu", threads=2, saved_at="2026-01-01T00:00:00Z")
    assert (made.processes, made.kernels, made.threads) == (times.workloads[0], times.kernels, 2)
    assert made.workload["model"] == "one"
    assert made.forward_ms == pytest.approx(1.0, rel=0.2)


def test_a_model_that_cannot_be_built_or_a_worker_that_dies_ends_it_with_the_reason() -> None:
    with pytest.raises(CellFailedError, match="Model 'one' cannot be measured: no such layer"):
        time_baselines([Workload(model="one")], starts(Machine(unbuildable={"head": "no such layer"})))
    with pytest.raises(WorkerLostError):
        time_kernels(starts(Machine(accident=dies("head", at_turn=3))))


def test_every_kernel_is_a_function_of_the_calibration_file_and_runs() -> None:
    import torch

    image = torch.zeros(1, 3, 8, 8)
    for kernel in KERNELS:
        with torch.inference_mode():
            output = getattr(calibration, kernel)()(image)
        assert torch.isfinite(output).all()


class SimulatedLauncher(Launcher):
    """Starts workers of a simulated machine and says what real ones would have said of theirs."""

    def __init__(self, machine: Machine) -> None:
        code = SideCode(Side(label="head"), Path(), None, Path())
        super().__init__(code, code, "cpu", 1, None, conditions={"machine": "aaaa", "torch": "2.14"})
        self.start = starts(machine)

    def __call__(self, names: Sequence[ArmName]) -> AbstractContextManager[Mapping[ArmName, Arm]]:
        return self.start(names)


def recalled(machine: Machine, *baselines: Baseline) -> tuple[tuple[BaselineNote, ...], tuple[str, ...]]:
    """What a check of `net` tells, in which a forward pass took 1 ms."""
    turns = PairTurns(
        pair=0, started_first="base", clock="cpu", forwards=1, orders=("bh",), base_ns=(10**6,), head_ns=(10**6,)
    )
    comparison = Comparison(name="net", base=Workload(model="net"), head=Workload(model="net"))
    model = ModelResult(comparison=comparison, verdict="PASS", reason="", pairs=(turns,))
    request = Request(comparisons=(comparison,), base="HEAD", baselines=baselines)
    return recall(request, SimulatedLauncher(machine), Measured((model,), None, ()))


def test_a_check_times_the_kernels_once_and_tells_what_is_stored() -> None:
    machine = Machine(process_spread=0.0, turn_spread=0.0)
    [found], problems = recalled(machine, stored(1.25, kernel_ms=0.5))
    assert (found.ratio, found.is_alarm, problems) == (0.8, True, ())
    assert "the machine's own kernels take 2.00 x as long as then" in found.text
    assert machine.started == [["head"]]


def test_a_check_without_a_baseline_of_its_models_starts_nothing() -> None:
    machine = Machine()
    other = stored(workload=Workload(model="other").model_dump(mode="json"))
    assert recalled(machine, other) == ((), ())
    assert machine.started == []


def test_a_machine_that_cannot_be_calibrated_is_said_and_what_is_stored_told_all_the_same() -> None:
    [found], problems = recalled(Machine(accident=dies("head", at_turn=3)), stored(1.0))
    assert found.ratio == 1.0
    assert problems == (
        "This machine could not be calibrated against the stored baselines: "
        "The head worker ended while a turn (signal 9).",
    )
