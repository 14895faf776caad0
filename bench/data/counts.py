"""Generated set `counts`: how many discs are in the picture, among bars that do not count.

In the spirit of VTAB's structured tasks (Zhai et al. 2019, arXiv 1910.04867). Discs and bars stand in a 5x5
raster, so that no raster line falls on the edge of an 8x8 patch. Number of bars, sizes, places within a
raster field, colours and noise are drawn without looking at the class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.collection import Parts
from bench.data.drawing import cosine, coverage, ground_colours, ink_steps, pixel_grid, sine, to_pixels
from bench.data.generated import RESOLUTION_PX, Streams, make_generated
from bench.data.randomness import Floats

MOST_DISCS = 8  # classes 1 .. 8
SIDE = 5
FIELD_PX = RESOLUTION_PX / SIDE
FIELDS = SIDE * SIDE
BARS = (0, 2)  # fewest and most
RADIUS_PX = (2.2, 2.6)
INK = (0.35, 0.5)  # how much lighter than the ground
NOISE = 0.15  # standard deviation in each channel, 1 being black to white


def make_counts() -> Parts:
    """8,192 train, 1,000 validation and 2,000 test pictures in 8 classes."""
    return make_generated("counts", MOST_DISCS, draw_counts)


def draw_counts(labels: NDArray[np.int64], streams: Streams) -> NDArray[np.uint8]:
    """Pictures (N, 32, 32, 3) with label + 1 discs each."""
    count, field = len(labels), _field_of_pixel()
    ground = ground_colours(streams("ground"), count)
    step = ink_steps(streams("ink"), count, FIELDS, low=INK[0], high=INK[1])
    figure = coverage(_outside(labels, streams))[..., None]  # (N, H, W, 1)
    colours = ground[:, None, None] + figure * step[:, field]  # (N, H, W, 3)
    noise = streams("noise").bell(count, RESOLUTION_PX, RESOLUTION_PX, 3) * np.float32(NOISE)
    return to_pixels(colours + noise)


def _field_of_pixel() -> NDArray[np.int64]:
    """Which raster field each pixel belongs to: (H, W), 0 .. 24."""
    line = np.arange(RESOLUTION_PX) * SIDE // RESOLUTION_PX
    return line[:, None] * SIDE + line[None, :]


def _outside(labels: NDArray[np.int64], streams: Streams) -> Floats:
    """How far each pixel lies outside the thing in its own field, in pixels: (N, H, W)."""
    count, field, place, size = len(labels), _field_of_pixel(), streams("place"), streams("size")
    is_disc, is_bar = _things(labels, streams)
    radius = size.uniform(count, FIELDS, low=RADIUS_PX[0], high=RADIUS_PX[1])
    room = np.float32(FIELD_PX / 2) - radius
    middle = (np.arange(SIDE, dtype=np.float32) - np.float32((SIDE - 1) / 2)) * np.float32(FIELD_PX)
    x0 = np.tile(middle, SIDE) + place.uniform(count, FIELDS, low=-1.0) * room
    y0 = np.repeat(middle, SIDE) + place.uniform(count, FIELDS, low=-1.0) * room
    x, y = pixel_grid(RESOLUTION_PX)
    x, y = x - x0[:, field], y - y0[:, field]  # (N, H, W)
    disc = np.sqrt(x * x + y * y) - radius[:, field]
    turn = size.uniform(count, FIELDS)
    cos, sin = cosine(turn)[:, field], sine(turn)[:, field]
    along, across = np.abs(x * cos + y * sin), np.abs(y * cos - x * sin)
    length, width = (radius * np.float32(1.3))[:, field], size.uniform(count, FIELDS, low=0.5, high=0.9)[:, field]
    bar = np.maximum(along - length, across - width)
    return np.where(is_disc[:, field], disc, np.where(is_bar[:, field], bar, np.float32(FIELD_PX)))


def _things(labels: NDArray[np.int64], streams: Streams) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which fields hold a disc and which a bar: (N, 25) each."""
    stream = streams("fields")
    place_in_turn = np.argsort(np.argsort(stream.words(len(labels), FIELDS), axis=1), axis=1)
    discs = labels[:, None] + 1
    bars = BARS[0] + stream.integers(len(labels), 1, below=BARS[1] - BARS[0] + 1)
    return place_in_turn < discs, (place_in_turn >= discs) & (place_in_turn < discs + bars)
