from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import CellFailedError
from bench.measure.timing.steps import class_scores, make_images

Aux = namedtuple("Aux", "logits aux_logits")


class Returns(nn.Module):
    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output

    def forward(self, images: Tensor) -> Any:
        return self.output


IMAGES = torch.zeros(4, 3, 8, 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_row_of_scores_for_every_image_is_taken(dtype: torch.dtype) -> None:
    scores = torch.zeros(4, 10, dtype=dtype)
    assert class_scores(Returns(scores), IMAGES, "net.py:build", 10) is scores
    assert class_scores(Returns(scores), IMAGES, "net.py:build", None) is scores


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ((torch.zeros(4, 10), torch.zeros(4, 10)), "returns a tuple for 4 images in training.*the scores alone"),
        (Aux(torch.zeros(4, 10), None), "returns an Aux"),
        ({"logits": torch.zeros(4, 10)}, "returns a dict"),
        (None, "returns a NoneType"),
        (torch.zeros(4, 5), r"float32 of shape \(4, 5\).*of shape \(4, 10\).*Let the function take `num_classes`"),
        (torch.zeros(4, 1000), "Let the function take `num_classes`"),
        (torch.zeros(3, 10), r"shape \(3, 10\).*a row of scores for every image"),
        (torch.zeros(10), "a row of scores for every image"),
        (torch.zeros(4, 10, 1, 1), "a row of scores for every image"),
        (torch.zeros(4, dtype=torch.int64), "a tensor of int64.*not the classes chosen"),
        (torch.zeros(4, 10, dtype=torch.complex64), "a tensor of complex64"),
    ],
)
def test_anything_else_is_refused_by_name(output: Any, told: str) -> None:
    with pytest.raises(CellFailedError, match=told):
        class_scores(Returns(output), IMAGES, "net.py:build", 10)


def test_images_have_the_asked_shape_type_and_layout():
    images = make_images(2, 8, dtype=torch.bfloat16, channels_last=True, device="cpu")
    assert images.shape == (2, 3, 8, 8)
    assert images.dtype == torch.bfloat16
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_images_are_the_same_each_time_and_leave_the_global_seed_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first = make_images(2, 8, dtype=torch.float32, channels_last=False, device="cpu")
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first, make_images(2, 8, dtype=torch.float32, channels_last=False, device="cpu"))
