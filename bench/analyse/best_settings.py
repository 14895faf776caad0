"""Each model under the suite's fixed settings beside its own best ones, and whether the order of families changes.

The best settings were chosen by trials of their own; what is compared here was timed after the choice, both in the
same rounds of fresh processes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from bench.analyse.frame import machine_of, speed_frame
from bench.analyse.identity import ModelIdentity, family_rank, identify_model
from bench.analyse.intervals import Interval, pooled_spread, process_interval, spread_of
from bench.analyse.scores import RunKey
from bench.analyse.speeds import Speed, speeds
from bench.store.record import Record
from bench.suite.cell import Settings

Point = tuple[str, int, str, int, str, tuple[str, ...]]  # model, resolution, device, batch, machine, software


@dataclass(frozen=True)
class Tuned:
    """One model at one resolution and batch size on one machine, under fixed and under its best settings."""

    identity: ModelIdentity
    resolution_px: int
    batch_size: int
    machine: str
    fixed: Speed
    best: Speed
    ratio: Interval | None  # best over fixed, process by process; None with one round and nothing to pool
    ratio_mean: float  # geometric
    log_rates: Mapping[int, tuple[float, float]]  # round -> logarithm of img/s, fixed and best
    trials: int
    failed_trials: int

    @property
    def settings(self) -> Settings:
        """The best ones."""
        return settings_of(self.best.key)


@dataclass(frozen=True)
class FamilyOrder:
    """Two families at one batch size on one machine: first over second, geometric mean over the same models."""

    first: str
    second: str
    batch_size: int
    machine: str
    models: int
    fixed: Interval | None
    best: Interval | None

    @property
    def verdict(self) -> str:
        """`changes` or `stays` where both orders are decided, else `open`."""
        signs = {_sign(self.fixed), _sign(self.best)}
        return "open" if 0 in signs else "stays" if len(signs) == 1 else "changes"


def settings_of(key: RunKey) -> Settings:
    """The settings that a key holds."""
    return Settings.model_validate(
        {"precision": key.precision, "memory_format": key.memory_format, "compile": key.compile, "fold": key.fold}
    )


def tuned_models(
    shown: Iterable[Record], records: Iterable[Record], families: Mapping[str, str] | None = None
) -> list[Tuned]:
    """Every model that was timed under its best settings and under fixed ones; families grouped, then by name.

    shown: the records that a report may put together. records: all of them, for trials that gave no result.
    families: of models that are in no catalog, as counted.
    """
    shown = list(shown)
    best_frame, fixed_frame = speed_frame(shown, "best"), speed_frame(shown)
    trials = _trials(records)
    fixed = {_point(one): one for one in speeds(fixed_frame)}
    pairs = [(fixed[_point(one)], one) for one in speeds(best_frame) if _point(one) in fixed]
    logs = [_log_rates(_rates(fixed_frame, mine), _rates(best_frame, theirs)) for mine, theirs in pairs]
    gains = [[after - before for before, after in rounds.values()] for rounds in logs]
    pool = pooled_spread(gains, "pair")
    found = []
    for (mine, theirs), rounds, gain in zip(pairs, logs, gains, strict=True):
        if not gain:
            continue
        tried = trials[_point(theirs)[:5]]
        found.append(
            Tuned(
                identity=identify_model(mine.key.model, (families or {}).get(mine.key.model)),
                resolution_px=mine.key.resolution_px,
                batch_size=mine.batch_size,
                machine=mine.machine,
                fixed=mine,
                best=theirs,
                ratio=process_interval([math.exp(one) for one in gain], spread_of(gain, pool, "own")),
                ratio_mean=math.exp(sum(gain) / len(gain)),
                log_rates=rounds,
                trials=len(tried),
                failed_trials=sum(record.status != "ok" for record in tried),
            )
        )
    return sorted(found, key=lambda t: (family_rank(t.identity.family), t.identity.title, t.fixed.key, t.batch_size))


def family_orders(tuned: Sequence[Tuned]) -> list[FamilyOrder]:
    """For each two families timed at one batch size on one machine: their ratio under fixed and best settings."""
    sites: dict[tuple[str, int], list[Tuned]] = defaultdict(list)
    for one in tuned:
        sites[one.machine, one.batch_size].append(one)
    found = []
    for (machine, batch), group in sorted(sites.items()):
        families = sorted({one.identity.family for one in group}, key=family_rank)
        for first, second in combinations(families, 2):
            mine = [one for one in group if one.identity.family == first]
            theirs = [one for one in group if one.identity.family == second]
            fixed, best = (_mean_ratio(mine, theirs, column) for column in (0, 1))
            found.append(FamilyOrder(first, second, batch, machine, len(mine) + len(theirs), fixed, best))
    return found


def _mean_ratio(first: Sequence[Tuned], second: Sequence[Tuned], column: int) -> Interval | None:
    """Geometric mean of one family over that of the other, round by round; None with fewer than two rounds."""
    rounds = sorted(set.intersection(*(set(one.log_rates) for one in (*first, *second))))
    means = [[_mean(one.log_rates[r][column] for one in family) for r in rounds] for family in (first, second)]
    return process_interval([math.exp(a - b) for a, b in zip(*means, strict=True)])


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def _sign(interval: Interval | None) -> int:
    """1 or -1 for a ratio clearly above or below 1, 0 for one that is not decided."""
    if interval is None or interval.low <= 1.0 <= interval.high:
        return 0
    return 1 if interval.low > 1.0 else -1


def _point(one: Speed) -> Point:
    key = one.key
    return key.model, key.resolution_px, key.device, one.batch_size, one.machine, one.conditions


def _rates(frame: pd.DataFrame, one: Speed) -> dict[int, float]:
    """Round -> images per second."""
    rows = frame[frame["cell_id"].isin(one.cell_ids) & (frame["machine"] == one.machine)]
    rated = rows[rows["throughput_img_per_s"].notna()]
    return {int(r): float(v) for r, v in zip(rated["repeat"], rated["throughput_img_per_s"], strict=True)}


def _log_rates(fixed: Mapping[int, float], best: Mapping[int, float]) -> dict[int, tuple[float, float]]:
    return {r: (math.log(fixed[r]), math.log(best[r])) for r in sorted(set(fixed) & set(best))}


def _trials(records: Iterable[Record]) -> dict[tuple[str, int, str, int, str], list[Record]]:
    """Model, resolution, device, batch and machine -> the newest record of each trial, whatever came of it."""
    newest: dict[tuple[str, str], Record] = {}
    for record in sorted(records, key=lambda record: record.started_at):
        if record.cell.get("role") == "trial":
            newest[record.cell_id, machine_of(record)] = record
    found: dict[tuple[str, int, str, int, str], list[Record]] = defaultdict(list)
    for (_, machine), record in sorted(newest.items()):
        cell = record.cell
        found[str(cell["model"]), int(cell["resolution_px"]), str(cell["device"]), int(cell["batch_size"]), machine] \
            .append(record)  # fmt: skip
    return found
