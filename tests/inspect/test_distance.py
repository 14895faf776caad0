import itertools
import math

import numpy as np
import pytest

from bench.inspect.attention import mean_distances_px, uniform_distance_px
from bench.inspect.embedding import grid_distances


def test_distances_between_places_are_those_of_a_ruler():
    distances = grid_distances(2, 3)
    assert distances.shape == (6, 6)
    assert distances[0].tolist() == pytest.approx([0, 1, 2, 1, math.sqrt(2), math.sqrt(5)])


def test_a_head_that_looks_at_itself_looks_no_distance():
    distances = grid_distances(4, 4) * 8
    assert mean_distances_px(np.eye(16, dtype=np.float32)[None], distances).tolist() == [0.0]


def test_a_head_that_looks_one_to_the_right_looks_one_stride():
    """Three of the four places of each row have a right neighbour; the last looks at itself."""
    attention = np.zeros((1, 16, 16), dtype=np.float32)
    for place in range(16):
        attention[0, place, place if place % 4 == 3 else place + 1] = 1.0
    assert mean_distances_px(attention, grid_distances(4, 4) * 8).tolist() == [pytest.approx(8 * 3 / 4)]


def test_attention_spread_evenly_gives_the_mean_of_all_pairs():
    places = list(itertools.product(range(3), range(3)))
    expected = 16 * sum(math.dist(a, b) for a in places for b in places) / 81
    distances = grid_distances(3, 3) * 16
    assert uniform_distance_px(distances) == pytest.approx(expected)
    uniform = np.full((2, 9, 9), 1 / 9, dtype=np.float32)
    assert mean_distances_px(uniform, distances) == pytest.approx([expected, expected])


def test_two_patches_have_a_closed_form():
    """16 px apart: a quarter of the weight each on 0, 16, 16 and 0 px."""
    assert uniform_distance_px(grid_distances(1, 2) * 16) == 8.0


def test_prefix_tokens_are_left_out_and_the_rest_scaled_to_one():
    """Half of each row goes to the class token; what is left is spread evenly over two patches."""
    attention = np.full((1, 3, 3), 0.25, dtype=np.float32)
    attention[..., 0] = 0.5
    assert mean_distances_px(attention, grid_distances(1, 2) * 16).tolist() == [pytest.approx(8.0)]
