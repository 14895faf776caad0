"""Throughput, latency and memory of each model, over fresh processes; never two machines in one number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd

from bench.analyse.intervals import Interval, median_interval
from bench.analyse.scores import RunKey, run_key
from bench.store.frame import Rows, rows_of

_Pair = tuple[RunKey, str, int, "Conditions"]
Conditions = tuple[str, ...]  # definition, classes, threads, torch, timm
_CONDITIONS = ["definition", "num_classes", "threads", "torch", "timm"]


@dataclass(frozen=True)
class Timed:
    """A rate, a time or a ratio over fresh processes, in their unit. interval: of the median; None below five."""

    values: tuple[float, ...]  # one per process
    median: float
    interval: Interval | None

    @classmethod
    def of(cls, values: Iterable[float]) -> Timed | None:
        """Of these processes; None of none."""
        known = tuple(values)
        return cls(known, median(known), median_interval(known)) if known else None

    def surely_exceeds(self, other: Timed) -> bool:
        """Whether the interval lies above the other's; False where one has none."""
        return bool(self.interval and other.interval and self.interval.low > other.interval.high)


@dataclass(frozen=True)
class Speed:
    """One model timed at one batch size on one machine. Latency is at batch 1."""

    key: RunKey
    machine: str
    batch_size: int
    processes: int
    throughput: Timed | None  # images per second
    latency: Timed | None  # p50, ms
    latency_p99_median: float | None  # None unless every process with a median has one
    latency_samples: int  # in all processes
    conditions: Conditions
    is_settled: bool  # every process's warm-up reached its steady state
    cell_ids: tuple[str, ...]


@dataclass(frozen=True)
class SpeedRatio:
    """How many times as many images per second as `reference`, process by process."""

    key: RunKey
    reference: RunKey
    machine: str
    batch_size: int
    ratio: Timed
    cell_ids: tuple[str, ...]


@dataclass(frozen=True)
class Memory:
    """Peak memory of one inference. `kind` says what was measured; kinds are never ranked together."""

    key: RunKey
    machine: str
    batch_size: int
    kind: str  # process (resident set, above what it was before) or device (allocated)
    peak_mib: float
    cell_ids: tuple[str, ...]


def home_machine(frame: pd.DataFrame) -> str:
    """The machine with the most rows; with as many, the one that measured last."""
    if frame.empty:
        return ""
    counts = frame.groupby("machine").agg(rows=("cell_id", "size"), last=("started_at", "max"))
    best = max(counts.index, key=lambda machine: (counts.loc[machine, "rows"], counts.loc[machine, "last"]))
    return str(best)


def speeds(frame: pd.DataFrame) -> list[Speed]:
    """Speed of every model, batch size and machine, in order of key."""
    by_site: dict[tuple[RunKey, int, str, Conditions], Rows] = defaultdict(list)
    for row in rows_of(frame):
        by_site[run_key(row), int(row["batch_size"]), str(row["machine"]), conditions_of(row)].append(row)
    return [_speed(by_site[site]) for site in sorted(by_site)]


def conditions_of(row: Mapping[str, Any]) -> Conditions:
    """What two timings on one machine must share to stand in one number."""
    return tuple("" if pd.isna(row[column]) else str(row[column]) for column in _CONDITIONS)


def _numbers(part: Rows, column: str) -> list[float]:
    return [float(row[column]) for row in part if pd.notna(row[column])]


def _timed(part: Rows, column: str) -> Timed | None:
    return Timed.of(value for value in _numbers(part, column) if value > 0)


def _speed(part: Rows) -> Speed:
    first = part[0]
    p50, p99 = _numbers(part, "latency_p50_ms"), _numbers(part, "latency_p99_ms")
    return Speed(
        key=run_key(first),
        machine=str(first["machine"]),
        batch_size=int(first["batch_size"]),
        processes=len(part),
        throughput=_timed(part, "throughput_img_per_s"),
        latency=_timed(part, "latency_p50_ms"),
        latency_p99_median=median(p99) if p99 and len(p99) >= len(p50) else None,
        latency_samples=int(sum(_numbers(part, "latency_samples"))),
        conditions=conditions_of(first),
        is_settled=all(row["warmup_settled"] in (None, True) for row in part),
        cell_ids=tuple(str(row["cell_id"]) for row in part),
    )


def speed_ratios(frame: pd.DataFrame, references: Mapping[RunKey, RunKey]) -> list[SpeedRatio]:
    """Throughput over that of each key's reference, paired by process round on one machine, batch size and software.

    Rounds visit the models in random order one after the other, so slow spells of the machine fall on both.
    """
    rates: dict[_Pair, dict[int, tuple[float, str]]] = defaultdict(dict)
    for row in rows_of(frame[frame["throughput_img_per_s"].notna()]):
        site = (run_key(row), str(row["machine"]), int(row["batch_size"]), conditions_of(row)[1:])
        rates[site][int(row["repeat"])] = (float(row["throughput_img_per_s"]), str(row["cell_id"]))
    found = []
    for (key, machine, batch, software), mine in sorted(rates.items()):
        reference = references.get(key)
        theirs = rates.get((reference, machine, batch, software), {}) if reference is not None else {}
        shared = sorted(set(mine) & set(theirs))
        ratio = Timed.of(mine[r][0] / theirs[r][0] for r in shared)
        if ratio is not None and reference is not None and reference != key:
            ids = tuple(side[r][1] for r in shared for side in (mine, theirs))
            found.append(SpeedRatio(key, reference, machine, batch, ratio, ids))
    return found


def memories(frame: pd.DataFrame) -> list[Memory]:
    """Peak memory of every model, batch size and machine, in order of key."""
    found = []
    for row in sorted(rows_of(frame), key=lambda row: (run_key(row), row["batch_size"], row["machine"])):
        for kind, column in (("process", "peak_rss_delta_mib"), ("device", "peak_allocated_mib")):
            for peak in _numbers([row], column):
                site = (run_key(row), str(row["machine"]), int(row["batch_size"]))
                found.append(Memory(*site, kind, peak, (str(row["cell_id"]),)))
    return found
