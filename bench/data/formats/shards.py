"""Tar shards as WebDataset writes them: the files of one sample lie together and share the name before the first dot.

    000017.jpg  000017.cls     label as a text or an integer
    000017.png  000017.json    label under the key `label`

Nothing is unpacked: an index of where each image lies is made once, and a reader seeks and reads. Splits are named by
sub-folders (train/0000.tar) or in the names of the shards (train-0000.tar).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.safe_paths import (
    EXTENSIONS,
    MAX_STORED_BYTES,
    inside,
    is_litter,
    open_inside,
    printable,
    real_root,
    resolve_inside,
    unreadable,
)
from bench.data.sets.class_labels import SPLITS_CALLED, few, name_split, number_classes, read_split_name
from bench.data.sets.collection import PART_NAMES, ImageCollection, LabelledImages, PartName
from bench.data.sets.fingerprints import remember, stamp_of_files
from bench.errors import DataError, RequestError
from bench.places import cache_root

MAX_LABEL_BYTES = 1 << 20
MAX_SHARDS = 100_000

_IMAGE_FIELDS = frozenset(extension.removeprefix(".") for extension in EXTENSIONS)
_LABEL_FIELDS = ("cls", "json")
_AGAIN = "Fetch or make it again."
_INDEX_VERSION = 2  # raise it when `_read_index` changes: what is remembered is then of no use
_COMPRESSED = ((b"\x1f\x8b", "gunzip"), (b"BZh", "bunzip2"), (b"\xfd7zXZ", "unxz"), (b"\x28\xb5\x2f\xfd", "unzstd"))
_COMPRESSED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
# What tarfile raises for headers that are no headers, apart from its own errors.
_NOT_A_TAR = (tarfile.TarError, ValueError, OverflowError, LookupError, EOFError, MemoryError, RecursionError)


@dataclass(frozen=True, eq=False)
class ShardReader:
    """Images inside tar files. root: real path; shards: relative to it; shard_bytes: their sizes when indexed.

    shard, offset, size: (N,), of each image: which shard, from which byte on, how many bytes.
    """

    root: str
    shards: tuple[str, ...]
    shard_bytes: tuple[int, ...]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offset)

    def stamp(self) -> str:
        """What changes when a shard is replaced; see `bench.data.sets.fingerprints`."""
        digest = hashlib.sha256(stamp_of_files(self.root, self.shards).encode())
        for places in (self.shard, self.offset, self.size):
            digest.update(np.ascontiguousarray(places).tobytes())
        return digest.hexdigest()

    def check(self) -> None:
        """Raises DataError for a shard that is not as it was remembered, though it looks untouched."""
        for shard in self.shards:
            _check_remembered(self.root, shard, stamp_of_files(self.root, [shard]))

    def read(self, index: int) -> bytes:
        which, size = int(self.shard[index]), int(self.size[index])
        name = self.shards[which]
        if size > MAX_STORED_BYTES:
            raise DataError(f"An image in shard '{printable(name)}' has {size:,} bytes; an image has at most 1 GiB.")
        descriptor = open_inside(self.root, name)
        with open(descriptor, "rb", buffering=0) as file:
            if os.fstat(descriptor).st_size != self.shard_bytes[which]:
                raise DataError(f"Shard '{printable(name)}' has changed since its images were listed. Start again.")
            try:
                file.seek(int(self.offset[index]))
                return file.read(size)
            except OSError as error:
                raise unreadable(name, error) from None


class _Sample(NamedTuple):
    key: str
    label: str
    offset: int
    size: int


class _Member(NamedTuple):
    """Where the bytes of a file in a shard lie."""

    offset: int
    size: int


def is_compressed_tar(name: str) -> bool:
    """Whether a file's name says that it is a tar file that has been compressed."""
    return name.lower().endswith(_COMPRESSED_SUFFIXES)


