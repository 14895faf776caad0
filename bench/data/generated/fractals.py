"""Iterated function systems: a class is a set of contracting affine maps, an image is the set that they map to itself.

Pretraining on them instead of photographs is FractalDB's idea (Kataoka et al., arXiv 2101.08515; for ViTs Nakashima et
al., arXiv 2103.13023), with renderings of one class that differ as in ExFractalDB (Kataoka et al., arXiv 2206.09132).
That few systems suffice if they are varied well is known from Nakamura et al., arXiv 2408.00677. Maps are drawn by
their singular values as Anderson and Farrell propose (arXiv 2110.03091): for K maps, the sum over s1 + 2 s2 lies
between (5 + K) / 2 and (6 + K) / 2, which gives shapes that are neither dust nor a blot.

Pixels are the same everywhere: classes come from double arithmetic of + - * / sqrt, pictures from the same operations
on float32 tensors, one by one, and from integer counts, whose order does not matter.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.generated.drawing import cosine, sine
from bench.data.generated.randomness import Floats, Stream
from bench.data.generated.small_sets import Streams

MOST_MAPS, FEWEST_MAPS = 4, 2
SIGMA_RANGE = (5.0, 6.0)  # (low + K) / 2 to (high + K) / 2
TABLE = 256  # a walker's next map is looked up by a random byte
LEAST_TURNS = 16  # of those 256, for each map
WALKERS, STEPS, BURN_IN = 64, 32, 24  # of an image of 32 px; both grow with the side, so that points go with the pixels
PROBE_CLASSES = 64  # are looked for together
PROBE_PX = 32
LEAST_FILLED = 0.12  # of the pixels of the probe; less is dust
MOST_FILLED = 0.7  # more is a blot
LINEAR_JITTER = (0.9, 1.0)  # times the linear part of each map, so that it contracts in every image
SHIFT_JITTER = (0.85, 1.15)  # times its translation
TURN_JITTER = 0.06  # of a full turn, either way
SIZE = (0.8, 1.0)  # of the picture's side, its longer extent
TONE = 1.5  # a pixel that n points fall on has n / (n + TONE) of the ink


@dataclass(frozen=True)
class Systems:
    """C iterated function systems.

    maps: (C, MOST_MAPS, 6), float32: a b c d e f of x' = a x + b y + e and y' = c x + d y + f. tables: (C, TABLE),
    uint8: which map a random byte stands for; a map has its turn about as often as its area says.
    """

    maps: NDArray[np.float32]
    tables: NDArray[np.uint8]


@functools.lru_cache(maxsize=512)
def find_systems(namespace: str, group: int) -> Systems:
    """The systems of classes group * PROBE_CLASSES and the next, each drawn again until it fills a picture well."""
    maps = np.zeros((PROBE_CLASSES, MOST_MAPS, 6), dtype=np.float32)
    tables = np.zeros((PROBE_CLASSES, TABLE), dtype=np.uint8)
    wanted = list(range(PROBE_CLASSES))
    attempt = 0
    while wanted:
        for place in wanted:
            maps[place], tables[place] = _drawn_system(Stream(namespace, "system", group, place, attempt))
        drawn = Systems(maps[wanted], tables[wanted])
        walk = Stream(namespace, "probe", group, attempt)
        counts = _counts(drawn, walk, _upright(len(wanted)), PROBE_PX, "cpu")
        filled = (counts > 0).to(torch.float32).flatten(1).sum(1) / PROBE_PX**2  # whole numbers: exact in any order
        wanted = [
            place
            for place, share in zip(wanted, filled.tolist(), strict=True)
            if not LEAST_FILLED <= share <= MOST_FILLED
        ]
        attempt += 1
    return Systems(maps, tables)


def draw_fractals(
    namespace: str, classes: NDArray[np.int64], streams: Streams, size_px: int, device: str = "cpu"
) -> Tensor:
    """How much ink each pixel has, (N, R, R), float32 in [0, 1), for images of these classes, (N,)."""
    maps = np.empty((len(classes), MOST_MAPS, 6), dtype=np.float32)
    tables = np.empty((len(classes), TABLE), dtype=np.uint8)
    for i, label in enumerate(classes.tolist()):
        group, place = divmod(label, PROBE_CLASSES)
        found = find_systems(namespace, group)
        maps[i], tables[i] = found.maps[place], found.tables[place]
    jitter = streams("jitter")
    maps[:, :, :4] *= jitter.uniform(len(classes), MOST_MAPS, 1, low=LINEAR_JITTER[0], high=LINEAR_JITTER[1])
    maps[:, :, 4:] *= jitter.uniform(len(classes), MOST_MAPS, 2, low=SHIFT_JITTER[0], high=SHIFT_JITTER[1])
    counts = _counts(Systems(maps, tables), streams("walk"), _frames(streams("frame"), len(classes)), size_px, device)
    points = counts.to(torch.float32)
    return points / (points + TONE)


@dataclass(frozen=True)
class _Frames:
    """How N attractors are put into their pictures.

    turns: (N, 2), cosine and sine. size: (N,), share of the picture's side. place: (N, 2), share of the room left over.
    """

    turns: NDArray[np.float32]
    size: NDArray[np.float32]
    place: NDArray[np.float32]


def _drawn_system(stream: Stream) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """(MOST_MAPS, 6) and (TABLE,) of one class; unused maps are zero and never have a turn."""
    count = FEWEST_MAPS + int(stream.integers(1, below=MOST_MAPS - FEWEST_MAPS + 1)[0])
    unit = [float(number) for number in stream.uniform(1 + 8 * count)]
    rest = (SIGMA_RANGE[0] + count + unit[0] * (SIGMA_RANGE[1] - SIGMA_RANGE[0])) / 2
    maps = np.zeros((MOST_MAPS, 6), dtype=np.float32)
    areas = []
    for i in range(count):
        own = unit[1 + 8 * i : 9 + 8 * i]
        low, high = max(0.0, rest - 3.0 * (count - 1 - i)), min(3.0, rest)
        sigma = rest if i == count - 1 else low + own[0] * (high - low)  # s1 + 2 s2 of this map
        rest -= sigma
        s1 = sigma / 3 + own[1] * (min(1.0, sigma) - sigma / 3)
        s2 = (sigma - s1) / 2
        maps[i] = _affine(s1, s2, own[2:])
        areas.append(s1 * s2)
    return maps, _table(areas)


def _affine(s1: float, s2: float, unit: list[float]) -> list[float]:
    """Rotation, scaling by the singular values, rotation, reflections, translation; unit: six numbers in [0, 1)."""
    (c1, s_1), (c2, s_2) = _direction(unit[0]), _direction(unit[1])
    flip_x, flip_y = (1.0 if unit[2] < 0.5 else -1.0), (1.0 if unit[3] < 0.5 else -1.0)
    a, b = c1 * s1 * c2 - s_1 * s2 * s_2, -(c1 * s1 * s_2) - s_1 * s2 * c2
    c, d = s_1 * s1 * c2 + c1 * s2 * s_2, -(s_1 * s1 * s_2) + c1 * s2 * c2
    return [a * flip_x, b * flip_y, c * flip_x, d * flip_y, 2 * unit[4] - 1, 2 * unit[5] - 1]


def _direction(turn: float) -> tuple[float, float]:
    """Cosine and sine of an angle near 360 degrees x turn: a unit vector to within rounding."""
    at = np.array([turn], dtype=np.float32)
    x, y = float(cosine(at)[0]), float(sine(at)[0])
    length = math.sqrt(x * x + y * y)
    return x / length, y / length


def _table(areas: list[float]) -> NDArray[np.uint8]:
    """Turns in proportion to the areas, LEAST_TURNS at least, TABLE in all; the largest map has what is left over."""
    whole = sum(areas)
    turns = [max(LEAST_TURNS, math.floor(TABLE * area / whole)) if whole > 0 else LEAST_TURNS for area in areas]
    turns[areas.index(max(areas))] += TABLE - sum(turns)
    return np.repeat(np.arange(len(areas), dtype=np.uint8), turns)


def _upright(count: int) -> _Frames:
    turns = np.tile(np.array([1, 0], dtype=np.float32), (count, 1))
    return _Frames(turns, np.ones(count, dtype=np.float32), np.full((count, 2), 0.5, dtype=np.float32))


def _frames(stream: Stream, count: int) -> _Frames:
    turn = stream.uniform(count, low=-TURN_JITTER, high=TURN_JITTER)
    cos, sin = cosine(turn), sine(turn)
    length: Floats = np.sqrt(cos * cos + sin * sin)
    turns: Floats = np.stack([np.divide(cos, length), np.divide(sin, length)], axis=1)
    return _Frames(turns, stream.uniform(count, low=SIZE[0], high=SIZE[1]), stream.uniform(count, 2))


def _counts(systems: Systems, walk: Stream, frames: _Frames, size_px: int, device: str) -> Tensor:
    """How many points of its orbit fall on each pixel of each image: (N, R, R), int64.

    All images have the same walkers, which start at the same places and draw the same bytes; what a byte stands for is
    the system's own.
    """
    x, y = _orbit(systems, walk, size_px, device)  # (N, P) each
    cos, sin = (_column(frames.turns[:, i], device) for i in range(2))
    u, v = x * cos - y * sin, x * sin + y * cos
    u, v = u - u.amin(1, keepdim=True), v - v.amin(1, keepdim=True)
    width, height = u.amax(1, keepdim=True), v.amax(1, keepdim=True)
    per_unit = _column(frames.size, device) * size_px / (torch.maximum(width, height) + 1e-6)
    left = (size_px - width * per_unit) * _column(frames.place[:, 0], device)
    top = (size_px - height * per_unit) * _column(frames.place[:, 1], device)
    column = torch.floor(u * per_unit + left).to(torch.int64).clamp(0, size_px - 1)
    row = torch.floor(v * per_unit + top).to(torch.int64).clamp(0, size_px - 1)
    image = torch.arange(len(x), device=device)[:, None] * size_px**2
    counts = torch.bincount((image + row * size_px + column).flatten(), minlength=len(x) * size_px**2)
    return counts.view(len(x), size_px, size_px)


def _orbit(systems: Systems, walk: Stream, size_px: int, device: str) -> tuple[Tensor, Tensor]:
    """x and y of the points, (N, P) each, float32: every step of every walker after the first BURN_IN steps."""
    walkers, steps = round(WALKERS * size_px / PROBE_PX), round(STEPS * size_px / PROBE_PX)
    start = torch.from_numpy(walk.uniform(2, walkers, low=-1.0)).to(device)
    needed = (BURN_IN + steps) * walkers
    words = walk.words(-(-needed // 8)).astype("<u8").view(np.uint8)[:needed]
    choices = torch.from_numpy(words.astype(np.int64).reshape(BURN_IN + steps, walkers)).to(device)
    images = np.arange(len(systems.maps))[:, None]
    by_byte = torch.from_numpy(systems.maps[images, systems.tables].transpose(2, 0, 1).copy()).to(
        device
    )  # (6, N, TABLE)
    x, y = start[0].expand(len(images), walkers), start[1].expand(len(images), walkers)
    points = []
    for step, choice in enumerate(choices):
        a, b, c, d, e, f = by_byte.index_select(2, choice)  # (N, walkers) each
        x, y = a * x + b * y + e, c * x + d * y + f
        if step >= BURN_IN:
            points.append((x, y))
    xs, ys = zip(*points, strict=True)
    return torch.cat(xs, dim=1), torch.cat(ys, dim=1)


def _column(values: NDArray[np.float32], device: str) -> Tensor:
    """(N,) as (N, 1) on the device."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)[:, None]
