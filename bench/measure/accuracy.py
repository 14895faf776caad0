"""Predictions of a classifier on a labelled set, and the percentages that follow from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.images import ImageSet

EVALUATION_BATCH = 250  # images; larger ones gain nothing at 32 px on a CPU


@dataclass(frozen=True)
class Predictions:
    """One row per image, in the order of the set.

    keys: (N,). labels, predictions: (N,), class indices. label_probability: (N,), in [0, 1].
    label_rank: (N,), how many classes score higher than the label; 0 is a hit.
    """

    keys: tuple[str, ...]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    label_probability: NDArray[np.float32]
    label_rank: NDArray[np.int64]
    num_classes: int


@dataclass(frozen=True)
class Accuracy:
    """Percentages in [0, 100]; top5_pct is None with five classes or fewer, where it says nothing."""

    top1_pct: float
    top5_pct: float | None
    mean_per_class_pct: float


def predict(model: nn.Module, part: ImageSet, prepare: Callable[[Tensor], Tensor]) -> Predictions:
    """Class scores of `model` for every image of `part`, each exactly once.

    model: in eval state; (B, 3, H, W) -> (B, C). prepare: (B, H, W, 3) uint8 on the CPU -> the model's input.
    """
    labels = torch.from_numpy(part.labels)
    columns: list[tuple[Tensor, Tensor, Tensor]] = []
    num_classes = 0
    with torch.inference_mode():
        for start in range(0, len(labels), EVALUATION_BATCH):
            stop = start + EVALUATION_BATCH
            logits = model(prepare(torch.from_numpy(part.images[start:stop]))).float().cpu()  # (B, C)
            num_classes = logits.shape[1]
            columns.append(columns_of(logits, labels[start:stop]))
    predictions, probability, rank = (torch.cat(parts).numpy() for parts in zip(*columns, strict=True))
    return Predictions(part.keys, part.labels, predictions, probability, rank, num_classes)


def score(predictions: Predictions) -> Accuracy:
    """Top-1, top-5 and mean-per-class accuracy in percent. Raises ValueError for an empty set.

    Source: ILSVRC top-k error, Russakovsky et al. 2015; mean per class, Kornblith et al. 2019.
    """
    if len(predictions.labels) == 0:
        raise ValueError("Accuracy of an empty set is not defined.")
    hit = predictions.predictions == predictions.labels
    classes = np.unique(predictions.labels)
    per_class = [hit[predictions.labels == c].mean() for c in classes]
    top5 = float((predictions.label_rank < 5).mean() * 100) if predictions.num_classes > 5 else None
    return Accuracy(float(hit.mean() * 100), top5, float(np.mean(per_class) * 100))


def columns_of(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Prediction (B,), probability of the label (B,), rank of the label (B,). logits: (B, C). labels: (B,)."""
    of_label = logits.gather(1, labels[:, None])  # (B, 1)
    probability = logits.softmax(dim=1).gather(1, labels[:, None])[:, 0]
    return logits.argmax(dim=1), probability, (logits > of_label).sum(dim=1)
