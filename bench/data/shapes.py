"""Generated set `shapes`: one closed contour per picture; the class is the contour's form.

The radius of a contour at angle t is R (1 + sum over k of A_k cos(k t) + B_k sin(k t)); a class is its A and B.
Place, size, rotation, colours, line or filled, background waves and noise are drawn without looking at the class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.drawing import cosine, coverage, ground_colours, ink_steps, per_image, pixel_grid, sine, to_pixels
from bench.data.generated import RESOLUTION_PX, Streams, make_generated
from bench.data.image_set import Parts
from bench.data.randomness import Floats

# Form -> lobes k -> (A_k, B_k).
FORMS: dict[str, dict[int, tuple[float, float]]] = {
    "circle": {},
    "ellipse": {2: (0.24, 0.0)},
    "three lobes": {3: (0.24, 0.0)},
    "four lobes": {4: (0.24, 0.0)},
    "five lobes": {5: (0.24, 0.0)},
}
CLASSES = 2 * len(FORMS)  # each form filled, then each as a line
MOST_LOBES = 5
SIZES_PX = (9.0, 12.0)  # mean radius
SHIFT_PX = 0.3
DEPTH = 1.3
TURNS = 0.5
INK = (0.4, 0.5)
NOISE = 0.08  # standard deviation per channel, 1 being full white
BACKGROUND_WAVE = 0.03


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
    size = per_image(place.uniform(count, low=SIZES_PX[0], high=SIZES_PX[1]))
    x, y = pixel_grid(RESOLUTION_PX)
    x = x - per_image(place.uniform(count, low=-SHIFT_PX, high=SHIFT_PX))
    y = y - per_image(place.uniform(count, low=-SHIFT_PX, high=SHIFT_PX))
    turn = per_image(place.uniform(count, low=-TURNS, high=TURNS))
    radius = np.sqrt(x * x + y * y) + np.float32(1e-3)
    c1 = (x * cosine(turn) + y * sine(turn)) / radius
    s1 = (y * cosine(turn) - x * sine(turn)) / radius
    flatness = style.uniform(count)
    flatness = flatness * flatness
    depth = per_image(np.float32(DEPTH) * (np.float32(1) - flatness * flatness))
    outside = radius - size * (np.float32(1) + depth * _wobble(labels % len(FORMS), c1, s1))
    half_line = per_image(style.uniform(count, low=0.6, high=1.2))
    is_line = per_image(labels) >= len(FORMS)
    return np.where(is_line, np.abs(outside) - half_line, outside)


def _wobble(forms: NDArray[np.int64], c1: Floats, s1: Floats) -> Floats:
    """Sum over k of A_k cos(k t) + B_k sin(k t), by the rule for sums of angles: (N, H, W)."""
    table = np.zeros((2, MOST_LOBES + 1, len(FORMS)), dtype=np.float32)
    for index, lobes in enumerate(FORMS.values()):
        for k, (a, b) in lobes.items():
            table[:, k, index] = a, b
    cos_k, sin_k, total = c1, s1, np.zeros_like(c1)
    for k in range(2, MOST_LOBES + 1):
        cos_k, sin_k = cos_k * c1 - sin_k * s1, sin_k * c1 + cos_k * s1
        if table[:, k].any():
            total = total + per_image(table[0, k][forms]) * cos_k + per_image(table[1, k][forms]) * sin_k
    return total


def _waves(count: int, streams: Streams) -> Floats:
    """A faint wave of any direction and a length of 4 to 16 pixels behind everything: (N, H, W)."""
    stream = streams("background")
    x, y = pixel_grid(RESOLUTION_PX)
    turn, per_px = per_image(stream.uniform(count)), per_image(stream.uniform(count, low=1 / 16, high=1 / 4))
    strength = per_image(stream.uniform(count)) * np.float32(BACKGROUND_WAVE)
    return strength * sine((x * cosine(turn) + y * sine(turn)) * per_px + per_image(stream.uniform(count)))
