"""Training steps: images per second and peak memory of each model, beside its inference at the same batch size."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from bench.analyse.intervals import Interval, pooled_spread, process_interval, spread_of
from bench.analyse.scores import RunKey, run_key
from bench.analyse.speeds import Conditions, Memory, conditions_of, memories, rows_of

_Site = tuple[RunKey, int, Conditions]


@dataclass(frozen=True)
class TrainingStep:
    """One model at one batch size. times: how many times as long a training step takes as an inference, per image."""

    key: RunKey
    batch_size: int
    rate: Interval | None
    rate_mean: float | None  # None where only memory was measured
    inference: Interval | None
    inference_mean: float | None
    times: Interval | None
    times_mean: float | None
    memory: Memory | None
    inference_memory: Memory | None
    processes: int
    is_settled: bool
    cell_ids: tuple[str, ...]
    inference_ids: tuple[str, ...]


def training_steps(
    training: pd.DataFrame, timing: pd.DataFrame, training_memory: pd.DataFrame, memory: pd.DataFrame, machine: str
) -> list[TrainingStep]:
    """Every model and batch size whose training step was measured on the machine, in order of key.

    Training and inference are paired by process round; with few processes spreads are pooled over the models.
    """
    steps = _by_site(training, "training_img_per_s", machine)
    passes = _by_site(timing, "throughput_img_per_s", machine)
    settled = {(run_key(row), int(row["batch_size"])): True for row in rows_of(training)}
    for row in rows_of(training):
        settled[run_key(row), int(row["batch_size"])] &= row["warmup_settled"] in (None, True)
    held = _weighed(training_memory, machine)
    inference_held = _weighed(memory, machine)
    times = {site: _paired(steps[site], passes.get(site, {})) for site in steps}
    pools = {
        "steps": pooled_spread([_logs(found) for found in steps.values()], "steps"),
        "passes": pooled_spread([_logs(found) for found in passes.values()], "passes"),
        "times": pooled_spread(list(times.values()), "times"),
    }
    sites = {(key, batch): (key, batch, conditions) for key, batch, conditions in steps}
    found = []
    for place in sorted({*sites, *held}):
        site = sites.get(place)
        own, inference = (steps[site], passes.get(site, {})) if site else ({}, {})
        ratio = times[site] if site else []
        found.append(
            TrainingStep(
                key=place[0],
                batch_size=place[1],
                rate=_interval(_logs(own), pools["steps"]),
                rate_mean=_mean(_logs(own)),
                inference=_interval(_logs(inference), pools["passes"]),
                inference_mean=_mean(_logs(inference)),
                times=_interval(ratio, pools["times"]),
                times_mean=_mean(ratio),
                memory=held.get(place),
                inference_memory=inference_held.get(place),
                processes=len(own),
                is_settled=settled.get(place, True),
                cell_ids=tuple(cell_id for _, cell_id in own.values()),
                inference_ids=tuple(cell_id for _, cell_id in inference.values()),
            )
        )
    return found


_Rounds = Mapping[int, tuple[float, str]]  # process round -> images per second, cell id


def _by_site(frame: pd.DataFrame, column: str, machine: str) -> dict[_Site, dict[int, tuple[float, str]]]:
    found: dict[_Site, dict[int, tuple[float, str]]] = defaultdict(dict)
    for row in rows_of(frame[frame[column].notna() & (frame["machine"] == machine)]):
        site = (run_key(row), int(row["batch_size"]), conditions_of(row))
        found[site][int(row["repeat"])] = (float(row[column]), str(row["cell_id"]))
    return found


def _weighed(frame: pd.DataFrame, machine: str) -> dict[tuple[RunKey, int], Memory]:
    return {(one.key, one.batch_size): one for one in memories(frame) if one.machine == machine}


def _logs(rounds: _Rounds) -> list[float]:
    return [math.log(rate) for rate, _ in rounds.values()]


def _paired(steps: _Rounds, passes: _Rounds) -> list[float]:
    return [math.log(passes[r][0] / steps[r][0]) for r in sorted(set(steps) & set(passes))]


def _mean(logs: list[float]) -> float | None:
    return math.exp(fmean(logs)) if logs else None


def _interval(logs: list[float], pooled: Any) -> Interval | None:
    return process_interval([math.exp(value) for value in logs], spread_of(logs, pooled, "own")) if logs else None
