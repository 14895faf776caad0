"""Logistic regression on raw pixels: the control that no network and no pretraining has had a part in."""

from __future__ import annotations

import time
import warnings

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
MOST_STEPS = 300  # of L-BFGS


def classify_pixels(cell: PixelsCell, collection: ImageCollection) -> Outcome:
    """Top-1 on the test part of a multinomial logistic regression on standardised pixels, (N, 3 R R).

    The strength of its L2 penalty is chosen on one in five of the training images, then all of them are fitted.
    Raises RequestError for more training images than there are, DataError for images that cannot be decoded.
    """
    started = time.perf_counter()
    support, test = joined([collection.part("train"), collection.part("validation")]), collection.part("test")
    count = len(support) if cell.train_images is None else cell.train_images
    chosen = balanced_subset(support.labels, cell.dataset, len(collection.class_names), count, cell.seed)
    pixels, labels = _pixels_of(support.take(chosen), cell.resolution_px), support.labels[chosen]
    mean, spread = pixels.mean(axis=0), pixels.std(axis=0) + 1e-5
    pixels = (pixels - mean) / spread
    # The subset's order is balanced, so that its end is as balanced as its beginning.
    cut = len(pixels) - max(1, len(pixels) // HELD_OUT)
    top1_pct = {
        strength: 100
        * float(np.mean(_fitted(pixels[:cut], labels[:cut], strength).predict(pixels[cut:]) == labels[cut:]))
        for strength in STRENGTHS
    }
    best = max(STRENGTHS, key=lambda strength: (top1_pct[strength], -strength))
    model = _fitted(pixels, labels, best)
    predictions = _predictions(model, (_pixels_of(test, cell.resolution_px) - mean) / spread, test, cell.num_classes)
    values = {
        **score(predictions).as_values(),
        "scored_images": len(test),
        "train_images": count,
        "strength": best,
        "held_out_top1_pct": top1_pct[best],
        "is_at_edge": best in (STRENGTHS[0], STRENGTHS[-1]),
        "has_converged": int(model.n_iter_.max()) < MOST_STEPS,
        "fit_seconds": time.perf_counter() - started,
        "num_classes": cell.num_classes,
    }
    return Outcome(values, predictions=predictions)


def _pixels_of(part: LabelledImages, resolution_px: int) -> NDArray[np.float64]:
    """(N, 3 R R), 0 to 1."""
    to_square = ToSquare(resolution_px, "square")
    squares = [to_square(part.reader.read(i))[0] for i in range(len(part))]
    return np.stack(squares).reshape(len(squares), -1).astype(np.float64) / 255


def _fitted(pixels: NDArray[np.float64], labels: NDArray[np.int64], strength: float) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the values say it
        return LogisticRegression(C=strength, max_iter=MOST_STEPS).fit(pixels, labels)


def _predictions(
    model: LogisticRegression, pixels: NDArray[np.float64], part: LabelledImages, num_classes: int
) -> Predictions:
    """What the model says of each image; a class that it has not seen has no probability."""
    probabilities = np.zeros((len(pixels), num_classes))
    probabilities[:, model.classes_] = model.predict_proba(pixels)
    with np.errstate(divide="ignore"):
        scores = torch.from_numpy(np.log(probabilities))
    return Predictions(part.keys, part.labels, Columns.of(scores, torch.from_numpy(part.labels)), num_classes)
