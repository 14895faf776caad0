"""Searching for a learning rate with a fixed number of trials, each chosen by what the earlier ones gave."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from bench.suite.spec import Sweep

SAME_RATE = 1.02  # learning rates within 2 % of one another are one trial
REFINE_ABOVE = 0.75  # of a grid step: a neighbour that far away leaves room for a trial halfway


def sweep_trials(sweep: Sweep, result: Callable[[float], float | None]) -> list[float]:
    """The learning rates to try, given what the earlier ones gave; grows until all trials are known.

    result: learning rate -> validation accuracy, minus infinity for a trial that failed, None while unknown.
    An optimum at an edge extends the grid on that side by its step; an interior one is refined halfway
    (in the logarithm) towards the better of its neighbours, then towards the other.
    """
    rates = list(sweep.learning_rates)
    step = (max(rates) / min(rates)) ** (1 / (len(rates) - 1))
    for _ in range(sweep.extra_trials):
        known = {rate: value for rate in rates if (value := result(rate)) is not None}
        if len(known) < len(rates):
            return rates  # wait: the next trial depends on these
        rates.append(_next_rate(sorted(known), known, step))
    return rates


def _next_rate(rates: list[float], known: Mapping[float, float], step: float) -> float:
    best = max(rates, key=lambda rate: (known[rate], -rate))
    place = rates.index(best)
    if place == len(rates) - 1:
        return _three_digits(best * step)
    if place == 0:
        return _three_digits(best / step)
    neighbours = sorted((rates[place - 1], rates[place + 1]), key=lambda rate: -known[rate])
    widest = max(neighbours, key=lambda rate: abs(math.log(rate / best)))
    for neighbour in neighbours:
        between = _three_digits(math.sqrt(best * neighbour))
        if abs(math.log(neighbour / best)) > REFINE_ABOVE * math.log(step) and not _is_tried(between, rates):
            return between
    return _three_digits(math.sqrt(best * widest))


def _is_tried(rate: float, rates: Iterable[float]) -> bool:
    return any(max(rate / other, other / rate) < SAME_RATE for other in rates)


def _three_digits(rate: float) -> float:
    return float(f"{rate:.3g}")
