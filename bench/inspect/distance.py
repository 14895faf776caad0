"""Mean attention distance: how far a head looks, in pixels, as Figures 7 (right) and 11 of the ViT paper show it.

The paper says "attention distance, averaged over the distance between the query pixel and all other pixels, weighted by
the attention weight". Here distances are between the centres of patches and prefix tokens are left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def grid_distances(rows: int, columns: int) -> NDArray[np.float64]:
    """Distances between all places of a grid, in steps, row by row: (n, n)."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    distances: NDArray[np.float64] = np.hypot(row[:, None] - row[None, :], column[:, None] - column[None, :])
    return distances


def mean_distances_px(attention: NDArray[np.float32], distances_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over queries of the attention-weighted distance: (H,), pixels.

    attention: (H, N, N) with the image's tokens last; those before them are left out, as queries and as keys, and what
    is left of each row is scaled to sum to one. distances_px: (n, n), n <= N.
    """
    n = len(distances_px)
    patches = attention[:, -n:, -n:].astype(np.float64)
    patches /= patches.sum(axis=-1, keepdims=True)
    means: NDArray[np.float64] = (patches * distances_px).sum(axis=-1).mean(axis=-1)
    return means


def uniform_distance_px(distances_px: NDArray[np.float64]) -> float:
    """What attention spread evenly over all patches gives."""
    return float(distances_px.mean())
