"""Generated set `textures`: one wave pattern over the whole picture; the class is its direction and wavelength.

Phase, contrast, colours, a slow warp, a second wave of any direction and length, and noise are drawn without
looking at the class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.collection import Parts
from bench.data.drawing import cosine, per_image, pixel_grid, sine, to_pixels
from bench.data.generated import RESOLUTION_PX, Streams, make_generated
from bench.data.randomness import Floats, Stream

DIRECTIONS = 5  # 36 degrees apart
WAVELENGTHS_PX = (4.0, 6.0)
CLASSES = DIRECTIONS * len(WAVELENGTHS_PX)
DIRECTION_JITTER_TURNS = 0.02
LENGTH_JITTER = 0.12
DISTRACTOR = 0.8  # its contrast is 0 to this share of the wave's
SWING = (0.05, 0.2)  # amplitude in each channel
NOISE = 0.24  # standard deviation in each channel, 1 being black to white


def make_textures() -> Parts:
    """8,190 train, 1,000 validation and 2,000 test pictures in 10 classes."""
    return make_generated("textures", CLASSES, draw_textures)


def draw_textures(labels: NDArray[np.int64], streams: Streams) -> NDArray[np.uint8]:
    """Pictures (N, 32, 32, 3) of the wave patterns that the labels (N,) name."""
    count, stream = len(labels), streams("wave")
    direction = (labels % DIRECTIONS).astype(np.float32) * np.float32(0.5 / DIRECTIONS)
    direction = direction + stream.uniform(count, low=-1.0) * np.float32(DIRECTION_JITTER_TURNS)
    length = np.array(WAVELENGTHS_PX, dtype=np.float32)[labels // DIRECTIONS]
    length = length * (np.float32(1) + stream.uniform(count, low=-1.0) * np.float32(LENGTH_JITTER))
    other = streams("distractor")
    pattern = _wave(stream, direction, length)
    distractor = _wave(other, other.uniform(count), other.uniform(count, low=3.0, high=12.0))
    pattern = pattern + per_image(other.uniform(count, high=DISTRACTOR)) * distractor
    middle = streams("ground").uniform(count, 1, 1, 3, low=0.25, high=0.75)
    swing = streams("ink").uniform(count, 1, 1, 3, low=SWING[0], high=SWING[1]) * streams("side").coin(count, 1, 1, 3)
    colours = middle + pattern[..., None] * swing  # (N, H, W, 3)
    noise = streams("noise").bell(count, RESOLUTION_PX, RESOLUTION_PX, 3) * np.float32(NOISE)
    return to_pixels(colours + noise)


def _wave(stream: Stream, direction_turns: Floats, length_px: Floats) -> Floats:
    """Plane waves (N, H, W) of the given directions (N,) and lengths (N,), bent a little by a slow wave across."""
    count = len(direction_turns)
    x, y = pixel_grid(RESOLUTION_PX)
    cos, sin = per_image(cosine(direction_turns)), per_image(sine(direction_turns))
    along, across = x * cos + y * sin, y * cos - x * sin
    bend = sine(across * np.float32(1 / 24) + per_image(stream.uniform(count)))
    bend = bend * per_image(stream.uniform(count, high=0.15))
    periods: Floats = np.divide(along, per_image(length_px))
    return sine(periods + per_image(stream.uniform(count)) + bend)
