"""Which images a name stands for: data sets loaded by name and checked, and training subsets drawn from them.

Embedded sets are made on the spot, without a download. No torch here: pixels stay uint8 until training begins.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.catalog.datasets import find_dataset
from bench.data.counts import make_counts
from bench.data.digits import make_digits
from bench.data.image_set import Dataset, ImageSet, Parts, fingerprint_of
from bench.data.randomness import Stream, random_order
from bench.data.shapes import make_shapes
from bench.data.textures import make_textures
from bench.data.tilts import make_tilts
from bench.data.unseen import make_unseen
from bench.errors import DataError, RequestError

__all__ = ["LOADERS", "Dataset", "ImageSet", "balanced_subset", "load_dataset", "training_subset"]

# How each catalogued set is made or read; its row in catalog/datasets.toml says what must come out.
LOADERS: dict[str, Callable[[], Parts]] = {
    "digits": make_digits,
    "shapes": make_shapes,
    "textures": make_textures,
    "counts": make_counts,
    "unseen": make_unseen,
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
    fingerprint = fingerprint_of(parts)
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


def training_subset(dataset: Dataset, train_images: int, seed: int) -> NDArray[np.int64]:
    """Positions in `dataset.train` of a class-balanced subset: (train_images,), int64, in the order drawn.

    The seed draws it anew. With one seed, a smaller subset is the beginning of a larger one. Class counts differ
    by at most one until the smallest class is used up.

    Raises RequestError for fewer images than classes or more than there are.
    """
    return balanced_subset(dataset.train.labels, dataset.name, len(dataset.class_names), train_images, seed)


def balanced_subset(
    labels: NDArray[np.int64], name: str, classes: int, train_images: int, seed: int
) -> NDArray[np.int64]:
    """Positions in `labels` (N,) of a class-balanced subset: (train_images,), int64; see `training_subset`."""
    available = len(labels)
    if not classes <= train_images <= available:
        raise RequestError(
            f"{train_images} training images of data set {name!r} were asked for; "
            f"it can give {classes} (one per class) to {available}."
        )
    order = random_order(available, name, "subset", seed)
    turn = np.empty(available, dtype=np.int64)  # 0 for the first of its class in this order, 1 for the second, ...
    for label in range(classes):
        members = order[labels[order] == label]
        turn[members] = np.arange(len(members))
    tie_break = Stream(name, "subset within a turn", seed).words(available)
    return np.lexsort((tie_break, turn))[:train_images].astype(np.int64)
