"""Fixed kernels that stand for a machine, each made as a model so that the gate's worker can time it like any other.

A baseline keeps their times beside the model's; on another machine the ratio of the two says how much faster that one
is. Sizes are part of what stored numbers mean: whoever changes one raises CALIBRATION_VERSION in baseline.py.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MATMUL_SIDE = 384  # 57 M multiply-adds, operands of 0.6 MB: arithmetic from the second-level cache
CONVOLUTION_CHANNELS, CONVOLUTION_SIDE = 64, 56  # 116 M multiply-adds: a 3 x 3 layer of a ResNet's first stage
SMALL_LAYERS, SMALL_CHANNELS, SMALL_SIDE = 24, 96, 14  # little arithmetic each: what a call and its threads cost
ELEMENTWISE_FLOATS = 8 * 1024**2  # 32 MB read and 32 MB written: beyond the caches of most CPUs


class _Kernel(nn.Module):
    """A kernel on its own tensors, which the worker draws with a seed of its own; the image is not used."""

    def __init__(self, *sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.left, self.right = (nn.Buffer(torch.randn(size)) for size in sizes)


class _Matmul(_Kernel):
    def forward(self, image: Tensor) -> Tensor:
        return self.left @ self.right


class _Convolution(_Kernel):
    def forward(self, image: Tensor) -> Tensor:
        return F.conv2d(self.left, self.right, padding=1)


class _SmallLayers(_Kernel):
    def forward(self, image: Tensor) -> Tensor:
        image = self.left
        for _ in range(SMALL_LAYERS):
            image = F.hardswish(F.conv2d(image, self.right, padding=1, groups=SMALL_CHANNELS))
        return image


class _Elementwise(_Kernel):
    def forward(self, image: Tensor) -> Tensor:
        return torch.add(self.left, 1.0, out=self.right)


def matmul() -> nn.Module:
    """A square product of float32 matrices."""
    return _Matmul((MATMUL_SIDE, MATMUL_SIDE), (MATMUL_SIDE, MATMUL_SIDE))


def convolution() -> nn.Module:
    """A 3 x 3 convolution of one float32 image."""
    channels, side = CONVOLUTION_CHANNELS, CONVOLUTION_SIDE
    return _Convolution((1, channels, side, side), (channels, channels, 3, 3))


def small_layers() -> nn.Module:
    """A chain of 3 x 3 depthwise convolutions of a small map, an activation after each."""
    channels, side = SMALL_CHANNELS, SMALL_SIDE
    return _SmallLayers((1, channels, side, side), (channels, 1, 3, 3))


def elementwise() -> nn.Module:
    """An addition to every element of a long float32 vector: memory's speed."""
    return _Elementwise((ELEMENTWISE_FLOATS,), (ELEMENTWISE_FLOATS,))
