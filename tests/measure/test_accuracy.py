from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.image_set import ImageSet
from bench.measure.accuracy import Predictions, predict, score


class _Table(nn.Module):
    """Gives the logits written in a table, in the order asked."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, rows: Tensor) -> Tensor:
        return self.logits[rows]


def predictions_of(logits: list[list[float]], labels: list[int]) -> Predictions:
    count = len(labels)
    part = ImageSet(
        np.arange(count, dtype=np.uint8)[:, None, None, None],
        np.array(labels, dtype=np.int64),
        tuple(map(str, range(count))),
    )
    return predict(_Table(torch.tensor(logits)), part, lambda images: images.flatten().long())


def test_accuracies_by_hand() -> None:
    # class 0: one of two right; class 1: right; so 2 of 3, and (50 + 100) / 2 per class
    accuracy = score(predictions_of([[2.0, 1.0], [0.0, 1.0], [0.0, 3.0]], [0, 0, 1]))
    assert accuracy.top1_pct == pytest.approx(200 / 3)
    assert accuracy.mean_per_class_pct == 75.0
    assert accuracy.top5_pct is None


def test_top_five_counts_labels_among_the_five_best_scores() -> None:
    falling = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    accuracy = score(predictions_of([falling, falling], [4, 5]))
    assert accuracy.top5_pct == 50.0
    assert accuracy.top1_pct == 0.0


def test_the_probability_is_the_softmax_of_the_label() -> None:
    predictions = predictions_of([[0.0, np.log(3.0)]], [1])
    assert predictions.label_probability[0] == pytest.approx(0.75)


def test_every_image_is_predicted_once_and_in_order() -> None:
    logits = [[float(i == j) for j in range(3)] for i in [0, 1, 2] * 201]  # more than two evaluation batches
    predictions = predictions_of(logits[:250], [0, 1, 2] * 83 + [0])
    assert len(predictions.predictions) == 250
    assert score(predictions).top1_pct == 100.0


def test_an_empty_set_has_no_accuracy() -> None:
    empty = np.empty(0, dtype=np.int64)
    with pytest.raises(ValueError, match="empty"):
        score(Predictions((), empty, empty, empty.astype(np.float32), empty, 10))
