"""Embedded sets, made on the spot without a download, and checked against the catalog by their fingerprint.

No torch here: pixels stay uint8 until training begins.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.catalog.datasets import find_dataset
from bench.data.collection import Dataset, Parts, pixel_fingerprint
from bench.data.counts import make_counts
from bench.data.digits import make_digits
from bench.data.generated import RESOLUTION_PX, Streams, make_generated
from bench.data.shapes import make_shapes
from bench.data.textures import make_textures
from bench.data.tilts import make_tilts
from bench.errors import DataError

UNSEEN_NAMESPACE = "unseen"
UNSEEN_CLASSES = 20  # a fractal, a ring, a fractal, ...

# How each catalogued set is made or read; its row in catalog/datasets.toml says what must come out.
LOADERS: dict[str, Callable[[], Parts]] = {
    "digits": make_digits,
    "shapes": make_shapes,
    "textures": make_textures,
    "counts": make_counts,
    "unseen": lambda: make_generated("unseen", UNSEEN_CLASSES, draw_unseen),
    "tilts": make_tilts,
}


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

    They ask what pretraining on others is worth. Drawn as bench.data.corpora draws them, from another namespace.
    """
    from bench.data.corpora import coloured, draw_ink  # imports torch, which most readers of data sets do without

    pixels: NDArray[np.uint8] = coloured(
        draw_ink("mix", UNSEEN_NAMESPACE, labels, streams, RESOLUTION_PX, "cpu"), streams
    ).numpy()
    return pixels
