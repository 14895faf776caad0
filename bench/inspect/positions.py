"""Position embeddings: how alike those of different places are, and whether that follows the two-dimensional grid."""

from __future__ import annotations

import numpy as np
import scipy.stats
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.inspect.distance import grid_distances
from bench.store.inspections import PositionStructure, Tokens

Matrix = NDArray[np.float64]


def position_embedding(model: nn.Module, tokens: Tokens) -> Matrix | str:
    """The embedding of each place of the grid, row by row: (n, D), prefix tokens left out; or why there is none."""
    found = getattr(model, "pos_embed", None)
    if not isinstance(found, Tensor):
        for name, parameter in model.named_parameters():
            if "pos_embed" in name and parameter.ndim == 3:  # torchvision's `encoder.pos_embedding` and its like
                found = parameter
    if not isinstance(found, Tensor):
        return "The model adds no absolute position embedding to its tokens."
    n = tokens.rows * tokens.columns
    values: Matrix = found.detach().double().cpu().numpy()
    if values.ndim != 3 or values.shape[0] != 1 or values.shape[1] not in (n, n + len(tokens.prefix)):
        return f"Its position embedding, of shape {tuple(values.shape)}, does not fit the {n} places of the grid."
    places: Matrix = values[0, -n:]
    if (np.linalg.norm(places, axis=1) == 0).any():
        return "Its position embedding holds only zeros for some places, so that no cosine is defined."
    return places


def is_parameter(model: nn.Module) -> bool:
    """Whether the position embedding is trained with the rest."""
    return any("pos_embed" in name and one.requires_grad for name, one in model.named_parameters())


def cosine_similarity(embedding: Matrix) -> Matrix:
    """Cosines of all pairs of rows: (n, n)."""
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    similarity: Matrix = np.clip(unit @ unit.T, -1.0, 1.0)
    return similarity


def position_structure(similarity: Matrix, rows: int, columns: int, *, is_learned: bool) -> PositionStructure | None:
    """What the cosines (n, n) say about a grid of rows x columns; None where there are too few places or no spread."""
    n = rows * columns
    first, second = np.triu_indices(n, k=1)
    cosines = similarity[first, second]
    if min(rows, columns) < 2 or np.ptp(cosines) == 0:
        return None
    same_row = first // columns == second // columns
    same_column = first % columns == second % columns
    neither = ~(same_row | same_column)
    return PositionStructure(
        rank_correlation=_nearness_correlation(cosines, grid_distances(rows, columns)[first, second]),
        rank_correlation_1d=_nearness_correlation(cosines, np.abs(first - second).astype(np.float64)),
        same_row=float(cosines[same_row].mean()),
        same_column=float(cosines[same_column].mean()),
        elsewhere=float(cosines[neither].mean()),
        is_learned=is_learned,
    )


def _nearness_correlation(cosines: Matrix, distances: Matrix) -> float:
    return float(scipy.stats.spearmanr(cosines, -distances).statistic)
