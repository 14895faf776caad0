"""The content fingerprint of a collection, remembered for as long as its files look untouched."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from bench.data.collection import ImageCollection, ImageReader, Joined, PartName, RawImage, Taken, raw_digest
from bench.data.image_set import FINGERPRINT_DIGITS
from bench.data.safe_paths import FileReader
from bench.places import cache_root

HASHING_THREADS = min(4, os.cpu_count() or 1)  # four of them hash faster than one thread can read
SMALL_BYTES = 1 << 15  # hashing this much takes about as long as handing it to a thread
AHEAD = 32  # images read and not yet hashed, for each thread
_VERSION = 1  # raise it when `content_fingerprint` changes: what is remembered is then of no use


def fingerprint_of_collection(collection: ImageCollection, parts: Sequence[PartName]) -> str:
    """`bench.data.collection.content_fingerprint`, as quick as reading the images; quicker if it is remembered.

    It is remembered in the cache for files whose paths, sizes and times of change are those of the last call: for
    FileReader, for readers with a method `stamp() -> str` that changes whenever their files do, and for selections
    of these. Raises DataError for an image that cannot be read.
    """
    before = _state(collection, parts)
    if before is None:
        return _compute(collection, parts)
    remembered = cache_root() / "fingerprints" / before
    with contextlib.suppress(OSError):
        text = remembered.read_text(encoding="ascii")
        if len(text) == FINGERPRINT_DIGITS:
            return text
    fingerprint = _compute(collection, parts)
    if _state(collection, parts) == before:  # else a file changed while it was read
        with contextlib.suppress(OSError):  # it only saves time: a cache that cannot be written is no reason to stop
            remembered.parent.mkdir(parents=True, exist_ok=True)
            temporary = remembered.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(fingerprint, encoding="ascii")
            temporary.replace(remembered)
    return fingerprint


def stamp_of_files(root: str, paths: Iterable[str]) -> str:
    """What changes when a file below `root` is replaced: SHA-256 of paths, sizes and times of change.

    paths: relative to the root. For the `stamp` of readers. Raises OSError for a file that is not there.
    """
    digest = hashlib.sha256()
    for path in paths:
        status = os.stat(os.path.join(root, path))
        digest.update(os.fsencode(f"{path}\t{status.st_size}\t{status.st_mtime_ns}\n"))
    return digest.hexdigest()


def _compute(collection: ImageCollection, parts: Sequence[PartName]) -> str:
    """`content_fingerprint`, with the hashing of large images in threads: it leaves the interpreter to the reading."""
    digest = hashlib.sha256()
    with ThreadPoolExecutor(HASHING_THREADS) as threads:
        for name in parts:
            part = collection.part(name)
            digest.update(f"{name} {len(part)}\n".encode())
            for index, image_digest in enumerate(_digests(part.reader, len(part), threads)):
                class_name = collection.class_names[part.labels[index]]
                digest.update(f"{part.keys[index]}\t{class_name}\t".encode())
                digest.update(image_digest)
    return digest.hexdigest()[:FINGERPRINT_DIGITS]


def _digests(reader: ImageReader, count: int, threads: ThreadPoolExecutor) -> Iterator[bytes]:
    """The digest of each image, in order. All reading is done here, since readers need not be safe in threads."""
    waiting: deque[Future[bytes] | bytes] = deque()
    for index in range(count):
        raw = reader.read(index)
        waiting.append(raw_digest(raw) if _size(raw) < SMALL_BYTES else threads.submit(raw_digest, raw))
        if len(waiting) > AHEAD * HASHING_THREADS:
            yield _result(waiting.popleft())
    while waiting:
        yield _result(waiting.popleft())


def _size(raw: RawImage) -> int:
    return len(raw) if isinstance(raw, bytes) else raw.nbytes


def _result(digest: Future[bytes] | bytes) -> bytes:
    return digest if isinstance(digest, bytes) else digest.result()


def _state(collection: ImageCollection, parts: Sequence[PartName]) -> str | None:
    """A name for all that the fingerprint depends on, without reading an image; None if a reader cannot say."""
    digest = hashlib.sha256(f"{_VERSION}\n".encode())
    for name in parts:
        part = collection.part(name)
        stamp = _stamp(part.reader, None)
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
        with contextlib.suppress(OSError):  # reading it will say what is wrong
            return stamp_of_files(reader.root, reader.paths if chosen is None else (reader.paths[i] for i in chosen))
        return None
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
