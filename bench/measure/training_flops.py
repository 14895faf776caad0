"""FLOPs of a forward and a backward pass, counted by torch, beside the three forward passes that definitions take.

The definition (3 x FLOPs) gives every product of the forward pass two in the backward pass, one for the weights'
gradient and one for the inputs'. A training step spares the second one where nothing before it learns: the gradient
with respect to the pixels. So does the counter when it is not asked for that gradient, and the two then differ by the
first layer's share: a fifth of a percent in ViT-B/16, an eighth in a small hybrid, a third of whose products are its
first layer's.

torch's own rule for the backward pass of a convolution forgets its groups (ours replaces it): it counts EfficientNet-B0
at 14 times the definition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.measure.build import build_model
from bench.measure.complexity import count_macs
from bench.measure.meta_shapes import ShapesOnly
from bench.units import FLOPS_PER_MAC, training_flops

IMAGES = 2  # BatchNorm takes no statistics of one value


@dataclass(frozen=True)
class TrainingFlops:
    """FLOPs of one image's forward and backward pass.

    with_pixels: the gradient with respect to the pixels included; without_pixels: what a training step computes.
    defined: 3 x FLOPs.
    """

    with_pixels: float
    without_pixels: float
    defined: float

    @property
    def ratio(self) -> float:
        """Counted over defined, all gradients included."""
        return self.with_pixels / self.defined

    @property
    def step_ratio(self) -> float:
        """Counted over defined, as a training step computes it."""
        return self.without_pixels / self.defined


@lru_cache(maxsize=64)
def count_training_flops(model_name: str, resolution_px: int, num_classes: int | None) -> TrainingFlops:
    """The counts of one model. Nothing is computed: shapes run through the meta device.

    Raises what building raises, and whatever the counter or the model raises on the meta device.
    """
    counts = [_counted(model_name, resolution_px, num_classes, pixels) for pixels in (True, False)]
    macs = count_macs(model_name, resolution_px, num_classes)
    return TrainingFlops(counts[0], counts[1], training_flops(macs, 1))


def _counted(model_name: str, resolution_px: int, num_classes: int | None, pixels: bool) -> float:
    model = build_model(model_name, num_classes=num_classes, resolution_px=resolution_px, device="meta").train()
    images = torch.empty(IMAGES, 3, resolution_px, resolution_px, device="meta", requires_grad=pixels)
    counter = FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.convolution_backward: _convolution_backward}
    )
    with ShapesOnly(), counter:
        model(images).sum().backward()
    return float(counter.get_total_flops()) / IMAGES


def _convolution_backward(
    grad_shape: Sequence[int],
    input_shape: Sequence[int],
    weight_shape: Sequence[int],
    _bias: Any,
    _stride: Any,
    _padding: Any,
    _dilation: Any,
    transposed: bool,
    _output_padding: Any,
    _groups: int,
    wanted: Sequence[bool],
    **_: Any,
) -> int:
    """As many FLOPs as the forward pass for each of the two gradients that are wanted, the input's and the weights'.

    A weight's shape holds the input channels of one group alone.
    """
    places = input_shape if transposed else grad_shape
    forward = FLOPS_PER_MAC * math.prod(places) * math.prod(weight_shape[1:])
    return forward * sum(map(bool, wanted[:2]))
