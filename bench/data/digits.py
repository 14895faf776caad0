"""Handwritten digits: the scans that scikit-learn carries, 8x8 pixels, shown at 32x32.

Source: test part of "Optical Recognition of Handwritten Digits", Alpaydin and Kaynak 1998, UCI repository,
CC BY 4.0. The scans do not say who wrote them, so every split of them mixes writers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from bench.data.collection import ImageSet, Parts
from bench.data.randomness import random_order

SCAN_PX = 8
SCAN_WHITE = 16  # scans count the black pixels in 4x4 blocks, 0 .. 16
SCALE = 4
VALIDATION_EVERY = 9  # one of nine images that are not for testing is for validation


def make_digits() -> Parts:
    """The 1,797 scans in a fixed stratified split: 798 train, 100 validation, 899 test."""
    bunch = load_digits()
    images = enlarge(bunch.images.astype(np.int64))
    labels = bunch.target.astype(np.int64)
    order = random_order(len(labels), "digits", "split")
    by_class = order[np.argsort(labels[order], kind="stable")]  # sorted by class, so every n-th is stratified
    rest, test = by_class[1::2], by_class[0::2]
    is_validation = np.arange(len(rest)) % VALIDATION_EVERY == VALIDATION_EVERY // 2
    return Parts(
        train=_part(images, labels, rest[~is_validation]),
        validation=_part(images, labels, rest[is_validation]),
        test=_part(images, labels, test),
    )


def enlarge(scans: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Scans (N, 8, 8) of 0 .. 16 as pictures (N, 32, 32, 3) of 0 .. 255: bilinear, pixel centres aligned, in integers.

    Edges repeat. Integer arithmetic makes the pixels the same on every machine.
    """
    # Each output centre lies an odd number of eighths from an input centre: weights are n/8.
    eighths = (2 * np.arange(SCAN_PX * SCALE) + 1) - SCALE  # position in units of 1/8 scan pixel, from the first centre
    left, weight = eighths // 8, eighths % 8
    low, high = left.clip(0, SCAN_PX - 1), (left + 1).clip(0, SCAN_PX - 1)
    rows = scans[:, low] * (8 - weight)[:, None] + scans[:, high] * weight[:, None]
    full = rows[:, :, low] * (8 - weight) + rows[:, :, high] * weight
    most = SCAN_WHITE * 8 * 8
    grey = (full * 255 + most // 2) // most
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1)


def _part(images: NDArray[np.uint8], labels: NDArray[np.int64], index: NDArray[np.int64]) -> ImageSet:
    return ImageSet(images[index], labels[index], tuple(f"digits/{i:04d}" for i in index))
