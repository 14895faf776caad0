"""Labelled images in memory, and the hash that says which images they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FINGERPRINT_DIGITS = 16


@dataclass(frozen=True)
class ImageSet:
    """N labelled images.

    images: (N, H, W, 3), uint8. labels: (N,), int64 class indices in [0, C). keys: a name per image, unique.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Parts:
    """The three disjoint parts of a set, before anyone has checked that they are the expected ones."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet


@dataclass(frozen=True)
class Dataset:
    """A data set, made and checked: `fingerprint` is that of its pixels and labels."""

    name: str
    class_names: tuple[str, ...]
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    fingerprint: str
    resolution_px: int


def fingerprint_of(parts: Parts) -> str:
    """First 16 hexadecimal digits of SHA-256 over pixels and labels of train, validation and test, in this order."""
    digest = hashlib.sha256()
    for part in (parts.train, parts.validation, parts.test):
        digest.update(np.ascontiguousarray(part.images).data)
        digest.update(np.ascontiguousarray(part.labels.astype("<i8")).data)
    return digest.hexdigest()[:FINGERPRINT_DIGITS]
