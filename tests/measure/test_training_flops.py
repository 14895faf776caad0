"""Training compute: three forward passes, held against what torch counts of a forward and a backward pass."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench.catalog.models import model_rows
from bench.measure.complexity import count_training_flops
from bench.measure.counting.counters import _convolution_backward

SMALL = sorted(name for name in model_rows() if "_32px_" in name)


@pytest.mark.parametrize("model", SMALL)
def test_three_forward_passes_are_what_is_counted_of_a_small_model(model: str) -> None:
    counted = count_training_flops(model, 32, 64)
    assert counted.ratio == pytest.approx(1.0, abs=0.01)
    # what a step spares is the first layer's gradient with respect to the pixels; the stem of a hybrid is a third of it
    assert 0.87 < counted.step_ratio < 1.0


@pytest.mark.parametrize(
    ("model", "resolution_px"),
    [
        ("vit_base_patch16_224", 224),
        ("resnetv2_50x1_bit", 224),
        ("efficientnet_b0", 224),
        ("vit_base_r50_s16_224", 224),
    ],
)
def test_three_forward_passes_are_what_is_counted_of_the_papers_models(model: str, resolution_px: int) -> None:
    counted = count_training_flops(model, resolution_px, 1000)
    assert counted.ratio == pytest.approx(1.0, abs=0.01)
    assert counted.step_ratio == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("groups", [1, 3, 6])
@pytest.mark.parametrize("transposed", [False, True])
def test_each_gradient_of_a_convolution_costs_a_forward_pass(groups: int, transposed: bool) -> None:
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = kind(6, 12, 3, groups=groups, bias=False)
    images = torch.randn(2, 6, 9, 9, requires_grad=True)
    counter = FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.convolution_backward: _convolution_backward}
    )
    with counter:
        layer(images).sum().backward()
    found = {str(name): int(flops) for name, flops in counter.get_flop_counts()["Global"].items()}
    backward = next(flops for name, flops in found.items() if "backward" in name)
    forward = next(flops for name, flops in found.items() if "backward" not in name)
    assert backward == 2 * forward
