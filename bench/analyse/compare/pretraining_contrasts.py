"""Differences of a pretraining study: of two models at each budget that was run, and of pretraining against none."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.analyse.accuracies.pretrained import Control, PretrainStudy, Transfer, Way
from bench.analyse.compare.differences import FAMILY_PAIRS, Difference, alike
from bench.analyse.stats.intervals import SeedGroup
from bench.units import GIGA

Axis = Literal["pretraining compute", "pretraining images"]


@dataclass(frozen=True)
class Meeting:
    """Two models, or one on two pretraining sets, after pretraining on as many images with as much compute.

    dataset empty: the mean over sets.
    """

    first: Transfer
    second: Transfer
    dataset: str
    difference: Difference

    @property
    def budget(self) -> float:
        """In the unit of the cell."""
        return self.first.point.key.budget

    @property
    def train_images(self) -> int:
        """Of the pretraining set."""
        return self.first.point.key.train_images

    @property
    def cell_ids(self) -> tuple[str, ...]:
        return tuple(i for side in (self.first, self.second) for i in _ids_of(side, self.dataset))


@dataclass(frozen=True)
class Gain:
    """After pretraining minus a control, in percentage points; dataset empty: the mean over sets."""

    transfer: Transfer
    control: Control
    dataset: str
    difference: Difference

    @property
    def cell_ids(self) -> tuple[str, ...]:
        return tuple(i for side in (self.transfer, self.control) for i in _ids_of(side, self.dataset))


def _ids_of(side: Transfer | Control, dataset: str) -> tuple[str, ...]:
    return side.cell_ids[dataset] if dataset else side.mean_ids


def _group(side: Transfer | Control, dataset: str) -> SeedGroup:
    return side.groups[dataset] if dataset else side.mean


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


def meetings(study: PretrainStudy, way: Way, axis: Axis, datasets: Sequence[str] = ("",)) -> list[Meeting]:
    """Every two models of one size and of different families, wherever along the axis both were run.

    Families in the order of FAMILY_PAIRS, places rising.
    """
    found = curves(study, way, axis)
    pairs = []
    for (one, other), dataset in itertools.product(_pairs(found), datasets):
        theirs = {_regime(transfer): transfer for transfer in found[other]}
        pairs += [(t, theirs[_regime(t)], dataset) for t in found[one] if _regime(t) in theirs]
    return [Meeting(a, b, name, Difference.of(_group(a, name), _group(b, name))) for a, b, name in pairs]


def _regime(transfer: Transfer) -> tuple[object, ...]:
    return transfer.point.key.corpus, *transfer.point.key.regime


def _pairs(found: Mapping[str, Sequence[Transfer]]) -> list[tuple[str, str]]:
    identities = {model: transfers[0].point.identity for model, transfers in found.items()}
    return [
        (one, other)
        for first, second in FAMILY_PAIRS
        for one, other in itertools.product(found, found)
        if (identities[one].family, identities[other].family) == (first, second)
        and alike((identities[one].size_class, identities[other].size_class), (1.0, 1.0))
    ]


def corpus_meetings(study: PretrainStudy, way: Way) -> list[Meeting]:
    """Every model after pretraining on each two sets that it met: the mean, then each set that both were tried on."""
    pairs = []
    for one, other in itertools.combinations(study.by_corpus.values(), 2):
        if one.averaged != other.averaged:
            continue  # no set is out of the domain of both
        datasets = ("", *(name for name in one.datasets if name in other.datasets))
        theirs = {(t.point.key.model, t.point.key.regime): t for t in other.of(way)}
        both = [(t, theirs.get((t.point.key.model, t.point.key.regime))) for t in one.of(way)]
        pairs += [(a, b, name) for a, b in both if b is not None for name in datasets]
    return [Meeting(a, b, name, Difference.of(_group(a, name), _group(b, name))) for a, b, name in pairs]


def gains(study: PretrainStudy, way: Way) -> list[Gain]:
    """Of every model over each of its controls: the mean, then each set; at its largest budget and pretraining set.

    Against a training of equal compute: at the budget that is nearest to that training's.
    """
    pairs = []
    for control in study.controls:
        own = [t for t in study.along_compute(way) if t.point.identity == control.identity and control.way == way]
        if own:
            flop = max(t.point.flop for t in own) if control.budget_gflop is None else control.budget_gflop * GIGA
            transfer = min(own, key=lambda t: abs(math.log(t.point.flop / flop)))
            pairs += [(transfer, control, name) for name in ("", *study.datasets)]
    return [Gain(a, b, name, Difference.of(_group(a, name), _group(b, name))) for a, b, name in pairs]


def at_largest(study: PretrainStudy, way: Way) -> list[Transfer]:
    """The transfer of each model at its largest budget."""
    largest: dict[str, Transfer] = {}
    for one in study.along_compute(way):
        other = largest.get(one.point.key.model)
        if other is None or one.point.flop > other.point.flop:
            largest[one.point.key.model] = one
    return list(largest.values())
