"""Throughput, latency and memory of each model, over fresh processes; never two machines in one number."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd

from bench.analyse.intervals import Interval, Spread, pooled_spread, process_interval, spread_of
from bench.analyse.scores import RunKey, run_key

_Pair = tuple[RunKey, str, int, "Conditions"]
Rows = list[dict[str, Any]]
Conditions = tuple[str, ...]  # definition, classes, threads, torch, timm
_CONDITIONS = ["definition", "num_classes", "threads", "torch", "timm"]


@dataclass(frozen=True)
class Speed:
    """One model timed at one batch size on one machine. Latency is at batch 1."""

    key: RunKey
    machine: str
    batch_size: int
    processes: int
    throughput_img_per_s: Interval | None  # None with no throughput, or with one process and nothing to pool
    throughput_median: float | None
    latency_p50_ms: Interval | None
    latency_p50_median: float | None
    latency_p99_median: float | None  # None unless every process with a median has one
    latency_samples: int  # in all processes
    conditions: Conditions
    is_settled: bool  # every process's warm-up reached its steady state
    compile_s: float | None
    cell_ids: tuple[str, ...]


@dataclass(frozen=True)
class SpeedRatio:
    """How many times as many images per second as `reference`, process by process."""

    key: RunKey
    reference: RunKey
    machine: str
    batch_size: int
    ratio: Interval | None
    ratio_mean: float  # geometric
    processes: int
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
    """Speed of every model, batch size and machine, in order of key.

    With few processes the relative spread is pooled over the models timed on the same machine at the same batch.
    """
    by_site: dict[tuple[RunKey, int, str, Conditions], Rows] = defaultdict(list)
    for row in rows_of(frame):
        by_site[run_key(row), int(row["batch_size"]), str(row["machine"]), conditions_of(row)].append(row)
    parts = [by_site[site] for site in sorted(by_site)]
    throughput = _relative_spreads(parts, "throughput_img_per_s")
    latency = _relative_spreads(parts, "latency_p50_ms")
    return [_speed(part, throughput, latency) for part in parts]


def rows_of(frame: pd.DataFrame) -> Rows:
    """The rows of a table as dictionaries."""
    return [{str(column): value for column, value in row.items()} for row in frame.to_dict("records")]


def conditions_of(row: Mapping[str, Any]) -> Conditions:
    """What two timings on one machine must share to stand in one number."""
    return tuple("" if pd.isna(row[column]) else str(row[column]) for column in _CONDITIONS)


def _site(part: Rows) -> str:
    first = part[0]
    software = conditions_of(first)[1:]  # the definition differs between the models that share a spread
    return f"{first['machine']} {first['device']} {first['batch_size']} {software}"


def _numbers(part: Rows, column: str) -> list[float]:
    return [float(row[column]) for row in part if pd.notna(row[column])]


def _relative_spreads(parts: list[Rows], column: str) -> dict[str, Spread | None]:
    logs: dict[str, list[list[float]]] = defaultdict(list)
    for part in parts:
        logs[_site(part)].append([math.log(value) for value in _numbers(part, column) if value > 0])
    return {site: pooled_spread(groups, site) for site, groups in logs.items()}


def _rate(part: Rows, column: str, pools: Mapping[str, Spread | None]) -> Interval | None:
    values = _numbers(part, column)
    if not values or min(values) <= 0:
        return None
    spread = spread_of([math.log(value) for value in values], pools[_site(part)], "own")
    return process_interval(values, spread)


def _middle(part: Rows, column: str) -> float | None:
    values = _numbers(part, column)
    return median(values) if values else None


def _all_have(part: Rows, column: str, other: str) -> bool:
    """Whether every process that measured the other column has this one."""
    return all(pd.notna(row[column]) for row in part if pd.notna(row[other]))


def _speed(part: Rows, throughput: Mapping[str, Spread | None], latency: Mapping[str, Spread | None]) -> Speed:
    first = part[0]
    timed = "latency_p50_ms"
    return Speed(
        key=run_key(first),
        machine=str(first["machine"]),
        batch_size=int(first["batch_size"]),
        processes=len(part),
        throughput_img_per_s=_rate(part, "throughput_img_per_s", throughput),
        throughput_median=_middle(part, "throughput_img_per_s"),
        latency_p50_ms=_rate(part, "latency_p50_ms", latency),
        latency_p50_median=_middle(part, "latency_p50_ms"),
        latency_p99_median=_middle(part, "latency_p99_ms") if _all_have(part, "latency_p99_ms", timed) else None,
        latency_samples=int(sum(_numbers(part, "latency_samples"))),
        conditions=conditions_of(first),
        is_settled=all(row["warmup_settled"] in (None, True) for row in part),
        compile_s=_middle(part, "compile_s"),
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
    logs: dict[_Pair, list[float]] = {}
    ids: dict[_Pair, tuple[str, ...]] = {}
    for site, mine in sorted(rates.items()):
        key, machine, batch, software = site
        reference = references.get(key)
        theirs = rates.get((reference, machine, batch, software), {}) if reference is not None else {}
        shared = sorted(set(mine) & set(theirs))
        if reference == key or not shared:
            continue
        logs[site] = [math.log(mine[r][0] / theirs[r][0]) for r in shared]
        ids[site] = tuple(side[r][1] for r in shared for side in (mine, theirs))
    pools = {where: pooled_spread([v for site, v in logs.items() if site[1:] == where], "pair")
             for where in {site[1:] for site in logs}}  # fmt: skip
    found = []
    for site, values in logs.items():
        ratios = [math.exp(value) for value in values]
        interval = process_interval(ratios, spread_of(values, pools[site[1:]], "own"))
        mean = math.exp(sum(values) / len(values))
        key, machine, batch, _ = site
        found.append(SpeedRatio(key, references[key], machine, batch, interval, mean, len(values), ids[site]))
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
