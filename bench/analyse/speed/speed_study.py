"""Speed, memory and largest batch along batch sizes and resolutions, and training steps: computed once for a report.

Of one machine alone; those of others are in the report's table of timings and in no curve. A memory budget on a CPU
and a GPU's memory are never one ranking.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.analyse.accuracies.subjects import RunKey, cell_row, run_key
from bench.analyse.speed.speeds import (
    Conditions,
    Memory,
    Speed,
    Timed,
    memories,
    paired_ratio,
    rounds_by_site,
    site_of,
    speeds,
)
from bench.store.record import Record
from bench.store.rows import Rows, number, speed_rows, task_rows, whole

NEAR_PEAK = 0.95


@dataclass(frozen=True)
class BatchPoint:
    """One model at one batch size."""

    batch_size: int
    rate: Timed  # images per second
    cell_ids: tuple[str, ...]


@dataclass(frozen=True)
class BatchCurve:
    """One model on one machine at several batch sizes."""

    key: RunKey
    points: tuple[BatchPoint, ...]  # rising batch size

    @property
    def peak(self) -> BatchPoint:
        """The batch size with the highest median; the best of several is a little too high by choice alone."""
        return max(self.points, key=lambda point: (point.rate.median, -point.batch_size))

    @property
    def near_from(self) -> int:
        """The smallest batch size whose median is within 5 % of the peak's."""
        return next(p.batch_size for p in self.points if p.rate.median >= NEAR_PEAK * self.peak.rate.median)

    @property
    def is_open_ended(self) -> bool:
        """Whether the peak lies at the largest batch that was timed, so that a larger one may be faster yet."""
        return self.peak is self.points[-1]

    @property
    def processes(self) -> int:
        """Fewest behind any point."""
        return min(len(point.rate.values) for point in self.points)

    @property
    def cell_ids(self) -> tuple[str, ...]:
        return tuple(cell_id for point in self.points for cell_id in point.cell_ids)


def batch_curves(rows: Rows, machine: str, batches: Mapping[RunKey, Collection[int]] | None = None) -> list[BatchCurve]:
    """Every model that was timed on the machine, in order of key; one batch size makes a curve of one point.

    batches: the batch sizes to look at for each key; all of them by default.
    """
    found: dict[tuple[RunKey, Conditions], list[BatchPoint]] = defaultdict(list)
    for site, rounds in rounds_by_site(rows, "throughput_img_per_s").items():
        rate = Timed.of(value for value, _ in rounds.values())
        is_wanted = batches is None or site.batch_size in batches.get(site.key, ())
        if rate is not None and is_wanted and site.machine == machine:
            point = BatchPoint(site.batch_size, rate, tuple(cell_id for _, cell_id in rounds.values()))
            found[site.key, site.conditions].append(point)
    return [BatchCurve(key, tuple(found[key, conditions])) for key, conditions in sorted(found)]


def series_of(key: RunKey) -> RunKey:
    """The key without its resolution: what one line along a resolution axis has in common."""
    return replace(key, resolution_px=0)


def resolutions_of(keys: Iterable[RunKey]) -> dict[RunKey, set[int]]:
    """Series -> the resolutions at which it was measured."""
    found: dict[RunKey, set[int]] = defaultdict(set)
    for key in keys:
        found[series_of(key)].add(key.resolution_px)
    return found


@dataclass(frozen=True)
class LargestBatch:
    """What one search found. budget_mib: the CPU's, None where the device's own memory is the limit."""

    key: RunKey
    largest: int  # 0: not even one image
    smallest_refused: int | None
    stopped_by: str  # memory, cap or error
    reason: str  # of the smallest batch that was refused
    cap: int
    budget_mib: int | None
    limit_mib: float | None  # the budget, or what was free on the device
    peak_mib: float | None  # at the largest batch
    tries: int
    cell_id: str

    @property
    def limit(self) -> tuple[str, int | None]:
        """What the batches of one ranking must share."""
        return self.key.device, self.budget_mib


def largest_batches(rows: Rows, machine: str) -> list[LargestBatch]:
    """Every search of the machine, in order of key and budget."""
    found = [_largest(row) for row in rows if row["machine"] == machine]
    return sorted(found, key=lambda one: (one.key, one.budget_mib or 0, one.cap))


