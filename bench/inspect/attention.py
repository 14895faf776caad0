"""Softmax attention read out of a model while it looks at an image; how far it looks; and attention rollout.

timm's attention computes its weights only where `fused_attn` is off, and then hands them to the module `attn_drop`;
torch.nn.MultiheadAttention returns them if it is asked. Both are watched by hooks, and the model is left as it was.

Rollout: how much of each input token is in a later one, if attention and shortcuts only pass tokens on. Source: Abnar
and Zuidema 2020, arXiv 2005.00928, section 3: 0.5 A + 0.5 I for the shortcut, rows normalised, multiplied over the
layers. The ViT paper (Figures 6 and 14) averages the heads and does not say whether it mixes the shortcut in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Read = TypeVar("Read")
Weights = NDArray[np.float32]
Matrix = NDArray[np.float64]
Take = Callable[[Tensor, int | None], None]
SUM_TOLERANCE = 1e-3  # rows of float32 softmax over a thousand tokens are within 1e-5 of one


@dataclass(frozen=True)
class AttentionRead(Generic[Read]):
    """What was made of each layer's attention, in the order in which the layers ran, or why there is none.

    left_out: layers of a pooling head, which have one query.
    """

    layers: list[Read]
    absent: str | None
    left_out: int = 0


def read_attention(
    model: nn.Module, images: Tensor, length: int | None, look: Callable[[Weights], Read]
) -> AttentionRead[Read]:
    """Run the model on one image and hand the attention of each layer to `look`: (H, N, N), rows sum to one.

    images: (1, 3, R, R). length: tokens that the image becomes; None takes that of the first layer. Only `look`'s
    answers are kept, so that memory holds one layer at a time.

    Attention that is not over one sequence of all tokens, or that is no softmax, is not shown: `absent` says which.
    """
    seen: list[Read] = []
    problems: list[str] = []
    pooling = 0

    def take(weights: Tensor, tokens: int | None) -> None:
        nonlocal length, pooling
        if weights.ndim != 4 or not weights.is_floating_point():
            problems.append("it is no matrix of weights for each head")
            return
        batch, _, queries, keys = weights.shape
        if batch == 1 and queries == 1 < keys:
            pooling += 1
            return
        if batch != 1:
            problems.append(f"it is not global: {batch} windows of {keys} tokens each")
            return
        length = length or tokens or keys
        if queries != keys or keys != length:
            problems.append(f"it is not over one sequence of all tokens: {queries} x {keys} weights, {length} tokens")
            return
        values = weights[0].float().cpu()
        if bool(((values.sum(dim=-1) - 1).abs() > SUM_TOLERANCE).any()):
            problems.append("its rows do not sum to one: heads are mixed after the softmax")
            return
        seen.append(look(values.numpy()))

    with _watched(model, take), torch.no_grad():
        model(images)
    if problems:
        return AttentionRead([], f"The attention cannot be shown: {problems[0]}.", pooling)
    if not seen:
        return AttentionRead([], "No attention that can be read was seen in the model.", pooling)
    return AttentionRead(seen, None, pooling)


@contextmanager
def _watched(model: nn.Module, take: Take) -> Iterator[None]:
    """Within the block every layer's attention weights go to `take`, with the length of the layer's input if it is a
    sequence: weights between channels are of another size."""
    with ExitStack() as undo:
        for module in model.modules():
            if isinstance(getattr(module, "fused_attn", None), bool):
                undo.callback(setattr, module, "fused_attn", module.fused_attn)
                module.fused_attn = False  # type: ignore[assignment]
            drop = getattr(module, "attn_drop", None)
            if isinstance(drop, nn.Module):
                _watch_timm(module, drop, take, undo)
            if isinstance(module, nn.MultiheadAttention):
                _watch_torch(module, take, undo)
        yield


def _watch_timm(module: nn.Module, drop: nn.Module, take: Take, undo: ExitStack) -> None:
    tokens: list[int | None] = [None]

    def enter(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        first = arguments[0] if arguments else None
        tokens[0] = int(first.shape[1]) if isinstance(first, Tensor) and first.ndim == 3 else None

    undo.callback(module.register_forward_pre_hook(enter).remove)
    undo.callback(drop.register_forward_hook(lambda _, __, output: take(output, tokens[0])).remove)


def _watch_torch(module: nn.MultiheadAttention, take: Take, undo: ExitStack) -> None:
    def ask(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        # need_weights is the fifth argument; whoever called it drops the weights that come with the answer
        kept = arguments[:4] if len(arguments) > 4 else arguments
        return kept, {**named, "need_weights": True, "average_attn_weights": False}

    def answer(_: nn.Module, __: Any, output: tuple[Tensor, Tensor | None]) -> None:
        if output[1] is not None:
            take(output[1], None)

    undo.callback(module.register_forward_pre_hook(ask, with_kwargs=True).remove)
    undo.callback(module.register_forward_hook(answer).remove)


def mean_distances_px(attention: Weights, distances_px: Matrix) -> Matrix:
    """Mean over queries of the attention-weighted distance, how far each head looks: (H,), pixels.

    attention: (H, N, N) with the image's tokens last; those before them are left out, as queries and as keys, and what
    is left of each row is scaled to sum to one. distances_px: between the centres of patches, (n, n), n <= N.

    Source: Figures 7 (right) and 11 of the ViT paper, which averages the distance "between the query pixel and all
    other pixels, weighted by the attention weight".
    """
    n = len(distances_px)
    patches = attention[:, -n:, -n:].astype(np.float64)
    patches /= patches.sum(axis=-1, keepdims=True)
    means: Matrix = (patches * distances_px).sum(axis=-1).mean(axis=-1)
    return means


def uniform_distance_px(distances_px: Matrix) -> float:
    """What attention spread evenly over all patches gives."""
    return float(distances_px.mean())


class HeadQueries(NamedTuple):
    """One layer's attention as the rollout of some queries needs it.

    mean: (N, N), heads averaged. query_rows: (H, N), each head's attention of the query; rows sum to one.
    """

    mean: Weights
    query_rows: Weights


class Rollout(NamedTuple):
    """by_layer: (L, N), after each layer, heads averaged. by_head: (L, H, N), the last step with one head alone; its
    mean over heads is by_layer. Every row sums to one."""

    by_layer: Matrix
    by_head: Matrix


def query_weights(length: int, prefix: int, has_class_token: bool) -> Matrix:
    """Which tokens are asked: the class token, or without one all tokens of the image alike. (N,), sums to one."""
    weights = np.zeros(length)
    if has_class_token:
        weights[0] = 1.0
    else:
        weights[prefix:] = 1.0 / (length - prefix)
    return weights


def head_queries(attention: Weights, query: Matrix) -> HeadQueries:
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
