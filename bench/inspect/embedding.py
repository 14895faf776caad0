"""How an image enters a model: its grid of tokens, what the first layer looks for, and where a token knows it stands.

Source: Figure 7 of the ViT paper shows the principal components of the RGB embedding filters of ViT-L/32 (left), and
how alike its position embeddings are (middle).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import NDArray
from timm.layers.std_conv import ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from torch import Tensor, nn

from bench.measure.build import patch_size
from bench.measure.folding import plain_convolution
from bench.store.inspections import PositionStructure, Tokens

Matrix = NDArray[np.float64]
SHOWN_FILTERS = 28  # as many as the paper's figure shows


def tokens_of(model: nn.Module, resolution_px: int) -> Tokens | None:
    """The grid that timm's patch embedding says it makes; None for a model that has none of timm's."""
    embedding = getattr(model, "patch_embed", None)
    grid = getattr(embedding, "grid_size", None)
    if embedding is None or not isinstance(grid, tuple | list) or len(grid) != 2:
        return None
    rows, columns = int(grid[0]), int(grid[1])
    side = patch_size(model)
    return Tokens(
        kind="patches" if side is not None else "feature map",
        rows=rows,
        columns=columns,
        stride_px=side if side is not None else resolution_px / columns,
        prefix=_prefix(model),
    )


def _prefix(model: nn.Module) -> tuple[str, ...]:
    """Names of the tokens before those of the image, in timm's order: class, distillation, registers."""
    count = int(getattr(model, "num_prefix_tokens", 0) or 0)
    names = ["class"] if getattr(model, "cls_token", None) is not None else []
    names += ["distillation"] if getattr(model, "dist_token", None) is not None else []
    return tuple((names + ["register"] * count)[:count])


def inferred_tokens(length: int, resolution_px: int) -> Tokens | None:
    """The grid that a sequence of this length must be, if it is a square, or a square and one token before it."""
    for prefix in ((), ("class",)):
        side = math.isqrt(length - len(prefix))
        if side > 1 and side * side == length - len(prefix):
            return Tokens(kind="patches", rows=side, columns=side, stride_px=resolution_px / side, prefix=prefix)
    return None


def length_of(tokens: Tokens) -> int:
    """How many tokens the sequence has."""
    return len(tokens.prefix) + tokens.rows * tokens.columns


def grid_distances(rows: int, columns: int) -> Matrix:
    """Distances between all places of a grid, in steps, row by row: (n, n)."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    distances: Matrix = np.hypot(row[:, None] - row[None, :], column[:, None] - column[None, :])
    return distances


class Filters(NamedTuple):
    """images: (K, p, p, 3), RGB of the filters, any scale. share: (K,), of the variance, where they are components."""

    kind: Literal["principal components", "first convolution"]
    images: Matrix
    share: tuple[float, ...] | None


def first_filters(model: nn.Module) -> Filters | str:
    """The filters of the first layer that sees colours, or why there are none to show."""
    conv = next((one for one in model.modules() if isinstance(one, nn.Conv2d) and one.in_channels == 3), None)
    if conv is None or conv.groups != 1:
        return "The model has no convolution or patch embedding that reads three colours."
    if isinstance(conv, StdConv2d | StdConv2dSame | ScaledStdConv2d | ScaledStdConv2dSame):
        conv = plain_convolution(conv)  # what is multiplied with the image, not what is stored
    kernels = conv.weight.detach().double().cpu().numpy().transpose(0, 2, 3, 1)  # (D, p, p, 3)
    if conv.kernel_size == conv.stride and kernels.shape[1] > 1:
        components, share = principal_components(kernels, SHOWN_FILTERS)
        return Filters("principal components", components, tuple(float(part) for part in share))
    norms = np.linalg.norm(kernels.reshape(len(kernels), -1), axis=1)
    strongest = np.argsort(-norms, kind="stable")[:SHOWN_FILTERS]
    return Filters("first convolution", kernels[strongest], None)


def principal_components(kernels: Matrix, most: int) -> tuple[Matrix, Matrix]:
    """The first principal components of D filters and the share of the variance that each explains.

    kernels: (D, p, p, 3). Returns (K, p, p, 3), orthonormal, K = min(most, their rank's bound), and (K,). The mean
    filter is taken off first. A component's sign is free: here its largest entry is positive.
    """
    flat = kernels.reshape(len(kernels), -1)
    _, spread, directions = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    count = min(most, len(flat) - 1, flat.shape[1])
    components = directions[:count]
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    components = components * np.sign(largest)
    total = float((spread**2).sum())
    share = spread[:count] ** 2 / total if total > 0 else np.zeros(count)
    return components.reshape(count, *kernels.shape[1:]), share


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
    first, second = np.triu_indices(rows * columns, k=1)
    cosines = similarity[first, second]
    if min(rows, columns) < 2 or np.ptp(cosines) == 0:
        return None
    same_row = first // columns == second // columns
    same_column = first % columns == second % columns

    def nearness_correlation(distances: Matrix) -> float:
        return float(scipy.stats.spearmanr(cosines, -distances).statistic)

    return PositionStructure(
        rank_correlation=nearness_correlation(grid_distances(rows, columns)[first, second]),
        rank_correlation_1d=nearness_correlation(np.abs(first - second).astype(np.float64)),
        same_row=float(cosines[same_row].mean()),
        same_column=float(cosines[same_column].mean()),
        elsewhere=float(cosines[~(same_row | same_column)].mean()),
        is_learned=is_learned,
    )
