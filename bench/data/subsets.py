"""Which images of a set are chosen: held out by a hash of their names, or a class-balanced draw to train on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.data.collection import Dataset, LabelledImages
from bench.data.randomness import Stream, random_order
from bench.errors import RequestError


def hash_order(keys: Sequence[str]) -> NDArray[np.int64]:
    """(N,) positions, in the order of the first 8 bytes of SHA-256 over each key: random, yet always the same."""
    return np.argsort(_hashes(keys), kind="stable").astype(np.int64)


def held_out(keys: Sequence[str], labels: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """(N,) which images to hold out: exactly `count`, from each class in proportion to its size.

    The rank of an image in its class, by hash, divided by the size of the class says how early it is taken.
    """
    hashes = _hashes(keys)
    order = np.lexsort((hashes, labels))
    sizes = np.bincount(labels)
    starts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    rank = np.empty(len(keys), dtype=np.int64)
    rank[order] = np.arange(len(keys)) - starts[labels[order]]
    taken = np.lexsort((hashes, (rank + 0.5) / sizes[labels]))[:count]
    chosen = np.zeros(len(keys), dtype=np.bool_)
    chosen[taken] = True
    return chosen


def hold_out(images: LabelledImages, count: int) -> tuple[LabelledImages, LabelledImages]:
    """Images in two: the others, and those that are held out, one at least; see `held_out`."""
    held = held_out(images.keys, images.labels, max(1, count))
    return images.where(~held), images.where(held)


def _hashes(keys: Sequence[str]) -> NDArray[np.uint64]:
    digests = b"".join(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8] for key in keys)
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64)


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
