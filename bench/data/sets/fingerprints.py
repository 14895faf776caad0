"""The content fingerprint of a collection, remembered for as long as its files look untouched.

What is remembered makes plans quick. Before a result is stored the images are read `wholly`, once in a run: file
systems without a time of change of their own, and copies of whole machines, can make other images look untouched.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from bench.data.formats.safe_paths import FileReader, status_inside
from bench.data.sets.collection import (
    FINGERPRINT_DIGITS,
    ImageCollection,
    ImageReader,
    Joined,
    PartName,
    Taken,
    content_fingerprint,
    raw_digest,
)
from bench.errors import DataError
from bench.places import cache_root
from bench.processes import usable_cores
from bench.whole_files import write_whole

HASHING_THREADS = min(4, usable_cores())  # four of them hash faster than one thread can read
SMALL_BYTES = 1 << 15  # hashing this much takes about as long as handing it to a thread
AHEAD = 32  # images read and not yet hashed, for each thread
_VERSION = 2  # raise it when `content_fingerprint` or `file_stamp` change: what is remembered is then of no use

_read_here: dict[str, str] = {}  # state -> fingerprint, of images that this process has read


def fingerprint_of_collection(collection: ImageCollection, parts: Sequence[PartName], *, wholly: bool = False) -> str:
    """`bench.data.sets.collection.content_fingerprint`, as quick as reading the images; quicker if it is remembered.

    It is remembered in the cache for files that look as they did at the last call (`file_stamp`): for FileReader, for
    readers with a method `stamp() -> str` that changes whenever their files do, and for selections of these.
    wholly: only what this process has read counts as remembered.
    Raises DataError for an image that cannot be read.
    """
    before = _state(collection, parts)
    if before is not None:
        known = None if wholly else _recall(before)
        if known := known or _read_here.get(before):
            return known
    fingerprint = _compute(collection, parts)
    if before is not None and _state(collection, parts) == before:  # else a file changed while it was read
        _read_here[before] = fingerprint
        remember(cache_root() / "fingerprints" / before, fingerprint)
    return fingerprint


def check_published(reader: ImageReader) -> None:
    """Raises DataError for files that are not what their publisher or a cache says, where a reader has a `check`."""
    for inner in [reader.reader] if isinstance(reader, Taken) else reader.readers if isinstance(reader, Joined) else ():
        check_published(inner)
    if (check := getattr(reader, "check", None)) is not None:
        check()


def file_stamp(status: os.stat_result) -> str:
    """What changes when a file is written to or replaced.

    Size and time stamp alone do not: archives, `rsync -t` and `cp -p` set the time. None of them can set the time of
    change (ctime), and another file has another number (inode).
    """
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def stamp_of_files(root: str, paths: Iterable[str]) -> str:
    """What changes when a file below `root` does: SHA-256 of paths and `file_stamp`s.

    paths: relative to the root. For the `stamp` of readers. Raises OSError for a file that is not there.
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update(os.fsencode(f"{path}\t{file_stamp(status_inside(root, path))}\n"))
    return digest.hexdigest()


def _recall(state: str) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = (cache_root() / "fingerprints" / state).read_text(encoding="ascii")
        if len(text) == FINGERPRINT_DIGITS:
            return text
    return None


def remember(file: Path, text: str) -> None:
    """Write a file of the cache. It only saves time: one that cannot be written is no reason to stop."""
    with contextlib.suppress(OSError):
        write_whole(file, text, durable=False)


def _compute(collection: ImageCollection, parts: Sequence[PartName]) -> str:
    """`content_fingerprint`, with the hashing of large images in threads: it leaves the interpreter to the reading."""
    with ThreadPoolExecutor(HASHING_THREADS) as threads:
        return content_fingerprint(collection, parts, lambda reader: _digests(reader, threads))


def _digests(reader: ImageReader, threads: ThreadPoolExecutor) -> Iterator[bytes]:
    """The digest of each image, in order. All reading is done here, since readers need not be safe in threads."""
    waiting: deque[Future[bytes] | bytes] = deque()
    for index in range(len(reader)):
        raw = reader.read(index)
        size = len(raw) if isinstance(raw, bytes) else raw.nbytes
        waiting.append(raw_digest(raw) if size < SMALL_BYTES else threads.submit(raw_digest, raw))
        if len(waiting) > AHEAD * HASHING_THREADS:
            yield _result(waiting.popleft())
    while waiting:
        yield _result(waiting.popleft())


def _result(digest: Future[bytes] | bytes) -> bytes:
    return digest if isinstance(digest, bytes) else digest.result()


def _state(collection: ImageCollection, parts: Sequence[PartName]) -> str | None:
    """A name for all that the fingerprint depends on, without reading an image; None if a reader cannot say."""
    digest = hashlib.sha256(f"{_VERSION}\n".encode())
    for name in parts:
        part = collection.part(name)
        try:
            stamp = _stamp(part.reader, None)
        except (OSError, DataError):  # reading it will say what is wrong
            return None
        if stamp is None:
            return None
        digest.update(f"{name} {len(part)} {stamp}\n".encode())
        for key, label in zip(part.keys, part.labels, strict=True):
            digest.update(f"{key}\t{collection.class_names[label]}\n".encode())
    return digest.hexdigest()


def _stamp(reader: ImageReader, chosen: Sequence[int] | None) -> str | None:
    """The stamp of a reader, or of those of its images that are chosen."""
    if isinstance(reader, Taken):
        inner = reader.chosen if chosen is None else [reader.chosen[i] for i in chosen]
        return _stamp(reader.reader, inner)
    if isinstance(reader, FileReader):
        return stamp_of_files(reader.root, reader.paths if chosen is None else (reader.paths[i] for i in chosen))
    if isinstance(reader, Joined):
        stamps = [_stamp(part, None) for part in reader.readers]
        stamp = None if None in stamps else "+".join(str(part) for part in stamps)
    else:
        has_stamp = getattr(reader, "stamp", None)
        stamp = has_stamp() if has_stamp is not None else None
    if stamp is None or chosen is None:
        return stamp
    places = ",".join(map(str, chosen))
    return f"{stamp} at {hashlib.sha256(places.encode()).hexdigest()}"
