"""Generated sets: pictures drawn on the spot, in classes that differ in one thing while all else is drawn blindly.

Image i of a part is of class i mod C and lies in block i // BLOCK_IMAGES, whose random streams are found by
name. So a smaller set is an exact, balanced beginning of a larger one, and blocks can be made in any order.
Places, sizes, turns, colours and noise are drawn without looking at the class. `counts` and `tilts` are in the spirit
of VTAB's structured tasks (Zhai et al. 2019, arXiv 1910.04867).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.data.generated.drawing import (
    bar,
    cosine,
    coverage,
    disc,
    ground_colours,
    ink_steps,
    noisy_pixels,
    per_image,
    pixel_grid,
    shifted_grid,
    sine,
)
from bench.data.generated.randomness import Floats, Stream
from bench.data.sets.collection import ImageSet, Parts

RESOLUTION_PX = 32
BLOCK_IMAGES = 128  # the float pictures of a block fit into a processor's second-level cache
TRAIN_IMAGES = 8192  # rounded down to a multiple of the classes
VALIDATION_IMAGES = 1000
TEST_IMAGES = 2000

# Draws the pictures (N, 32, 32, 3) of the labels (N,); each role, such as "place" or "noise", has its own stream.
Streams = Callable[[str], Stream]
Draw = Callable[[NDArray[np.int64], Streams], NDArray[np.uint8]]

# In what follows, sizes are in pixels, ranges from least to most; noise is its standard deviation in each channel, and
# ink is how much lighter than the ground it is, 1 being black to white.
SHAPE_FORMS = {"circle": 0, "ellipse": 2, "three lobes": 3, "four lobes": 4, "five lobes": 5}  # name -> lobes
SHAPE_CLASSES = 2 * len(SHAPE_FORMS)  # every form filled, then every form as a line
SHAPE_RADIUS = (9.0, 11.0)
SHAPE_DEEPEST = 0.42  # of the lobes, as a share of the radius
SHAPE_SHIFT = 0.3  # to either side, across and down
SHAPE_HALF_LINE = (1.3, 1.8)
SHAPE_INK, SHAPE_NOISE = (0.45, 0.55), 0.06
SHAPE_WAVE = 0.03  # largest amplitude of the background's wave
SHAPE_WAVES_PER_PX = (1 / 16, 1 / 4)

TEXTURE_DIRECTIONS = 5  # 36 degrees apart
TEXTURE_WAVELENGTHS = (4.0, 6.0)
TEXTURE_CLASSES = TEXTURE_DIRECTIONS * len(TEXTURE_WAVELENGTHS)
TEXTURE_DIRECTION_JITTER, TEXTURE_LENGTH_JITTER = 0.02, 0.12  # in turns; as a share
TEXTURE_DISTRACTOR = 0.8  # its contrast is 0 to this share of the wave's
TEXTURE_SWING, TEXTURE_NOISE = (0.05, 0.2), 0.24  # amplitude in each channel

COUNT_CLASSES = 8  # 1 to 8 discs
COUNT_SIDE = 5  # of the raster; no line of 5 x 5 falls on the edge of an 8 x 8 patch
COUNT_FIELDS, COUNT_FIELD_PX = COUNT_SIDE**2, RESOLUTION_PX / COUNT_SIDE
COUNT_BARS = (0, 2)
COUNT_RADIUS = (2.2, 2.6)
COUNT_INK, COUNT_NOISE = (0.35, 0.5), 0.15

TILT_CLASSES = 8
TILT_STEP = 0.5 / TILT_CLASSES  # turns: a bar turned by half a turn is the same bar
TILT_JITTER = 0.1 * TILT_STEP
TILT_HALF_LENGTH, TILT_HALF_WIDTH = (6.0, 10.0), (1.2, 1.8)
TILT_SHIFT = 5.0  # to either side, across and down
TILT_DISCS, TILT_DISC_RADIUS = 3, (1.5, 3.0)
TILT_INK, TILT_NOISE = (0.35, 0.5), 0.15


def make_generated(name: str, classes: int, draw: Draw) -> Parts:
    """The three parts of a generated set, at the sizes above."""
    return Parts(
        train=make_part(name, "train", classes, TRAIN_IMAGES - TRAIN_IMAGES % classes, draw),
        validation=make_part(name, "validation", classes, VALIDATION_IMAGES, draw),
        test=make_part(name, "test", classes, TEST_IMAGES, draw),
    )


def make_part(name: str, split: str, classes: int, count: int, draw: Draw) -> ImageSet:
    """The first `count` images of a part that has no end."""
    pictures = []
    for block in range(-(-count // BLOCK_IMAGES)):
        labels = (np.arange(BLOCK_IMAGES, dtype=np.int64) + block * BLOCK_IMAGES) % classes
        pictures.append(draw(labels, lambda role, block=block: Stream(name, role, split, block)))  # type: ignore[misc]
    return ImageSet(
        images=np.concatenate(pictures)[:count],
        labels=np.arange(count, dtype=np.int64) % classes,
        keys=tuple(f"{name}/{split}/{i:05d}" for i in range(count)),
    )


def draw_shapes(labels: NDArray[np.int64], streams: Streams) -> NDArray[np.uint8]:
    """One closed contour per picture; the class is its form, and whether it is filled or a line.

    The radius of a contour at angle t is R (1 + D cos(k t)); the form is k, the number of lobes. D is drawn from a
    fixed maximum down to almost nothing, so that a few contours are too round for anyone to tell, and no model gets all
    right. A faint wave lies behind everything. Contours stand near the centre: with 3 px of shift a small ViT learned
    nothing in the 700 steps that a pocket run can afford.
    """
    count = len(labels)
    figure = coverage(_outside_shapes(labels, streams))  # (N, H, W)
    ground, step = ground_colours(streams("ground"), count), ink_steps(streams("ink"), count, within=SHAPE_INK)
    colours = ground[:, None, None] + figure[..., None] * step[:, None, None]  # (N, H, W, 3)
    return noisy_pixels(colours + _background_waves(count, streams)[..., None], streams("noise"), SHAPE_NOISE)


def draw_textures(labels: NDArray[np.int64], streams: Streams) -> NDArray[np.uint8]:
    """One wave pattern over the whole picture; the class is its direction and wavelength.

    Drawn besides: phase, contrast, a slow warp, and a second wave of any direction and length.
    """
    count, stream = len(labels), streams("wave")
    direction = (labels % TEXTURE_DIRECTIONS).astype(np.float32) * np.float32(0.5 / TEXTURE_DIRECTIONS)
    direction = direction + stream.uniform(count, low=-1.0) * np.float32(TEXTURE_DIRECTION_JITTER)
    length = np.array(TEXTURE_WAVELENGTHS, dtype=np.float32)[labels // TEXTURE_DIRECTIONS]
    length = length * (np.float32(1) + stream.uniform(count, low=-1.0) * np.float32(TEXTURE_LENGTH_JITTER))
    other = streams("distractor")
    pattern = _bent_wave(stream, direction, length)
    distractor = _bent_wave(other, other.uniform(count), other.uniform(count, low=3.0, high=12.0))
    pattern = pattern + per_image(other.uniform(count, high=TEXTURE_DISTRACTOR)) * distractor
    middle = streams("ground").uniform(count, 1, 1, 3, low=0.25, high=0.75)
    low, high = TEXTURE_SWING
    swing = streams("ink").uniform(count, 1, 1, 3, low=low, high=high) * streams("side").coin(count, 1, 1, 3)
    return noisy_pixels(middle + pattern[..., None] * swing, streams("noise"), TEXTURE_NOISE)


def draw_counts(labels: NDArray[np.int64], streams: Streams) -> NDArray[np.uint8]:
    """How many discs are in the picture, label + 1 of them, among bars that do not count; all stand in a raster."""
    count, field = len(labels), _field_of_pixel()
    ground = ground_colours(streams("ground"), count)
    step = ink_steps(streams("ink"), count, COUNT_FIELDS, within=COUNT_INK)
    figure = coverage(_outside_things(labels, streams))[..., None]  # (N, H, W, 1)
    return noisy_pixels(ground[:, None, None] + figure * step[:, field], streams("noise"), COUNT_NOISE)


def draw_tilts(labels: NDArray[np.int64], streams: Streams) -> NDArray[np.uint8]:
    """Which way a bar leans, label x 22.5 degrees to within a tenth of that, among discs that do not matter."""
    count = len(labels)
    ground = ground_colours(streams("ground"), count)
    colours = np.broadcast_to(ground[:, None, None], (count, RESOLUTION_PX, RESOLUTION_PX, 3))
    outside = [(f"disc {i} ink", _outside_disc(count, streams(f"disc {i}"))) for i in range(TILT_DISCS)]
    for role, figure in (*outside, ("ink", _outside_bar(labels, streams))):  # the bar is over the discs
        step = ink_steps(streams(role), count, within=TILT_INK)[:, None, None]
        colours = colours + coverage(figure)[..., None] * (ground[:, None, None] + step - colours)
    return noisy_pixels(colours, streams("noise"), TILT_NOISE)


# What follows gives how far each pixel lies outside a figure, in pixels, or the height of a wave there: (N, H, W).


def _outside_shapes(labels: NDArray[np.int64], streams: Streams) -> Floats:
    count, place, style = len(labels), streams("place"), streams("style")
    size = per_image(place.uniform(count, low=SHAPE_RADIUS[0], high=SHAPE_RADIUS[1]))
    x, y = shifted_grid(place, count, RESOLUTION_PX, SHAPE_SHIFT)
    turn = per_image(place.uniform(count))
    radius: Floats = np.sqrt(x * x + y * y) + np.float32(1e-3)  # never 0
    cos_t: Floats = np.divide(x * cosine(turn) + y * sine(turn), radius)
    sin_t: Floats = np.divide(y * cosine(turn) - x * sine(turn), radius)
    square = style.uniform(count)
    square = square * square
    depth = per_image(np.float32(SHAPE_DEEPEST) * (np.float32(1) - square * square * square))
    outside = radius - size * (np.float32(1) + depth * _lobes(labels % len(SHAPE_FORMS), cos_t, sin_t))
    half_line = per_image(style.uniform(count, low=SHAPE_HALF_LINE[0], high=SHAPE_HALF_LINE[1]))
    is_line = labels[:, None, None] >= len(SHAPE_FORMS)
    return np.where(is_line, np.abs(outside) - half_line, outside)


def _lobes(forms: NDArray[np.int64], cos_t: Floats, sin_t: Floats) -> Floats:
    """cos(k t) for the k of each form, 0 for the circle, by the rule for the cosine of a sum."""
    lobes = np.array(list(SHAPE_FORMS.values()))[forms]  # (N,)
    cos_k, sin_k, chosen = cos_t, sin_t, np.zeros_like(cos_t)
    for k in range(2, max(SHAPE_FORMS.values()) + 1):
        cos_k, sin_k = cos_k * cos_t - sin_k * sin_t, sin_k * cos_t + cos_k * sin_t
        chosen = np.where(lobes[:, None, None] == k, cos_k, chosen)
    return chosen


def _background_waves(count: int, streams: Streams) -> Floats:
    """A faint wave of any direction."""
    stream = streams("background")
    x, y = pixel_grid(RESOLUTION_PX)
    turn = per_image(stream.uniform(count))
    per_px = per_image(stream.uniform(count, low=SHAPE_WAVES_PER_PX[0], high=SHAPE_WAVES_PER_PX[1]))
    strength = per_image(stream.uniform(count, high=SHAPE_WAVE))
    return strength * sine((x * cosine(turn) + y * sine(turn)) * per_px + per_image(stream.uniform(count)))


def _bent_wave(stream: Stream, direction_turns: Floats, length_px: Floats) -> Floats:
    """Plane waves of the given directions (N,) and lengths (N,), bent a little by a slow wave across."""
    count = len(direction_turns)
    x, y = pixel_grid(RESOLUTION_PX)
    cos, sin = per_image(cosine(direction_turns)), per_image(sine(direction_turns))
    along, across = x * cos + y * sin, y * cos - x * sin
    bend = sine(across * np.float32(1 / 24) + per_image(stream.uniform(count)))
    bend = bend * per_image(stream.uniform(count, high=0.15))
    periods: Floats = np.divide(along, per_image(length_px))
    return sine(periods + per_image(stream.uniform(count)) + bend)


def _field_of_pixel() -> NDArray[np.int64]:
    """Which raster field each pixel belongs to: (H, W), 0 .. 24."""
    line = np.arange(RESOLUTION_PX) * COUNT_SIDE // RESOLUTION_PX
    return line[:, None] * COUNT_SIDE + line[None, :]


def _outside_things(labels: NDArray[np.int64], streams: Streams) -> Floats:
    """Outside the disc or bar, if any, in the pixel's own field."""
    count, field, place, size = len(labels), _field_of_pixel(), streams("place"), streams("size")
    fields = streams("fields")
    place_in_turn = np.argsort(np.argsort(fields.words(count, COUNT_FIELDS), axis=1), axis=1)
    discs = labels[:, None] + 1
    bars = COUNT_BARS[0] + fields.integers(count, 1, below=COUNT_BARS[1] - COUNT_BARS[0] + 1)
    is_disc, is_bar = place_in_turn < discs, (place_in_turn >= discs) & (place_in_turn < discs + bars)  # (N, 25)
    radius = size.uniform(count, COUNT_FIELDS, low=COUNT_RADIUS[0], high=COUNT_RADIUS[1])
    room = np.float32(COUNT_FIELD_PX / 2) - radius
    middle = (np.arange(COUNT_SIDE, dtype=np.float32) - np.float32((COUNT_SIDE - 1) / 2)) * np.float32(COUNT_FIELD_PX)
    x0 = np.tile(middle, COUNT_SIDE) + place.uniform(count, COUNT_FIELDS, low=-1.0) * room
    y0 = np.repeat(middle, COUNT_SIDE) + place.uniform(count, COUNT_FIELDS, low=-1.0) * room
    x, y = pixel_grid(RESOLUTION_PX)
    x, y = x - x0[:, field], y - y0[:, field]
    turn = size.uniform(count, COUNT_FIELDS)
    length, width = (radius * np.float32(1.3))[:, field], size.uniform(count, COUNT_FIELDS, low=0.5, high=0.9)[:, field]
    leaning = bar(x, y, cosine(turn)[:, field], sine(turn)[:, field], length, width)
    nothing = np.where(is_bar[:, field], leaning, np.float32(COUNT_FIELD_PX))
    return np.where(is_disc[:, field], disc(x, y, radius[:, field]), nothing)


def _outside_bar(labels: NDArray[np.int64], streams: Streams) -> Floats:
    count, place, size = len(labels), streams("place"), streams("size")
    x, y = shifted_grid(place, count, RESOLUTION_PX, TILT_SHIFT)
    turn = labels.astype(np.float32) * np.float32(TILT_STEP)
    turn = turn + place.uniform(count, low=-1.0) * np.float32(TILT_JITTER)
    length = per_image(size.uniform(count, low=TILT_HALF_LENGTH[0], high=TILT_HALF_LENGTH[1]))
    width = per_image(size.uniform(count, low=TILT_HALF_WIDTH[0], high=TILT_HALF_WIDTH[1]))
    return bar(x, y, per_image(cosine(turn)), per_image(sine(turn)), length, width)


def _outside_disc(count: int, stream: Stream) -> Floats:
    radius = per_image(stream.uniform(count, low=TILT_DISC_RADIUS[0], high=TILT_DISC_RADIUS[1]))
    return disc(*shifted_grid(stream, count, RESOLUTION_PX, RESOLUTION_PX / 2), radius)
