import math

import numpy as np
import pytest
import torch
from torch import nn

from bench.inspect.embedding import cosine_similarity, is_parameter, position_embedding, position_structure
from bench.measure.build import build_model
from bench.store.inspections import Tokens


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
