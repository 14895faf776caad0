import numpy as np
import pytest
import torch
from timm.layers.std_conv import StdConv2d
from torch import nn

from bench.inspect.embedding import first_filters, principal_components
from bench.measure.build import build_model


def test_components_are_orthonormal_and_their_shares_fall_and_sum_to_one():
    kernels = np.random.default_rng(0).normal(size=(40, 3, 3, 3))
    components, share = principal_components(kernels, 40)
    flat = components.reshape(len(components), -1)
    assert flat.shape == (27, 27)  # no more than a filter has numbers
    assert np.allclose(flat @ flat.T, np.eye(27), atol=1e-10)
    assert (np.diff(share) <= 0).all()
    assert share.sum() == pytest.approx(1)


def test_filters_that_differ_in_one_way_have_one_component():
    direction = np.zeros((2, 2, 3))
    direction[0, 1, 2] = -3.0
    kernels = np.stack([direction * scale + 5.0 for scale in (-1.0, 0.0, 2.0)])
    components, share = principal_components(kernels, 28)
    expected = np.zeros((2, 2, 3))
    expected[0, 1, 2] = 1.0  # the largest entry is positive, whatever sign the decomposition gave
    assert np.allclose(components[0], expected)
    assert share[0] == pytest.approx(1)


def test_a_patch_embedding_gives_components():
    found = first_filters(build_model("vit_32px_s", seed=0))
    assert found.kind == "principal components"
    assert found.images.shape == (28, 8, 8, 3)
    assert len(found.share) == 28


def test_an_overlapping_convolution_gives_its_strongest_filters_first():
    conv = nn.Conv2d(3, 4, 3, stride=2)
    with torch.no_grad():
        for number, scale in enumerate((1.0, 4.0, 2.0, 3.0)):
            conv.weight[number] = scale
    found = first_filters(nn.Sequential(conv))
    assert found.kind == "first convolution"
    assert found.images[:, 0, 0, 0].tolist() == [4.0, 3.0, 2.0, 1.0]
    assert found.share is None


def test_standardised_filters_are_shown_as_they_are_used():
    found = first_filters(nn.Sequential(StdConv2d(3, 4, 3)))
    flat = found.images.reshape(4, -1)
    assert np.allclose(flat.mean(axis=1), 0, atol=1e-6)  # each has mean 0 and variance 1
    assert np.allclose(flat.std(axis=1), 1, atol=1e-3)


def test_a_model_that_reads_no_colours_says_so():
    assert "no convolution" in first_filters(nn.Linear(3, 2))