def open_shards(name: str, place: str) -> ImageCollection:
    """The images in a folder of shards, one shard, or several: `PATH/{0000..0009}.tar`.

    Keys are `shard/sample`. Raises RequestError where there are no shards, DataError for a shard or a member that
    cannot be used, and for samples that have no image, no label, or two of them.
    """
    folder, shards = _find_shards(name, place)
    root = real_root(folder)
    ignored: Counter[str] = Counter()
    by_part: dict[PartName, list[tuple[int, _Sample]]] = {}
    for which, part in enumerate(_parts_of(name, shards)):
        found, passed_by = _remembered_index(root, shards[which])
        ignored.update(passed_by)
        by_part.setdefault(part, []).extend((which, sample) for sample in found)
    parts = {part: by_part[part] for part in PART_NAMES if part in by_part}
    for samples in parts.values():
        _check_folders(name, {sample.key.rpartition("/")[0] for _, sample in samples})
    classes = number_classes(
        name,
        {part: [sample.label for _, sample in samples] for part, samples in parts.items()},
        lambda part, i: f"shard '{printable(shards[parts[part][i][0]])}', sample {parts[part][i][1].key!r}",
    )
    sizes = tuple(os.stat(resolve_inside(root, shard)).st_size for shard in shards)
    names = [printable(shard) for shard in shards]
    kinds = ", ".join(f".{field} {count:,}" for field, count in ignored.most_common(5))
    notes = [f"Files in the shards that are neither image nor label were ignored ({kinds})."] if ignored else []
    return ImageCollection(
        name=name,
        class_names=classes.names,
        parts={
            part: LabelledImages(
                reader=ShardReader(
                    root=root,
                    shards=tuple(shards),
                    shard_bytes=sizes,
                    shard=np.array([which for which, _ in samples], np.int32),
                    offset=np.array([sample.offset for _, sample in samples], np.int64),
                    size=np.array([sample.size for _, sample in samples], np.int64),
                ),
                labels=classes.labels[part],
                keys=tuple(f"{names[which]}/{sample.key}" for which, sample in samples),
            )
            for part, samples in parts.items()
        },
        notes=(*notes, *classes.notes),
    )


def _find_shards(name: str, place: str) -> tuple[Path, list[str]]:
    """The folder of the shards, and their paths relative to it."""
    path = Path(place).expanduser()
    if path.is_dir():
        return path, _shards_in(name, path)
    fixed, brace, pattern = str(path).partition("{")
    folder = Path(fixed if fixed.endswith("/") else os.path.dirname(fixed) or ".")
    shards = _expand(name, os.path.basename(fixed) + brace + pattern)
    for shard in shards:
        if not os.path.lexists(folder / shard):
            raise RequestError(f"Data set {name!r}: shard '{folder / shard}' does not exist.")
    return folder, shards


def _shards_in(name: str, folder: Path) -> list[str]:
    names = []
    for entry in folder.iterdir():
        split = read_split_name(entry.name)
        if split and not split.rest and not name_split(entry.name) and any(entry.glob("*.tar")):
            raise RequestError(
                f"Data set {name!r}: {entry.name!r} in '{folder}' looks like a split folder. {SPLITS_CALLED}."
            )
    splits = sorted(entry.name for entry in folder.iterdir() if name_split(entry.name) and entry.is_dir())
    for below in ["", *splits]:
        names += [f"{below}/{file}" if below else file for file in sorted(os.listdir(folder / below))]
    shards = [shard for shard in names if shard.endswith(".tar") and not os.path.basename(shard).startswith(".")]
    if packed := [shard for shard in names if is_compressed_tar(shard)]:
        raise RequestError(
            f"Data set {name!r}: '{printable(packed[0])}' is compressed, so single images cannot be reached. Unpack it "
            "to a .tar file (gunzip, bunzip2, unxz, unzstd)."
        )
    if not shards:
        raise RequestError(f"Data set {name!r}: no *.tar in '{folder}', nor in its folders train, val and test.")
    return shards


def _expand(name: str, pattern: str) -> list[str]:
    """`a-{00..02}.tar` -> a-00.tar, a-01.tar, a-02.tar; `{a,b}` likewise; several braces combine."""
    pieces: list[list[str]] = []
    for piece in re.split(r"(\{[^{}]*\})", pattern):
        found = re.fullmatch(r"(\d+)\.\.(\d+)", piece[1:-1]) if piece.startswith("{") else None
        if found:
            first, last = int(found[1]), int(found[2])
            if not 0 <= last - first < MAX_SHARDS:
                raise RequestError(f"Data set {name!r}: the range {piece} is empty, or over {MAX_SHARDS:,} long.")
            pieces.append([f"{number:0{len(found[1])}d}" for number in range(first, last + 1)])
        else:
            pieces.append(piece[1:-1].split(",") if piece.startswith("{") else [piece])
    if np.prod([float(len(piece)) for piece in pieces]) > MAX_SHARDS:
        raise RequestError(f"Data set {name!r}: {pattern!r} names more than {MAX_SHARDS:,} shards.")
    return ["".join(chosen) for chosen in itertools.product(*pieces)]


