"""Every image of a data set seen once, in several processes, and what is kept of each.

Images are decoded in processes of their own, so that a picture that brings down its decoder ends the look with a name
and not the program.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bench.data.decoding.decode import FORMATS, decode
from bench.data.preflight.duplicates import THUMBNAIL, thumbnail
from bench.data.sets.collection import ImageReader, LabelledImages, PartName, raw_digest
from bench.errors import DataError
from bench.processes import PickleProcess, claimed_connections

NO_FORMAT = -1
_LARGEST_CHUNK = 32  # images between two words with the parent: under 0.1 s of work, over 100 times what words cost
_CHUNKS_EACH = 24  # chunks for each process at least, so that none waits long for the last one
_LEAST_EACH = 16  # images that make it worth starting a process, which takes as long as decoding a hundred
_DIGEST_BYTES = 16

_Chunk = tuple[PartName, int, int]  # part, first position, one after the last


@dataclass
class Looked:
    """What n images of one part are. Rows of bad images hold zeros.

    digests: (n,), the first 16 bytes of SHA-256 over the stored bytes. thumbnails: (n, 16, 18), uint8. sizes: (n, 2),
    width and height in pixels. formats: (n,), positions in decode.FORMATS, NO_FORMAT for pixel arrays.
    bad: position -> reason. conversions: how many images took each.
    """

    digests: NDArray[np.void]
    thumbnails: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    formats: NDArray[np.int8]
    bad: dict[int, str] = field(default_factory=dict)
    conversions: Counter[str] = field(default_factory=Counter)

    @classmethod
    def blank(cls, count: int) -> Looked:
        return cls(
            digests=np.zeros(count, dtype=f"V{_DIGEST_BYTES}"),
            thumbnails=np.zeros((count, *THUMBNAIL), dtype=np.uint8),
            sizes=np.zeros((count, 2), dtype=np.int32),
            formats=np.full(count, NO_FORMAT, dtype=np.int8),
        )

    def put(self, start: int, chunk: Looked) -> None:
        """Take over what was seen at positions from `start` on."""
        end = start + len(chunk.digests)
        self.digests[start:end] = chunk.digests
        self.thumbnails[start:end] = chunk.thumbnails
        self.sizes[start:end] = chunk.sizes
        self.formats[start:end] = chunk.formats
        self.bad |= {start + row: reason for row, reason in chunk.bad.items()}
        self.conversions += chunk.conversions


def look_at_all(
    name: str,
    parts: Mapping[PartName, LabelledImages],
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[dict[PartName, Looked], float, int]:
    """What every image is, the seconds that decoding took once all processes were ready, and how many those were.

    progress: called with (images done, images in all), in this process. Raises DataError when a process dies.
    """
    done, total = 0, sum(len(held) for held in parts.values())
    size = min(_LARGEST_CHUNK, max(1, total // (max(1, processes) * _CHUNKS_EACH)))
    chunks: list[_Chunk] = [
        (part, start, min(start + size, len(held)))
        for part, held in parts.items()
        for start in range(0, len(held), size)
    ]
    looked = {part: Looked.blank(len(held)) for part, held in parts.items()}
    used = max(1, min(processes, total // _LEAST_EACH))
    with _Crew(name, parts, used) as crew:
        started = time.perf_counter()
        for (part, start, stop), found in crew.look(chunks):
            looked[part].put(start, found)
            done += stop - start
            if progress is not None:
                progress(done, total)
        decoding_s = time.perf_counter() - started
    return looked, decoding_s, used


class _Member:
    """One decoding process and the chunks it was given."""

    def __init__(self) -> None:
        self.process = PickleProcess(serve)
        self.given: deque[_Chunk] = deque()
        self.left: list[_Chunk] = []  # its own stretch of the work, next chunk last


class _Crew:
    """Decoding processes that share the chunks. Used as a context: on leaving, however that comes, they are gone."""

    def __init__(self, name: str, parts: Mapping[PartName, LabelledImages], processes: int) -> None:
        self._name, self._parts, self._processes = name, parts, processes

    def __enter__(self) -> _Crew:
        self._members: list[_Member] = []
        # Where each process is, for it to be told of one that dies. Shared by a file that the processes open, too.
        self._file = tempfile.NamedTemporaryFile(prefix="vitbench-preflight-")
        self._positions = np.memmap(self._file, dtype=np.int64, shape=(self._processes,))
        self._positions[:] = -1
        readers = {part: held.reader for part, held in self._parts.items()}
        try:
            for number in range(self._processes):
                self._members.append(member := _Member())
                member.process.send((readers, self._file.name, self._positions.shape, number))
            for member in self._members:
                self._receive(member)  # it says that it is ready
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.process.kill()
            member.process.stop()
        self._file.close()

    def look(self, chunks: Sequence[_Chunk]) -> Iterator[tuple[_Chunk, Looked]]:
        """Each chunk with what was seen, in the order in which they are done.

        Every process goes through a stretch of its own in order, so that readers of large files read ahead; one that
        is through takes over the latter half of the longest stretch left.
        """
        for number, member in enumerate(self._members):
            start, stop = (len(chunks) * k // len(self._members) for k in (number, number + 1))
            member.left = list(chunks[start:stop])[::-1]
        for member in self._members:
            self._give(member)
            self._give(member)  # one ahead, so that it never waits for this process
        while busy := {member.process.answers: member for member in self._members if member.given}:
            for ready in wait(list(busy)):
                member = busy[cast("Connection", ready)]
                found = self._receive(member)
                chunk = member.given.popleft()
                self._give(member)
                yield chunk, found

    def _give(self, member: _Member) -> None:
        if not member.left:
            longest = max(self._members, key=lambda other: len(other.left)).left
            half = (len(longest) + 1) // 2
            member.left, longest[:half] = longest[:half], []
        if member.left:
            chunk = member.left.pop()
            member.given.append(chunk)
            member.process.send(chunk)

    def _receive(self, member: _Member) -> Any:
        try:
            return member.process.receive()
        except (EOFError, OSError):
            raise DataError(self._obituary(member)) from None

    def _obituary(self, member: _Member) -> str:
        ending = member.process.ending()
        position = int(self._positions[self._members.index(member)])
        where = "before its first image" if position < 0 else "between two images"
        if member.given:
            part, start, stop = member.given[0]
            if start <= position < stop:
                where = f"at image {self._parts[part].keys[position]!r} of '{part}'"
        last = f" Last line: {ending.last_line}." if ending.last_line and ending.code > 0 else ""
        if ending.was_killed:
            advice = "Use fewer processes, or take the image out if it is always the same one."
        else:
            advice = "Take the image that it was at out, and check again."
        return f"Data set {self._name!r}: a decoding process {ending.words}, {where}.{last} {advice}"


def serve() -> None:
    """The decoding process: answers one chunk after another until its input ends."""
    requests, answers = claimed_connections()
    # A closed pipe means that the parent is gone or has had enough; without the file it was interrupted.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError, FileNotFoundError):
        readers, file, shape, number = requests.recv()
        positions = np.memmap(file, dtype=np.int64, mode="r+", shape=shape)
        answers.send(None)
        while True:
            part, start, stop = requests.recv()
            answers.send(_look(readers[part], start, stop, positions[number : number + 1]))


def _look(reader: ImageReader, start: int, stop: int, position: NDArray[np.int64]) -> Looked:
    """Decode the images at these positions and keep what the findings need."""
    found = Looked.blank(stop - start)
    for row, index in enumerate(range(start, stop)):
        position[0] = index
        try:
            _look_at_one(reader, index, found, row)
        except (DataError, OSError) as error:
            found.bad[row] = str(error)
    return found


def _look_at_one(reader: ImageReader, index: int, found: Looked, row: int) -> None:
    # A function of its own, so that the pixels are let go before the next image's are asked for: the same memory is
    # used again, which saves 8 % of the time.
    raw = reader.read(index)
    decoded = decode(raw)
    found.digests[row] = raw_digest(raw)[:_DIGEST_BYTES]
    found.thumbnails[row] = thumbnail(decoded.image)
    found.sizes[row] = decoded.stored_size
    found.conversions.update(decoded.conversions)
    if decoded.content_format is not None:
        found.formats[row] = FORMATS.index(decoded.content_format)
