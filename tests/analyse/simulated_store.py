"""Stores of made-up trainings whose true accuracies are known: what the coverage of intervals is counted on.

An image is right when ability + its ease + noise is positive. Ease is normal over images and shared by all models,
the ability of one training is normal over seeds, so the accuracy that a model has over all seeds and images is
Phi(ability / sqrt(1 + seed variance + ease variance)), and abilities are chosen from the accuracies that are wanted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from records import trained
from scipy import special

from bench.store.record import Record

Truth = Callable[[str, float], float]  # model, place on the axis -> accuracy in percent over all seeds and images


@dataclass(frozen=True)
class Scatter:
    """How made-up trainings scatter, on the scale of ability (a probit)."""

    seeds: int = 3
    images: int = 1000
    seed_sd: float = 0.05
    ease_sd: float = 0.8


def simulated_store(
    truth: Truth,
    models: Sequence[str],
    places: Sequence[int],
    rng: np.random.Generator,
    scatter: Scatter,
    axis: str = "images",
    dataset: str = "textures",
) -> tuple[list[Record], dict[str, pd.DataFrame]]:
    """Records of every model, place and seed with their predictions. axis: `images` or `budget` of `trained`."""
    keys = [f"{dataset}/test/{i:05d}" for i in range(scatter.images)]
    ease = rng.normal(0, scatter.ease_sd, scatter.images)
    whole = math.sqrt(1 + scatter.seed_sd**2 + scatter.ease_sd**2)
    records, predictions = [], {}
    for model in models:
        for place in places:
            ability = whole * float(special.ndtri(truth(model, place) / 100))
            for seed in range(scatter.seeds):
                own = ability + rng.normal(0, scatter.seed_sd)
                right = own + ease + rng.normal(0, 1, scatter.images) > 0
                made = trained(model, seed, 100 * float(right.mean()), dataset=dataset, **{axis: place})
                made = made.model_copy(update={"values": {**made.values, "test_images": scatter.images}})
                records.append(made)
                label = np.zeros(scatter.images, dtype=np.int16)
                predictions[made.cell_id] = pd.DataFrame({"key": keys, "label": label, "prediction": ~right * 1})
    return records, predictions


def line_through(points: Mapping[float, float]) -> Callable[[float], float]:
    """A truth that is a straight line in log x between the points, given as x -> accuracy."""
    xs = sorted(points)
    return lambda x: float(np.interp(math.log(x), [math.log(one) for one in xs], [points[one] for one in xs]))