def _parts_of(name: str, shards: Sequence[str]) -> list[PartName]:
    """The part of each shard: all are `train` where none names a split."""
    found = [_named_part(shard, words=1) for shard in shards]
    if not any(found):
        # `crash-test-000.tar` need not be a test part; but beside `crash-train-000.tar` it is
        anywhere = [_named_part(shard, words=None) for shard in shards]
        found = anywhere if "train" in anywhere else ["train"] * len(shards)
        words = {shard: split for shard in shards if (split := read_split_name(shard))}
        if "train" not in anywhere and len({split.part for split in words.values()}) > 1:
            raise DataError(
                f"Data set {name!r}: shards {few([printable(shard) for shard in words])} look like several splits. "
                "Name them train-, val- or test-, or put them into such folders."
            )
    parts = [part for part in found if part is not None]
    if len(parts) < len(shards):
        raise DataError(
            f"Data set {name!r}: shard '{printable(shards[found.index(None)])}' names no split and others do. Name it "
            "train-, val- or test-, or put it into such a folder."
        )
    return parts


def _named_part(shard: str, words: int | None) -> PartName | None:
    """The split that a shard's folder, or one of the first words of its name, says."""
    folder, _, file = shard.rpartition("/")
    found = {name_split(word) for word in [*folder.split("/"), *re.split(r"[-_.]", file)[:words]]} - {None}
    return found.pop() if len(found) == 1 else None


def _check_folders(name: str, folders: Iterable[str]) -> None:
    """Raises DataError if folders inside the shards of one part are several splits."""
    steps = sorted({step for folder in folders for step in folder.split("/")})
    splits = {step: split.part for step in steps if (split := read_split_name(step)) and not split.rest}
    if len(set(splits.values())) > 1:
        raise DataError(
            f"Data set {name!r}: the shards hold the folders {few(list(splits))}, which look like splits and would "
            "become one part. Make shards of each, called train-, val- or test-."
        )


def _remembered_index(root: str, shard: str) -> tuple[list[_Sample], Counter[str]]:
    """Like `_read_index`, from the cache for a shard whose path, size and time of change are those of the last call.

    To go through 100,000 samples takes seconds, and every process of a run needs to know where they lie.
    """
    try:
        file = _index_file(root, stamp_of_files(root, [shard]))
    except OSError as error:
        raise unreadable(shard, error) from None
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError):  # gone or damaged: it is made anew
        samples, ignored = json.loads(file.read_text(encoding="ascii"))
        return [_Sample(*sample) for sample in samples], Counter(ignored)
    samples, ignored = _read_index(root, shard)
    remember(file, json.dumps([samples, ignored]))
    return samples, ignored


def _index_file(root: str, stamp: str) -> Path:
    return cache_root() / "shards" / hashlib.sha256(f"{_INDEX_VERSION}\t{root!r}\t{stamp}".encode()).hexdigest()


@functools.lru_cache(maxsize=MAX_SHARDS)  # the parts of a set name the same shards
def _check_remembered(root: str, shard: str, stamp: str) -> None:
    """Raises DataError, and forgets what is remembered, unless labels and places in a shard are those remembered."""
    if _remembered_index(root, shard) != _read_index(root, shard):
        _index_file(root, stamp).unlink(missing_ok=True)
        raise _bad(shard, "it was replaced by one of the same size and times, with other labels or keys. Start again.")