def _largest(row: Mapping[str, Any]) -> LargestBatch:
    refused = whole(row, "smallest_refused")
    reasons = {int(one["batch_size"]): one.get("reason") for one in row["tries"] or ()}
    return LargestBatch(
        key=run_key(row),
        largest=int(row["largest_batch"]),
        smallest_refused=refused,
        stopped_by=str(row["stopped_by"]),
        reason=str(reasons.get(refused) or "") if refused is not None else "",
        cap=int(row["cap"]),
        budget_mib=whole(row, "memory_limit_mib"),
        limit_mib=number(row, "limit_mib"),
        peak_mib=number(row, "peak_mib"),
        tries=len(reasons),
        cell_id=str(row["cell_id"]),
    )


@dataclass(frozen=True)
class TrainingStep:
    """One model at one batch size. times: how many times as long a training step takes as an inference, per image."""

    key: RunKey
    batch_size: int
    rate: Timed | None  # images per second; None where only memory was measured
    inference: Timed | None
    times: Timed | None
    memory: Memory | None
    inference_memory: Memory | None
    processes: int
    is_settled: bool
    cell_ids: tuple[str, ...]
    inference_ids: tuple[str, ...]


def training_steps(records: Sequence[Record], machine: str) -> list[TrainingStep]:
    """Every model and batch size whose training step was measured on the machine, in order of key.

    Training and inference are paired by process round.
    """
    training = task_rows(records, "training_step")
    steps = rounds_by_site(training, "training_img_per_s")
    passes = rounds_by_site(speed_rows(records), "throughput_img_per_s")
    unsettled = {site_of(row)[:2] for row in training if row["warmup_settled"] not in (None, True)}
    held, inference_held = (
        {(one.key, one.batch_size): one for one in memories(task_rows(records, task)) if one.machine == machine}
        for task in ("training_memory", "memory")
    )
    sites = {site[:2]: site for site in steps if site.machine == machine}
    found = []
    for place in sorted({*sites, *held}):
        site = sites.get(place)
        own, inference = (steps[site], passes.get(site, {})) if site else ({}, {})
        found.append(
            TrainingStep(
                key=place[0],
                batch_size=place[1],
                rate=Timed.of(rate for rate, _ in own.values()),
                inference=Timed.of(rate for rate, _ in inference.values()),
                times=paired_ratio(inference, own),
                memory=held.get(place),
                inference_memory=inference_held.get(place),
                processes=len(own),
                is_settled=place not in unsettled,
                cell_ids=tuple(cell_id for _, cell_id in own.values()),
                inference_ids=tuple(cell_id for _, cell_id in inference.values()),
            )
        )
    return found


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
    """By which factor the throughput of one model falls from its lowest to its highest resolution, by the medians."""

    series: RunKey
    low_px: int
    high_px: int
    factor: float
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
                factor = low.peak.rate.median / high.peak.rate.median
                found.append(Fall(series, low_px, high_px, factor, (*low.cell_ids, *high.cell_ids)))
        return found


def speed_study(shown: Sequence[Record], failures: Sequence[Record], machine: str) -> SpeedStudy:
    """The curves of the machine's records. shown: those that may be put together.

    failures: cells without a result; a size at which nothing ran has a point all the same, which says so.
    """
    timing, memory = speed_rows(shown), task_rows(shown, "memory")
    largest = largest_batches(task_rows(shown, "largest_batch"), machine)
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
        training=tuple(training_steps(shown, machine)),
    )


def _failed_keys(failures: Sequence[Record]) -> set[RunKey]:
    """Models and sizes of timings and searches that gave no result, trials of settings left out."""
    asked = [record.cell for record in failures if record.cell.get("role", "fixed") == "fixed"]
    cells = [cell for cell in asked if cell.get("task") in ("speed", "largest_batch")]
    return {run_key(cell_row(cell)) for cell in cells}


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
        if one.latency is not None and (other is None or one.processes > other.processes):
            found[one.key] = one
    return found


def _memories(weighed: Sequence[Memory]) -> dict[RunKey, Memory]:
    """The memory of each key at the batch size that most keys have, the larger of equals."""
    counts = Counter(one.batch_size for one in weighed)
    usual = max(counts, key=lambda batch: (counts[batch], batch), default=None)
    return {one.key: one for one in weighed if one.batch_size == usual}
