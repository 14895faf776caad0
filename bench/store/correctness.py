"""Which test images each seed of a model got right, as one array on a common order of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Columns(Protocol):
    """Columns by name, such as a data frame or a dict of arrays."""

    def __getitem__(self, name: str, /) -> Any: ...


Predictions = Callable[[str], Columns | None]  # cell id -> columns key, label and prediction of each image


@dataclass(frozen=True)
class Correctness:
    """right[s, i] says whether seed s got image i right; `images` are the keys of the columns, sorted.

    right: (S, N), bool.
    """

    images: tuple[str, ...]
    right: npt.NDArray[np.bool_]

    def mean_over_seeds(self) -> npt.NDArray[np.float64]:
        """Share of the seeds that got each image right; (N,), in [0, 1]."""
        return np.asarray(self.right.mean(axis=0, dtype=np.float64))

    def residual_variance(self) -> float:
        """Variance that seeds' disagreement on single images adds to `mean_over_seeds`; 0 for one seed.

        It is the residual mean square of the seeds x images table, divided by the seeds.
        """
        seeds, images = self.right.shape
        if seeds < 2 or images < 2:
            return 0.0
        table = self.right.astype(np.float64)
        residual = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
        return float(np.sum(residual**2) / ((seeds - 1) * (images - 1) * seeds))


def read_correctness(cell_ids: Sequence[str], predictions: Predictions) -> Correctness | None:
    """The correctness of several seeds, or None when one has no predictions or they scored different images."""
    rows = []
    images: tuple[str, ...] | None = None
    for cell_id in cell_ids:
        columns = predictions(cell_id)
        keys = () if columns is None else tuple(np.asarray(columns["key"], dtype=object))
        if columns is None or not keys:
            return None
        arranged = _arranged(keys)
        if arranged is None or (images is not None and images != arranged[0]):
            return None
        images, order = arranged
        rows.append((np.asarray(columns["label"]) == np.asarray(columns["prediction"]))[order])
    if images is None:
        return None
    return Correctness(images, np.array(rows, dtype=np.bool_))


@lru_cache(maxsize=256)
def _arranged(keys: tuple[str, ...]) -> tuple[tuple[str, ...], npt.NDArray[np.intp]] | None:
    """The keys in order, and which of the given ones each is; None where one occurs twice.

    The same objects for equal keys: thousands of groups name the images of a few data sets.
    """
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)
    images = tuple(str(keys[index]) for index in order)
    return None if len(set(images)) < len(images) else (images, order)