def _read_index(root: str, shard: str) -> tuple[list[_Sample], Counter[str]]:
    """The samples of a shard, in their order; how many files of each other field there are."""
    ignored: Counter[str] = Counter()
    with open(open_inside(root, shard), "rb") as file:
        fields: dict[str, dict[str, _Member]] = {}
        for key, field, member in _members(shard, file):
            held = fields.setdefault(key, {})
            if field in held:
                raise _bad(shard, f"sample {key!r} has two files '.{field}'. Each sample needs a key of its own.")
            held[field] = member
        samples = []
        for key, held in fields.items():
            images = [field for field in held if field in _IMAGE_FIELDS]
            if len(images) != 1:
                count = f"{len(images)} images ({few(images)})" if images else f"no image, but {few(list(held))}"
                dotted = any(field.rpartition(".")[2] in _IMAGE_FIELDS for field in held)
                dots = " A key ends at the first dot of a name: take dots out of keys." if dotted and not images else ""
                raise _bad(shard, f"sample {key!r} has {count}. Expected one, as {key}.jpg or {key}.png.{dots}")
            label = _read_label(shard, file, key, held)
            ignored.update(field for field in held if field not in _IMAGE_FIELDS and field not in _LABEL_FIELDS)
            samples.append(_Sample(key, label, held[images[0]].offset, held[images[0]].size))
    if not samples:
        raise _bad(shard, "it holds no samples. Expected files such as 000017.jpg and 000017.cls.")
    return samples, ignored


def _members(shard: str, file: BinaryIO) -> Iterator[tuple[str, str, _Member]]:
    """(sample, field, where) of each ordinary file in a shard."""
    start = file.read(6)
    if not start:
        raise _bad(shard, f"it is empty (0 bytes). {_AGAIN}")
    for magic, command in _COMPRESSED:
        if start.startswith(magic):
            raise _bad(shard, f"it is compressed, so single images cannot be reached. Unpack it with {command}.")
    file.seek(0)
    for member in _headers(shard, file):
        try:
            name = inside(printable(member.name))
        except DataError as error:
            raise _bad(shard, f"a member's {str(error)[0].lower()}{str(error)[1:]}") from None
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            raise _bad(shard, f"member '{name}' is a link, a device or sparse. Shards hold ordinary files only.")
        base, _, field = os.path.basename(name).partition(".")
        # Hidden files, such as those of macOS, and files without extension belong to no sample.
        if field and not any(is_litter(step) for step in name.split("/")):
            yield os.path.join(os.path.dirname(name), base), field.lower(), _Member(member.offset_data, member.size)


def _headers(shard: str, file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """tarfile's members, without keeping them all; it takes a damaged header for the end, and this does not."""
    end = 0
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # of TarFile, and left out of its stub
                if tar.offset <= end:  # a negative size: reading would go in circles
                    raise tarfile.ReadError("a member with a negative size")
                end = tar.offset
                yield member
            end = tar.offset
    except _NOT_A_TAR as error:
        reason = str(error) or type(error).__name__
        if end == 0:
            raise _bad(shard, f"it is not a tar file ({reason}).") from None
        raise _bad(shard, f"it is cut short or damaged after byte {end:,} ({reason}). {_AGAIN}") from None
    file.seek(end)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise _bad(shard, f"it is cut short or damaged at byte {end:,}. {_AGAIN}")
    while chunk := file.read(1 << 20):
        if chunk.count(0) != len(chunk):
            raise _bad(shard, f"more data follows its end at byte {end:,}. Join archives with `tar --concatenate`.")


def _read_label(shard: str, file: BinaryIO, key: str, held: Mapping[str, _Member]) -> str:
    field = next((field for field in _LABEL_FIELDS if field in held), None)
    if field is None:
        expected = f"Expected {key}.cls, or {key}.json with the key 'label'"
        advice = "archives of class folders have to be unpacked and given as a folder"
        raise _bad(shard, f"sample {key!r} has no label. {expected}; {advice}.")
    if held[field].size > MAX_LABEL_BYTES:
        raise _bad(shard, f"'{key}.{field}' has {held[field].size:,} bytes, too many for a label.")
    file.seek(held[field].offset)
    try:
        text = file.read(held[field].size).decode("utf-8-sig")
        label = json.loads(text) if field == "json" else text
    except (ValueError, RecursionError) as error:
        raise _bad(shard, f"'{key}.{field}' cannot be read: {error}.") from None
    keys = few(list(label)) if isinstance(label, dict) else ""
    if field == "json":
        label = label.get("label") if isinstance(label, dict) else None
    if isinstance(label, bool) or not isinstance(label, str | int):
        raise _bad(shard, f"'{key}.json' has no text or integer under the key 'label' (keys: {keys or 'none'}).")
    text = str(label).strip()
    if len(text.splitlines()) != 1:
        raise _bad(shard, f"the label in '{key}.{field}' is {'more than one line' if text else 'empty'}.")
    return text


def _bad(shard: str, problem: str) -> DataError:
    return DataError(f"Shard '{printable(shard)}': {problem}")
