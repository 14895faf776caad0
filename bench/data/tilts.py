"""Generated set `tilts`: which way a bar leans, among discs that do not matter.

In the spirit of VTAB's structured tasks on orientation (Zhai et al. 2019, arXiv 1910.04867). The bar's place, length
and width, the discs, colours and noise are drawn without looking at the class; neighbouring classes are 22.5 degrees
apart, and a bar leans up to a tenth of that away from its class's angle.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.collection import Parts
from bench.data.drawing import cosine, coverage, ground_colours, ink_steps, per_image, pixel_grid, sine, to_pixels
from bench.data.generated import RESOLUTION_PX, Streams, make_generated
from bench.data.randomness import Floats

ANGLES = 8
STEP_TURNS = 0.5 / ANGLES  # a bar turned by half a turn is the same bar
JITTER_TURNS = 0.1 * STEP_TURNS
HALF_LENGTH_PX = (6.0, 10.0)
HALF_WIDTH_PX = (1.2, 1.8)
SHIFT_PX = 5.0  # to either side, across and down
DISCS = 3
DISC_PX = (1.5, 3.0)  # radius
INK = (0.35, 0.5)  # how much lighter than the ground
NOISE = 0.15  # standard deviation in each channel, 1 being black to white


def make_tilts() -> Parts:
    """8,192 train, 1,000 validation and 2,000 test pictures in 8 classes."""
    return make_generated("tilts", ANGLES, draw_tilts)


def draw_tilts(labels: NDArray[np.int64], streams: Streams) -> NDArray[np.uint8]:
    """Pictures (N, 32, 32, 3) with a bar at label x 22.5 degrees each."""
    count = len(labels)
    ground = ground_colours(streams("ground"), count)
    colours = np.broadcast_to(ground[:, None, None], (count, RESOLUTION_PX, RESOLUTION_PX, 3))
    for i in range(DISCS):
        disc = coverage(_disc(count, streams, i))[..., None]  # (N, H, W, 1)
        step = ink_steps(streams(f"disc {i} ink"), count, low=INK[0], high=INK[1])[:, None, None]
        colours = colours + disc * (ground[:, None, None] + step - colours)
    bar = coverage(_bar(labels, streams))[..., None]
    step = ink_steps(streams("ink"), count, low=INK[0], high=INK[1])[:, None, None]
    colours = colours + bar * (ground[:, None, None] + step - colours)  # over the discs
    noise = streams("noise").bell(count, RESOLUTION_PX, RESOLUTION_PX, 3) * np.float32(NOISE)
    return to_pixels(colours + noise)


def _bar(labels: NDArray[np.int64], streams: Streams) -> Floats:
    """How far each pixel lies outside the bar, in pixels: (N, H, W)."""
    count, place, size = len(labels), streams("place"), streams("size")
    x, y = pixel_grid(RESOLUTION_PX)
    x = x - per_image(place.uniform(count, low=-SHIFT_PX, high=SHIFT_PX))
    y = y - per_image(place.uniform(count, low=-SHIFT_PX, high=SHIFT_PX))
    turn = labels.astype(np.float32) * np.float32(STEP_TURNS)
    turn = turn + place.uniform(count, low=-1.0) * np.float32(JITTER_TURNS)
    cos, sin = per_image(cosine(turn)), per_image(sine(turn))
    along, across = np.abs(x * cos + y * sin), np.abs(y * cos - x * sin)
    length = per_image(size.uniform(count, low=HALF_LENGTH_PX[0], high=HALF_LENGTH_PX[1]))
    width = per_image(size.uniform(count, low=HALF_WIDTH_PX[0], high=HALF_WIDTH_PX[1]))
    return np.maximum(along - length, across - width)


def _disc(count: int, streams: Streams, i: int) -> Floats:
    """How far each pixel lies outside disc i, in pixels: (N, H, W)."""
    stream = streams(f"disc {i}")
    radius = per_image(stream.uniform(count, low=DISC_PX[0], high=DISC_PX[1]))
    reach = RESOLUTION_PX / 2
    x, y = pixel_grid(RESOLUTION_PX)
    x = x - per_image(stream.uniform(count, low=-reach, high=reach))
    y = y - per_image(stream.uniform(count, low=-reach, high=reach))
    return np.sqrt(x * x + y * y) - radius
