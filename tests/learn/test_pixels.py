"""The control on raw pixels: what it can and cannot see, and what it says of itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.data.sets.collection import ImageCollection, LabelledImages, PartName
from bench.data.sets.open import ArrayReader
from bench.errors import RequestError
from bench.learn.pixels import STRENGTHS, classify_pixels
from bench.suite.cell import PixelsCell

SIDE = 8


def collection(brightness: NDArray[np.int64], *, count: int = 120) -> ImageCollection:
    """Three parts of noise whose first pixel row is lit by `brightness` of the class, (classes,)."""
    noise = np.random.default_rng(5)
    parts: dict[PartName, LabelledImages] = {}
    for part in ("train", "validation", "test"):
        labels = np.arange(count, dtype=np.int64) % len(brightness)
        images = noise.integers(0, 60, (count, SIDE, SIDE, 3)).astype(np.uint8)
        images[:, 0] += brightness[labels].astype(np.uint8)[:, None, None]
        parts[part] = LabelledImages(ArrayReader(images), labels, tuple(f"{part}/{i}" for i in range(count)))
    return ImageCollection("lit", tuple(str(level) for level in brightness), parts)


def cell(classes: int, *, train_images: int | None = None, seed: int = 0) -> PixelsCell:
    return PixelsCell(
        metric_version=1,
        dataset="lit",
        fingerprint="f",
        resolution_px=SIDE,
        num_classes=classes,
        train_images=train_images,
        seed=seed,
    )


def test_what_single_pixels_show_is_learned() -> None:
    done = classify_pixels(cell(3), collection(np.array([0, 90, 180])))
    assert done.values["top1_pct"] > 95
    assert done.values["train_images"] == 240, "train and validation together"
    assert done.values["scored_images"] == len(done.predictions.keys) == 120


def test_what_no_pixel_shows_stays_near_chance() -> None:
    assert classify_pixels(cell(3), collection(np.array([70, 70, 70]))).values["top1_pct"] < 50


def test_a_subset_is_balanced_and_its_seed_draws_it() -> None:
    few = [
        classify_pixels(cell(3, train_images=30, seed=seed), collection(np.array([0, 20, 40]))) for seed in (0, 0, 1)
    ]
    assert all(one.values["train_images"] == 30 for one in few)
    assert few[0].values["top1_pct"] == few[1].values["top1_pct"]
    assert not np.array_equal(few[0].predictions.label_probability, few[2].predictions.label_probability)


def test_probabilities_and_ranks_agree_with_the_predictions() -> None:
    predictions = classify_pixels(cell(3), collection(np.array([0, 30, 60]))).predictions
    hits = predictions.predictions == predictions.labels
    assert np.array_equal(hits, predictions.label_rank == 0)
    assert hits.any()
    assert not hits.all()


def test_the_strength_is_one_of_those_tried_and_an_edge_is_said() -> None:
    values = classify_pixels(cell(3), collection(np.array([0, 30, 60]))).values
    assert values["strength"] in STRENGTHS
    assert values["is_at_edge"] == (values["strength"] in (STRENGTHS[0], STRENGTHS[-1]))


def test_more_images_than_there_are_are_refused() -> None:
    with pytest.raises(RequestError, match="500 training images"):
        classify_pixels(cell(3, train_images=500), collection(np.array([0, 30, 60])))
