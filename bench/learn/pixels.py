"""Logistic regression on raw pixels: the control that no network and no pretraining has had a part in."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from bench.data.decoding.decode import ToSquare
from bench.data.sets.collection import ImageCollection, LabelledImages, joined
from bench.data.sets.splits import balanced_subset
from bench.measure.outcome import Outcome
from bench.measure.scoring.accuracy import Columns, Predictions, score
from bench.suite.cell import PixelsCell

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # inverse regularisation tried; pixels are standardised before
HELD_OUT = 5  # one in so many of the training images scores the strengths
CHOSEN_ON = 10_000  # training images at most that the strength is chosen on
FITTED_ON = 100_000  # training images at most that are fitted: as 32 px float32 in colour, 1.2 GB
MOST_STEPS = 300  # of L-BFGS

Features = NDArray[np.float32]


def classify_pixels(cell: PixelsCell, collection: ImageCollection) -> Outcome:
    """Top-1 on the test part of a multinomial logistic regression on standardised pixels, (N, 3 R R).

    The strength of its L2 penalty is chosen on one in five of the training images, then all of them are fitted.
    Raises RequestError for more training images than there are, DataError for images that cannot be decoded.
    """
    started = time.perf_counter()
    support, test = joined([collection.part("train"), collection.part("validation")]), collection.part("test")
    count = len(support) if cell.train_images is None else cell.train_images
    chosen = balanced_subset(support.labels, cell.dataset, len(collection.class_names), count, cell.seed)[:FITTED_ON]
    squares, labels = _squares(support.take(chosen), cell.resolution_px), support.labels[chosen]
    standardised = _standardised_as(squares)
    pixels = standardised(squares)
    del squares
    # The subset's order is balanced, so that its beginning and its end are as balanced as the whole.
    few = pixels[:CHOSEN_ON]
    cut = len(few) - max(1, len(few) // HELD_OUT)
    top1_pct = {
        strength: 100
        * float(np.mean(_fitted(few[:cut], labels[:cut], strength).predict(few[cut:]) == labels[cut : len(few)]))
        for strength in STRENGTHS
    }
    best = max(STRENGTHS, key=lambda strength: (top1_pct[strength], -strength))
    model = _fitted(pixels, labels, best)
    predictions = _predictions(model, standardised(_squares(test, cell.resolution_px)), test, cell.num_classes)
    values = {
        **score(predictions).as_values(),
        "scored_images": len(test),
        "train_images": count,
        "fitted_images": len(labels),
        "strength": best,
        "held_out_top1_pct": top1_pct[best],
        "is_at_edge": best in (STRENGTHS[0], STRENGTHS[-1]),
        "has_converged": int(model.n_iter_.max()) < MOST_STEPS,
        "fit_seconds": time.perf_counter() - started,
        "num_classes": cell.num_classes,
    }
    return Outcome(values, predictions=predictions)


def _squares(part: LabelledImages, resolution_px: int) -> NDArray[np.uint8]:
    """(N, R, R, 3)."""
    to_square = ToSquare(resolution_px, "square")
    return np.stack([to_square(part.reader.read(i))[0] for i in range(len(part))])


def _standardised_as(squares: NDArray[np.uint8]) -> Callable[[NDArray[np.uint8]], Features]:
    """Makes features, (N, 3 R R), of other squares: less the mean of these ones and over their spread, pixel by pixel.

    Where these are grey, (N, R R): three equal channels get equal weights w, so one channel of sqrt(3) times the size,
    with the weight sqrt(3) w, has the same scores under the same penalty in a third of the time.
    """
    is_grey = bool((squares == squares[..., :1]).all())

    def features(some: NDArray[np.uint8]) -> Features:
        pixels = some.mean(axis=3, dtype=np.float32) if is_grey else some.astype(np.float32)
        flat: Features = pixels.reshape(len(some), -1) / np.float32(255)
        return flat

    own = features(squares)
    mean, spread = own.mean(axis=0, dtype=np.float64), own.std(axis=0, dtype=np.float64) + 1e-5
    scale = (math.sqrt(3) if is_grey else 1.0) / spread

    def standardised(some: NDArray[np.uint8]) -> Features:
        scaled: Features = (features(some) - mean.astype(np.float32)) * scale.astype(np.float32)
        return scaled

    return standardised


def _fitted(pixels: Features, labels: NDArray[np.int64], strength: float) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the values say it
        return LogisticRegression(C=strength, max_iter=MOST_STEPS).fit(pixels, labels)


def _predictions(model: LogisticRegression, pixels: Features, part: LabelledImages, num_classes: int) -> Predictions:
    """What the model says of each image; a class that it has not seen has no probability."""
    probabilities = np.zeros((len(pixels), num_classes))
    probabilities[:, model.classes_] = model.predict_proba(pixels)
    with np.errstate(divide="ignore"):
        scores = torch.from_numpy(np.log(probabilities))
    return Predictions(part.keys, part.labels, Columns.of(scores, torch.tensor(part.labels)), num_classes)
