from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.sets.collection import ImageSet
from bench.errors import CellFailedError
from bench.measure.scoring.accuracy import Columns, Predictions, predict, score


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
        score(Predictions((), empty, Columns.joined([]), 10))


def test_scores_that_are_all_equal_put_the_classes_in_their_order() -> None:
    # ten classes, each once: class 0 is predicted, classes 0 to 4 are the best five; never all of them
    accuracy = score(predictions_of([[0.0] * 10] * 10, list(range(10))))
    assert (accuracy.top1_pct, accuracy.top5_pct, accuracy.mean_per_class_pct) == (10.0, 50.0, 10.0)
    assert accuracy.tied_scores == (
        "In 10 of 10 images the label's score is that of other classes too, and equal scores count in the order of the "
        "classes. Drawn by lot among them: top-1 10.0 %, top-5 50.0 %."
    )


def test_of_two_best_classes_the_first_is_the_prediction() -> None:
    predictions = predictions_of([[1.0, 3.0, 3.0], [1.0, 3.0, 3.0]], [1, 2])
    assert predictions.predictions.tolist() == [1, 1]
    assert predictions.label_rank.tolist() == [0, 1]
    assert score(predictions).tied_scores.endswith("Drawn by lot among them: top-1 50.0 %.")


def test_classes_tied_across_the_fifth_place_share_what_is_left_of_it() -> None:
    # four classes above, four on one score: the first of these has the fifth place, one in four by lot
    row = [9.0, 8.0, 7.0, 6.0, 1.0, 1.0, 1.0, 1.0]
    predictions = predictions_of([row, row, row, row], [4, 5, 6, 7])
    assert predictions.label_rank.tolist() == [4, 5, 6, 7]
    assert score(predictions).top5_pct == 25.0
    assert score(predictions).tied_scores.endswith("Drawn by lot among them: top-1 0.0 %, top-5 25.0 %.")


def test_ties_that_decide_nothing_are_not_told() -> None:
    # the two that share a score are below the label, above it, or both inside the best five
    accuracy = score(predictions_of([[9, 1, 1, 0, 0, 0.0], [7, 7, 1, 4, 3, 2.0], [9, 1, 1, 0, 0, 0.0]], [0, 5, 1]))
    assert accuracy.tied_scores == ""
    assert set(accuracy.as_values()) == {"top1_pct", "top5_pct", "mean_per_class_pct"}


def test_every_prediction_is_a_hit_just_where_the_labels_rank_is_nought() -> None:
    random = np.random.default_rng(0)
    logits = random.integers(0, 4, (400, 12)).astype(float)  # many ties, as in half precision
    predictions = predictions_of(logits.tolist()[:250], random.integers(0, 12, 250).tolist())
    assert np.array_equal(predictions.predictions == predictions.labels, predictions.label_rank == 0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_no_numbers_fail_with_the_image_and_the_class(bad: float) -> None:
    with pytest.raises(CellFailedError, match=rf"no numbers, first {bad} for class 1 of image '1', so there is no acc"):
        predictions_of([[1.0, 2.0], [0.0, bad]], [0, 1])


def test_a_class_ruled_out_by_minus_infinity_is_told_how_to_be() -> None:
    with pytest.raises(CellFailedError, match="give it a large negative score such as -1e4"):
        predictions_of([[float("-inf"), 2.0]], [1])
