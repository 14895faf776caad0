"""Images decoded once to squares of one size, kept on disk as a memory map.

cache/decoded/<fingerprint>-<side>-<rule>-v<version>/{pixels.npy,original_sizes.npy}, whole or not there at all. What is
decoded is held to the fingerprint in the name, so it is of these images whatever happened to their files.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.decoding.decode import DECODER, Resize, ToSquare
from bench.data.decoding.decode_pool import Decoders, EncodedImages
from bench.data.decoding.pixel_file import open_array, open_or_make, reserve_array, seal_array
from bench.data.sets.collection import (
    PART_NAMES,
    Dataset,
    ImageCollection,
    ImageSet,
    LabelledImages,
    PartName,
    content_fingerprint,
    joined,
)
from bench.data.sets.fingerprints import fingerprint_of_collection
from bench.errors import DataError
from bench.places import cache_root
from bench.processes import usable_cores

Progress = Callable[[int, int], None]

MOST_BYTES = 20_000_000_000  # of decoded images on disk: 33,000 at 448 px, 1.6 million at 64 px
WORTH_A_PROCESS = 256  # images: small ones are decoded in the time that it takes to start a process
_VERSION = f"2-{DECODER}"  # raise the number when the pixels of `to_square` change
_RULES: dict[Resize, str] = {"square": "square", "shorter side, centre crop": "crop"}


@dataclass(frozen=True)
class StoredImages:
    """N decoded images as S x S squares, of one or several parts one after the other.

    maps: arrays (n, S, S, 3), uint8, memory maps as a rule; the n of all add up to N. original_sizes: (N, 2), int32,
    width and height in pixels before the image became a square.
    """

    maps: tuple[NDArray[np.uint8], ...]
    original_sizes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.original_sizes)

    @property
    def stored_px(self) -> int:
        """The side S of the squares."""
        return int(self.maps[0].shape[1])

    def gather(self, index: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Copy the images at `index`, (B,), into `out`, (B, S, S, 3), in this order."""
        if len(self.maps) == 1:
            np.take(self.maps[0], index, axis=0, out=out, mode="clip")  # "raise" would copy twice
            return
        start = 0
        for pixels in self.maps:
            (here,) = np.nonzero((start <= index) & (index < start + len(pixels)))
            out[here] = pixels[index[here] - start]
            start += len(pixels)


SquareImages = StoredImages | EncodedImages


def stored_images(
    collection: ImageCollection,
    parts: PartName | Sequence[PartName],
    stored_px: int,
    *,
    resize: Resize = "square",
    processes: int | None = None,
    limit_bytes: int | None = None,
    progress: Progress | None = None,
) -> SquareImages:
    """The images of one or several parts as squares of side stored_px, from the cache, which is filled if need be.

    processes: how many decode, by default one for each core. limit_bytes: above it nothing is stored and the images
    come as EncodedImages; by default MOST_BYTES or half of the free disk. progress: called with images done and all.
    Raises DataError for an image that cannot be decoded and for a disk that is full or cannot be written; then
    nothing is left behind. Two processes that want the same images at once decode them once.
    """
    names = (parts,) if isinstance(parts, str) else tuple(parts)
    for name in names:
        if len(collection.part(name)) == 0:
            raise DataError(f"Data set {collection.name!r}: its '{name}' part holds no images.")
    root = cache_root() / "decoded"
    fingerprints = {name: fingerprint_of_collection(collection, (name,)) for name in names}
    folders = {name: root / _folder_name(fingerprints[name], stored_px, resize) for name in names}
    missing = [name for name in names if _opened(folders[name], len(collection.part(name)), stored_px) is None]
    needed = sum(len(collection.part(name)) for name in missing) * stored_px**2 * 3
    if needed > (_limit(root) if limit_bytes is None else limit_bytes):
        return EncodedImages(
            joined(collection.part(name) for name in names),
            stored_px,
            resize,
            lambda: all(fingerprint_of_collection(collection, (name,)) == fingerprints[name] for name in names),
        )
    found = []
    for name in names:
        wanted = _Wanted(collection, name, fingerprints[name], ToSquare(stored_px, resize))
        count, folder = len(wanted.part), folders[name]
        opened = partial(_opened, folder, count, stored_px)
        make = partial(_make, folder, wanted, processes or usable_cores(), progress)
        found.append(open_or_make(folder, "Decoded images", count, stored_px, opened, make))
    maps = tuple(pixels for stored in found for pixels in stored.maps)
    return StoredImages(maps, np.concatenate([stored.original_sizes for stored in found]))


