"""Each model under the suite's fixed settings beside its own best ones.

The best settings were chosen by trials of their own; what is compared here was timed after the choice, both in the
same rounds of fresh processes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from bench.analyse.scores import RunKey
from bench.analyse.speeds import Speed, Timed, speeds
from bench.catalog.identity import ModelIdentity, family_rank, identify_model
from bench.store.frame import machine_of, speed_frame
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
    ratio: Timed  # best over fixed, process by process
    trials: int
    failed_trials: int

    @property
    def settings(self) -> Settings:
        """The best ones."""
        return settings_of(self.best.key)


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
    found = []
    for mine, theirs in pairs:
        before, after = _rates(fixed_frame, mine), _rates(best_frame, theirs)
        ratio = Timed.of(after[r] / before[r] for r in sorted(set(before) & set(after)))
        if ratio is None:
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
                ratio=ratio,
                trials=len(tried),
                failed_trials=sum(record.status != "ok" for record in tried),
            )
        )
    return sorted(found, key=lambda t: (family_rank(t.identity.family), t.identity.title, t.fixed.key, t.batch_size))


def _point(one: Speed) -> Point:
    key = one.key
    return key.model, key.resolution_px, key.device, one.batch_size, one.machine, one.conditions


def _rates(frame: pd.DataFrame, one: Speed) -> dict[int, float]:
    """Round -> images per second."""
    rows = frame[frame["cell_id"].isin(one.cell_ids) & (frame["machine"] == one.machine)]
    rated = rows[rows["throughput_img_per_s"].notna()]
    return {int(r): float(v) for r, v in zip(rated["repeat"], rated["throughput_img_per_s"], strict=True)}


def _trials(records: Iterable[Record]) -> dict[tuple[str, int, str, int, str], list[Record]]:
    """Model, resolution, device, batch and machine -> the newest record of each trial, whatever came of it."""
    newest: dict[tuple[str, str], Record] = {}
    for record in sorted(records, key=lambda record: record.started_at):
        if record.cell.get("role") == "trial":
            newest[record.cell_id, machine_of(record)] = record
    found: dict[tuple[str, int, str, int, str], list[Record]] = defaultdict(list)
    for (_, machine), record in sorted(newest.items()):
        model, device = str(record.cell["model"]), str(record.cell["device"])
        found[model, int(record.cell["resolution_px"]), device, int(record.cell["batch_size"]), machine].append(record)
    return found
