"""Ridge regression of one-vs-rest targets on frozen features, in closed form and float64. No torch, no images.

One eigendecomposition serves every strength l2 of the penalty: solving for another one, and its leave-one-out error,
are matrix products. The steps are those of the ViT authors' later few-shot code, big_vision's fewshot_lsr.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from bench.errors import CellFailedError

Array = NDArray[np.float64]
Features = NDArray[np.floating[Any]]

STD_FLOOR = 1e-5  # added to every standard deviation (fewshot_lsr.py)
BIAS = 100.0  # a constant feature so large that its weight is almost free of the penalty (fewshot_lsr.py)
# Powers of four. The ends are as good as 0 and infinity: standardised features have eigenvalues of at most N x D.
L2_GRID = tuple(2.0**k for k in range(-8, 31, 2))
WHOLE_GRID_FLOP = 1e12  # up to here every l2 of a grid is tried; 10 to 30 s on two cores
ROUNDING = (
    1e-10  # of the largest score: scores this near are equal; where no feature differs they are, but for rounding
)
ROWS = 256  # images at a time; with 1,000 classes their scores stay in the processor's cache


@dataclass(frozen=True)
class ChosenL2:
    """The strength with the smallest leave-one-out error. error: mean over images of the summed squared residuals.

    edge: `lowest` or `highest` if it is the end of the grid, so that a better one may lie outside. tried: every l2
    whose error was computed, with the error.
    """

    l2: float
    error: float
    edge: str | None
    tried: dict[float, float]


@dataclass(frozen=True)
class Ridge:
    """Least squares of N images' features on C classes, decomposed but not yet solved for any l2.

    With N >= D + 1 (the bias counts) the decomposition is Q diag(e) Q' of X'X, and `rows` is XQ, `left` Q, `right`
    Q'X'Y; otherwise it is that of XX', and `rows` is Q, `left` X'Q, `right` Q'Y. X: (N, D + 1), standardised features
    and the bias. Y: (N, C), +1 for an image's class and -1 for the others.
    """

    mean: Array  # (D,)
    scale: Array  # (D,); infinite for a feature that never changes, which so gets no weight
    eigenvalues: Array  # (K,), K = min(N, D + 1)
    rows: Array  # (N, K)
    left: Array  # (D + 1, K)
    right: Array  # (K, C)
    labels: NDArray[np.int64]  # (N,)
    is_dual: bool

    def weights(self, l2: float) -> Array:
        """(D + 1, C): (X'X + l2 I)^-1 X'Y, which is X'(XX' + l2 I)^-1 Y. The last row belongs to the bias."""
        solution: Array = self.left @ (self.right / (self.eigenvalues + l2)[:, None])
        return solution

    def predict(self, features: Features, l2: float) -> NDArray[np.int64]:
        """The class with the highest score for each image: (M, D) -> (M,). Equal scores: the lowest class.

        Raises CellFailedError for features that are not finite.
        """
        return self.predict_and_tell_ties(features, l2)[0]

    def predict_and_tell_ties(self, features: Features, l2: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The same, and for each image whether other classes have that score too, but for rounding: (M,) both."""
        _require_finite(features, "test")
        weights = self.weights(l2)
        predictions = np.empty(len(features), dtype=np.int64)
        is_tied = np.empty(len(features), dtype=np.bool_)
        for start in range(0, len(features), ROWS):
            block = slice(start, start + ROWS)
            scores = (features[block] - self.mean) / self.scale @ weights[:-1] + BIAS * weights[-1]
            best = scores.max(axis=1, keepdims=True)
            is_best = scores >= best - ROUNDING * np.abs(scores).max(axis=1, keepdims=True)
            predictions[block] = is_best.argmax(axis=1)
            is_tied[block] = is_best.sum(axis=1) > 1
        return predictions, is_tied

    def leave_one_out_error(self, l2: float) -> float:
        """Mean squared length of y_i - (prediction for image i by a fit to all the others), exact, without refitting.

        A residual divided by 1 minus the image's own leverage is the residual without it (Allen 1974; Rifkin and
        Lippert 2007). Mean and standard deviation stay those of all images. Images that are alone in their class
        do not count, since without them nothing is left of it.
        Raises CellFailedError if every image is alone in its class.
        """
        counted = self._in_company()
        if not counted.any():
            raise CellFailedError("Leave-one-out needs a class with at least two images, and every class has one.")
        # With K = N, 1 - leverage and the residuals come without a subtraction, exact even where both are tiny.
        share = (l2 if self.is_dual else 1.0) / (self.eigenvalues + l2)
        solution = share[:, None] * self.right  # (K, C)
        total = 0.0
        for start in range(0, len(self.labels), ROWS):
            block = slice(start, start + ROWS)
            rows, labels = self.rows[block], self.labels[block]
            residual = rows @ solution  # (n, C); with K < N these are scores, the next lines make residuals of them
            kept = np.square(rows) @ share
            if not self.is_dual:
                residual += 1.0
                residual[np.arange(len(labels)), labels] -= 2.0
                kept = np.maximum(1.0 - kept, np.finfo(np.float64).eps)
            lengths = np.einsum("nc,nc->n", residual, residual) / np.square(kept)
            total += float(lengths[counted[block]].sum())
        return total / int(counted.sum())

    def choose_l2(self, grid: Sequence[float] = L2_GRID, whole_grid_flop: float = WHOLE_GRID_FLOP) -> ChosenL2:
        """The l2 of the ascending grid with the smallest leave-one-out squared error; of equal ones the largest.

        Squared error and not accuracy: with two images a class, leaving one out makes its class the rarer, and the
        accuracy then prefers whatever ignores the bias. On Gaussian classes (50 classes, 64 features, 2 shots) accuracy
        chose strengths that were 9 points worse at test than the best one, squared error 1 point.

        Where trying the whole grid takes more than whole_grid_flop operations, the search starts where generalised
        cross-validation, which is free here, is smallest (Golub, Heath, Wahba 1979) and goes downhill to an l2 with
        worse neighbours. Every error it compares is exact; only a second, separate minimum could be missed.
        """
        errors: dict[int, float] = {}

        def error(place: int) -> float:
            if place not in errors:
                errors[place] = self.leave_one_out_error(grid[place])
            return errors[place]

        def best_of(places: range) -> int:
            return min(places, key=lambda place: (error(place), -place))

        if 2.0 * self.rows.size * self.right.shape[1] * len(grid) <= whole_grid_flop:
            best = best_of(range(len(grid)))
        else:
            best, last = int(np.argmin([self._generalised_error(l2) for l2 in grid])), -1
            while best != last:
                last = best
                best = best_of(range(max(best - 1, 0), min(best + 2, len(grid))))
        edge = {0: "lowest", len(grid) - 1: "highest"}.get(best)
        tried = {grid[place]: errors[place] for place in sorted(errors)}
        return ChosenL2(grid[best], errors[best], edge, tried)

    def _in_company(self) -> NDArray[np.bool_]:
        """(N,): whether another image has the same class."""
        sizes = np.bincount(self.labels)
        return np.asarray(sizes[self.labels] > 1)

    def _generalised_error(self, l2: float) -> float:
        """The leave-one-out error if every image had the same leverage; costs no pass over the images."""
        shrunk = l2 / (self.eigenvalues + l2)  # (K,)
        lengths = np.einsum("kc,kc->k", self.right, self.right)
        if not self.is_dual:  # of Y in the directions XQ / sqrt(e), as Q'Y is in the other case
            rounding = self.eigenvalues.max() * len(lengths) * np.finfo(np.float64).eps
            lengths = np.divide(
                lengths, self.eigenvalues, out=np.zeros_like(lengths), where=self.eigenvalues > rounding
            )
        images, classes = len(self.labels), self.right.shape[1]
        unreached = images * classes - lengths.sum()  # the part of Y that no weights can fit
        free = images - len(shrunk) + shrunk.sum()
        return float((unreached + (lengths * np.square(shrunk)).sum()) / np.square(free))


