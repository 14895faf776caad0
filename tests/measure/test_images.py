from __future__ import annotations

import torch

from bench.measure.steps import make_images


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
