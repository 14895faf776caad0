"""Random shifts of a training batch, computed on the device the batch is on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def shift(images: Tensor, reach_px: int, words: Tensor) -> Tensor:
    """Each image moved by up to `reach_px` pixels in both directions, its edge pixels repeated.

    images: (B, 3, H, W), float. words: (B, 2), int64, any non-negative random words; they decide the shifts.
    Returns (B, 3, H, W) on the same device.
    """
    B, _, H, W = images.shape
    offsets = words % (2 * reach_px + 1)  # (B, 2), each in [0, 2 * reach]
    padded = F.pad(images, (reach_px,) * 4, mode="replicate")  # (B, 3, H + 2r, W + 2r)
    rows = offsets[:, :1] + torch.arange(H, device=images.device)  # (B, H)
    columns = offsets[:, 1:] + torch.arange(W, device=images.device)  # (B, W)
    batch = torch.arange(B, device=images.device)
    # advanced indices on either side of a slice put the channel axis last: (B, H, W, 3)
    return padded[batch[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
