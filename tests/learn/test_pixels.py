"""The control on raw pixels: what it can and cannot see, and what it says of itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from bench.data.sets.collection import ImageCollection, LabelledImages, PartName
from bench.data.sets.open import ArrayReader
from bench.errors import RequestError
from bench.learn import pixels
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


def test_grey_images_have_the_scores_of_their_three_equal_channels() -> None:
    """By the regression in float64 on all channels, and none left out."""
    lit = collection(np.array([0, 25, 50]))
    grey = replace(lit, parts={name: _grey(part) for name, part in lit.parts.items()})
    found = classify_pixels(cell(3), grey)
    support, test = (
        np.concatenate([_pixels(grey.parts[name]) for name in names]) for names in (("train", "validation"), ("test",))
    )
    labels = np.concatenate([grey.parts["train"].labels, grey.parts["validation"].labels])
    mean, spread = support.mean(axis=0), support.std(axis=0) + 1e-5
    whole = LogisticRegression(C=found.values["strength"], tol=1e-8, max_iter=5000).fit(
        (support - mean) / spread, labels
    )
    expected = whole.predict_proba((test - mean) / spread)
    of_label = expected[np.arange(len(test)), grey.parts["test"].labels]
    assert np.allclose(found.predictions.label_probability, of_label, atol=0.02)


def _grey(part: LabelledImages) -> LabelledImages:
    images = np.stack([np.asarray(part.reader.read(i)) for i in range(len(part))])
    return replace(part, reader=ArrayReader(np.repeat(images[..., :1], 3, axis=3)))


def _pixels(part: LabelledImages) -> NDArray[np.float64]:
    return np.stack([np.asarray(part.reader.read(i)) for i in range(len(part))]).reshape(len(part), -1) / 255


def test_with_many_images_the_strength_is_chosen_on_some_and_all_are_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    lit = collection(np.array([0, 10, 20]))
    monkeypatch.setattr(pixels, "CHOSEN_ON", 60)
    few = classify_pixels(cell(3), lit)
    assert few.values["fitted_images"] == few.values["train_images"] == 240
    assert few.values["held_out_top1_pct"] * 12 % 100 == pytest.approx(0), "one in five of 60"
    monkeypatch.setattr(pixels, "FITTED_ON", 90)
    assert classify_pixels(cell(3), lit).values["fitted_images"] == 90


def test_more_images_than_there_are_are_refused() -> None:
    with pytest.raises(RequestError, match="500 training images"):
        classify_pixels(cell(3, train_images=500), collection(np.array([0, 30, 60])))
