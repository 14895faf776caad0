from __future__ import annotations

import numpy as np
import pytest

from bench.data.generated.drawing import cosine, coverage, pixel_grid, sine, to_pixels


def test_the_sine_of_turns_is_close_to_the_real_one():
    turns = np.linspace(-3, 3, 10_001, dtype=np.float32)

    assert np.abs(sine(turns) - np.sin(2 * np.pi * turns.astype(np.float64))).max() < 0.0012
    assert np.abs(cosine(turns) - np.cos(2 * np.pi * turns.astype(np.float64))).max() < 0.0012


def test_the_sine_is_exact_at_quarter_turns():
    assert sine(np.array([0, 0.25, 0.5, 0.75], dtype=np.float32)).tolist() == [0, 1, 0, -1]


def test_pixel_centres_are_counted_from_the_middle_of_the_picture():
    x, y = pixel_grid(4)

    assert x.shape == (1, 1, 4)
    assert y.shape == (1, 4, 1)
    assert x.ravel().tolist() == [-1.5, -0.5, 0.5, 1.5]


def test_coverage_falls_from_one_to_zero_within_a_pixel_of_the_outline():
    outside = np.array([-2, -0.5, 0, 0.25, 0.5, 2], dtype=np.float32)

    assert coverage(outside).tolist() == [1, 1, 0.5, 0.25, 0, 0]


@pytest.mark.parametrize(("colour", "pixel"), [(-0.1, 0), (0.0, 0), (0.5, 128), (1.0, 255), (7.0, 255)])
def test_colours_become_rounded_bytes_cut_at_the_ends(colour: float, pixel: int):
    assert to_pixels(np.array([colour], dtype=np.float32)).tolist() == [pixel]
