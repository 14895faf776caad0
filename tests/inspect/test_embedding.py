import math

import numpy as np
import pytest
import torch
from timm.layers.std_conv import StdConv2d
from torch import nn

from bench.inspect.embedding import (
    cosine_similarity,
    first_filters,
    is_parameter,
    position_embedding,
    position_structure,
    principal_components,
)
from bench.measure.build import build_model
from bench.store.inspections import Tokens


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


def tokens(rows=4, columns=4, prefix=("class",)):
    return Tokens(kind="patches", rows=rows, columns=columns, stride_px=8, prefix=prefix)


def circular(rows, columns, steps=16):
    """An embedding of row and column, each an angle: the cosine of two places is (cos dr + cos dc) / 2."""
    places = [(r, c) for r in range(rows) for c in range(columns)]
    angle = 2 * math.pi / steps
    return np.array(
        [[math.cos(r * angle), math.sin(r * angle), math.cos(c * angle), math.sin(c * angle)] for r, c in places]
    )


def test_cosines_of_a_constructed_embedding_are_those_of_the_formula():
    similarity = cosine_similarity(circular(3, 3))
    turn = 2 * math.pi / 16
    assert similarity[0, 0] == pytest.approx(1)
    assert similarity[0, 1] == pytest.approx((1 + math.cos(turn)) / 2)
    assert similarity[0, 8] == pytest.approx(math.cos(2 * turn))


def test_an_embedding_of_rows_and_columns_follows_the_grid_more_than_the_sequence():
    found = position_structure(cosine_similarity(circular(6, 6)), 6, 6, is_learned=True)
    assert found.rank_correlation > 0.9
    assert found.rank_correlation_1d < found.rank_correlation
    assert found.same_row == pytest.approx(found.same_column)  # rows and columns are built alike
    assert found.same_row > found.elsewhere


def test_an_embedding_of_the_sequence_follows_the_sequence_more_than_the_grid():
    angle = np.arange(36) * math.pi / 36
    line = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = position_structure(cosine_similarity(line), 6, 6, is_learned=True)
    assert found.rank_correlation_1d > 0.999  # cosines of equal steps differ in their last digits
    assert found.rank_correlation < 0.9
    assert found.same_row > found.same_column


def test_the_correlation_is_minus_one_where_far_places_are_more_alike():
    """Four places in a square: neighbours have cosine 0, the two diagonals 0.5."""
    similarity = np.array([[1, 0, 0, 0.5], [0, 1, 0.5, 0], [0, 0.5, 1, 0], [0.5, 0, 0, 1]])
    found = position_structure(similarity, 2, 2, is_learned=False)
    assert found.rank_correlation == pytest.approx(-1)
    assert (found.same_row, found.same_column, found.elsewhere) == (0, 0, 0.5)


def test_cosines_without_spread_have_no_structure():
    assert position_structure(np.ones((16, 16)), 4, 4, is_learned=True) is None


def test_prefix_tokens_are_left_out_of_the_embedding():
    model = build_model("vit_32px_s", seed=0)
    found = position_embedding(model, tokens())
    assert found.shape == (16, 48)
    assert np.allclose(found, model.pos_embed[0, 1:].detach().numpy())
    assert is_parameter(model)


@pytest.mark.parametrize(
    ("embedding", "words"),
    [(None, "no absolute"), (torch.zeros(1, 17, 8), "only zeros"), (torch.ones(1, 9, 8), "does not fit the 16 places")],
)
def test_without_a_usable_embedding_there_is_a_reason(embedding, words):
    class Model(nn.Module):
        pos_embed = embedding

    assert words in position_embedding(Model(), tokens())


def test_torchvisions_name_of_the_embedding_is_found():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.pos_embedding = nn.Parameter(torch.ones(1, 17, 8))

    assert position_embedding(nn.Sequential(Encoder()), tokens()).shape == (16, 8)
