"""Images for timing and memory: their content does not matter, only their shape and type."""

from __future__ import annotations

import torch
from torch import Tensor

IMAGE_SEED = 0  # the same images in every process


def make_images(batch_size: int, resolution_px: int, *, dtype: torch.dtype, channels_last: bool, device: str) -> Tensor:
    """Normally distributed images on the device: (batch_size, 3, resolution_px, resolution_px), the same each time."""
    generator = torch.Generator().manual_seed(IMAGE_SEED)
    images = torch.randn(batch_size, 3, resolution_px, resolution_px, generator=generator)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return images.to(device=device, dtype=dtype, memory_format=memory_format)
