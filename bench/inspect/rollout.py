"""Attention rollout: how much of each input token is in a later one, if attention and shortcuts only pass tokens on.

Source: Abnar and Zuidema 2020, arXiv 2005.00928, section 3: 0.5 A + 0.5 I for the shortcut, rows normalised, multiplied
over the layers. The ViT paper (Figures 6 and 14) averages the heads and does not say whether it mixes the shortcut in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class HeadQueries:
    """One layer's attention as the rollout of some queries needs it.

    mean: (N, N), heads averaged. query_rows: (H, N), each head's attention of the query; rows sum to one.
    """

    mean: NDArray[np.float32]
    query_rows: NDArray[np.float32]


@dataclass(frozen=True)
class Rollout:
    """by_layer: (L, N), after each layer, heads averaged. by_head: (L, H, N), the last step with one head alone; its
    mean over heads is by_layer. Every row sums to one."""

    by_layer: Matrix
    by_head: NDArray[np.float64]


def query_weights(length: int, prefix: int, has_class_token: bool) -> Matrix:
    """Which tokens are asked: the class token, or without one all tokens of the image alike. (N,), sums to one."""
    weights = np.zeros(length)
    if has_class_token:
        weights[0] = 1.0
    else:
        weights[prefix:] = 1.0 / (length - prefix)
    return weights


def head_queries(attention: NDArray[np.float32], query: Matrix) -> HeadQueries:
    """What the rollout of `query` (N,) keeps of one layer's attention, (H, N, N)."""
    return HeadQueries(attention.mean(axis=0), np.einsum("q,hqk->hk", query.astype(np.float32), attention))


def roll_out(layers: Sequence[HeadQueries], query: Matrix) -> Rollout:
    """The rollout of `query` (N,) through each of the layers, first to last, by layer and by head."""
    length = len(query)
    before = np.eye(length)  # (N, N): rows are tokens before this layer, columns those of the input
    by_layer, by_head = [], []
    for layer in layers:
        passed = 0.5 * layer.query_rows.astype(np.float64) + 0.5 * query  # (H, N): with the shortcut
        passed /= passed.sum(axis=-1, keepdims=True)
        by_head.append(passed @ before)
        mixed = 0.5 * layer.mean.astype(np.float64) + 0.5 * np.eye(length)
        mixed /= mixed.sum(axis=-1, keepdims=True)
        before = mixed @ before
        by_layer.append(query @ before)
    return Rollout(np.array(by_layer), np.array(by_head))
