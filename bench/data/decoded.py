"""Images decoded once to squares of one size, kept on disk as a memory map; too many for that: decoded on demand.

cache/decoded/<fingerprint>-<side>-<rule>-v<version>/{pixels.npy,original_sizes.npy}, whole or not there at all. What is
decoded is held to the fingerprint in the name, so it is of these images whatever happened to their files.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.collection import (
    PART_NAMES,
    Dataset,
    ImageCollection,
    ImageSet,
    LabelledImages,
    PartName,
    RawImage,
    content_fingerprint,
    joined,
)
from bench.data.decode import DECODER, decode
from bench.data.decoders import CHUNK, Decoded, Decoders
from bench.data.fingerprints import fingerprint_of_collection
from bench.data.pixel_file import disk_error, open_array, reserve, reserve_array, seal_array
from bench.errors import DataError
from bench.machine import usable_cores
from bench.places import cache_root

Resize = Literal["square", "shorter side, centre crop"]
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


@dataclass(frozen=True)
class EncodedImages:
    """N images too many to keep decoded: each is decoded and made an S x S square when it is asked for.

    are_the_same: whether the images are still those that were asked for; reads those whose files look touched.
    """

    part: LabelledImages
    stored_px: int
    resize: Resize
    are_the_same: Callable[[], bool] = lambda: True

    def __len__(self) -> int:
        return len(self.part)


SquareImages = StoredImages | EncodedImages


@dataclass(frozen=True)
class ToSquare:
    """Makes a stored image a square: the one way, so that cache and decoding on demand give the same pixels."""

    side_px: int
    resize: Resize

    def __call__(self, raw: RawImage) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """(side, side, 3), uint8, and the original (width, height). Raises BadImageError.

        JPEGs are decoded at a reduced scale as long as twice the side is left, then resized (bicubic, antialiased).
        """
        side = self.side_px
        decoded = decode(raw, draft_px=2 * side)
        image = decoded.image
        if self.resize == "square":
            if image.size != (side, side):
                image = image.resize((side, side), Image.Resampling.BICUBIC)
        else:
            scale = side / min(image.size)
            width, height = (max(side, round(length * scale)) for length in image.size)
            left, top = (width - side) // 2, (height - side) // 2
            image = image.resize((width, height), Image.Resampling.BICUBIC)
            image = image.crop((left, top, left + side, top + side))
        return np.asarray(image, dtype=np.uint8), decoded.stored_size


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
        found.append(_open_or_make(folders[name], wanted, processes or usable_cores(), progress))
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


class DecodingAhead:
    """Batches of EncodedImages, decoded by processes while others are used; handed out in the order asked for."""

    def __init__(self, images: EncodedImages, batch_size: int, processes: int) -> None:
        """batch_size: of the largest batch. Raises DataError if there is no room for the batches that are ahead."""
        side, self._images = images.stored_px, images
        # every process has a chunk in work and one waiting, and one batch more is being used
        self.slots = 2 + -(-2 * CHUNK * processes // batch_size)
        self._batch_size, self._next = batch_size, 0
        shape = (self.slots * batch_size, side, side, 3)
        self._file = _scratch_file(int(np.prod(shape)))
        self._pixels = np.memmap(self._file, dtype=np.uint8, mode="r+", shape=shape)
        self._waiting: deque[tuple[int, int, Iterator[Decoded]]] = deque()
        to_square = ToSquare(side, images.resize)
        self._decoders = Decoders(
            images.part.reader, to_square, images.part.keys, self._file, processes=processes, scratch=True
        )

    @property
    def has_room(self) -> bool:
        """Whether another batch can be asked for before the next one is taken."""
        return len(self._waiting) < self.slots

    def ask(self, index: NDArray[np.int64]) -> None:
        """Start to decode the images at `index`, (B,), B at most the batch size."""
        row = self._next * self._batch_size
        self._next = (self._next + 1) % self.slots
        self._waiting.append((row, len(index), self._decoders.start(index, row)))

    def take(self) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """The batch asked for first: pixels (B, S, S, 3), valid until the next `ask`, and original sizes (B, 2).

        Raises DataError for an image that cannot be decoded and when a process has died.
        """
        row, count, sizes = self._waiting.popleft()
        return self._pixels[row : row + count], np.concatenate([decoded.sizes for decoded in sizes])

    def close(self) -> None:
        """End the processes and remove what lies between them and this one.

        Raises DataError if the images have changed since they were asked for: what came of them is of no use.
        """
        self._decoders.close()
        self._file.unlink(missing_ok=True)
        if not self._images.are_the_same():
            raise DataError(f"Some of {len(self._images):,} images changed while they were used. Run it again.")


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


def _open_or_make(folder: Path, wanted: _Wanted, processes: int, progress: Progress | None) -> StoredImages:
    """The folder's images, decoded now unless they are there."""
    count, side = len(wanted.part), wanted.to_square.side_px
    if (stored := _opened(folder, count, side)) is not None:
        return stored
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with only_maker(folder) as is_alone:
            if (stored := _opened(folder, count, side)) is not None:  # another process made it meanwhile
                return stored
            if is_alone:  # what is left of makers that were killed, and what is there and cannot be read
                for left in [*folder.parent.glob(f".{folder.name}.*.tmp"), folder]:
                    shutil.rmtree(left, ignore_errors=True)
            _make(folder, wanted, processes, progress)
    except OSError as error:
        raise disk_error(folder.parent, count, side, error) from None
    stored = _opened(folder, count, side)
    if stored is None:
        raise DataError(f"Decoded images were written to '{folder}' and cannot be read back. Remove that folder.")
    return stored


@contextlib.contextmanager
def only_maker(folder: Path) -> Iterator[bool]:
    """Wait until no other process makes this folder. Yields False where the file system knows no locks."""
    with open(folder.with_name(f".{folder.name}.lock"), "a", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX)  # the system drops it when its holder dies, however it dies
        except OSError:
            yield False
            return
        yield True


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


def _scratch_file(count: int) -> Path:
    """A file of `count` bytes in memory if the system gives so much, else on disk."""
    for place in ("/dev/shm", tempfile.gettempdir()):
        try:
            descriptor, name = tempfile.mkstemp(prefix="vitbench-", dir=place)
        except OSError:  # no such folder outside Linux
            continue
        try:
            reserve(descriptor, 0, count)
            return Path(name)
        except OSError:  # /dev/shm has 64 MB in a container that was given no more
            os.unlink(name)
        finally:
            os.close(descriptor)
    raise DataError(
        f"No room for {count / 1e6:.0f} MB of images that are being decoded, neither in /dev/shm nor in "
        f"'{tempfile.gettempdir()}'. Free some space, or take a smaller micro-batch or fewer workers."
    )


def _writable(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same memory map with pages of its own for whoever writes."""
    if not isinstance(pixels, np.memmap) or pixels.filename is None:
        return pixels
    return np.load(pixels.filename, mmap_mode="c")  # type: ignore[no-any-return]
