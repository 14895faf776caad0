"""IDX, the format of MNIST and its successors: a file of images beside a file of labels, plain or in gzip.

Header, big-endian: two zero bytes, the type (8: unsigned bytes), the number of axes, the length of each axis in four
bytes; then the bytes. Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import functools
import gzip
import io
import math
import os
import re
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.safe_paths import FolderWalk, open_inside, real_root, status_inside, unreadable
from bench.data.sets.class_labels import few
from bench.data.sets.collection import ImageCollection, LabelledImages, PartName
from bench.data.sets.fingerprints import file_stamp
from bench.errors import DataError, RequestError

UNSIGNED_BYTES = 8
MAX_BYTES = 1 << 30  # of one file's values, which are in memory together; EMNIST's largest has 0.55 GB
MOST_PACKED = 64  # values in a byte of gzip: photographs reach 2, handwriting 6, a bomb 1,000
NO_BOMB_BYTES = 1 << 26  # so much may be packed more tightly: sorted labels are
_AXES = {"images": 3, "labels": 1}
_NAMED = re.compile(r"(?P<set>.*?)-?(?P<part>train|t10k|test)-(?P<kind>images|labels)[-.]idx[13]-ubyte(\.gz)?")
_PARTS: Mapping[str, PartName] = {"train": "train", "t10k": "test", "test": "test"}
_AGAIN = "Delete it and get it again."


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
        try:
            return f"{self.file} {file_stamp(status_inside(self.root, self.file))}"
        except OSError as error:
            raise unreadable(self.file, error) from None

    def all(self) -> NDArray[np.uint8]:
        """Every image, (N, H, W)."""
        return _images(self.root, self.file, self.count, self.stamp())

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
        named = sorted(filter(None, sets))
        raise RequestError(
            f"Data set {name!r}: '{folder}' holds {few(named)}. Name one of them: idx:{folder}#{named[0]}."
            if named
            else f"Data set {name!r}: the files of '{folder}' do not name a set; leave '#{wanted}' out."
        )
    files = sets[wanted] if wanted in sets else next(iter(sets.values()))
    pairs = {part: _pair(name, root, found) for part, found in files.items()}
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
    with _of_set(name, root):
        reader.all()
    return LabelledImages(reader, labels, tuple(f"{part}/{i:05d}" for i in range(len(labels))))


def read_labels(name: str, root: Path, pair: IdxPair) -> NDArray[np.int64]:
    """The labels of one part, (N,), as they are stored. Raises DataError for a damaged file."""
    with _of_set(name, root):
        return _read(real_root(root), pair.labels, "labels").astype(np.int64)


@functools.lru_cache(maxsize=4)
def _images(root: str, file: str, count: int, stamp: str) -> NDArray[np.uint8]:
    """(count, H, W); read anew once the file's stamp is another."""
    return _read(root, file, "images", count)


def _read(root: str, file: str, kind: str, count: int | None = None) -> NDArray[np.uint8]:
    """The values of one file below a root. count: how many images or labels it has to announce.

    Nothing is read beyond what the header announces, and nothing at all if that is too much.
    Raises DataError, without the data set's name, for a file that is no such file.
    """
    with open(open_inside(root, file), "rb") as stored:
        try:
            packed = stored.peek(2)[:2] == b"\x1f\x8b"
            stream: io.BufferedIOBase = gzip.GzipFile(fileobj=stored) if packed else stored
            lengths = _header(stream, file, kind)
            _check_lengths(lengths, file, kind, count, os.fstat(stored.fileno()).st_size)
            values = np.frombuffer(stream.read(math.prod(lengths)), dtype=np.uint8)
            is_over = not stream.read(1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"'{file}' cannot be read: {str(error).rstrip('.')}. {_AGAIN}") from None
    if len(values) < math.prod(lengths):
        raise DataError(f"'{file}' announces {_shape(lengths)} bytes and is cut off after {len(values):,}. {_AGAIN}")
    if not is_over:
        raise DataError(f"'{file}' goes on after the {_shape(lengths)} bytes that it announces. {_AGAIN}")
    return values.reshape(lengths)


def _header(stream: io.BufferedIOBase, file: str, kind: str) -> tuple[int, ...]:
    """The length of each axis."""
    magic, axes = stream.read(4), _AXES[kind]
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataError(f"'{file}' is no IDX file: it begins with {magic.hex(' ') or 'nothing'}. {_AGAIN}")
    if magic[2] != UNSIGNED_BYTES:
        raise DataError(f"'{file}' holds values of type 0x{magic[2]:02x}; only unsigned bytes (0x08) are read.")
    if magic[3] != axes:
        swapped = " Are the files of images and labels swapped?" if magic[3] in _AXES.values() else ""
        raise DataError(f"'{file}' has {magic[3]} axes where {kind} have {axes}.{swapped}")
    lengths = stream.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise DataError(f"'{file}' ends within its header. {_AGAIN}")
    return struct.unpack(f">{axes}I", lengths)


def _check_lengths(lengths: tuple[int, ...], file: str, kind: str, count: int | None, stored_bytes: int) -> None:
    if count is not None and lengths[0] != count:
        raise DataError(
            f"'{file}' has {lengths[0]:,} {kind} and there are {count:,} labels. Are the files of one part? Get both "
            "again."
        )
    size, most = math.prod(lengths), min(MAX_BYTES, max(NO_BOMB_BYTES, MOST_PACKED * stored_bytes))
    if size == 0:
        raise DataError(f"'{file}' holds no {kind}: it announces {_shape(lengths)} bytes. {_AGAIN}")
    if size > most:
        raise DataError(
            f"'{file}' of {stored_bytes:,} bytes announces {_shape(lengths)} bytes; at most {most:,} are read. Its "
            "header is damaged, or it is made to fill the memory."
        )


def _shape(lengths: tuple[int, ...]) -> str:
    return " x ".join(f"{length:,}" for length in lengths)


def _sets_in(root: Path) -> dict[str, dict[PartName, dict[str, str]]]:
    """Name of a set, often empty -> part -> `images` and `labels` -> file."""
    found: dict[str, dict[PartName, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for entry in reversed(FolderWalk(real_root(root)).entries("")):  # a plain file after a packed one, and instead
        if (named := _NAMED.fullmatch(entry.name)) and entry.is_file():
            found[named["set"]][_PARTS[named["part"]]][named["kind"]] = entry.name
    return found


def _pair(name: str, root: Path, files: Mapping[str, str]) -> IdxPair:
    for kind in IdxPair._fields:
        if kind not in files:
            (alone,) = files.values()
            raise DataError(f"Data set {name!r}: '{root / alone}' lacks the file of its {kind}. Put it beside it.")
    return IdxPair(**files)


@contextmanager
def _of_set(name: str, root: Path) -> Iterator[None]:
    """Puts the data set and its folder before what is said of one of its files."""
    try:
        yield
    except DataError as error:
        raise DataError(f"Data set {name!r} in '{root}': {error}") from None
