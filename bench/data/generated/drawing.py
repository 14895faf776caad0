"""Drawing on blocks of small pictures with arithmetic that is the same everywhere.

Only + - * / sqrt, comparisons, floor and integers, element by element in float32: IEEE 754 fixes each of
these to the last bit. numpy's sine, exponential, power, sums and matrix products are not fixed, so none is used.
Positions are in pixels from the centre of the picture; angles are in turns (1 turn = 360 degrees).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.generated.randomness import Floats, Stream


def pixel_grid(size_px: int) -> tuple[Floats, Floats]:
    """x (1, 1, size) and y (1, size, 1) of the pixel centres, in pixels from the picture's centre."""
    steps = np.arange(size_px, dtype=np.float32) - np.float32((size_px - 1) / 2)
    return steps[None, None, :], steps[None, :, None]


def shifted_grid(stream: Stream, count: int, size_px: int, reach_px: float) -> tuple[Floats, Floats]:
    """x (N, 1, size) and y (N, size, 1) around a centre drawn up to reach_px to either side, across and down."""
    x, y = pixel_grid(size_px)
    x = x - per_image(stream.uniform(count, low=-reach_px, high=reach_px))
    y = y - per_image(stream.uniform(count, low=-reach_px, high=reach_px))
    return x, y


def sine(turns: Floats) -> Floats:
    """sin(2 pi turns) to within 0.0012, from two parabolas; any shape, float32."""
    phase: Floats = turns - np.floor(turns + np.float32(0.5))  # in [-0.5, 0.5)
    rough: Floats = phase * (np.float32(8) - np.float32(16) * np.abs(phase))
    return rough * (np.float32(0.775) + np.float32(0.225) * np.abs(rough))


def cosine(turns: Floats) -> Floats:
    """cos(2 pi turns) to within 0.0012."""
    return sine(turns + np.float32(0.25))


def coverage(outside_px: Floats) -> Floats:
    """Share of each pixel that a figure covers, given how far the pixel's centre lies outside its outline."""
    share: Floats = np.clip(np.float32(0.5) - outside_px, np.float32(0), np.float32(1))
    return share


def disc(x: Floats, y: Floats, radius_px: Floats) -> Floats:
    """How far points lie outside discs around 0."""
    outside: Floats = np.sqrt(x * x + y * y) - radius_px
    return outside


def bar(x: Floats, y: Floats, cos: Floats, sin: Floats, half_length_px: Floats, half_width_px: Floats) -> Floats:
    """How far points lie outside bars around 0 that lean by the angle of this cosine and sine."""
    along, across = np.abs(x * cos + y * sin), np.abs(y * cos - x * sin)
    return np.maximum(along - half_length_px, across - half_width_px)


def per_image(values: Floats) -> Floats:
    """(N,) as (N, 1, 1), to go with pictures (N, H, W)."""
    return values[:, None, None]


def ground_colours(stream: Stream, *shape: int) -> Floats:
    """Dark colours, 0.05 to 0.45 in each channel: (*shape, 3)."""
    return stream.uniform(*shape, 3, low=0.05, high=0.45)


def ink_steps(stream: Stream, *shape: int, within: tuple[float, float]) -> Floats:
    """How much lighter than the ground an ink is, in each channel: (*shape, 3). within: least and most, 0.55."""
    return stream.uniform(*shape, 3, low=within[0], high=within[1])


def noisy_pixels(colours: Floats, stream: Stream, deviation: float) -> NDArray[np.uint8]:
    """Colours (N, H, W, 3) with noise of this standard deviation in each channel, as pixels."""
    return to_pixels(colours + stream.bell(*colours.shape) * np.float32(deviation))


def to_pixels(colours: Floats) -> NDArray[np.uint8]:
    """Colours, 0 black and 1 full, as 0 .. 255, rounded half up and cut at the ends."""
    scaled = np.floor(colours * np.float32(255) + np.float32(0.5))
    pixels: NDArray[np.uint8] = np.clip(scaled, np.float32(0), np.float32(255)).astype(np.uint8)
    return pixels
