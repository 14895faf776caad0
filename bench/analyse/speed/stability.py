"""Timings to distrust: a table of checks, each with what it reads, from where on it warns, and what to try.

The model is pyperf's `format_checks`. A warning is about how something was measured; it changes no number.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, stdev
from typing import Any

from bench.store.record import Record
from bench.suite.tasks import TIMED_TASKS

MIN_BLOCKS = 6  # fewer have no two halves to compare
# What a page that the system hands out costs at least (2 to 3 us were seen in a virtual machine). So the check fires
# where 100 page faults stand beside none in a pass of 10 ms; what keeps freed memory differs by a tenth of that.
PAGE_FAULT_SECONDS = 1e-6
SLOWING = {"sw_power_cap", "hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"}


def _state(record: Record) -> Mapping[str, Any]:
    state: Mapping[str, Any] = record.values.get("machine_state") or {}
    return state


def _tail(record: Record) -> float | None:
    p50, p99 = record.values.get("latency_p50_ms"), record.values.get("latency_p99_ms")
    return None if not p50 or p99 is None else float(p99) / float(p50)


def _drift(record: Record) -> float | None:
    blocks = record.samples.get("block_img_per_s") or []
    if len(blocks) < MIN_BLOCKS:
        return None
    half = len(blocks) // 2
    return abs(median(blocks[half:]) / median(blocks[:half]) - 1)


def _unsettled(record: Record) -> float:
    return float(record.values.get("warmup_settled") is False)


def _throttled(record: Record) -> float | None:
    seconds, watched = _state(record).get("cgroup_throttled_s"), _state(record).get("watched_s")
    return None if seconds is None or not watched else float(seconds) / float(watched)


def _slowing(record: Record) -> float | None:
    reasons = _state(record).get("gpu_throttle_reasons")
    return None if reasons is None else float(len(SLOWING & set(reasons)))


def _of_state(key: str) -> Callable[[Record], float | None]:
    return lambda record: _state(record).get(key)


def _process_spread(group: Sequence[Record]) -> float | None:
    """Standard deviation of the logarithm of throughput over processes."""
    keys = ("throughput_img_per_s", "training_img_per_s")
    rates = [record.values[key] for record in group for key in keys if record.values.get(key)]
    return stdev(math.log(rate) for rate in rates) if len(rates) > 1 else None


def _clock_spread(group: Sequence[Record]) -> float | None:
    """How far the highest clock lies above the lowest, at the end of each process; the larger of processor and GPU."""
    spreads = []
    for key in ("cpu_mhz_after", "gpu_sm_mhz"):
        clocks = [clock for record in group if (clock := _state(record).get(key))]
        spreads += [max(clocks) / min(clocks) - 1] if len(clocks) > 1 else []
    return max(spreads, default=None)


def _page_fault_spread(group: Sequence[Record]) -> float | None:
    """Share of a pass (or training step) that the processes' page faults differ by; the largest of what was timed."""
    spreads = []
    for key, seconds in _FAULTING.items():
        known = [record for record in group if record.values.get(key) is not None]
        faults = [float(record.values[key]) for record in known]
        if len(known) > 1:
            each = median(seconds(record) for record in known)
            spreads.append((max(faults) - min(faults)) * PAGE_FAULT_SECONDS / each)
    return max(spreads, default=None)


# Page faults, and the seconds of what they are counted in.
_FAULTING: dict[str, Callable[[Record], float]] = {
    "page_faults_per_pass": lambda record: record.cell["batch_size"] / record.values["throughput_img_per_s"],
    "latency_page_faults_per_pass": lambda record: record.values["latency_p50_ms"] / 1e3,
    "page_faults_per_step": lambda record: record.cell["batch_size"] / record.values["training_img_per_s"],
}


@dataclass(frozen=True)
class Check:
    """Warns where what is read of one process, or of all processes of one measurement, lies above the threshold.

    read: from the record of a process, or from the records of all; None where they do not say it. shown: how a value
    is written, with `{}` for it. factor: what it is multiplied by for that.
    """

    field: str
    read: Callable[..., float | None]
    threshold: float
    message: str
    advice: str
    shown: str = "{:.1f} %"
    factor: float = 100.0

    def words(self, value: float) -> str:
        """The value as a person reads it."""
        return self.shown.format(self.factor * value)


@dataclass(frozen=True)
class TimingWarning:
    """A check that fired: on which measurement, in how many of its processes, how badly at worst."""

    check: Check
    model: str
    resolution_px: int
    batch_size: int
    is_best: bool  # timed under its best settings, not under the fixed ones
    processes: int  # of which it speaks
    of_processes: int  # that the measurement has
    worst: float
    cell_ids: tuple[str, ...]

    @property
    def subject(self) -> str:
        """The model, and which of its two timings is meant where it is not the usual one."""
        return f"{self.model} (best settings)" if self.is_best else self.model

    @property
    def sentence(self) -> str:
        """One line for a terminal, with what to try."""
        check = self.check
        return f"{self.subject}: {check.message} ({check.words(self.worst)}). {check.advice}"