def as_dataset(
    collection: ImageCollection,
    resolution_px: int,
    *,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The collection for training from scratch: shorter side resized, centre cropped, in the decoded-image cache.

    The images are memory maps whose pages can be written without changing the file (torch takes no others without a
    warning). The fingerprint is that of the stored bytes of all three parts.
    Raises DataError like `stored_images`, and for a set too large to be stored.
    """
    images = {}
    for name in PART_NAMES:
        stored = stored_images(
            collection,
            name,
            resolution_px,
            resize="shorter side, centre crop",
            processes=processes,
            progress=progress,
        )
        if isinstance(stored, EncodedImages):
            raise DataError(
                f"Data set {collection.name!r}: {len(stored):,} '{name}' images at {resolution_px} px are too many to "
                f"be kept decoded ({len(stored) * resolution_px**2 * 3 / 1e9:.1f} GB, at most "
                f"{_limit(cache_root()) / 1e9:.1f} GB here). Free disk space, take fewer images or a lower "
                "resolution."
            )
        part = collection.part(name)
        images[name] = ImageSet(_writable(stored.maps[0]), part.labels.copy(), part.keys)  # writable, as torch wants
    return Dataset(
        name=collection.name,
        class_names=collection.class_names,
        train=images["train"],
        validation=images["validation"],
        test=images["test"],
        fingerprint=fingerprint_of_collection(collection, PART_NAMES),
        resolution_px=resolution_px,
    )


@dataclass(frozen=True)
class _Wanted:
    """A part to be decoded: the images that have this fingerprint."""

    collection: ImageCollection
    name: PartName
    fingerprint: str
    to_square: ToSquare

    @property
    def part(self) -> LabelledImages:
        return self.collection.part(self.name)

    def check(self, digests: Sequence[bytes]) -> None:
        """Raises DataError unless images of these `raw_digest`s have the fingerprint."""
        found = content_fingerprint(self.collection, (self.name,), lambda _: digests)
        if found != self.fingerprint:
            raise DataError(
                f"Data set {self.collection.name!r}: the '{self.name}' images changed while they were decoded: they "
                f"have the fingerprint {found}, at first it was {self.fingerprint}. Run it again."
            )


def _folder_name(fingerprint: str, stored_px: int, resize: Resize) -> str:
    return f"{fingerprint}-{stored_px}-{_RULES[resize]}-v{_VERSION}"


def _limit(root: Path) -> int:
    while not root.exists():
        root = root.parent
    return min(MOST_BYTES, shutil.disk_usage(root).free // 2)


def _opened(folder: Path, count: int, side: int) -> StoredImages | None:
    """What is stored in a folder; None if it is not there, damaged, or not what was asked for."""
    pixels = open_array(folder / "pixels.npy")
    try:
        sizes = np.load(folder / "original_sizes.npy")
    except (OSError, ValueError, EOFError):
        return None
    if pixels is None or pixels.shape != (count, side, side, 3) or sizes.shape != (count, 2):
        return None
    return StoredImages((pixels,), sizes)


def _make(folder: Path, wanted: _Wanted, processes: int, progress: Progress | None) -> None:
    """Decode a part into a folder of a temporary name, then give it its name. Raises OSError, leaves nothing then."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        file, part, side = temporary / "pixels.npy", wanted.part, wanted.to_square.side_px
        offset = reserve_array(file, (len(part), side, side, 3))
        processes = min(processes, -(-len(part) // WORTH_A_PROCESS))
        sizes, digests = [], []
        with Decoders(
            part.reader, wanted.to_square, part.keys, file, offset=offset, processes=0 if processes < 2 else processes
        ) as decoders:
            for chunk in decoders.start(np.arange(len(part)), 0):
                sizes.append(chunk.sizes)
                digests += chunk.digests
                if progress is not None:
                    progress(len(digests), len(part))
        wanted.check(digests)
        with open(temporary / "original_sizes.npy", "wb") as stream:
            np.save(stream, np.concatenate(sizes))
            stream.flush()
            os.fsync(stream.fileno())
        seal_array(file)
        try:
            temporary.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise  # else another process was first, where there are no locks: its pixels are the same
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _writable(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same memory map with pages of its own for whoever writes."""
    if not isinstance(pixels, np.memmap) or pixels.filename is None:
        return pixels
    return np.load(pixels.filename, mmap_mode="c")  # type: ignore[no-any-return]
