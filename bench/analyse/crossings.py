"""The crossovers of a study: where one family passes another along training images, training compute or MACs.

Series of one design (ResNet S, M and L) are followed one by one. Where models belong to no series, or a family has
many, a family stands at each place as the best of equally many candidates by validation, as in `compare_families`.
Both sides have had the same training compute at every place.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.analyse.compare import family_best, of_one_setting
from bench.analyse.crossover import Crossing, Curve, Node, crossing
from bench.analyse.identity import DatasetIdentity
from bench.analyse.scores import RunKey, Score
from bench.units import GIGA

Axis = Literal["training images", "training compute", "inference MACs"]
MOST_SERIES = 3  # of a family; with more, the families are compared instead
PAIRS = (("vit", "cnn"), ("hybrid", "cnn"), ("vit", "hybrid"))  # does the first pass the second?


@dataclass(frozen=True)
class Crossover:
    """One pair of families, or of a series of each, along one axis on one data set or on the mean over several."""

    axis: Axis
    datasets: tuple[str, ...]
    first: str  # family
    second: str
    first_series: str  # empty: the family's best of equally many
    second_series: str
    size_class: str  # of the models, along training images; empty where the axis runs over sizes
    crossing: Crossing


def crossovers(scores: Sequence[Score], datasets: Sequence[DatasetIdentity]) -> list[Crossover]:
    """Every pair of families along every axis with two places or more, on each set and on the mean of those that
    carry findings; in the order of axes, pairs and sets."""
    found = []
    carrying = [dataset.name for dataset in datasets if dataset.carries_findings]
    for axis, curves_on in _AXES.items():
        for pair in PAIRS:
            for series in _contests(scores, pair):
                by_class: dict[str, dict[str, tuple[Curve, Curve]]] = {}
                for dataset in datasets:
                    on_set = [s for s in scores if s.dataset == dataset.name and _takes_part(s, pair, series)]
                    for size_class, curves in curves_on(on_set, pair).items():
                        by_class.setdefault(size_class, {})[dataset.name] = curves
                for size_class, by_set in by_class.items():
                    for names in _groups_of_sets(list(by_set), carrying):
                        passage = crossing([by_set[name] for name in names])
                        if passage is not None:
                            found.append(Crossover(axis, names, *pair, *series, size_class, passage))
    return found


def _contests(scores: Sequence[Score], pair: tuple[str, str]) -> list[tuple[str, str]]:
    """Every series of the first family with every one of the second; (`""`, `""`) for the families themselves."""
    sides = [sorted({s.identity.series for s in scores if s.identity.family == family}) for family in pair]
    if any("" in side or not 0 < len(side) <= MOST_SERIES for side in sides):
        return [("", "")]
    return [(first, second) for first in sides[0] for second in sides[1]]


def _takes_part(score: Score, pair: tuple[str, str], series: tuple[str, str]) -> bool:
    return series == ("", "") or (score.identity.family, score.identity.series) in zip(pair, series, strict=True)


def _groups_of_sets(names: Sequence[str], carrying: Sequence[str]) -> list[tuple[str, ...]]:
    """Each set alone, and together those that carry findings."""
    shared = tuple(name for name in carrying if name in names)
    return [*((name,) for name in names), *([shared] if len(shared) > 1 else [])]


def _along_images(on_set: Sequence[Score], pair: tuple[str, str]) -> dict[str, tuple[Curve, Curve]]:
    """By size class: accuracy against training images at one training compute, of models trained at every size."""
    found = {}
    for size_class in sorted({score.identity.size_class for score in on_set if score.identity.size_class}):
        own = of_one_setting([s for s in on_set if s.identity.size_class == size_class and s.budget_rank == 0])
        for budget in sorted({score.budget_gflop for score in own}, reverse=True):
            at_budget = [score for score in own if score.budget_gflop == budget]
            curves = _curves(at_budget, pair, lambda score: float(score.train_images), same_models=True)
            if curves is not None:
                found[size_class] = curves
                break
    return found


def _along_compute(on_set: Sequence[Score], pair: tuple[str, str]) -> dict[str, tuple[Curve, Curve]]:
    """Accuracy against the training compute of a run, at the largest training set; the key is empty."""
    curves = _curves(_at_largest_set(on_set), pair, lambda score: score.budget_gflop * GIGA)
    return {} if curves is None else {"": curves}


def _along_macs(on_set: Sequence[Score], pair: tuple[str, str]) -> dict[str, tuple[Curve, Curve]]:
    """Accuracy against multiply-adds, a place for each size class, at the largest budget that both families have."""
    curves: tuple[list[Node], list[Node]] = ([], [])
    largest = [score for score in _at_largest_set(on_set) if score.identity.size_class]
    for size_class in sorted({score.identity.size_class for score in largest}):
        sides = [
            [s for s in largest if s.identity.size_class == size_class and s.identity.family == family]
            for family in pair
        ]
        common = {s.budget_gflop for s in sides[0]} & {s.budget_gflop for s in sides[1]}
        if common:
            at_budget = [[s for s in side if s.budget_gflop == max(common)] for side in sides]
            drawn = min(len(side) for side in at_budget)
            for side, curve in zip(at_budget, curves, strict=True):
                curve.append(_node(side, drawn, None))
    first, second = (tuple(sorted(curve, key=lambda node: node.x)) for curve in curves)
    return {"": (first, second)} if _rises(first) and _rises(second) else {}


_Curves = Callable[[Sequence[Score], tuple[str, str]], dict[str, tuple[Curve, Curve]]]
_AXES: dict[Axis, _Curves] = {
    "training images": _along_images,
    "training compute": _along_compute,
    "inference MACs": _along_macs,
}


def _at_largest_set(on_set: Sequence[Score]) -> list[Score]:
    largest = max((score.train_images for score in on_set), default=0)
    return of_one_setting([score for score in on_set if score.train_images == largest])


def _curves(
    scores: Sequence[Score], pair: tuple[str, str], place: Callable[[Score], float], *, same_models: bool = False
) -> tuple[Curve, Curve] | None:
    """The curves of two families over the places that both have; None with fewer than two.

    same_models: only of the models that have every place, so that a curve does not change its models on the way.
    """
    sides = [[score for score in scores if score.identity.family == family] for family in pair]
    places = sorted({place(score) for score in sides[0]} & {place(score) for score in sides[1]})
    if same_models:
        sides = [_of_whole_models(side, places, place) for side in sides]
    if len(places) < 2 or not all(sides):
        return None
    curves: tuple[list[Node], list[Node]] = ([], [])
    for x in places:
        at_place = [[score for score in side if place(score) == x] for side in sides]
        drawn = min(len(side) for side in at_place)
        for side, curve in zip(at_place, curves, strict=True):
            curve.append(_node(side, drawn, x))
    return tuple(curves[0]), tuple(curves[1])


def _of_whole_models(side: Sequence[Score], places: Sequence[float], place: Callable[[Score], float]) -> list[Score]:
    seen: dict[RunKey, set[float]] = {}
    for score in side:
        seen.setdefault(score.key, set()).add(place(score))
    return [score for score in side if seen[score.key] >= set(places)]


def _node(side: Sequence[Score], drawn: int, x: float | None) -> Node:
    """A family at one place: the best of `drawn` by validation; x: None for the weighted mean of MACs (geometric)."""
    best = family_best(side, drawn)
    if x is None:
        macs = [(weight, score.macs) for weight, score in best.weights]
        x = macs[0][1] if len(macs) == 1 else math.exp(sum(weight * math.log(value) for weight, value in macs))
    ids = tuple(cell_id for _, score in best.weights for cell_id in score.cell_ids)
    return Node(x, tuple((weight, score.group) for weight, score in best.weights), ids)


def _rises(curve: Curve) -> bool:
    return len(curve) > 1 and all(left.x < right.x for left, right in itertools.pairwise(curve))
