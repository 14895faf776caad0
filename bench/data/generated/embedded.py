"""Embedded sets, made on the spot without a download, and checked against the catalog by their fingerprint.

No torch here: pixels stay uint8 until training begins.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from bench.catalog.datasets import find_dataset
from bench.data.generated.randomness import random_order
from bench.data.generated.small_sets import (
    COUNT_CLASSES,
    RESOLUTION_PX,
    SHAPE_CLASSES,
    TEXTURE_CLASSES,
    TILT_CLASSES,
    Draw,
    Streams,
    draw_counts,
    draw_shapes,
    draw_textures,
    draw_tilts,
    make_generated,
)
from bench.data.sets.collection import Dataset, ImageSet, Parts, pixel_fingerprint
from bench.errors import DataError

UNSEEN_NAMESPACE = "unseen"
UNSEEN_CLASSES = 20  # a fractal, a ring, a fractal, ...

SCAN_PX = 8
SCAN_WHITE = 16  # scans count the black pixels in 4x4 blocks, 0 .. 16
SCALE = 4
VALIDATION_EVERY = 9  # one of nine images that are not for testing is for validation


@functools.lru_cache(maxsize=8)
def load_dataset(name: str) -> Dataset:
    """The data set of this name, its pixels and labels checked against the catalog.

    Arrays are read-only, since the eight sets asked for last are kept and shared.
    Raises UnknownNameError for a name that is not in the catalog, and DataError if the pixels or labels
    are not those that the catalog's fingerprint stands for.
    """
    row = find_dataset(name)
    parts = LOADERS[name]()
    fingerprint = pixel_fingerprint(parts)
    if fingerprint != row.fingerprint:
        raise DataError(
            f"Data set {name!r} has fingerprint {fingerprint}, the catalog says {row.fingerprint}: these are not the "
            "images that earlier results were measured on, so no number would be comparable. A change to the code "
            "that makes it, or a library version that reads it differently, would do this; if it is meant, "
            "put the new fingerprint into bench/catalog/datasets.toml and measure again."
        )
    for part in (parts.train, parts.validation, parts.test):
        part.images.setflags(write=False)
        part.labels.setflags(write=False)
    return Dataset(
        name=name,
        class_names=row.class_names,
        train=parts.train,
        validation=parts.validation,
        test=parts.test,
        fingerprint=fingerprint,
        resolution_px=row.resolution_px,
    )


def draw_unseen(labels: NDArray[np.int64], streams: Streams) -> NDArray[np.uint8]:
    """Pictures (N, 32, 32, 3) of the fractals and rings that the labels (N,) name: of classes that no corpus holds.

    They ask what pretraining on others is worth. Drawn as `corpora` draws them, from another namespace.
    """
    from bench.data.generated.corpora import (  # imports torch, which most readers of data sets do without
        coloured,
        draw_ink,
    )

    pixels: NDArray[np.uint8] = coloured(
        draw_ink("mix", UNSEEN_NAMESPACE, labels, streams, RESOLUTION_PX, "cpu"), streams
    ).numpy()
    return pixels


def make_digits() -> Parts:
    """Handwritten digits: 1,797 scans that scikit-learn carries, in a stratified split of 798, 100 and 899.

    Source: test part of "Optical Recognition of Handwritten Digits", Alpaydin and Kaynak 1998, UCI repository,
    CC BY 4.0. The scans do not say who wrote them, so every split of them mixes writers.
    """
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


GENERATED: dict[str, tuple[int, Draw]] = {
    "shapes": (SHAPE_CLASSES, draw_shapes),
    "textures": (TEXTURE_CLASSES, draw_textures),
    "counts": (COUNT_CLASSES, draw_counts),
    "unseen": (UNSEEN_CLASSES, draw_unseen),
    "tilts": (TILT_CLASSES, draw_tilts),
}
# How each catalogued set is made; its row in catalog/datasets.toml says what must come out.
LOADERS: dict[str, Callable[[], Parts]] = {
    "digits": make_digits,
    **{name: functools.partial(make_generated, name, *of_set) for name, of_set in GENERATED.items()},
}
