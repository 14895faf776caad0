"""What follows from a pretraining study: compute at equal accuracy, crossovers, and what pretraining added.

Curves are means over the transfer sets, a node for each budget (or size of the pretraining set), straight lines in the
logarithm of the axis between them. Nothing is said beyond the range that was measured.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bench.analyse.compare import Verdict, verdict_of
from bench.analyse.crossover import Crossing, Curve, Node, crossing
from bench.analyse.draws import DRAWS, accuracy_draws
from bench.analyse.intervals import LEVEL, Interval, contrast_interval
from bench.analyse.pretrained import Control, PretrainStudy, Transfer
from bench.analyse.transfers import FINETUNED, Way

Axis = Literal["pretraining compute", "pretraining images"]
Floats = npt.NDArray[np.float64]
FAMILY_PAIRS = (("vit", "cnn"), ("hybrid", "cnn"), ("vit", "hybrid"))


@dataclass(frozen=True)
class ComputeRatio:
    """How many times the pretraining compute of one model another needs for the same mean accuracy after transfer.

    The accuracy is what `slower` has at its largest budget in common, and the ratio that budget over what `faster`
    needs for it. low, high: 95 % interval over draws of all accuracies; None where it goes on beyond what was measured.
    estimate: None where `faster` has that accuracy at its smallest budget already; the ratio is then `at_least`.
    """

    way: Way
    slower: Transfer
    faster: Transfer  # the one at the budget nearest to what is needed
    accuracy_pct: float
    estimate: float | None
    low: float | None
    high: float | None
    at_least: float
    is_decided: bool  # whether the slower one is behind at that budget, by the difference's own interval
    cell_ids: tuple[str, ...]


@dataclass(frozen=True)
class PretrainCrossing:
    """Whether the first model passes the second along an axis, by accuracy after transfer.

    dataset: empty for the mean over the sets.
    """

    way: Way
    axis: Axis
    first: Transfer
    second: Transfer
    crossing: Crossing
    dataset: str = ""


@dataclass(frozen=True)
class Gain:
    """After pretraining minus from scratch (or random features), in percentage points; dataset empty: the mean."""

    way: Way
    transfer: Transfer
    control: Control
    dataset: str
    delta_pp: float
    interval: Interval | None
    verdict: Verdict


def curves(study: PretrainStudy, way: Way, axis: Axis) -> dict[str, list[Transfer]]:
    """Model -> its transfers along an axis, rising; models with two places or more."""
    chosen = study.along_compute(way) if axis == "pretraining compute" else study.along_images(way)
    by_model: dict[str, list[Transfer]] = {}
    for one in sorted(chosen, key=lambda one: place_of(one, axis)):
        by_model.setdefault(one.point.key.model, []).append(one)
    return {model: found for model, found in by_model.items() if len({place_of(o, axis) for o in found}) > 1}


def place_of(transfer: Transfer, axis: Axis) -> float:
    """Where a transfer stands: FLOPs of one pretraining, or images of the pretraining set."""
    return transfer.point.flop if axis == "pretraining compute" else float(transfer.point.key.train_images)


def compute_ratios(study: PretrainStudy, way: Way) -> list[ComputeRatio]:
    """Of every two models of different families and the same size class, in the order of FAMILY_PAIRS."""
    found = curves(study, way, "pretraining compute")
    ratios = []
    for one, other in _pairs(found):
        ratio = _ratio(way, found[one], found[other])
        if ratio is not None:
            ratios.append(ratio)
    return ratios


def pretrain_crossings(study: PretrainStudy, way: Way) -> list[PretrainCrossing]:
    """Of every two models of different families and the same size class, along both axes."""
    passages = []
    axes: tuple[Axis, ...] = ("pretraining compute", "pretraining images")
    for axis in axes:
        found = curves(study, way, axis)
        for one, other in _pairs(found):
            passage = crossing([(_curve(found[one], axis), _curve(found[other], axis))])
            if passage is not None:
                passages.append(PretrainCrossing(way, axis, found[one][-1], found[other][-1], passage))
    return passages


def set_crossings(study: PretrainStudy, way: Way) -> list[PretrainCrossing]:
    """The same on each set by itself, along pretraining compute; test images are joint where predictions exist."""
    axis: Axis = "pretraining compute"
    found = curves(study, way, axis)
    passages = []
    for one, other in _pairs(found):
        for name in study.datasets:
            passage = crossing([(_curve(found[one], axis, name), _curve(found[other], axis, name))])
            if passage is not None:
                passages.append(PretrainCrossing(way, axis, found[one][-1], found[other][-1], passage, name))
    return passages


def gains(study: PretrainStudy, way: Way) -> list[Gain]:
    """Of every model at its largest budget and pretraining set: the mean over sets, then each set."""
    kind = "from scratch" if way == FINETUNED else "random features"
    controls = {c.identity.name: c for c in study.controls if c.kind == kind and c.way == way and c.identity}
    found = []
    for model, transfers in _at_largest(study, way).items():
        control = controls.get(model)
        if control is None:
            continue
        parts = {"": (transfers.mean, control.mean)}
        parts |= {name: (transfers.groups[name], control.groups[name]) for name in study.datasets}
        for name, (after, before) in parts.items():
            interval = contrast_interval([(1.0, after), (-1.0, before)])
            delta = after.mean_pct - before.mean_pct
            found.append(Gain(way, transfers, control, name, delta, interval, verdict_of(interval)))
    return found


def _at_largest(study: PretrainStudy, way: Way) -> dict[str, Transfer]:
    largest: dict[str, Transfer] = {}
    for one in study.along_compute(way):
        other = largest.get(one.point.key.model)
        if other is None or one.point.flop > other.point.flop:
            largest[one.point.key.model] = one
    return largest


def _pairs(found: Mapping[str, Sequence[Transfer]]) -> list[tuple[str, str]]:
    """Models to compare: the families of FAMILY_PAIRS, sizes alike; all sizes where a model is of none."""
    pairs = []
    for first, second in FAMILY_PAIRS:
        for one, other in itertools.product(found, found):
            identities = found[one][0].point.identity, found[other][0].point.identity
            if (identities[0].family, identities[1].family) != (first, second):
                continue
            sizes = {identity.size_class for identity in identities}
            if len(sizes) == 1 or "" in sizes:
                pairs.append((one, other))
    return pairs


def _curve(transfers: Sequence[Transfer], axis: Axis, dataset: str = "") -> Curve:
    """Nodes of a model: its means over sets, or its accuracies on one of them."""
    nodes = []
    for one in transfers:
        group, ids = (one.groups[dataset], one.cell_ids[dataset]) if dataset else (one.mean, one.all_ids)
        nodes.append(Node(place_of(one, axis), ((1.0, group),), (*one.point.cell_ids, *ids)))
    return tuple(nodes)


def _ratio(way: Way, one: Sequence[Transfer], other: Sequence[Transfer]) -> ComputeRatio | None:
    """The weaker of the two at the largest budget in common against the other's curve."""
    tops = [max(t.point.flop for t in side) for side in (one, other)]
    nearest = [min(side, key=lambda t: abs(math.log(t.point.flop / min(tops)))) for side in (one, other)]
    slower, fast_side = (
        (nearest[0], other) if nearest[0].mean.mean_pct <= nearest[1].mean.mean_pct else (nearest[1], one)
    )
    faster_top = nearest[1] if fast_side is other else nearest[0]
    x = np.array([t.point.flop for t in fast_side])
    estimate = _needed(x, np.array([[t.mean.mean_pct for t in fast_side]]), np.array([slower.mean.mean_pct]))[0]
    groups = {"slower": slower.mean} | {f"{i}": t.mean for i, t in enumerate(fast_side)}
    named = {f"{way} {slower.point.key} {fast_side[0].point.key.model} {name}": g for name, g in groups.items()}
    has_spread = all(group.spread is not None for group in named.values())
    low: float | None = None
    high: float | None = None
    if has_spread:
        drawn = accuracy_draws(named, DRAWS)
        needed = _needed(x, drawn[:, 1:], drawn[:, 0])
        with np.errstate(divide="ignore"):
            ratios = slower.point.flop / needed
        low, high = _ends(ratios, slower.point.flop / float(x[-1]), slower.point.flop / float(x[0]))
    difference = contrast_interval([(1.0, slower.mean), (-1.0, faster_top.mean)])
    is_reached = math.isfinite(estimate) and estimate > 0
    ratio = slower.point.flop / estimate if is_reached else None
    chosen = min(fast_side, key=lambda t: abs(math.log(t.point.flop / (estimate if is_reached else x[0]))))
    ids = tuple(i for t in (slower, *fast_side) for i in (*t.point.cell_ids, *t.all_ids))
    return ComputeRatio(
        way,
        slower,
        chosen,
        slower.mean.mean_pct,
        ratio,
        low,
        high,
        slower.point.flop / float(x[0]),
        difference is not None and difference.high < 0,
        tuple(dict.fromkeys(ids)),
    )


