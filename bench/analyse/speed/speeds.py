"""Throughput, latency and memory of each model, over fresh processes; never two machines in one number.

Best settings were chosen by trials of their own; what is compared here was timed after the choice, both in the same
rounds of fresh processes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from bench.analyse.accuracies.subjects import RunKey, cell_row, run_key
from bench.analyse.stats.intervals import Interval, median_interval
from bench.catalog.identity import ModelIdentity, family_rank, identify_model
from bench.store.record import Record
from bench.store.rows import Rows, full_rows, machine_of, number, speed_rows
from bench.suite.cell import Settings
from bench.suite.tasks import TIMING_TASKS

Conditions = tuple[str, ...]  # definition, classes, threads, torch, timm
Rounds = Mapping[int, tuple[float, str]]  # round of processes -> what its process measured, and its cell


class Site(NamedTuple):
    """What timings must share to stand in one number."""

    key: RunKey
    batch_size: int
    machine: str
    conditions: Conditions


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

    @property
    def site(self) -> Site:
        return Site(self.key, self.batch_size, self.machine, self.conditions)


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


def home_values(records: Iterable[Record], home: str) -> dict[RunKey, dict[str, Rows]]:
    """Rows of the home machine's timings by model and conditions, then by task: columns of the main table read them.

    At the batch size that most models have, the larger of equals; others where a model lacks it. Software and classes
    are those of the first row.
    """
    records, found = list(records), defaultdict[RunKey, dict[str, Rows]](dict)
    for task in TIMING_TASKS:
        own: dict[RunKey, dict[Site, Rows]] = defaultdict(lambda: defaultdict(list))
        for row in full_rows(records, task):
            if row["machine"] == home and row.get("batch_size") and row.get("role", "fixed") == "fixed":
                own[run_key(row)][site_of(row)].append(row)
        popular = Counter(site.batch_size for sites in own.values() for site in sites)
        for key, sites in own.items():
            best = min(sites, key=lambda site: (-popular[site.batch_size], -site.batch_size, site.conditions))
            found[key][task] = sites[best]
    return found


def home_machine(rows: Rows) -> str:
    """The machine with the most rows; with as many, the one that measured last."""
    counts = Counter(str(row["machine"]) for row in rows)
    last = {str(row["machine"]): row["started_at"] for row in sorted(rows, key=lambda row: str(row["started_at"]))}
    return max(sorted(counts), key=lambda machine: (counts[machine], last[machine]), default="")


def site_of(row: Mapping[str, Any]) -> Site:
    """The site of a row of a table of timings."""
    columns = ("definition", "num_classes", "threads", "torch", "timm")
    conditions = tuple("" if row.get(column) is None else str(row[column]) for column in columns)
    return Site(run_key(row), int(row["batch_size"]), str(row["machine"]), conditions)


def rounds_by_site(rows: Rows, column: str) -> dict[Site, Rounds]:
    """What each process measured, by round, at every site in order; rows without the column are left out."""
    found: dict[Site, dict[int, tuple[float, str]]] = defaultdict(dict)
    for row in rows:
        if (value := number(row, column)) is not None:
            found[site_of(row)][int(row["repeat"])] = value, str(row["cell_id"])
    return {site: found[site] for site in sorted(found)}


def paired_ratio(mine: Rounds, theirs: Rounds) -> Timed | None:
    """Mine over theirs, round by round: rounds visit the models one after the other, so slow spells fall on both."""
    return Timed.of(mine[r][0] / theirs[r][0] for r in sorted(set(mine) & set(theirs)))


def speeds(rows: Rows) -> list[Speed]:
    """Speed of every model, batch size and machine, in order of key."""
    by_site: dict[Site, Rows] = defaultdict(list)
    for row in rows:
        by_site[site_of(row)].append(row)
    return [_speed(site, by_site[site]) for site in sorted(by_site)]


def _numbers(rows: Rows, column: str) -> list[float]:
    return [value for row in rows if (value := number(row, column)) is not None]


def _speed(site: Site, rows: Rows) -> Speed:
    p50, p99 = _numbers(rows, "latency_p50_ms"), _numbers(rows, "latency_p99_ms")
    return Speed(
        **site._asdict(),
        processes=len(rows),
        throughput=Timed.of(value for value in _numbers(rows, "throughput_img_per_s") if value > 0),
        latency=Timed.of(value for value in p50 if value > 0),
        latency_p99_median=median(p99) if p99 and len(p99) >= len(p50) else None,
        latency_samples=int(sum(_numbers(rows, "latency_samples"))),
        is_settled=all(row["warmup_settled"] in (None, True) for row in rows),
        cell_ids=tuple(str(row["cell_id"]) for row in rows),
    )


def speed_ratios(rows: Rows, references: Mapping[RunKey, RunKey]) -> list[SpeedRatio]:
    """Throughput over that of each key's reference, paired by process round on one machine, batch size and software."""
    rates = {  # the definition is of the model alone
        site._replace(conditions=site.conditions[1:]): rounds
        for site, rounds in rounds_by_site(rows, "throughput_img_per_s").items()
    }
    found = []
    for site, mine in sorted(rates.items(), key=lambda one: (one[0].key, one[0].machine, one[0].batch_size, one[0])):
        reference = references.get(site.key)
        if reference is None or reference == site.key:
            continue
        theirs = rates.get(site._replace(key=reference), {})
        ratio = paired_ratio(mine, theirs)
        if ratio is not None:
            ids = tuple(side[r][1] for r in sorted(set(mine) & set(theirs)) for side in (mine, theirs))
            found.append(SpeedRatio(site.key, reference, site.machine, site.batch_size, ratio, ids))
    return found