def decompose(features: Features, labels: NDArray[np.int64], num_classes: int) -> Ridge:
    """Standardise, append the bias and decompose once.

    features: (N, D), any float type. labels: (N,), in [0, num_classes). Classes without an image are allowed; their
    target is -1 throughout. A feature that is the same in all N images gets weight 0, its exact solution, instead of
    what rounding makes of it. Needs 8 x N x (D + 1) bytes beside its arguments, and time for N x D^2 products.

    Raises CellFailedError for no images, labels outside the classes, and features that are not finite.
    """
    images, width = features.shape
    if images == 0 or width == 0:
        raise CellFailedError(f"A ridge regression on {images} images with {width} features each has nothing to fit.")
    if len(labels) != images or labels.min() < 0 or labels.max() >= num_classes:
        raise CellFailedError(
            f"A ridge regression needs one label in 0..{num_classes - 1} for each of its {images} images; "
            f"there are {len(labels)}, from {labels.min()} to {labels.max()}."
        )
    _require_finite(features, "training")
    rows = np.empty((images, width + 1))
    rows[:, -1] = BIAS
    standardised = rows[:, :-1]
    standardised[:] = features
    mean = standardised.mean(axis=0)
    standardised -= mean
    scale = np.sqrt(np.einsum("nd,nd->d", standardised, standardised) / images) + STD_FLOOR
    scale[features.min(axis=0) == features.max(axis=0)] = np.inf
    standardised /= scale
    is_dual = images < width + 1
    gram = rows @ rows.T if is_dual else rows.T @ rows  # numpy sees the symmetry and does half the work
    # Divide and conquer; LAPACK's answer depends on the number of threads in its last digits only.
    eigenvalues, basis = scipy.linalg.eigh(gram, overwrite_a=True, check_finite=False, driver="evd")
    eigenvalues = np.maximum(eigenvalues, 0.0)  # rounding leaves tiny negative ones where features are dependent
    if is_dual:
        left, rows = rows.T @ basis, basis
        right = _times_targets(basis, labels, num_classes)
    else:
        for start in range(0, images, ROWS):  # in place: a second matrix of this size would double the memory
            rows[start : start + ROWS] = rows[start : start + ROWS] @ basis
        left, right = basis, _times_targets(rows, labels, num_classes)
    return Ridge(mean, scale, eigenvalues, rows, left, right, labels, is_dual)


def _times_targets(rows: Array, labels: NDArray[np.int64], num_classes: int) -> Array:
    """rows' Y, (K, C), by class sums: Y itself would take N x C numbers, nearly all of them -1."""
    sums = np.zeros((num_classes, rows.shape[1]))
    order = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[order], return_index=True)
    for label, members in zip(present, np.split(order, starts[1:]), strict=True):
        sums[label] = rows[members].sum(axis=0)
    targets: Array = 2.0 * sums.T - sums.sum(axis=0)[:, None]
    return targets


def _require_finite(features: Features, part: str) -> None:
    bad = int((~np.isfinite(features)).any(axis=1).sum())
    if bad:
        raise CellFailedError(
            f"{bad} of {len(features)} {part} images have features that are not finite numbers. "
            "Half precision overflows in some models; fp32 may do."
        )
