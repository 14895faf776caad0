"""Stored baselines: measured with the gate's worker beside the machine's own kernels, and laid beside today's times.

Advisory: what is said here never moves a verdict.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from bench.errors import CellFailedError
from bench.gate.arms import Arm, Pace, Taken
from bench.gate.pairs import StartArms
from bench.gate.result import BaselineNote, ClockName, Workload
from bench.gate.turns import clock_for, nanoseconds, pace_for
from bench.shown import fixed, listed, significant
from bench.store.baselines import Baseline, ProcessTurns, typical_ms

CALIBRATION_VERSION = 1
KERNELS = ("matmul", "convolution", "small_layers", "elementwise")  # functions of calibration.py
PROCESSES = 5
TURNS = 40
KERNEL_TURNS = 20  # in a check: 2 s, beside the 3 s that a process takes to start
BAND = 0.15  # either way, on one machine: a convention; within one hour times were seen to move by 8 %
OTHER_MACHINE_FACTOR = 2.0  # an estimate from another machine is coarse: see docs/gate.md, Stored baselines

_CALIBRATION = Path(__file__).with_name("calibration.py")
# The worker's images are not used by the kernels.
KERNEL_WORKLOADS = tuple(Workload(model=f"{_CALIBRATION}:{kernel}", resolution_px=8) for kernel in KERNELS)


def time_alternately(
    workloads: Sequence[Workload],
    start: StartArms,
    *,
    processes: int,
    turns: int,
    seed: int = 0,
    progress: Callable[[int], None] = lambda process: None,
) -> list[tuple[ProcessTurns, ...]]:
    """Every workload's turns in fresh processes, one process after the other; all take turns in random order.

    progress: told of each process that is done.
    Raises CellFailedError for a workload that cannot be built, WorkerLostError for a worker that dies or hangs.
    """
    random_state = random.Random(seed)
    paces: list[Pace] = []
    taken: list[list[list[Taken]]] = [[] for _ in workloads]  # workload, process, turn
    for process in range(processes):
        with start(["head"]) as arms:
            arm = arms["head"]
            forward_ns = [_built(arm, workload) for workload in workloads]
            paces = paces or [pace_for([ns], []) for ns in forward_ns]  # kept, so that processes are alike
            for each in taken:
                each.append([])
            for _ in range(turns):
                for index in random_state.sample(range(len(workloads)), len(workloads)):
                    pace = paces[index]
                    taken[index][-1].append(arm.turn(index, pace, sum(pace) * forward_ns[index]))
        progress(process + 1)
    return [_by_one_clock(each, pace.forwards) for each, pace in zip(taken, paces, strict=True)]


def _by_one_clock(taken: Sequence[Sequence[Taken]], forwards: int) -> tuple[ProcessTurns, ...]:
    """A workload's turns, process by process, by the clock that holds for all of them."""
    clock = clock_for({str(process): each for process, each in enumerate(taken)})
    return tuple(ProcessTurns(forwards=forwards, clock=clock, ns=nanoseconds(each, clock)) for each in taken)


def _built(arm: Arm, workload: Workload) -> int:
    outcome = arm.build(workload)
    if isinstance(outcome, str):
        raise CellFailedError(f"Model {workload.model!r} cannot be measured: {outcome}")
    return outcome


@dataclass(frozen=True)
class Times:
    """Turns of each workload, in their order, and of each kernel, in the same processes."""

    workloads: list[tuple[ProcessTurns, ...]]
    kernels: dict[str, tuple[ProcessTurns, ...]]


def time_baselines(
    workloads: Sequence[Workload],
    start: StartArms,
    *,
    processes: int = PROCESSES,
    turns: int = TURNS,
    progress: Callable[[int], None] = lambda process: None,
) -> Times:
    """Workloads and the machine's own kernels, timed alternately. Raises as time_alternately does."""
    every = time_alternately(
        [*workloads, *KERNEL_WORKLOADS], start, processes=processes, turns=turns, progress=progress
    )  # fmt: skip
    return Times(every[: len(workloads)], dict(zip(KERNELS, every[len(workloads) :], strict=True)))


def make_baselines(
    workloads: Sequence[Workload],
    times: Times,
    conditions: Mapping[str, Any],
    *,
    device: str,
    threads: int,
    saved_at: str,
) -> list[Baseline]:
    """What the store keeps, one of each workload. conditions: as in stored records."""
    return [
        Baseline(
            saved_at=saved_at,
            workload=workload.model_dump(mode="json"),
            device=device,
            threads=threads,
            processes=taken,
            calibration_version=CALIBRATION_VERSION,
            kernels=times.kernels,
            conditions=dict(conditions),
        )
        for workload, taken in zip(workloads, times.workloads, strict=True)
    ]


def time_kernels(start: StartArms) -> dict[str, float]:
    """Milliseconds of each of the machine's own kernels now, in one process. Raises as time_alternately does."""
    times = time_baselines((), start, processes=1, turns=KERNEL_TURNS)
    return {kernel: typical_ms(taken) for kernel, taken in times.kernels.items()}


@dataclass(frozen=True)
class Today:
    """One model's time in the check at hand, on head, and the clock that it is by."""

    name: str
    workload: Workload
    ms: float
    clock: ClockName = "cpu"


