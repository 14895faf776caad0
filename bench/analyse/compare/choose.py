"""What a reader may choose from on one data set: models with their accuracy and costs, and who meets a budget.

One candidate is one model under one set of conditions. Accuracy and speed share a candidate only at the same weights
or recipe, resolution and settings; timings and memory are the home machine's.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.analyse.accuracies.accuracy import Accuracy, FineTuned, Trained
from bench.analyse.accuracies.pooling import headline_scores
from bench.analyse.accuracies.protocols import Protocols
from bench.analyse.accuracies.subjects import RunKey
from bench.analyse.compare.differences import not_separable
from bench.analyse.speed.speeds import Memory, Speed
from bench.analyse.stats.intervals import Interval
from bench.units import GIGA

CostName = Literal["macs", "train_flop", "latency_p50_ms", "throughput_img_per_s", "peak_mib"]


@dataclass(frozen=True)
class CostAxis:
    """One kind of cost: unit as stored, and which way is better."""

    name: CostName
    title: str  # as a table's heading says it
    more_is_better: bool = False


COST_AXES: dict[str, CostAxis] = {
    axis.name: axis
    for axis in (
        CostAxis("macs", "MACs"),
        CostAxis("train_flop", "training compute"),
        CostAxis("latency_p50_ms", "latency"),
        CostAxis("throughput_img_per_s", "throughput", more_is_better=True),
        CostAxis("peak_mib", "peak memory"),
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
    """One model under one set of conditions on one data set: its accuracy, and what it costs."""

    label: str
    accuracy: Accuracy
    costs: Mapping[str, Cost]
    macs_note: str = ""  # why the MACs, on which its training compute rests, are not certified

    @property
    def key(self) -> RunKey:
        return self.accuracy.key

    @property
    def protocol(self) -> str:
        """Of the accuracy, in words."""
        return "trained from scratch" if self.accuracy.protocol == "trained" else self.accuracy.protocol

    @property
    def name(self) -> str:
        """A name that no other candidate of the suite has."""
        one = self.accuracy
        images = None if one.train_images is None else float(one.train_images)
        return f"{self.protocol} {one.dataset} {images} {self.label} {one.cell_ids[0]}"


def trained_candidates(
    scores: Iterable[Trained],
    labels: Mapping[RunKey, str],
    macs: Mapping[RunKey, Cost],
    speed: Mapping[RunKey, Speed],
    memory: Mapping[RunKey, Memory],
) -> list[Candidate]:
    """Models trained from scratch, in the order of scores. macs: counted ones, where a model was counted."""
    found = []
    for one in scores:
        counted = {"macs": macs[one.key]} if one.key in macs else {}
        costs = {**_own_costs(one), **counted, **_machine_costs(speed.get(one.key), memory.get(one.key))}
        found.append(Candidate(labels[one.key], one, _real(costs)))
    return found


def weights_candidates(
    protocols: Protocols, speed: Mapping[RunKey, Speed], memory: Mapping[RunKey, Memory]
) -> list[Candidate]:
    """Evaluated, fine-tuned and few-shot weights, the last at the headline's shots and rule.

    Weights that saw the data set's images or classes before are left out of the few-shot ones on it.
    """
    fewshot = [one for one in headline_scores(protocols.fewshot) if not one.overlap]
    return [
        Candidate(
            protocols.labels[one.subject],
            one,
            _real({**_machine_costs(speed.get(one.key), memory.get(one.key)), **_own_costs(one)}),
        )
        for one in (*protocols.evaluated, *protocols.finetuned, *fewshot)
    ]


def _own_costs(one: Accuracy) -> dict[str, Cost]:
    """What its records say of compute: multiply-adds of one image, and of its training or fine-tuning."""
    flop = one.train_flop if isinstance(one, FineTuned) else None
    if isinstance(one, Trained):  # the budget, not what its whole steps came to: those differ by less than a step
        flop = one.budget_gflop * GIGA
    known = {"macs": one.macs, "train_flop": flop}
    return {name: Cost(value, None, "", one.cell_ids) for name, value in known.items() if value is not None}


def _machine_costs(speed: Speed | None, memory: Memory | None) -> dict[str, Cost]:
    costs: dict[str, Cost] = {}
    if speed is not None:
        threads, torch, timm = speed.conditions[2:]
        where = f"machine {speed.machine}, {speed.key.device}, {threads} threads, torch {torch}, timm {timm},"
        for name, timed, batch in (
            ("latency_p50_ms", speed.latency, 1),
            ("throughput_img_per_s", speed.throughput, speed.batch_size),
        ):
            if timed is not None:
                costs[name] = Cost(timed.median, timed.interval, f"{where} batch {batch}", speed.cell_ids)
    if memory is not None:
        where = f"machine {memory.machine}, {memory.key.device},"
        condition = f"{where} memory of the {memory.kind} at batch {memory.batch_size}"
        # the growth of a process differs from run to run by some tens of percent; a device's allocator counts
        costs["peak_mib"] = Cost(memory.peak_mib, None, condition, memory.cell_ids, is_rough=memory.kind == "process")
    return costs


def _real(costs: Mapping[str, Cost]) -> dict[str, Cost]:
    """The costs that are positive numbers: a count or a time that is absent or nought is no place on an axis."""
    return {name: cost for name, cost in costs.items() if math.isfinite(cost.value) and cost.value > 0}


@dataclass(frozen=True)
class Choices:
    """What a budget leaves: those that qualify, best first, and those that do not, with the reason.

    best: the most accurate one and those that it is not ahead of, Holm over all that qualify. unranked: unstable seeds,
    or one run with nothing that says how far runs differ. on_the_limit: whose interval of a cost goes beyond its limit.
    """

    limits: Mapping[str, float]
    choices: tuple[Candidate, ...]
    best: tuple[Candidate, ...]
    unranked: tuple[Candidate, ...]
    on_the_limit: tuple[Candidate, ...]
    too_costly: tuple[Candidate, ...]
    unknown: tuple[tuple[Candidate, tuple[str, ...]], ...]  # not measured on these axes, so neither in nor out

    def cheapest(self, axis: str) -> Candidate | None:
        """Of the best, the one that costs least on an axis; None where none has that cost."""
        sign = -1.0 if COST_AXES[axis].more_is_better else 1.0
        own = [one for one in self.best if axis in one.costs]
        return min(own, key=lambda one: sign * one.costs[axis].value, default=None)


def choose(candidates: Sequence[Candidate], limits: Mapping[str, float]) -> Choices:
    """Candidates (of one data set and protocol, costs comparable) within the limits, by falling mean accuracy.

    limits: by cost name, the most that is allowed (the least, where more is better). Costs count by their estimates.
    """
    missing = {one.name: tuple(name for name in limits if name not in one.costs) for one in candidates}
    known = [one for one in candidates if not missing[one.name]]
    within = [one for one in known if all(_excess(one, name, limit) <= 0 for name, limit in limits.items())]
    within.sort(key=lambda one: (-one.accuracy.group.mean_pct, one.name))
    named = {one.name: one for one in within}
    are_checkpoints = all(one.accuracy.protocol == "evaluated" for one in within)
    found = not_separable({one.name: one.accuracy.group for one in within}, of_checkpoints=are_checkpoints)
    return Choices(
        limits=limits,
        choices=tuple(within),
        best=tuple(named[name] for name in found.members),
        unranked=tuple(named[name] for name in found.unranked),
        on_the_limit=tuple(
            one for one in within if any(_excess(one, name, limit, worst=True) > 0 for name, limit in limits.items())
        ),
        too_costly=tuple(one for one in known if one.name not in named),
        unknown=tuple((one, missing[one.name]) for one in candidates if missing[one.name]),
    )


def _excess(one: Candidate, name: str, limit: float, *, worst: bool = False) -> float:
    """How far a cost (or the worse end of its interval) lies beyond the limit; positive: outside."""
    cost, sign = one.costs[name], -1.0 if COST_AXES[name].more_is_better else 1.0
    value = cost.value
    if worst and cost.interval is not None:
        value = cost.interval.low if sign < 0 else cost.interval.high
    return sign * (value - limit)


def by_condition(candidates: Sequence[Candidate], limits: Collection[str]) -> dict[tuple[str, ...], list[Candidate]]:
    """Candidates that may be ranked together: by what their limited costs share (machine, batch), most of them first.

    Those that were not measured on some axis go with the first group, which says so of them.
    """
    groups: dict[tuple[str, ...], list[Candidate]] = {}
    unknown = []
    for one in candidates:
        if all(name in one.costs for name in limits):
            groups.setdefault(tuple(one.costs[name].condition for name in limits), []).append(one)
        else:
            unknown.append(one)
    ordered = dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))) or {(): []}
    ordered[next(iter(ordered))] += unknown
    return ordered


def at_one_budget(candidates: Sequence[Candidate], limits: Mapping[str, float]) -> list[Candidate]:
    """Each model once: at its largest training budget within the limit, or its smallest where none is.

    Without a limit on training compute, at the largest: a model does not compete with itself.
    """
    limit = limits.get("train_flop", math.inf)
    best: dict[tuple[RunKey, float | None, str], Candidate] = {}

    def rank(one: Candidate) -> tuple[bool, float]:
        flop = one.costs["train_flop"].value if "train_flop" in one.costs else 0.0
        return flop <= limit, flop if flop <= limit else -flop

    for one in candidates:
        key = (one.key, one.accuracy.train_images, one.label)
        if key not in best or rank(one) > rank(best[key]):
            best[key] = one
    return list(best.values())


def pareto_front(costs: Sequence[float], gains: Sequence[float]) -> list[bool]:
    """Whether each point is on the front of least cost and greatest gain.

    A point is off the front when another costs no more and gains no less, and is strictly better in one of the
    two. Points that tie on both axes are on it together. For an axis where more is better, pass its negative.
    Raises ValueError where the two differ in length.
    """
    points = list(zip(costs, gains, strict=True))
    is_on, best, tie = [False] * len(points), float("-inf"), None
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        is_on[i] = points[i][1] > best or points[i] == tie
        if points[i][1] > best:
            best, tie = points[i][1], points[i]
    return is_on