def memories(rows: Rows) -> list[Memory]:
    """Peak memory of every model, batch size and machine, in order of key."""
    found = []
    for row in sorted(rows, key=lambda row: (run_key(row), row["batch_size"], row["machine"])):
        for kind, column in (("process", "peak_rss_delta_mib"), ("device", "peak_allocated_mib")):
            if (peak := number(row, column)) is not None:
                place = run_key(row), str(row["machine"]), int(row["batch_size"])
                found.append(Memory(*place, kind, peak, (str(row["cell_id"]),)))
    return found


@dataclass(frozen=True)
class Tuned:
    """One model at one resolution and batch size on one machine, under fixed and under its best settings."""

    identity: ModelIdentity
    resolution_px: int
    batch_size: int
    machine: str
    fixed: Speed
    best: Speed
    ratio: Timed  # best over fixed, process by process
    trials: int
    failed_trials: int

    @property
    def settings(self) -> Settings:
        return settings_of(self.best.key)


def settings_of(key: RunKey) -> Settings:
    return Settings.model_validate({name: getattr(key, name) for name in Settings.model_fields if hasattr(key, name)})


def tuned_models(
    shown: Iterable[Record], records: Iterable[Record], families: Mapping[str, str] | None = None
) -> list[Tuned]:
    """Every model that was timed under its best settings and under fixed ones; families grouped, then by name.

    shown: the records that a report may put together. records: all of them, for trials that gave no result.
    families: of models that are in no catalog, as counted.
    """

    shown = list(shown)
    rows = {role: speed_rows(shown, role) for role in ("fixed", "best")}
    rounds = {role: rounds_by_site(own, "throughput_img_per_s") for role, own in rows.items()}
    fixed = {_place(one.site): one for one in speeds(rows["fixed"])}
    trials = _trials(records)
    found = []
    for best in speeds(rows["best"]):
        mine = fixed.get(_place(best.site))
        if mine is None:
            continue
        ratio = paired_ratio(rounds["best"].get(best.site, {}), rounds["fixed"].get(mine.site, {}))
        if ratio is not None:
            tried = trials[_place(best.site)[:-1]]
            found.append(
                Tuned(
                    identity=identify_model(best.key.model, (families or {}).get(best.key.model)),
                    resolution_px=best.key.resolution_px,
                    batch_size=best.batch_size,
                    machine=best.machine,
                    fixed=mine,
                    best=best,
                    ratio=ratio,
                    trials=len(tried),
                    failed_trials=sum(record.status != "ok" for record in tried),
                )
            )
    return sorted(found, key=lambda t: (family_rank(t.identity.family), t.identity.title, t.fixed.key, t.batch_size))


def _place(site: Site) -> tuple[Any, ...]:
    """What timings under different settings share; the conditions last."""
    return site.key.model, site.key.resolution_px, site.key.device, site.batch_size, site.machine, site.conditions


def _trials(records: Iterable[Record]) -> Mapping[tuple[Any, ...], list[Record]]:
    """Place without conditions -> the newest record of each trial there, whatever came of it."""
    newest: dict[tuple[str, str], Record] = {}
    for record in sorted(records, key=lambda record: record.started_at):
        if record.cell.get("role") == "trial":
            newest[record.cell_id, machine_of(record)] = record
    found: dict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for (_, machine), record in newest.items():
        key, batch = run_key(cell_row(record.cell)), int(record.cell["batch_size"])
        found[_place(Site(key, batch, machine, ()))[:-1]].append(record)
    return found