def _needed(x: Floats, accuracy: Floats, wanted: Floats) -> Floats:
    """The least x at which each curve has the accuracy wanted of it: 0 where its first node has it, inf without one.

    x: (K,), rising. accuracy: (D, K). wanted: (D,). A straight line in log x between neighbours.
    """
    found = np.full(len(wanted), np.inf)
    for i in range(len(x) - 2, -1, -1):
        left, right = accuracy[:, i], accuracy[:, i + 1]
        is_between = (left < wanted) & (right >= wanted)
        rise = np.where(is_between, right - left, 1.0)
        share = (wanted - left) / rise
        at = np.exp(math.log(x[i]) + share * math.log(x[i + 1] / x[i]))
        found = np.where(is_between, at, found)
    return np.where(accuracy[:, 0] >= wanted, 0.0, found)


def _ends(ratios: Floats, least: float, most: float) -> tuple[float | None, float | None]:
    """The percentiles of the draws. Only ratios in [least, most] can be told: an end that goes on beyond is None, and
    an interval that lies beyond altogether ends at the one that is nearest."""
    ordered = np.sort(ratios)
    tail = (1 - LEVEL) / 2
    low = float(ordered[math.floor(tail * (len(ordered) - 1))])
    high = float(ordered[math.ceil((1 - tail) * (len(ordered) - 1))])
    return (None if low < least else min(low, most)), (None if high > most else max(high, least))
