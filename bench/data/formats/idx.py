"""IDX, the format of MNIST and its successors: a file of images beside a file of labels, plain or in gzip.

Header, big-endian: two zero bytes, the type (8: unsigned bytes), the number of axes, the length of each axis in four
bytes; then the bytes. Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import functools
import gzip
import os
import re
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.safe_paths import open_inside, real_root, status_inside
from bench.data.sets.class_labels import few
from bench.data.sets.collection import ImageCollection, LabelledImages, PartName
from bench.data.sets.fingerprints import file_stamp
from bench.errors import DataError, RequestError

UNSIGNED_BYTES = 8
IMAGE_AXES, LABEL_AXES = 3, 1
MAX_BYTES = 1 << 33  # of one file's values; EMNIST's largest has 0.5 GB
GZIP_AT_MOST = 1032  # times as many bytes as it has itself can a deflate stream hold (zlib, "Technical Details")
_NAMED = re.compile(r"(?P<set>.*?)-?(?P<part>train|t10k|test)-(?P<kind>images|labels)[-.]idx[13]-ubyte(\.gz)?")
_PARTS: Mapping[str, PartName] = {"train": "train", "t10k": "test", "test": "test"}
_SHORT = "It is cut off, or its header is damaged; get it again."


class IdxPair(NamedTuple):
    """The files of one part, relative to their folder."""

    images: str
    labels: str


@dataclass(frozen=True)
class IdxImages:
    """A reader of the images of one file; it is read whole, once in each process."""

    root: str
    file: str
    count: int

    def __len__(self) -> int:
        return self.count

    def stamp(self) -> str:
        """What changes when the file does; see `bench.data.sets.fingerprints`."""
        return f"{self.file} {file_stamp(status_inside(self.root, self.file))}"

    def all(self) -> NDArray[np.uint8]:
        """Every image, (N, H, W)."""
        return _images(self.root, self.file, self.stamp())

    def read(self, index: int) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = self.all()[index]
        return pixels


def open_idx(name: str, place: str) -> ImageCollection:
    """Parts train and test of a folder of IDX files; a class is named by its label.

    place: `FOLDER`, or `FOLDER#SET` where the names of several sets are in the files' names, as `emnist-letters`.
    Raises RequestError for a folder without such files, DataError for files that are damaged or do not belong together.
    """
    folder, _, wanted = place.partition("#")
    root = Path(folder).expanduser()
    sets = _sets_in(root) if root.is_dir() else {}
    if not sets:
        raise RequestError(
            f"Data set {name!r}: '{folder}' is no folder with IDX files, such as train-images-idx3-ubyte.gz and "
            "train-labels-idx1-ubyte.gz."
        )
    if wanted not in sets and (wanted or len(sets) > 1):
        raise RequestError(
            f"Data set {name!r}: '{folder}' holds {few(sorted(sets))}. Name one of them: idx:{folder}#{min(sets)}."
        )
    pairs = sets[wanted] if wanted else next(iter(sets.values()))
    read = {part: read_labels(name, root, pair) for part, pair in pairs.items()}
    values = sorted({int(value) for labels in read.values() for value in np.unique(labels)})
    if "train" in read and (strange := sorted(set(values) - set(read["train"].tolist()))):
        raise DataError(
            f"Data set {name!r}: label {strange[0]} is in the test part alone. Are '{pairs['train'].labels}' and "
            f"'{pairs['test'].labels}' of one set?"
        )
    parts = {
        part: idx_part(name, root, pair, part, np.searchsorted(values, read[part])) for part, pair in pairs.items()
    }
    return ImageCollection(name, tuple(str(value) for value in values), parts)


def idx_part(name: str, root: Path, pair: IdxPair, part: PartName, labels: NDArray[np.int64]) -> LabelledImages:
    """One part. Raises DataError for images that are damaged or not as many as the labels, (N,)."""
    reader = IdxImages(real_root(root), pair.images, len(labels))
    with _of_set(name):
        images = reader.all()
    if len(images) != len(labels):
        raise DataError(
            f"Data set {name!r}: '{root / pair.images}' has {len(images):,} images and '{pair.labels}' {len(labels):,} "
            "labels. They are of different parts; get both again."
        )
    keys = tuple(f"{part}/{i:05d}" for i in range(len(labels)))
    return LabelledImages(reader, labels, keys)


def read_labels(name: str, root: Path, pair: IdxPair) -> NDArray[np.int64]:
    """The labels of one part, (N,), as they are stored. Raises DataError for a damaged file."""
    with _of_set(name):
        return read_idx(real_root(root), pair.labels, LABEL_AXES).astype(np.int64)


def read_idx(root: str, file: str, axes: int) -> NDArray[np.uint8]:
    """The values of one file below a root: unsigned bytes of so many axes.

    Nothing is read beyond what the header announces, so that a small archive cannot fill the memory.
    Raises DataError, without the data set's name, for a file that is no such file.
    """
    with open(open_inside(root, file), "rb") as stored:
        size = os.fstat(stored.fileno()).st_size
        packed = stored.read(2) == b"\x1f\x8b"
        stored.seek(0)
        stream: IO[bytes] = gzip.GzipFile(fileobj=stored) if packed else stored  # type: ignore[assignment]
        try:
            lengths = _header(stream, file, axes)
            count = int(np.prod(lengths, dtype=np.float64))
            if count > min(MAX_BYTES, size * (GZIP_AT_MOST if packed else 1)):
                raise DataError(f"'{file}' announces {_shape(lengths)} bytes and has {size:,}. {_SHORT}")
            values = np.frombuffer(stream.read(count), dtype=np.uint8)
            is_over = not stream.read(1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"'{file}' cannot be read: {str(error).rstrip('.')}. Get it again.") from None
    if len(values) < count:
        raise DataError(f"'{file}' announces {_shape(lengths)} bytes and has {len(values):,} of them. {_SHORT}")
    if not is_over:
        raise DataError(f"'{file}' goes on after the {_shape(lengths)} bytes that its header announces. Get it again.")
    return values.reshape(lengths)


def _header(stream: IO[bytes], file: str, axes: int) -> tuple[int, ...]:
    """The length of each axis."""
    magic = stream.read(4)
    kind, wanted = ("images", "labels") if axes == IMAGE_AXES else ("labels", "images")
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataError(f"'{file}' is no IDX file: it begins with {magic.hex(' ') or 'nothing'}. Get it again.")
    if magic[2] != UNSIGNED_BYTES:
        raise DataError(f"'{file}' holds values of type 0x{magic[2]:02x}; only unsigned bytes (0x08) are read.")
    if magic[3] != axes:
        swapped = f" Are the files of {kind} and {wanted} swapped?" if magic[3] in (IMAGE_AXES, LABEL_AXES) else ""
        raise DataError(f"'{file}' has {magic[3]} axes where {kind} have {axes}.{swapped}")
    lengths = stream.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise DataError(f"'{file}' ends within its header. {_SHORT}")
    return struct.unpack(f">{axes}I", lengths)


@functools.lru_cache(maxsize=4)
def _images(root: str, file: str, stamp: str) -> NDArray[np.uint8]:
    """(N, H, W); read anew once the file's stamp is another."""
    return read_idx(root, file, IMAGE_AXES)


def _sets_in(root: Path) -> dict[str, dict[PartName, IdxPair]]:
    """Name of a set, often empty, -> its parts of which both files are there."""
    found: dict[str, dict[PartName, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for file in sorted(entry.name for entry in root.iterdir()):  # plain files before packed ones, which then count
        if named := _NAMED.fullmatch(file):
            found[named["set"]][_PARTS[named["part"]]][named["kind"]] = file
    whole = {
        key: {part: IdxPair(**files) for part, files in parts.items() if len(files) == len(IdxPair._fields)}
        for key, parts in found.items()
    }
    return {key: parts for key, parts in whole.items() if parts}


@contextmanager
def _of_set(name: str) -> Iterator[None]:
    """Puts the data set's name before what is said of one of its files."""
    try:
        yield
    except DataError as error:
        raise DataError(f"Data set {name!r}: {error}") from None


def _shape(lengths: tuple[int, ...]) -> str:
    return " x ".join(f"{length:,}" for length in lengths)
