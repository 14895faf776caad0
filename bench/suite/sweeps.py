"""Choosing a learning rate by trials: which are still to come and, once none is, what they chose."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean, variance
from typing import Any, Generic, NamedTuple, TypeVar

from bench.suite.spec import RecipeSweep, Sweep

K = TypeVar("K")
P = TypeVar("P")
SAME_RATE = 1.02  # learning rates within 2 % of one another are one trial
REFINE_ABOVE = 0.75  # of a grid step: a neighbour that far away leaves room for a trial halfway
MAX_EXTENSIONS = 6  # trials beyond `extra_trials` that may follow a best rate at the edge of the grid
ABOVE_CHANCE = 3.0  # standard errors: a trial's accuracy is that of the best of several looks
WITHIN_NOISE = 2.0  # standard errors of a difference


class Result(NamedTuple):
    """What one trial gave on the validation part. top1_pct: minus infinity for a trial that failed."""

    top1_pct: float
    images: int


FAILED = Result(-math.inf, 0)


def result_of(task: str, status: str, values: Mapping[str, Any]) -> Result:
    """What a record of that task says of the validation part; of a fine-tuning, one that was scored there."""
    if status != "ok":
        return FAILED
    if task == "finetune":
        return Result(float(values["top1_pct"]), int(values["scored_images"]))
    return Result(float(values["validation_top1_pct"]), int(values["validation_images"]))


Known = Callable[[K, int], Result | None]  # candidate and seed -> what the trial gave, None while unknown


@dataclass(frozen=True)
class Search(Generic[K]):
    """Where a choice by trials stands.

    trials: candidate and seed of all that are asked for so far, known or not. is_open: some are unknown. chosen: None
    while it is open, where nothing learned, and where the best rate stayed `at_edge`. have_all_failed: none gave any.
    """

    trials: tuple[tuple[K, int], ...]
    is_open: bool = False
    chosen: K | None = None
    at_edge: K | None = None
    have_all_failed: bool = False


def search(sweep: Sweep, seeds: Sequence[int], classes: int, result: Known[float]) -> Search[float]:
    """The trials of a sweep, given what the earlier ones gave, and the rate that they chose once all are known.

    The first seed tries the grid and `extra_trials` more. While its best is at an edge the grid grows there by its
    step; an interior best is refined halfway (in the logarithm) towards the better of its neighbours, then towards the
    other. `settle` compares what was tried. A choice at an edge goes on growing the grid, by MAX_EXTENSIONS rates in
    all; a best rate that is at the edge even then is not chosen. A failed trial, or one at chance, bounds the grid.
    """
    rates = list(sweep.learning_rates)
    step = (max(rates) / min(rates)) ** (1 / (len(rates) - 1))
    planned = len(rates) + sweep.extra_trials
    while True:
        rates.sort()  # of equals the smallest is taken
        first = {rate: [found] for rate in rates if (found := result(rate, seeds[0])) is not None}
        if len(first) < len(rates):
            return settle(rates, seeds, classes, result)  # wait: the next trial depends on these
        ranked = _contenders(first, classes)
        if ranked and _is_edge(ranked[0], rates) and len(rates) < planned + MAX_EXTENSIONS:
            rates.append(_beyond(ranked[0], rates, step))
        elif ranked and len(rates) < planned:
            rates.append(_halfway(ranked[0], rates, {rate: found[0].top1_pct for rate, found in first.items()}, step))
        else:
            break
    while True:
        settled = settle(sorted(rates), seeds, classes, result)
        if settled.chosen is None or not _is_edge(settled.chosen, rates):
            return settled
        if len(rates) >= planned + MAX_EXTENSIONS:
            return replace(settled, chosen=None, at_edge=settled.chosen)
        rates.append(_beyond(settled.chosen, rates, step))


class Candidate(NamedTuple):
    """What a trial of a training tries. weight_decay: None is the recipe's own."""

    learning_rate: float
    weight_decay: float | None = None


def search_recipe(
    sweep: RecipeSweep, seeds: Sequence[int], classes: int, result: Known[Candidate]
) -> Search[Candidate]:
    """The trials of a learning rate and then, at the rate that they chose, those of a weight decay by the same rule."""
    rates = search(sweep, seeds, classes, lambda rate, seed: result(Candidate(rate), seed))
    found = _mapped(rates, Candidate)
    if rates.chosen is None or not sweep.weight_decays:
        return found
    rate, grid = rates.chosen, Sweep(learning_rates=sweep.weight_decays)
    decays = search(grid, seeds, classes, lambda decay, seed: result(Candidate(rate, decay), seed))
    return replace(then := _mapped(decays, partial(Candidate, rate)), trials=(*found.trials, *then.trials))


