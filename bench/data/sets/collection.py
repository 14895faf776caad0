"""Labelled images: as they are stored, read one at a time, in named parts; or as arrays of pixels in memory.

Everything that can hold images (folders, lists, tar shards, parquet, torchvision's data sets) becomes one
ImageCollection; everything that uses images (preflight, cache, evaluation, few-shot, fine-tuning) starts from one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

RawImage = bytes | NDArray[np.uint8]  # an encoded file; or pixels, (H, W) or (H, W, 3)
PartName = Literal["train", "validation", "test"]
PART_NAMES: tuple[PartName, ...] = ("train", "validation", "test")
FINGERPRINT_DIGITS = 16
PRETRAINING_PARTS: tuple[PartName, ...] = ("train", "validation")  # a set for pretraining alone has no other


class ImageReader(Protocol):
    """Random access to stored images. Can be pickled, so that loader processes can have their own."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> RawImage:
        """The image as it is stored. Raises DataError for one that is gone or lies outside its root."""
        ...


@dataclass(frozen=True)
class LabelledImages:
    """N stored images. labels: (N,), int64 in [0, C). keys: a name per image, unique in its collection.

    groups: which images belong together (a patient, a video), if anything says so; no split parts a group.
    """

    reader: ImageReader
    labels: NDArray[np.int64]
    keys: tuple[str, ...]
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Sequence[int] | NDArray[np.int64]) -> LabelledImages:
        """The images at these positions, in this order."""
        chosen = [int(i) for i in index]
        return LabelledImages(
            reader=Taken(self.reader, tuple(chosen)),
            labels=self.labels[chosen],
            keys=tuple(self.keys[i] for i in chosen),
            groups=None if self.groups is None else tuple(self.groups[i] for i in chosen),
        )

    def where(self, chosen: NDArray[np.bool_]) -> LabelledImages:
        """The images that a mask (N,) says."""
        return self.take(np.flatnonzero(chosen))


@dataclass(frozen=True)
class Taken:
    """A reader of some of another reader's images."""

    reader: ImageReader
    chosen: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.chosen)

    def read(self, index: int) -> RawImage:
        return self.reader.read(self.chosen[index])


@dataclass(frozen=True)
class Joined:
    """A reader of several readers' images, one after the other."""

    readers: tuple[ImageReader, ...]

    def __len__(self) -> int:
        return sum(len(reader) for reader in self.readers)

    def read(self, index: int) -> RawImage:
        for reader in self.readers:
            if index < len(reader):
                return reader.read(index)
            index -= len(reader)
        raise IndexError(index)


@dataclass(frozen=True)
class ImageCollection:
    """A data set as it is stored. parts: those that its source has; `with_all_parts` makes the missing ones.

    notes: what a reader of results must know of how the parts came about (a split made here, an order that
    differs from the official one); each becomes a line of the report.
    """

    name: str
    class_names: tuple[str, ...]
    parts: Mapping[PartName, LabelledImages]
    notes: tuple[str, ...] = ()

    def part(self, name: PartName) -> LabelledImages:
        """The part of this name. Raises DataError if the source has none."""
        if name not in self.parts:
            raise DataError(f"Data set {self.name!r} has no '{name}' part; it has {', '.join(sorted(self.parts))}.")
        return self.parts[name]

    def noted(self, *notes: str) -> ImageCollection:
        """The same collection with more notes."""
        return replace(self, notes=(*self.notes, *notes))


def joined(parts: Iterable[LabelledImages]) -> LabelledImages:
    """Several parts as one, in their order."""
    found = list(parts)
    grouped = all(part.groups is not None for part in found)
    return LabelledImages(
        reader=Joined(tuple(part.reader for part in found)),
        labels=np.concatenate([part.labels for part in found]),
        keys=tuple(key for part in found for key in part.keys),
        groups=tuple(group for part in found for group in part.groups or ()) if grouped else None,
    )


def content_fingerprint(
    collection: ImageCollection,
    parts: Sequence[PartName],
    digests_of: Callable[[ImageReader], Iterable[bytes]] | None = None,
) -> str:
    """First 16 hexadecimal digits of SHA-256 over part names, keys, class names and stored bytes of these parts.

    digests_of: a reader -> the `raw_digest` of each of its images; by default every image is read for it.
    """
    digest = hashlib.sha256()
    for name in parts:
        part = collection.part(name)
        digest.update(f"{name} {len(part)}\n".encode())
        found = digests_of(part.reader) if digests_of else (raw_digest(part.reader.read(i)) for i in range(len(part)))
        for key, label, image_digest in zip(part.keys, part.labels, found, strict=True):
            digest.update(f"{key}\t{collection.class_names[label]}\t".encode())
            digest.update(image_digest)
    return digest.hexdigest()[:FINGERPRINT_DIGITS]


def raw_digest(raw: RawImage) -> bytes:
    """SHA-256 of one stored image: of its bytes, or of its shape and pixels."""
    if isinstance(raw, bytes):
        return hashlib.sha256(raw).digest()
    pixels = np.ascontiguousarray(raw)
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).digest()


# --- in memory ---


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


def pixel_fingerprint(parts: Parts) -> str:
    """First 16 hexadecimal digits of SHA-256 over pixels and labels of train, validation and test, in this order."""
    digest = hashlib.sha256()
    for part in (parts.train, parts.validation, parts.test):
        digest.update(np.ascontiguousarray(part.images).data)
        digest.update(np.ascontiguousarray(part.labels.astype("<i8")).data)
    return digest.hexdigest()[:FINGERPRINT_DIGITS]
