"""Mixing the images of a batch in pairs. Source: Zhang et al. 2017, arXiv 1710.09412."""

from __future__ import annotations

import torch
from scipy.special import betaincinv
from torch import Tensor

from bench.data.randomness import Stream, uniform_of_words


def mixing_share(alpha: float, seed: int, step: int) -> float:
    """The share of its own in each mixed image of a step, drawn from Beta(alpha, alpha); 1 without mixup.

    One number for a whole batch, as in BiT's released code.
    """
    if not alpha:
        return 1.0
    unit = uniform_of_words(Stream("mixup", seed, step).words(1))[0]
    return float(betaincinv(alpha, alpha, float(unit)))


def neighbours(count: int, device: torch.device | str = "cpu") -> Tensor:
    """(count,), int64: 1, 0, 3, 2, ...; the last of an odd number is its own.

    The batch's order is random already, so neighbours are as good as random pairs, and a micro-batch of an even size
    holds whole pairs: how a batch is divided does not change what is mixed.
    """
    index = torch.arange(count, device=device) ^ 1
    return index.clamp(max=count - 1)


def swapped(items: Tensor) -> Tensor:
    """`items[neighbours(len(items))]`, (B, ...): each in the place of its neighbour; of an even number in one pass."""
    if len(items) % 2:
        return items[neighbours(len(items), items.device)]
    return items.reshape(-1, 2, *items.shape[1:]).flip(1).reshape(items.shape)
