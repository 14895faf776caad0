"""Predictions of a classifier on a labelled set, and the percentages that follow from them.

Classes of equal score stand in the order of their numbers, in a prediction as in the best five. So a prediction is a
hit just where the label's rank is 0, whatever is tied; how much rests on that order is told beside the percentages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.sets.collection import ImageSet
from bench.errors import CellFailedError

EVALUATION_BATCH = 250  # images; larger ones gain nothing at 32 px on a CPU
TRACE_OF_TIES = 0.001  # share of the images; ties that decide fewer are not told
UNSTABLE = "Try a lower learning rate, or look at what the model does in evaluation alone."

Index = NDArray[np.int64]


class Columns(NamedTuple):
    """What is kept of the scores of some images: (N,) each.

    label_probability: in [0, 1]. label_rank: how many classes stand before the label; 0 is a hit. label_above: how
    many of them have a higher score, the others having the label's. label_ties: classes with the label's score, itself
    not counted.
    """

    predictions: Index
    label_probability: NDArray[np.float32]
    label_rank: Index
    label_above: Index
    label_ties: Index

    @classmethod
    def of(cls, scores: Tensor, labels: Tensor) -> Columns:
        """scores: (N, C), logits or logarithms of probabilities. labels: (N,), classes."""
        of_label = scores.gather(1, labels[:, None])  # (N, 1)
        above, equal = scores > of_label, scores == of_label
        is_before = equal & (torch.arange(scores.shape[1]) < labels[:, None])
        probability = scores.softmax(dim=1).gather(1, labels[:, None])[:, 0].float()
        rank = above.sum(dim=1) + is_before.sum(dim=1)
        columns = (scores.argmax(dim=1), probability, rank, above.sum(dim=1), equal.sum(dim=1) - 1)
        arrays: list[NDArray[Any]] = [column.numpy() for column in columns]
        return cls(*arrays)

    @classmethod
    def joined(cls, parts: Sequence[Columns]) -> Columns:
        """The rows of all parts, one part after another."""
        if not parts:
            empty = np.empty(0, dtype=np.int64)
            return cls(empty, empty.astype(np.float32), empty, empty, empty)
        columns: list[NDArray[Any]] = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return cls(*columns)

    def take(self, index: Index) -> Columns:
        """The rows at these places."""
        rows: list[NDArray[Any]] = [column[index] for column in self]
        return Columns(*rows)


@dataclass(frozen=True)
class Predictions:
    """One row per image, in the order of the set. keys: (N,). labels: (N,), class indices."""

    keys: tuple[str, ...]
    labels: Index
    columns: Columns
    num_classes: int

    @property
    def predictions(self) -> Index:
        """(N,), class indices."""
        return self.columns.predictions

    @property
    def label_probability(self) -> NDArray[np.float32]:
        """(N,), of the label, in [0, 1]."""
        return self.columns.label_probability

    @property
    def label_rank(self) -> Index:
        """(N,), see `Columns`."""
        return self.columns.label_rank


@dataclass(frozen=True)
class Accuracy:
    """Percentages in [0, 100]; top5_pct is None with five classes or fewer, where it says nothing.

    tied_scores: what to know where more than a trace of them rests on the order of classes with equal scores.
    """

    top1_pct: float
    top5_pct: float | None
    mean_per_class_pct: float
    tied_scores: str = ""

    def as_values(self) -> dict[str, Any]:
        """As records hold them."""
        values: dict[str, Any] = {
            "top1_pct": self.top1_pct,
            "top5_pct": self.top5_pct,
            "mean_per_class_pct": self.mean_per_class_pct,
        }
        return values | ({"tied_scores": self.tied_scores} if self.tied_scores else {})


def predict(
    model: Callable[[Tensor], Tensor],
    part: ImageSet,
    prepare: Callable[[Tensor], Tensor],
    what: str = "The model gives",
) -> Predictions:
    """Class scores of `model` for every image of `part`, each exactly once.

    model: in eval state; (B, 3, H, W) -> (B, C). prepare: (B, H, W, 3) uint8 on the CPU -> the model's input.
    Raises CellFailedError, which begins with `what`, for scores that are not finite.
    """
    labels = torch.from_numpy(part.labels)
    columns: list[Columns] = []
    num_classes = 0
    with torch.inference_mode():
        for start in range(0, len(labels), EVALUATION_BATCH):
            stop = start + EVALUATION_BATCH
            logits = model(prepare(torch.from_numpy(part.images[start:stop]))).float().cpu()  # (B, C)
            num_classes = logits.shape[1]
            require_finite(logits, part.keys[start:stop], what, UNSTABLE)
            columns.append(Columns.of(logits, labels[start:stop]))
    return Predictions(part.keys, part.labels, Columns.joined(columns), num_classes)


def require_finite(scores: Tensor, keys: Sequence[str], what: str, advice: str) -> None:
    """Raise CellFailedError, with the first such image's key, for scores (B, C) that are NaN or infinite.

    what: whose scores these are, up to the verb. advice: what to try.
    """
    is_bad = ~torch.isfinite(scores)
    if not bool(is_bad.any()):
        return
    image, column = (int(place) for place in is_bad.nonzero()[0])
    value = float(scores[image, column])
    if value < 0:
        advice = f"To rule a class out, give it a large negative score such as -1e4. Otherwise: {advice}"
    raise CellFailedError(
        f"{what} scores that are no numbers, first {value} for class {column} of image '{keys[image]}', so there is no "
        f"accuracy. {advice}"
    )


def score(predictions: Predictions) -> Accuracy:
    """Top-1, top-5 and mean-per-class accuracy in percent. Raises ValueError for an empty set.

    Source: ILSVRC top-k error, Russakovsky et al. 2015; mean per class, Kornblith et al. 2019.
    """
    if len(predictions.labels) == 0:
        raise ValueError("Accuracy of an empty set is not defined.")
    hit = predictions.predictions == predictions.labels
    classes = np.unique(predictions.labels)
    per_class = [hit[predictions.labels == c].mean() for c in classes]
    has_top5 = predictions.num_classes > 5
    top5 = float((predictions.label_rank < 5).mean() * 100) if has_top5 else None
    tied = _tied_words(predictions.columns, (1, 5) if has_top5 else (1,))
    return Accuracy(float(hit.mean() * 100), top5, float(np.mean(per_class) * 100), tied)


def _tied_words(columns: Columns, cuts: Sequence[int]) -> str:
    """What rests on the order of classes with equal scores; empty if no more than a trace does."""
    above, alike = columns.label_above, columns.label_ties + 1
    is_open = np.zeros(len(above), dtype=bool)
    by_chance = []
    for cut in cuts:
        places = np.clip(cut - above, 0, alike)  # of those that the tied classes share, how many are before the cut
        is_open |= (places > 0) & (places < alike)
        by_chance.append(f"top-{cut} {100 * float(np.mean(places / alike)):.1f} %")
    if is_open.mean() <= TRACE_OF_TIES:
        return ""
    return (
        f"In {int(is_open.sum())} of {len(is_open)} images the label's score is that of other classes too, and equal "
        f"scores count in the order of the classes. Drawn by lot among them: {', '.join(by_chance)}."
    )
