"""What a reader may choose from on one data set: models with their accuracy and everything that they cost.

One candidate is one model under one set of conditions. Accuracy and speed share a candidate only at the same weights
or recipe, resolution and settings; timings and memory are the home machine's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from bench.analyse.fewshots import headline_setting
from bench.analyse.identity import ModelIdentity
from bench.analyse.intervals import Interval, SeedGroup, accuracy_interval
from bench.analyse.leads import Scored
from bench.analyse.protocols import Protocols
from bench.analyse.scores import RunKey, Score
from bench.analyse.speeds import Memory, Speed
from bench.analyse.weights import pretraining_of
from bench.units import GIGA

CostName = Literal["macs", "train_flop", "latency_p50_ms", "throughput_img_per_s", "peak_mib"]
Protocol = Literal["trained from scratch", "fine-tuned", "evaluated", "few-shot"]


@dataclass(frozen=True)
class CostAxis:
    """One kind of cost: unit as stored, and which way is better."""

    name: CostName
    title: str  # as a table's heading says it
    more_is_better: bool = False
    of_device: bool = False  # whether values of two devices must not meet


COST_AXES: dict[str, CostAxis] = {
    axis.name: axis
    for axis in (
        CostAxis("macs", "MACs"),
        CostAxis("train_flop", "training compute"),
        CostAxis("latency_p50_ms", "latency", of_device=True),
        CostAxis("throughput_img_per_s", "throughput", more_is_better=True, of_device=True),
        CostAxis("peak_mib", "peak memory", of_device=True),
    )
}


@dataclass(frozen=True)
class Cost:
    """A cost in its stored unit; `interval` is None where it is exact or nothing says how far it scatters."""

    value: float
    interval: Interval | None
    condition: str  # what two values must share to be compared: batch size, machine, kind of memory
    cell_ids: tuple[str, ...]
    is_rough: bool = False  # one reading of something that scatters, with nothing that says how far


@dataclass(frozen=True)
class Candidate:
    """One model under one set of conditions on one data set."""

    key: RunKey
    identity: ModelIdentity
    label: str
    dataset: str
    protocol: Protocol
    group: SeedGroup
    interval: Interval  # of the accuracy
    costs: Mapping[str, Cost]
    cell_ids: tuple[str, ...]  # behind the accuracy
    train_images: float | None
    pretraining: str = ""  # empty for a model trained from scratch
    is_main: bool = True  # at the largest budget of its size class
    macs_note: str = ""  # why the MACs, on which its training compute rests, are not certified

    @property
    def name(self) -> str:
        """A name that no other candidate of the suite has; keys its draws."""
        return f"{self.protocol} {self.dataset} {self.train_images} {self.label} {self.cell_ids[0]}"

    @property
    def has_known_spread(self) -> bool:
        """Whether something says how far runs of it differ; a released checkpoint is itself, so nothing has to."""
        return self.protocol == "evaluated" or self.group.spread is not None


def trained_candidates(
    scores: Iterable[Score],
    labels: Mapping[RunKey, str],
    macs: Mapping[RunKey, Cost],
    speed: Mapping[RunKey, Speed],
    memory: Mapping[RunKey, Memory],
) -> list[Candidate]:
    """Models trained from scratch, in the order of scores. macs: counted ones, where a model was counted."""
    found = []
    for score in scores:
        costs: dict[str, Cost] = {
            "macs": macs.get(score.key) or Cost(score.macs, None, "", score.cell_ids),
            # the budget, not what its whole steps came to: models of one budget differ by less than a step
            "train_flop": Cost(score.budget_gflop * GIGA, None, "", score.cell_ids),
            **_machine_costs(speed.get(score.key), memory.get(score.key)),
        }
        found.append(
            Candidate(
                key=score.key,
                identity=score.identity,
                label=labels[score.key],
                dataset=score.dataset,
                protocol="trained from scratch",
                group=score.group,
                interval=score.interval,
                costs=_real(costs),
                cell_ids=score.cell_ids,
                train_images=float(score.train_images),
                is_main=score.budget_rank == 0,
            )
        )
    return found


def weights_candidates(
    protocols: Protocols, speed: Mapping[RunKey, Speed], memory: Mapping[RunKey, Memory]
) -> list[Candidate]:
    """Evaluated, fine-tuned and few-shot weights, the last at the headline's shots and rule.

    Weights that saw the data set's images or classes before are left out of the few-shot ones on it.
    """
    headline = headline_setting(list(protocols.fewshot)) if protocols.fewshot else (0, "")
    fewshot = [one for one in protocols.fewshot if (one.shots, one.rule) == headline and not one.overlap]

    def candidate(protocol: Protocol, score: Scored, flop: float | None, images: float | None) -> Candidate:
        subject = score.subject
        costs = _machine_costs(speed.get(subject.key), memory.get(subject.key))
        if score.macs:
            costs["macs"] = Cost(score.macs, None, "", score.cell_ids)
        if flop:
            costs["train_flop"] = Cost(flop, None, "", score.cell_ids)
        return Candidate(
            key=subject.key,
            identity=score.identity,
            label=protocols.labels[subject],
            dataset=score.dataset,
            protocol=protocol,
            group=score.group,
            interval=accuracy_interval(score.group),
            costs=_real(costs),
            cell_ids=score.cell_ids,
            train_images=images,
            pretraining=pretraining_of(subject),
        )

    return [
        *(candidate("evaluated", one, None, None) for one in protocols.evaluated),
        *(candidate("fine-tuned", one, one.train_flop, one.train_images) for one in protocols.finetuned),
        *(candidate("few-shot", one, None, None) for one in fewshot),
    ]


def _machine_costs(speed: Speed | None, memory: Memory | None) -> dict[str, Cost]:
    costs: dict[str, Cost] = {}
    if speed is not None:
        threads, torch, timm = speed.conditions[2:]
        where = f"machine {speed.machine}, {speed.key.device}, {threads} threads, torch {torch}, timm {timm},"
        for name, interval, middle, batch in (
            ("latency_p50_ms", speed.latency_p50_ms, speed.latency_p50_median, 1),
            ("throughput_img_per_s", speed.throughput_img_per_s, speed.throughput_median, speed.batch_size),
        ):
            if middle is not None:
                value = middle if interval is None else interval.estimate
                costs[name] = Cost(value, interval, f"{where} batch {batch}", speed.cell_ids)
    if memory is not None:
        where = f"machine {memory.machine}, {memory.key.device},"
        condition = f"{where} memory of the {memory.kind} at batch {memory.batch_size}"
        # the growth of a process differs from run to run by some tens of percent; a device's allocator counts
        costs["peak_mib"] = Cost(memory.peak_mib, None, condition, memory.cell_ids, is_rough=memory.kind == "process")
    return costs


def _real(costs: Mapping[str, Cost]) -> dict[str, Cost]:
    """The costs that are positive numbers: a count or a time that is absent or nought is no place on an axis."""
    return {name: cost for name, cost in costs.items() if math.isfinite(cost.value) and cost.value > 0}
