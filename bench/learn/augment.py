"""Random shifts, crops, flips and mixes of a training batch, computed on the device the batch is on.

What is drawn for an image depends on (seed, epoch, its index) alone, so that every model sees the same images,
whatever its batch size, its number of steps or the step it was continued from.
"""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaincinv
from torch import Tensor
from torch.nn import functional as F

from bench.data.generated.randomness import Stream, Words, uniform_of_words

Crop = Literal["inception", "random", "shift", "none"]
AREA = (0.05, 1.0)  # of the image; Szegedy et al. 2014, and the ViT paper's released code
ASPECT = (3 / 4, 4 / 3)  # width / height in the original's pixels
REACH = 8  # a shift is of up to 1 / 8 of the side
ATTEMPTS = 10  # as torchvision's RandomResizedCrop
WORDS_PER_IMAGE = 2 * ATTEMPTS + 3  # area and aspect of each attempt, place, flip
WHOLE = (0.0, 0.0, 1.0, 1.0)

# SplitMix64: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
_GOLDEN, _MIX_1, _MIX_2 = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def shift(images: Tensor, reach_px: int, words: Tensor) -> Tensor:
    """Each image moved by up to `reach_px` pixels in both directions, its edge pixels repeated.

    images: (B, 3, H, W), float. words: (B, 2), int64, any non-negative random words; they decide the shifts.
    Returns (B, 3, H, W) on the same device.
    """
    B, _, H, W = images.shape
    offsets = words % (2 * reach_px + 1)  # (B, 2), each in [0, 2 * reach]
    padded = F.pad(images, (reach_px,) * 4, mode="replicate")  # (B, 3, H + 2r, W + 2r)
    rows = offsets[:, :1] + torch.arange(H, device=images.device)  # (B, H)
    columns = offsets[:, 1:] + torch.arange(W, device=images.device)  # (B, W)
    batch = torch.arange(B, device=images.device)
    # advanced indices on either side of a slice put the channel axis last: (B, H, W, 3)
    return padded[batch[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def image_words(seed: int, epochs: NDArray[np.int64], index: NDArray[np.int64], images: int) -> Words:
    """(B, WORDS_PER_IMAGE) random words for the images at `index` in `epochs`, both (B,).

    images: how many there are to choose from; it changes nothing that is drawn. One Philox word for each image and
    epoch is kept, and SplitMix64 makes the others from it: 1.3 M images cost 10 MB an epoch instead of 240.
    """
    keys = np.empty(len(index), dtype=np.uint64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        keys[here] = _epoch_words(seed, int(epoch), images)[index[here]]
    words = keys[:, None] + np.arange(1, WORDS_PER_IMAGE + 1, dtype=np.uint64) * _GOLDEN
    words = (words ^ (words >> np.uint64(30))) * _MIX_1
    words = (words ^ (words >> np.uint64(27))) * _MIX_2
    return np.asarray(words ^ (words >> np.uint64(31)), dtype=np.uint64)


@functools.lru_cache(maxsize=4)
def _epoch_words(seed: int, epoch: int, images: int) -> Words:
    return Stream("augment", seed, epoch).words(images)


def crop_boxes(
    crop: Crop, words: Words, original_sizes: NDArray[np.int32], *, stored_px: int, resolution_px: int
) -> NDArray[np.float32]:
    """(B, 4): left, top, width and height of what is shown of each image, as fractions of its stored square.

    words: (B, WORDS_PER_IMAGE). original_sizes: (B, 2), width and height before the image was made a square, which
    the aspect of an `inception` crop refers to. A `random` crop is resolution_px / stored_px wide and high. A `shift`
    is by whole pixels of what is shown, up to an eighth of the side either way; `show` repeats the edge beyond it.
    """
    if crop == "none":
        return np.tile(np.array(WHOLE, dtype=np.float32), (len(words), 1))
    unit = uniform_of_words(words).astype(np.float64)
    if crop == "random":
        reach = max(0, stored_px - resolution_px)
        start = np.floor(unit[:, -3:-1] * (reach + 1)) / stored_px  # whole pixels: nothing is interpolated
        side = np.full((len(words), 2), min(resolution_px, stored_px) / stored_px)
        return np.concatenate([start, side], axis=1).astype(np.float32)
    if crop == "shift":
        most = resolution_px // REACH
        start = (np.floor(unit[:, -3:-1] * (2 * most + 1)) - most) / resolution_px
        return np.concatenate([start, np.ones_like(start)], axis=1).astype(np.float32)
    shape = _inception_shapes(unit[:, :ATTEMPTS], unit[:, ATTEMPTS : 2 * ATTEMPTS], original_sizes)
    start = unit[:, -3:-1] * (1 - shape)
    return np.concatenate([start, shape], axis=1).astype(np.float32)


def _inception_shapes(
    area: NDArray[np.float64], aspect: NDArray[np.float64], original_sizes: NDArray[np.int32]
) -> NDArray[np.float64]:
    """(B, 2) widths and heights as fractions: of the first attempt that fits, else of the largest allowed aspect.

    area, aspect: (B, ATTEMPTS), uniform in [0, 1); the aspect is drawn uniformly in its logarithm.
    """
    image_aspect = (original_sizes[:, 0] / original_sizes[:, 1])[:, None]  # (B, 1)
    area = AREA[0] + area * (AREA[1] - AREA[0])
    low, high = np.log(ASPECT[0]), np.log(ASPECT[1])
    ratio = np.exp(low + aspect * (high - low)) / image_aspect  # of the fractions, width / height
    attempts = np.stack([np.sqrt(area * ratio), np.sqrt(area / ratio)], axis=2)  # (B, ATTEMPTS, 2)
    fits = attempts.max(axis=2) <= 1
    chosen = attempts[np.arange(len(area)), fits.argmax(axis=1)]  # (B, 2)
    nearest = np.clip(image_aspect, *ASPECT) / image_aspect  # torchvision's way out: all of one side
    fallback = np.concatenate([np.minimum(1, nearest), np.minimum(1, 1 / nearest)], axis=1)
    return np.where(np.any(fits, axis=1)[:, None], chosen, fallback)


def flips(words: Words) -> NDArray[np.bool_]:
    """(B,): which images are mirrored, one in two."""
    return (words[:, -1] >> np.uint64(63)).astype(np.bool_)


def show(pixels: Tensor, boxes: Tensor, resolution_px: int) -> Tensor:
    """The boxes of stored images at the resolution: (B, 3, R, R), float32 in [0, 1], on the same device.

    pixels: (B, S, S, 3), uint8. boxes: (B, 4), float32, as `crop_boxes` gives them; a negative width with `left` at
    the right edge mirrors. Bilinear without antialiasing, as the ViT paper's released code resizes its crops.
    """
    B, R = len(pixels), resolution_px
    images = pixels.permute(0, 3, 1, 2).float()  # (B, 3, S, S), channels last: quickest on the CPU
    centres = (torch.arange(R, device=pixels.device) + 0.5) / R  # (R,)
    grid = torch.empty(B, R, R, 2, device=pixels.device)
    grid[..., 0] = (2 * (boxes[:, 0:1] + boxes[:, 2:3] * centres) - 1)[:, None, :]
    grid[..., 1] = (2 * (boxes[:, 1:2] + boxes[:, 3:4] * centres) - 1)[:, :, None]
    shown = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return shown.contiguous().div_(255)


def show_whole(pixels: Tensor, mirrored: Tensor | None, resolution_px: int) -> Tensor:
    """Stored images resized to the resolution as they are: (B, 3, R, R), float32 in [0, 1], on the same device.

    pixels: (B, S, S, 3), uint8. mirrored: (B,), bool, or None. Bilinear, antialiased; S = R changes no pixel.
    """
    images = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)  # (B, 3, S, S)
    if pixels.shape[1] != resolution_px:
        images = F.interpolate(images, (resolution_px, resolution_px), mode="bilinear", antialias=True)
    if mirrored is not None:
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return images.div_(255)


def mixing_share(alpha: float, seed: int, step: int) -> float:
    """The share of its own in each mixed image of a step, drawn from Beta(alpha, alpha); 1 without mixup.

    One number for a whole batch, as in BiT's released code. Source: Zhang et al. 2017, arXiv 1710.09412.
    """
    if not alpha:
        return 1.0
    unit = uniform_of_words(Stream("mixup", seed, step).words(1))[0]
    return float(betaincinv(alpha, alpha, float(unit)))


def neighbours(count: int, device: torch.device | str = "cpu") -> Tensor:
    """(count,), int64: 1, 0, 3, 2, ...; the last of an odd number is its own.

    The batch's order is random already, so neighbours are as good as random pairs, and a micro-batch of an even size
    holds whole pairs: how a batch is divided does not change what is mixed.
    """
    index = torch.arange(count, device=device) ^ 1
    return index.clamp(max=count - 1)


def swapped(items: Tensor) -> Tensor:
    """`items[neighbours(len(items))]`, (B, ...): each in the place of its neighbour; of an even number in one pass."""
    if len(items) % 2:
        return items[neighbours(len(items), items.device)]
    return items.reshape(-1, 2, *items.shape[1:]).flip(1).reshape(items.shape)