@dataclass(frozen=True)
class Here:
    """The machine at hand. kernels_ms: its own kernels' times now, None where they were not measured.

    allocator: what workers do with freed memory; None where they do not say, as in baselines of before.
    """

    machine: str
    device: str
    threads: int
    torch: str | None
    kernels_ms: Mapping[str, float] | None = None
    allocator: str | None = None


def baselines_of(workload: Workload, baselines: Sequence[Baseline]) -> list[Baseline]:
    """Those of the same model, batch size, resolution and classes; one of each name, the youngest."""
    youngest: dict[str, Baseline] = {}
    for baseline in sorted(baselines, key=lambda one: one.saved_at):
        if all(baseline.workload.get(key) == getattr(workload, key) for key in _SAME):
            youngest[baseline.name] = baseline
    return list(youngest.values())


_SAME = ("model", "batch_size", "resolution_px", "num_classes", "plant")


def notes_for(today: Sequence[Today], baselines: Sequence[Baseline], here: Here) -> tuple[BaselineNote, ...]:
    """What each stored baseline says of today's times.

    On the same machine a ratio outside 1 +- BAND is an alarm; from another machine an estimate above
    OTHER_MACHINE_FACTOR is. Other settings, threads or devices are told and never alarm.
    """
    return tuple(_note(one, baseline, here) for one in today for baseline in baselines_of(one.workload, baselines))


def _note(today: Today, baseline: Baseline, here: Here) -> BaselineNote:
    others = _other_conditions(today, baseline, here)
    is_here = baseline.machine == here.machine
    scale = machine_scale(baseline, here)
    ratio = today.ms / baseline.forward_ms
    if not is_here and scale is not None:
        ratio /= scale
    if others:
        text, is_alarm = f"not comparable: {listed(others)}", False
    elif is_here:
        text, is_alarm = _on_this_machine(ratio, baseline, scale)
    else:
        text, is_alarm = _from_another_machine(ratio, baseline, scale)
    then = baseline.conditions.get("torch")
    if then != here.torch:
        text += f"; torch {then} then, {here.torch} now"
    return BaselineNote(
        name=today.name,
        saved_at=baseline.saved_at,
        is_same_machine=is_here,
        stored_ms=baseline.forward_ms,
        now_ms=today.ms,
        ratio=ratio,
        is_alarm=is_alarm,
        text=text,
    )


def _other_conditions(today: Today, baseline: Baseline, here: Here) -> list[str]:
    """What makes the stored time an answer to another question than today's."""
    then, now = baseline.workload.get("settings") or {}, today.workload.settings
    differ = [(key, then.get(key, "default"), now.get(key, "default")) for key in sorted({*then, *now})]
    differ += [("threads", baseline.threads, here.threads), ("device", baseline.device, here.device)]
    differ.append(("clock", baseline.processes[0].clock, today.clock))
    if allocator := baseline.conditions.get("allocator"):
        differ.append(("allocator", allocator, here.allocator))
    return [f"{key} was {switch(before)} and is {switch(after)}" for key, before, after in differ if before != after]


def switch(value: Any) -> str:
    """A setting's value as the command line writes it: `on`, `off`, `bf16`."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def machine_scale(baseline: Baseline, here: Here) -> float | None:
    """How many times as long this machine takes for the kernels as the baseline's took: a geometric mean.

    None where that cannot be said: not measured now, or kernels of another version then.
    """
    if here.kernels_ms is None or baseline.calibration_version != CALIBRATION_VERSION:
        return None
    if not set(KERNELS) <= set(baseline.kernels):
        return None
    return geometric_mean(here.kernels_ms[kernel] / typical_ms(baseline.kernels[kernel]) for kernel in KERNELS)


def _on_this_machine(ratio: float, baseline: Baseline, scale: float | None) -> tuple[str, bool]:
    is_alarm = not 1 - BAND <= ratio <= 1 + BAND
    where = "outside" if is_alarm else "within"
    text = f"{_slower(ratio)} than on {baseline.saved_at[:10]}, {where} the band of {BAND * 100:g} %"
    if scale is not None:
        text += f"; the machine's own kernels take {fixed(scale, 2)} x as long as then"
    if is_alarm:
        commit = baseline.conditions.get("git_commit")
        against = f"`vitbench check --base {commit[:8]}`" if commit else "a check against the commit of that day"
        text += f". Advisory: a machine changes too; {against} decides"
    return text, is_alarm


def _from_another_machine(ratio: float, baseline: Baseline, scale: float | None) -> tuple[str, bool]:
    text = f"not comparable: from another machine ({baseline.conditions.get('cpu_model')}, {baseline.machine})"
    if scale is None:
        return f"{text}, and its kernels' times cannot be compared with this one's", False
    is_alarm = ratio > OTHER_MACHINE_FACTOR
    text += (
        f". This machine's kernels take {fixed(scale, 2)} x as long, so about "
        f"{significant(baseline.forward_ms * scale, 3)} ms would be expected: {fixed(ratio, 2)} x that was measured"
    )
    if is_alarm:
        text += f", more than {OTHER_MACHINE_FACTOR:g} x. Advisory"
    return text, is_alarm


def _slower(ratio: float) -> str:
    percent = (ratio - 1) * 100
    return f"{fixed(abs(percent), 1)} % {'slower' if percent >= 0 else 'faster'}"
