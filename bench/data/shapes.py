"""Generated set `shapes`: one closed contour per picture; the class is its form, and whether it is filled or a line.

The radius of a contour at angle t is R (1 + D cos(k t)); the form is k, the number of lobes. D is drawn from a
fixed maximum down to almost nothing, so that a few contours are too round for anyone to tell, and no model gets all
right. Size, rotation, colours, background waves and noise are drawn without looking at the class. Contours stand
near the centre: with 3 px of shift a small ViT learned nothing in the 700 steps that a pocket run can afford.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.collection import Parts
from bench.data.drawing import cosine, coverage, ground_colours, ink_steps, per_image, pixel_grid, sine, to_pixels
from bench.data.generated import RESOLUTION_PX, Streams, make_generated
from bench.data.randomness import Floats

FORMS = {"circle": 0, "ellipse": 2, "three lobes": 3, "four lobes": 4, "five lobes": 5}  # name -> k
CLASSES = 2 * len(FORMS)  # every form filled, then every form as a line
RADIUS_PX = (9.0, 11.0)  # R
DEEPEST = 0.42  # D, as a share of R
SHIFT_PX = 0.3  # to either side, across and down
HALF_LINE_PX = (1.3, 1.8)
INK = (0.45, 0.55)  # how much lighter than the ground, 1 being black to white
WAVE = 0.03  # largest amplitude of the background's wave
WAVES_PER_PX = (1 / 16, 1 / 4)
NOISE = 0.06  # standard deviation in each channel


def make_shapes() -> Parts:
    """8,190 train, 1,000 validation and 2,000 test pictures in 10 classes."""
    return make_generated("shapes", CLASSES, draw_shapes)


def draw_shapes(labels: NDArray[np.int64], streams: Streams) -> NDArray[np.uint8]:
    """Pictures (N, 32, 32, 3) of the contours that the labels (N,) name."""
    count = len(labels)
    figure = coverage(_outside(labels, streams))  # (N, H, W)
    ground, step = ground_colours(streams("ground"), count), ink_steps(streams("ink"), count, low=INK[0], high=INK[1])
    colours = ground[:, None, None] + figure[..., None] * step[:, None, None]  # (N, H, W, 3)
    colours = colours + _waves(count, streams)[..., None]
    noise = streams("noise").bell(count, RESOLUTION_PX, RESOLUTION_PX, 3) * np.float32(NOISE)
    return to_pixels(colours + noise)


def _outside(labels: NDArray[np.int64], streams: Streams) -> Floats:
    """How far each pixel lies outside the drawn figure, in pixels: (N, H, W)."""
    count, place, style = len(labels), streams("place"), streams("style")
    size = per_image(place.uniform(count, low=RADIUS_PX[0], high=RADIUS_PX[1]))
    x, y = pixel_grid(RESOLUTION_PX)
    x = x - per_image(place.uniform(count, low=-SHIFT_PX, high=SHIFT_PX))
    y = y - per_image(place.uniform(count, low=-SHIFT_PX, high=SHIFT_PX))
    turn = per_image(place.uniform(count))
    radius: Floats = np.sqrt(x * x + y * y) + np.float32(1e-3)  # never 0
    cos_t: Floats = np.divide(x * cosine(turn) + y * sine(turn), radius)
    sin_t: Floats = np.divide(y * cosine(turn) - x * sine(turn), radius)
    square = style.uniform(count)
    square = square * square
    depth = per_image(np.float32(DEEPEST) * (np.float32(1) - square * square * square))
    outside = radius - size * (np.float32(1) + depth * _lobes(labels % len(FORMS), cos_t, sin_t))
    half_line = per_image(style.uniform(count, low=HALF_LINE_PX[0], high=HALF_LINE_PX[1]))
    is_line = labels[:, None, None] >= len(FORMS)
    return np.where(is_line, np.abs(outside) - half_line, outside)


def _lobes(forms: NDArray[np.int64], cos_t: Floats, sin_t: Floats) -> Floats:
    """cos(k t) for the k of each form, 0 for the circle, by the rule for the cosine of a sum: (N, H, W)."""
    lobes = np.array(list(FORMS.values()))[forms]  # (N,)
    cos_k, sin_k, chosen = cos_t, sin_t, np.zeros_like(cos_t)
    for k in range(2, max(FORMS.values()) + 1):
        cos_k, sin_k = cos_k * cos_t - sin_k * sin_t, sin_k * cos_t + cos_k * sin_t
        chosen = np.where(lobes[:, None, None] == k, cos_k, chosen)
    return chosen


def _waves(count: int, streams: Streams) -> Floats:
    """A faint wave of any direction behind everything: (N, H, W)."""
    stream = streams("background")
    x, y = pixel_grid(RESOLUTION_PX)
    turn = per_image(stream.uniform(count))
    per_px = per_image(stream.uniform(count, low=WAVES_PER_PX[0], high=WAVES_PER_PX[1]))
    strength = per_image(stream.uniform(count, high=WAVE))
    return strength * sine((x * cosine(turn) + y * sine(turn)) * per_px + per_image(stream.uniform(count)))
