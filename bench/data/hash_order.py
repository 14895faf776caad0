"""An order of images that depends on their names alone: neither on the disk's order nor on a library's."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


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


def _hashes(keys: Sequence[str]) -> NDArray[np.uint64]:
    digests = b"".join(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8] for key in keys)
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64)
