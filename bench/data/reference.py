"""What a linear model on raw pixels reaches: the floor that says how much a data set asks of a model."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from bench.data.images import Dataset, training_subset

MOST_ITERATIONS = 60  # test top-1 of the four embedded sets moves by under a point from here on
INVERSE_PENALTY = 1e-3  # for 3,072 standardised pixels; larger values fit the noise


def logistic_regression_top1(dataset: Dataset, train_images: int, seed: int) -> float:
    """Percent of the test part that multinomial logistic regression on standardised pixels gets right.

    Trained on the class-balanced subset that the seed draws, at full resolution, L2-penalised, by L-BFGS for a
    bounded number of steps; deterministic on one machine (one thread). Raises RequestError as training_subset does.
    """
    index = training_subset(dataset, train_images, seed)
    train, test = _flat(dataset.train.images[index]), _flat(dataset.test.images)
    middle, spread = train.mean(axis=0), train.std(axis=0)
    spread[spread == 0] = 1  # a pixel that never changes says nothing either way
    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=MOST_ITERATIONS)
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the bound on steps is meant
        model.fit((train - middle) / spread, dataset.train.labels[index])
        predicted = model.predict((test - middle) / spread)
    return 100.0 * float(np.mean(predicted == dataset.test.labels))


def _flat(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.reshape(len(images), -1).astype(np.float32)
