"""The few-shot ridge against normal equations and refits written out here, and what it does at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.errors import CellFailedError
from bench.learn.ridge import L2_GRID, Array, Ridge, decompose

FIXED_L2 = 2.0**10


def blobs(images: int, width: int, classes: int, seed: int = 0) -> tuple[Array, NDArray[np.int64]]:
    """Overlapping Gaussian classes with features of very different size."""
    random = np.random.default_rng(seed)
    labels = np.arange(images, dtype=np.int64) % classes
    centres = random.standard_normal((classes, width))
    features = centres[labels] + random.standard_normal((images, width))
    return features * np.geomspace(0.01, 100, width) + 3, labels


def protocol_matrix(train: Array, features: Array) -> Array:
    """X of PROTOCOL section 4: standardised by the training features, then a constant 100."""
    standardised = (features - train.mean(axis=0)) / (train.std(axis=0) + 1e-5)
    return np.asarray(np.hstack([standardised, np.full((len(features), 1), 100.0)]), dtype=np.float64)


def targets(labels: NDArray[np.int64], classes: int) -> Array:
    signs: Array = np.where(labels[:, None] == np.arange(classes), 1.0, -1.0)
    return signs


def normal_equations(X: Array, Y: Array, l2: float) -> Array:
    solution = np.linalg.solve(X.T @ X + l2 * np.eye(X.shape[1]), X.T @ Y)
    return np.asarray(solution, dtype=np.float64)


@pytest.mark.parametrize(
    ("images", "width"),
    [(60, 7), (12, 30), (8, 7), (7, 7), (20, 1)],
    ids=["N > D", "N < D", "N = D + 1", "N = D", "D = 1"],
)
@pytest.mark.parametrize("l2", [0.5, FIXED_L2])
def test_weights_solve_the_normal_equations(images: int, width: int, l2: float) -> None:
    features, labels = blobs(images, width, classes=4)
    expected = normal_equations(protocol_matrix(features, features), targets(labels, 4), l2)
    np.testing.assert_allclose(decompose(features, labels, 4).weights(l2), expected, rtol=1e-7, atol=1e-10)


def test_weights_are_the_least_squares_of_the_rows_with_the_penalty_appended() -> None:
    features, labels = blobs(40, 6, classes=3)
    X = np.vstack([protocol_matrix(features, features), np.sqrt(FIXED_L2) * np.eye(7)])
    Y = np.vstack([targets(labels, 3), np.zeros((7, 3))])
    expected, *_ = np.linalg.lstsq(X, Y)
    np.testing.assert_allclose(decompose(features, labels, 3).weights(FIXED_L2), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("images", "width", "is_dual"), [(31, 30, False), (30, 30, True)])
def test_both_forms_are_one_solution(images: int, width: int, is_dual: bool) -> None:
    features, labels = blobs(images, width, classes=3)
    ridge = decompose(features, labels, 3)
    assert ridge.is_dual == is_dual
    X, Y = protocol_matrix(features, features), targets(labels, 3)
    primal = normal_equations(X, Y, 2.0)
    dual = X.T @ np.linalg.solve(X @ X.T + 2.0 * np.eye(images), Y)
    np.testing.assert_allclose(ridge.weights(2.0), primal, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(ridge.weights(2.0), dual, rtol=1e-8, atol=1e-11)


def test_predictions_are_those_of_the_independent_weights() -> None:
    features, labels = blobs(50, 8, classes=5)
    unseen, _ = blobs(700, 8, classes=5, seed=1)
    weights = normal_equations(protocol_matrix(features, features), targets(labels, 5), FIXED_L2)
    expected = (protocol_matrix(features, unseen) @ weights).argmax(axis=1)
    assert np.array_equal(decompose(features, labels, 5).predict(unseen, FIXED_L2), expected)
    assert len(np.unique(expected)) == 5


def refitted_error(features: Array, labels: NDArray[np.int64], classes: int, l2: float) -> float:
    """Leave-one-out by leaving out: as many fits as images, standardised by all of them."""
    X, Y = protocol_matrix(features, features), targets(labels, classes)
    lengths = []
    for i in range(len(X)):
        if (labels == labels[i]).sum() > 1:
            others = np.arange(len(X)) != i
            lengths.append(np.square(Y[i] - X[i] @ normal_equations(X[others], Y[others], l2)).sum())
    return float(np.mean(lengths))


@pytest.mark.parametrize(("images", "width"), [(30, 5), (12, 20), (6, 5), (5, 5)])
@pytest.mark.parametrize("l2", [0.01, 4.0, FIXED_L2, 2.0**24])
def test_leave_one_out_equals_refitting(images: int, width: int, l2: float) -> None:
    features, labels = blobs(images, width, classes=2)
    error = decompose(features, labels, 2).leave_one_out_error(l2)
    assert error == pytest.approx(refitted_error(features, labels, 2, l2), rel=1e-8)


def test_leave_one_out_does_not_count_images_alone_in_their_class() -> None:
    features, _ = blobs(9, 4, classes=3)
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2])
    error = decompose(features, labels, 3).leave_one_out_error(4.0)
    assert error == pytest.approx(refitted_error(features, labels, 3, 4.0), rel=1e-8)


def test_leave_one_out_with_one_image_a_class_is_refused() -> None:
    features, labels = blobs(5, 3, classes=5)
    with pytest.raises(CellFailedError, match="at least two images"):
        decompose(features, labels, 5).choose_l2()


def test_the_chosen_l2_has_the_smallest_refitted_error_of_the_grid() -> None:
    features, labels = blobs(24, 6, classes=3)
    chosen = decompose(features, labels, 3).choose_l2()
    errors = {l2: refitted_error(features, labels, 3, l2) for l2 in L2_GRID}
    assert chosen.l2 == min(errors, key=lambda l2: errors[l2])
    assert set(chosen.tried) == set(L2_GRID)
    assert chosen.edge is None


def test_a_search_of_part_of_the_grid_finds_the_same_l2() -> None:
    for seed in range(5):
        features, labels = blobs(60, 12, classes=3, seed=seed)
        ridge = decompose(features, labels, 3)
        searched = ridge.choose_l2(whole_grid_flop=0)
        assert searched.l2 == ridge.choose_l2().l2
        assert len(searched.tried) < len(L2_GRID) / 2


def test_a_search_starts_well_where_features_depend_on_each_other() -> None:
    features, labels = blobs(60, 6, classes=3)
    ridge = decompose(np.hstack([features, features, -features]), labels, 3)  # 19 dimensions of rank 7
    searched = ridge.choose_l2(whole_grid_flop=0)
    assert searched.l2 == ridge.choose_l2().l2
    assert len(searched.tried) < len(L2_GRID) / 2


def test_a_search_walks_downhill_from_where_generalised_cross_validation_starts() -> None:
    # One image far from the rest has a leverage near 1, which the generalised error spreads over all images.
    features, labels = blobs(40, 6, classes=2)
    features[0] *= 50
    ridge = decompose(features, labels, 2)
    searched = ridge.choose_l2(whole_grid_flop=0)
    neighbours = [searched.l2 / 4, searched.l2 * 4]
    assert all(ridge.leave_one_out_error(l2) >= searched.error for l2 in neighbours)


def test_an_optimum_at_either_end_of_the_grid_is_said() -> None:
    features, labels = blobs(60, 6, classes=3)
    ridge = decompose(features, labels, 3)
    inside = ridge.choose_l2().l2
    assert ridge.choose_l2([inside, 4 * inside]).edge == "lowest"
    assert ridge.choose_l2([inside / 4, inside]).edge == "highest"


def test_equal_scores_give_the_lowest_class() -> None:
    features = np.array([[1.0], [1.0], [1.0], [1.0]])  # one constant feature: every class scores the same
    ridge = decompose(features, np.array([0, 1, 2, 3]), 4)
    assert ridge.predict(np.array([[1.0], [-7.0], [1e6]]), FIXED_L2).tolist() == [0, 0, 0]


def test_scores_that_differ_by_rounding_alone_are_tied_and_counted() -> None:
    # constant features leave the bias alone; five images of each of seven classes give every class the same weight
    labels = np.arange(35) % 7
    predictions, is_tied = decompose(np.full((35, 4), 0.1), labels, 7).predict_and_tell_ties(np.zeros((9, 4)), 3.0)
    assert predictions.tolist() == [0] * 9
    assert is_tied.all()
    features, labels = blobs(60, 6, classes=3)
    assert not decompose(features, labels, 3).predict_and_tell_ties(features, FIXED_L2)[1].any()


@pytest.mark.parametrize("images", [40, 4], ids=["N > D", "N < D"])
def test_a_feature_that_is_constant_in_training_has_no_say(images: int) -> None:
    features, labels = blobs(images, 5, classes=2)
    unseen, _ = blobs(300, 5, classes=2, seed=1)
    with_constant = np.hstack([features, np.full((images, 1), 0.1)])
    changed = np.hstack([unseen, np.linspace(-1e9, 1e9, 300)[:, None]])
    ridge = decompose(with_constant, labels, 2)
    assert np.array_equal(ridge.predict(changed, 2.0**-8), decompose(features, labels, 2).predict(unseen, 2.0**-8))
    assert abs(ridge.weights(2.0**-8)[5]).max() < 1e-12


def test_duplicated_images_change_nothing_that_is_not_a_number() -> None:
    features, labels = blobs(6, 10, classes=2)
    twice, twice_labels = np.vstack([features, features]), np.hstack([labels, labels])
    ridge = decompose(twice, twice_labels, 2)  # 12 rows of rank 6, in 11 dimensions
    X, Y = protocol_matrix(twice, twice), targets(twice_labels, 2)
    np.testing.assert_allclose(ridge.weights(1.0), normal_equations(X, Y, 1.0), rtol=1e-7, atol=1e-10)
    assert all(np.isfinite(ridge.leave_one_out_error(l2)) for l2 in L2_GRID)
    assert ridge.leave_one_out_error(1.0) == pytest.approx(refitted_error(twice, twice_labels, 2, 1.0), rel=1e-8)


def test_a_single_image_decides_everything() -> None:
    ridge = decompose(np.array([[2.0, 5.0]]), np.array([1]), 3)
    assert ridge.predict(np.array([[0.0, 9.0]]), FIXED_L2).tolist() == [1]


def test_a_class_without_images_is_never_predicted() -> None:
    features, labels = blobs(40, 5, classes=2)
    ridge = decompose(features, 2 * labels, 3)  # classes 0 and 2
    assert set(ridge.predict(features, 1.0)) == {0, 2}


def test_single_precision_features_are_solved_in_double() -> None:
    features, labels = blobs(50, 6, classes=3)
    narrow = features.astype(np.float32)
    expected = decompose(narrow.astype(np.float64), labels, 3).weights(1.0)
    np.testing.assert_array_equal(decompose(narrow, labels, 3).weights(1.0), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_fail_with_their_count(bad: float) -> None:
    features, labels = blobs(12, 3, classes=3)
    ridge = decompose(features, labels, 3)
    features[[4, 5], 1] = bad
    with pytest.raises(CellFailedError, match="2 of 12 training images"):
        decompose(features, labels, 3)
    with pytest.raises(CellFailedError, match="2 of 12 test images"):
        ridge.predict(features, FIXED_L2)


def test_nothing_to_fit_and_labels_outside_the_classes_are_refused() -> None:
    with pytest.raises(CellFailedError, match="0 images with 3 features"):
        decompose(np.empty((0, 3)), np.empty(0, dtype=np.int64), 2)
    with pytest.raises(CellFailedError, match=r"label in 0\.\.1 .* from 0 to 2"):
        decompose(np.ones((3, 2)), np.array([0, 1, 2]), 2)


def test_more_images_than_one_block_agree_with_the_normal_equations() -> None:
    features, labels = blobs(1000, 9, classes=4)
    ridge: Ridge = decompose(features, labels, 4)
    X, Y = protocol_matrix(features, features), targets(labels, 4)
    np.testing.assert_allclose(ridge.weights(8.0), normal_equations(X, Y, 8.0), rtol=1e-8, atol=1e-11)
    hat = X @ np.linalg.solve(X.T @ X + 8.0 * np.eye(10), X.T)
    expected = (np.square(Y - hat @ Y).sum(axis=1) / np.square(1 - np.diag(hat))).mean()
    assert ridge.leave_one_out_error(8.0) == pytest.approx(expected, rel=1e-10)
