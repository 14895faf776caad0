"""Speed, memory and largest batch along batch sizes and resolutions, and training steps: computed once for a report.

Of one machine alone; those of others are in the report's table of timings and in no curve.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analyse.batch_curves import BatchCurve, batch_curves, resolutions_of, series_of
from bench.analyse.frame import (
    largest_batch_frame,
    memory_frame,
    speed_frame,
    training_memory_frame,
    training_step_frame,
)
from bench.analyse.intervals import Interval
from bench.analyse.largest_batches import LargestBatch, largest_batches
from bench.analyse.scores import RunKey, run_key
from bench.analyse.speeds import Memory, Speed, memories, speeds
from bench.analyse.training_steps import TrainingStep, training_steps
from bench.store.record import Record


@dataclass(frozen=True)
class ResolutionPoint:
    """One model at one resolution. best: at the best of the batch sizes that every resolution of a suite has."""

    key: RunKey
    best: BatchCurve | None
    latency: Speed | None
    memory: Memory | None
    largest: LargestBatch | None


@dataclass(frozen=True)
class Fall:
    """By which factor the throughput of one model falls from its lowest to its highest resolution."""

    series: RunKey
    low_px: int
    high_px: int
    factor_mean: float
    factor: Interval | None
    cell_ids: tuple[str, ...]


@dataclass(frozen=True)
class SpeedStudy:
    """One suite's speed curves on one machine; empty parts were not asked for."""

    curves: tuple[BatchCurve, ...]  # models at one resolution with two batch sizes or more
    resolutions: tuple[ResolutionPoint, ...]  # of models with two resolutions or more
    batches: tuple[int, ...]  # that every resolution has
    has_largest: bool  # whether the largest batch is among those timed at every resolution
    largest: tuple[LargestBatch, ...]
    training: tuple[TrainingStep, ...]

    @property
    def keys(self) -> set[RunKey]:
        """Everything that needs a label."""
        return {
            *(curve.key for curve in self.curves),
            *(point.key for point in self.resolutions),
            *(one.key for one in self.largest),
            *(step.key for step in self.training),
        }

    def series(self) -> dict[RunKey, list[ResolutionPoint]]:
        """Model and settings -> its points in rising resolution."""
        found: dict[RunKey, list[ResolutionPoint]] = {}
        for point in self.resolutions:
            found.setdefault(series_of(point.key), []).append(point)
        return found

    def falls(self) -> list[Fall]:
        """One for each model that was timed at two resolutions or more."""
        found = []
        for series, points in self.series().items():
            timed = [(point.key.resolution_px, point.best) for point in points if point.best is not None]
            if len(timed) > 1:
                (low_px, low), (high_px, high) = timed[0], timed[-1]
                factor = quotient(low.peak, high.peak) if low.peak and high.peak else None
                ids = (*low.cell_ids, *high.cell_ids)
                found.append(Fall(series, low_px, high_px, low.peak_mean / high.peak_mean, factor, ids))
        return found


def quotient(one: Interval, other: Interval) -> Interval:
    """One rate over another, measured by other processes; both intervals by t on logarithms, with one spread."""
    reach = math.hypot(math.log(one.high / one.estimate), math.log(other.high / other.estimate))
    estimate = one.estimate / other.estimate
    n = min(one.n, other.n)
    return Interval(estimate, estimate * math.exp(-reach), estimate * math.exp(reach), n, one.method)


def speed_study(shown: Sequence[Record], failures: Sequence[Record], machine: str) -> SpeedStudy:
    """The curves of the machine's records. shown: those that may be put together.

    failures: cells without a result; a size at which nothing ran has a point all the same, which says so.
    """
    timing, memory = speed_frame(shown), memory_frame(shown)
    largest = largest_batches(largest_batch_frame(shown), machine)
    at_largest = {one.key: one.largest for one in largest}
    curves = batch_curves(timing, machine)
    asked = {*(curve.key for curve in curves), *at_largest, *_failed_keys(failures)}
    several = resolutions_of(asked)
    keys = sorted(key for key in asked if len(several[series_of(key)]) > 1)
    batches, has_largest = _common_batches([c for c in curves if c.key in keys], at_largest)
    wanted = {key: {*batches, *([at_largest[key]] if has_largest and key in at_largest else [])} for key in keys}
    best = {curve.key: curve for curve in batch_curves(timing, machine, wanted)}
    latency = _latencies([one for one in speeds(timing) if one.machine == machine])
    weighed = _memories([one for one in memories(memory) if one.machine == machine])
    found = {one.key: one for one in largest}
    return SpeedStudy(
        curves=tuple(curve for curve in curves if len(curve.points) > 1),
        resolutions=tuple(
            ResolutionPoint(key, best.get(key), latency.get(key), weighed.get(key), found.get(key)) for key in keys
        ),
        batches=batches,
        has_largest=has_largest,
        largest=tuple(largest),
        training=tuple(
            training_steps(training_step_frame(shown), timing, training_memory_frame(shown), memory, machine)
        ),
    )


def _failed_keys(failures: Sequence[Record]) -> set[RunKey]:
    """Models and sizes of timings and searches that gave no result, trials of settings left out."""
    asked = [record.cell for record in failures if record.cell.get("role", "fixed") == "fixed"]
    cells = [cell for cell in asked if cell.get("task") in ("speed", "largest_batch")]
    return {run_key({**cell, **_DEFAULTS, **(cell.get("settings") or {})}) for cell in cells}


_DEFAULTS = {"precision": "fp32", "memory_format": "contiguous", "compile": False, "fold": False}


def _common_batches(curves: Sequence[BatchCurve], at_largest: Mapping[RunKey, int]) -> tuple[tuple[int, ...], bool]:
    """Batch sizes that any model was timed at in every resolution of the suite, and whether all had the largest.

    A batch that is missing for one model alone ran out of memory there: it is still one of the choices of all.
    """
    by_resolution: dict[int, set[int]] = {}
    for curve in curves:
        timed = {point.batch_size for point in curve.points} - {at_largest.get(curve.key)}
        by_resolution.setdefault(curve.key.resolution_px, set()).update(batch for batch in timed if batch is not None)
    common = set.intersection(*by_resolution.values()) if by_resolution else set()
    has_largest = bool(curves) and all(
        at_largest.get(curve.key) in {point.batch_size for point in curve.points} for curve in curves
    )
    return tuple(sorted(common)), has_largest


def _latencies(timed: Sequence[Speed]) -> dict[RunKey, Speed]:
    """The timing of each key that has a latency; of several the one from most processes."""
    found: dict[RunKey, Speed] = {}
    for one in timed:
        other = found.get(one.key)
        if one.latency_p50_median is not None and (other is None or one.processes > other.processes):
            found[one.key] = one
    return found


def _memories(weighed: Sequence[Memory]) -> dict[RunKey, Memory]:
    """The memory of each key at the batch size that most keys have, the larger of equals."""
    counts: dict[int, int] = {}
    for one in weighed:
        counts[one.batch_size] = counts.get(one.batch_size, 0) + 1
    if not counts:
        return {}
    usual = max(counts, key=lambda batch: (counts[batch], batch))
    return {one.key: one for one in weighed if one.batch_size == usual}
