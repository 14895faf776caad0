"""Estimated times: exact where the law is one that the features can say, and honest about how far off they are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.analyse.public.estimates import LEVEL, MIN_ANCHORS, Estimator, errors, fit_times
from bench.catalog.public_counts import public_counts

PLACES = sorted(public_counts())


def chosen(count: int, seed: int = 0) -> list[tuple[str, int]]:
    order = np.random.default_rng(seed).permutation(len(PLACES))
    return [PLACES[i] for i in order[:count]]


def power_law(place: tuple[str, int], noise: float = 0.0) -> float:
    """Milliseconds that grow as a power of MACs and of activations."""
    count = public_counts()[place]
    assert count.macs
    assert count.activations
    return float((count.macs / 1e9) ** 0.7 * (count.activations / 1e6) ** 0.2 * math.exp(noise))


def test_a_law_that_the_features_can_say_is_found_for_every_model() -> None:
    fitted = fit_times({place: power_law(place) for place in chosen(24)})
    assert fitted is not None
    off = errors(fitted, {place: power_law(place) for place in PLACES})
    assert np.quantile(off, 0.9) < 1.15
    assert len(off) == len(PLACES)


def test_the_interval_holds_the_share_of_other_models_that_it_says() -> None:
    held = []
    for seed in range(20):
        noise = dict(zip(PLACES, np.random.default_rng(seed).normal(0, 0.2, len(PLACES)), strict=True))
        anchors = chosen(24, seed)
        fitted = fit_times({place: power_law(place, noise[place]) for place in anchors})
        assert fitted is not None
        off = errors(fitted, {place: power_law(place, noise[place]) for place in PLACES if place not in anchors})
        held.append(sum(factor <= fitted.reach for factor in off) / len(off))
    assert LEVEL - 0.04 <= np.mean(held) <= LEVEL + 0.05


def test_too_few_timed_models_estimate_nothing() -> None:
    assert fit_times(dict.fromkeys(chosen(MIN_ANCHORS - 1), 1.0)) is None


def test_a_model_of_one_s_own_teaches_nothing_and_breaks_nothing() -> None:
    times = {place: power_law(place) for place in chosen(12)}
    with_own = fit_times({**times, ("nets.py:build", 224): 5.0})
    assert with_own == fit_times(times)


def test_the_reach_is_the_conformal_quantile_of_the_left_out_models() -> None:
    factors = {place: math.exp(0.1 * i * (-1) ** i) for i, place in enumerate(chosen(19))}
    assert Estimator({}, factors).reach == pytest.approx(math.exp(0.1 * (math.ceil(LEVEL * 20) - 1)))
    few = dict(list(factors.items())[:8])
    assert Estimator({}, few).reach == math.inf
