"""Ring contours: a class is how many rings lie inside one another and by which two waves their radius swings.

After VisualAtom (Takashima et al., arXiv 2303.01112), where contours made of two sine waves serve as well for
pretraining as photographs: the radius of ring j at angle t is r_j (1 + l1 sin(n1 t + p1) + l2 sin(n2 t + p2)). The
class says the frequencies n1 and n2, the swings l1 and l2, the number of rings and how thick their line is; each image
draws the phases (and with them how the figure is turned), its size, its place and a share of every swing.

Pixels are the same everywhere, as in `fractals`: sines of multiples of the angle come from the rule for sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.generated.drawing import cosine, sine
from bench.data.generated.randomness import Stream
from bench.data.generated.small_sets import Streams

HIGHEST = 10  # frequency
MOST_RINGS = 4
FIRST_SWING, SECOND_SWING = (0.1, 0.35), (0.0, 0.2)
STEEPEST = (1.6, 0.8)  # swing x frequency of either wave at most: steeper figures are thorns that no pixel resolves
SWING_SHARE = (0.85, 1.15)
OUTER = (0.62, 0.85)  # mean radius of the outermost ring, as a share of half a side
SHIFT = 0.08  # of half a side, either way
HALF_LINE = (0.025, 0.07)  # of half a side


def draw_rings(
    namespace: str, classes: NDArray[np.int64], streams: Streams, size_px: int, device: str = "cpu"
) -> Tensor:
    """How much of each pixel a line covers, (N, R, R), float32 in [0, 1], for images of these classes, (N,)."""
    count, place, phases = len(classes), streams("place"), streams("phases")
    kinds = [_kind(namespace, label) for label in classes.tolist()]
    outer = place.uniform(count, low=OUTER[0], high=OUTER[1])
    shift = place.uniform(count, 2, low=-SHIFT, high=SHIFT)
    share = phases.uniform(count, 2, low=SWING_SHARE[0], high=SWING_SHARE[1])
    turns = phases.uniform(count, 2)
    steps = (torch.arange(size_px, dtype=torch.float32, device=device) - (size_px - 1) / 2) / (size_px / 2)
    x = steps[None, None, :] - _grid(shift[:, 0], device)
    y = steps[None, :, None] - _grid(shift[:, 1], device)
    radius = torch.sqrt(x * x + y * y) + 1e-3  # never 0
    waves, slope = _waves(x / radius, y / radius, kinds, share, turns, device)
    swung = waves + 1.0
    flat = radius / swung  # what the radius would be without the waves
    thick = np.array([kind[5] for kind in kinds], dtype=np.float32)
    rings = np.array([kind[4] for kind in kinds], dtype=np.float32)
    # Rings at outer x 1, (m - 1) / m, ... 1 / m: the distance to the nearest one, in units of the spacing.
    spacing = outer / rings
    at = flat / _grid(spacing, device)
    nearest = torch.floor(at + 0.5).clamp(min=1.0)
    nearest = torch.minimum(nearest, _grid(rings, device))
    # Across the line, not along the radius: a line that runs outwards is as thick as one that runs around.
    steep = slope / swung
    across = torch.abs(at - nearest) * _grid(spacing, device) * swung / torch.sqrt(steep * steep + 1.0)
    outside = across - _grid(thick, device)
    return (0.5 - outside * (size_px / 2)).clamp(0.0, 1.0)


Kind = tuple[int, int, float, float, int, float]  # n1, n2, l1, l2, rings, half a line's width


def _kind(namespace: str, label: int) -> Kind:
    """What a class is: no two of the first thousands of classes are likely to be alike in all of it."""
    stream = Stream(namespace, "rings", label)
    first = 2 + int(stream.integers(1, below=HIGHEST - 1)[0])
    second = 1 + int(stream.integers(1, below=HIGHEST)[0])
    rings = 1 + int(stream.integers(1, below=MOST_RINGS)[0])
    l1 = float(stream.uniform(1, low=FIRST_SWING[0], high=FIRST_SWING[1])[0])
    l2 = float(stream.uniform(1, low=SECOND_SWING[0], high=SECOND_SWING[1])[0])
    half_line = float(stream.uniform(1, low=HALF_LINE[0], high=HALF_LINE[1])[0])
    return first, second, min(l1, STEEPEST[0] / first), min(l2, STEEPEST[1] / second), rings, half_line


def _waves(
    cos_t: Tensor,
    sin_t: Tensor,
    kinds: Sequence[Kind],
    share: NDArray[np.float32],
    turns: NDArray[np.float32],
    device: str,
) -> tuple[Tensor, Tensor]:
    """l1 sin(n1 t + p1) + l2 sin(n2 t + p2) and how fast it changes with the angle t, (N, R, R) each.

    share, turns: (N, 2), of each swing, and its phase in turns.
    """
    cos_p, sin_p = cosine(turns), sine(turns)
    orders = np.array([kind[:2] for kind in kinds])  # (N, 2)
    swings = np.array([kind[2:4] for kind in kinds], dtype=np.float32) * share
    total, slope = torch.zeros_like(cos_t), torch.zeros_like(cos_t)
    cos_k, sin_k = cos_t, sin_t
    for k in range(1, HIGHEST + 1):
        if k > 1:
            cos_k, sin_k = cos_k * cos_t - sin_k * sin_t, sin_k * cos_t + cos_k * sin_t
        # sin(k t + p) = sin(k t) cos p + cos(k t) sin p, for the images whose wave has this frequency
        has = (orders == k).astype(np.float32) * swings  # (N, 2), 0 for the others
        if not has.any():
            continue
        of_sin, of_cos = has * cos_p, has * sin_p
        in_sin, in_cos = (_grid(part[:, 0] + part[:, 1], device) for part in (of_sin, of_cos))
        total = total + sin_k * in_sin + cos_k * in_cos
        slope = slope + (cos_k * in_sin - sin_k * in_cos) * float(k)
    return total, slope


def _grid(values: NDArray[np.float32], device: str) -> Tensor:
    """(N,) as (N, 1, 1) on the device."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)[:, None, None]
