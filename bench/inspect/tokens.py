"""How a model turns an image into a sequence: grid, stride and the tokens that come before those of the image."""

from __future__ import annotations

import math

from torch import nn

from bench.measure.build import patch_size
from bench.store.inspections import Tokens


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


def _prefix(model: nn.Module) -> tuple[str, ...]:
    """Names of the tokens before those of the image, in timm's order: class, distillation, registers."""
    count = int(getattr(model, "num_prefix_tokens", 0) or 0)
    names = ["class"] if getattr(model, "cls_token", None) is not None else []
    names += ["distillation"] if getattr(model, "dist_token", None) is not None else []
    return tuple((names + ["register"] * count)[:count])
