"""Which test images each seed of a model got right, as one array on a common order of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

Predictions = Callable[[str], pd.DataFrame | None]


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
    images: npt.NDArray[np.object_] | None = None
    for cell_id in cell_ids:
        frame = predictions(cell_id)
        if frame is None or frame.empty:
            return None
        keys = frame["key"].to_numpy(dtype=object)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        if (keys[1:] == keys[:-1]).any() or (images is not None and not np.array_equal(images, keys)):
            return None
        images = keys
        rows.append((frame["label"].to_numpy() == frame["prediction"].to_numpy())[order])
    if images is None:
        return None
    return Correctness(_shared(tuple(images)), np.array(rows, dtype=np.bool_))


@lru_cache(maxsize=256)
def _shared(images: tuple[str, ...]) -> tuple[str, ...]:
    """The same tuple for equal ones: thousands of groups name the images of a few data sets."""
    return images