_QUIET = "Close other programs, or time at a quieter hour."
PROCESS_CHECKS = (
    Check("latency_p99_over_p50", _tail, 2.0, "latency is unstable: p99 far above p50",
          "Is the machine shared? " + _QUIET, "p99 is {:.1f} x p50", 1.0),
    Check("block_drift", _drift, 0.10, "throughput drifted between the first and the second half of the blocks",
          "Is the machine warming up or shared? Time again with --rerun."),
    Check("warmup_unsettled", _unsettled, 0.5, "warm-up ended by its time limit before the rate stood still",
          "Time again on a quieter machine; the first blocks may be slow.", "the rate still moved", 1.0),
    Check("other_cpu_share", _of_state("other_cpu_share"), 0.10, "other processes used the processor meanwhile",
          _QUIET, "{:.0f} % of all cores"),
    Check("steal_share", _of_state("steal_share"), 0.02, "the host took processor time from this virtual machine",
          "Use a machine with cores of its own.", "{:.0f} % of all cores"),
    Check("throttled_share", _throttled, 0.01, "the control group's processor limit stopped this process",
          "Raise the container's limit, or give --threads no more than it allows.", "{:.0f} % of the time"),
    Check("gpu_slowing_reasons", _slowing, 0.5, "the GPU held its clocks down for power or heat",
          "Cool it, raise its power limit, or lock its clocks.", "reasons: {:.0f}", 1.0),
    Check("gpu_other_processes", _of_state("gpu_other_processes"), 0.5, "other processes were on the GPU",
          "Give the GPU to the benchmark alone.",
          "processes: {:.0f}", 1.0),
)  # fmt: skip
SPREAD_CHECKS = (
    Check("process_spread", _process_spread, 0.10, "processes differ much from one another in throughput",
          "Run more processes. " + _QUIET, "standard deviation {:.0f} %"),
    Check("clock_spread", _clock_spread, 0.05, "processes ran at different clock frequencies",
          "Set a fixed frequency (governor `performance`, locked GPU clocks).", "highest {:.0f} % above lowest"),
    Check("page_fault_spread", _page_fault_spread, 0.01, "processes had different numbers of page faults",
          "Time with glibc and no MALLOC_ variables of your own, which keeps freed memory.",
          "about {:.1f} % of the time"),
)  # fmt: skip


def warnings(records: Iterable[Record]) -> list[TimingWarning]:
    """Every check that fires on finished timings, trials of settings left out; in order of checks, then of models."""
    groups: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in records:
        if record.cell.get("task") in TIMED_TASKS and record.status == "ok" and record.cell.get("role") != "trial":
            groups[measurement_of(record)].append(record)
    found = [warning for group in groups.values() for warning in warnings_of(group)]
    order = {check.field: place for place, check in enumerate((*PROCESS_CHECKS, *SPREAD_CHECKS))}
    return sorted(found, key=lambda d: (order[d.check.field], d.model, d.resolution_px, d.batch_size, d.cell_ids))


def measurement_of(record: Record) -> tuple[str, ...]:
    """What the processes of one measurement share: all but the round in which they ran."""
    cell = {key: value for key, value in record.cell.items() if key != "repeat"}
    software = (str(record.conditions.get(key)) for key in ("machine", "threads", "torch", "timm", "allocator"))
    return repr(sorted(cell.items(), key=lambda item: item[0])), *software


def warnings_of(group: Sequence[Record]) -> list[TimingWarning]:
    """The checks that fire on the processes of one measurement."""
    found = []
    for check in PROCESS_CHECKS:
        values = {record.cell_id: check.read(record) for record in group}
        above = {cell_id: value for cell_id, value in values.items() if value is not None and value > check.threshold}
        if above:
            found.append(_doubt(check, group, max(above.values()), tuple(above)))
    for check in SPREAD_CHECKS:
        value = check.read(group)
        if value is not None and value > check.threshold:
            found.append(_doubt(check, group, value, tuple(record.cell_id for record in group)))
    return found


def _doubt(check: Check, group: Sequence[Record], worst: float, cell_ids: tuple[str, ...]) -> TimingWarning:
    cell = group[0].cell
    place = str(cell["model"]), int(cell["resolution_px"]), int(cell["batch_size"])
    is_best = cell.get("role") == "best"
    return TimingWarning(check, *place, is_best, len(cell_ids), len(group), worst, tuple(sorted(cell_ids)))