def _mapped(found: Search[K], to: Callable[[K], P]) -> Search[P]:
    """The same state of a search for something made from what was searched for."""
    return Search(
        trials=tuple((to(candidate), seed) for candidate, seed in found.trials),
        is_open=found.is_open,
        chosen=None if found.chosen is None else to(found.chosen),
        at_edge=None if found.at_edge is None else to(found.at_edge),
        have_all_failed=found.have_all_failed,
    )


def settle(candidates: Iterable[K], seeds: Sequence[int], classes: int, result: Known[K]) -> Search[K]:
    """Try every candidate with the first seed, then the best and all within its noise with all seeds; the mean chooses.

    A candidate whose mean is not above chance by ABOVE_CHANCE binomial standard errors of the validation images tells
    nothing and is never chosen. A trial's variance is the binomial one of its images or, where larger, the one that
    the best candidate shows over its seeds; a mean's is that over its number of seeds. A candidate is within the noise
    of the best when their means differ by no more than WITHIN_NOISE standard errors of the difference. Of equals, the
    earlier candidate is taken.
    """
    trials = [(candidate, seeds[0]) for candidate in candidates]
    while True:
        known: dict[K, list[Result]] = {}
        for candidate, seed in trials:
            found = result(candidate, seed)
            if found is None:
                return Search(tuple(trials), is_open=True)
            known.setdefault(candidate, []).append(found)
        ranked = _contenders(known, classes)
        more = [(one, seed) for one in ranked for seed in seeds if (one, seed) not in trials]
        if not ranked:
            failed = all(_mean(found) == -math.inf for found in known.values())
            return Search(tuple(trials), have_all_failed=failed)
        if not more:
            return Search(tuple(trials), chosen=ranked[0])
        trials += more


def chosen_at(found: Mapping[P, Search[K]], candidates: Sequence[K]) -> dict[P, K | None]:
    """What was chosen at each place, None while trials are out; a place whose trials chose nothing is left out.

    Where they chose nothing anywhere, the middle of the candidates stands for all places, whatever chance said of it:
    there is nothing to choose by. Empty if every trial failed.
    """
    known = {place: one.chosen for place, one in found.items() if one.is_open or one.chosen is not None}
    if known or all(one.have_all_failed for one in found.values()):
        return known
    return dict.fromkeys(found, candidates[(len(candidates) - 1) // 2])


def _contenders(known: Mapping[K, Sequence[Result]], classes: int) -> list[K]:
    """The candidate with the best mean first, then those within its noise; empty where none learned."""
    learned = {one: found for one, found in known.items() if _has_learned(found, classes)}
    if not learned:
        return []
    ranked = sorted(learned, key=lambda one: -_mean(learned[one]))  # stable: of equals the earlier one
    best = learned[ranked[0]]
    spread = variance(found.top1_pct for found in best) if len(best) > 1 else 0.0

    def squared_error(found: Sequence[Result]) -> float:
        return max(spread, _binomial_variance(_mean(found), found[0].images)) / len(found)

    def is_within(found: Sequence[Result]) -> bool:
        error = math.sqrt(squared_error(best) + squared_error(found))
        return _mean(best) - _mean(found) <= WITHIN_NOISE * error

    return [one for one in ranked if is_within(learned[one])]


def _has_learned(found: Sequence[Result], classes: int) -> bool:
    mean = _mean(found)
    if mean == -math.inf:
        return False
    chance = 100 / classes
    images = found[0].images
    return mean > chance + ABOVE_CHANCE * math.sqrt(chance * (100 - chance) / images)


def _binomial_variance(top1_pct: float, images: int) -> float:
    """In squared points; with one image more on either side, so that 100 % has some too."""
    share = (top1_pct / 100 * images + 1) / (images + 2)
    return 1e4 * share * (1 - share) / images


def _mean(found: Sequence[Result]) -> float:
    return fmean(one.top1_pct for one in found)


def _is_edge(rate: float, rates: Sequence[float]) -> bool:
    return rate in (min(rates), max(rates))


def _beyond(edge: float, rates: Sequence[float], step: float) -> float:
    return _three_digits(edge * step if edge == max(rates) else edge / step)


def _halfway(best: float, rates: Sequence[float], top1_pct: Mapping[float, float], step: float) -> float:
    """A rate between the best and its better neighbour, the other one, or the farther one, where there is room."""
    place = sorted(rates).index(best)
    around = sorted(rates)[place - 1], sorted(rates)[place + 1]
    neighbours = sorted(around, key=lambda rate: -top1_pct[rate])
    for neighbour in neighbours:
        between = _three_digits(math.sqrt(best * neighbour))
        if abs(math.log(neighbour / best)) > REFINE_ABOVE * math.log(step) and not _is_tried(between, rates):
            return between
    widest = max(neighbours, key=lambda rate: abs(math.log(rate / best)))
    return _three_digits(math.sqrt(best * widest))


def _is_tried(rate: float, rates: Iterable[float]) -> bool:
    return any(max(rate / other, other / rate) < SAME_RATE for other in rates)


def _three_digits(rate: float) -> float:
    return float(f"{rate:.3g}")
