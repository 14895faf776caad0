"""Every image of a data set seen once, in several processes, and what is kept of each.

Images are decoded in processes of their own, so that a picture that brings down its decoder ends the look with a name
and not the program.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bench.data.collection import ImageReader, LabelledImages, PartName, raw_digest
from bench.data.decode import FORMATS, decode
from bench.data.duplicates import THUMBNAIL, thumbnail
from bench.errors import DataError

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
    width and height in pixels. formats: (n,), positions in bench.data.decode.FORMATS, NO_FORMAT for pixel arrays.
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
    """One decoding process: its end of the pipe, the chunks it was given, and where it is."""

    def __init__(self, readers: bytes, folder: Path, number: int) -> None:
        context = get_context("spawn")  # a fork of a process that has threads (torch, rich) may hang
        self.position = context.RawValue("q", -1)
        self.errors = folder / f"{number}.txt"
        self.connection, self._far_end = context.Pipe()
        self.given: deque[_Chunk] = deque()
        self.left: list[_Chunk] = []  # its own stretch of the work, next chunk last
        self._process = context.Process(
            target=_serve, args=(self._far_end, readers, self.position, str(self.errors)), daemon=True
        )

    def start(self) -> None:
        self._process.start()
        self._far_end.close()  # so that the pipe ends when the process does

    def stop(self) -> None:
        """End the process, whatever it is at. Does nothing before `start`."""
        if self._process.pid is not None:
            self._process.kill()
            self._process.join()
        self.connection.close()

    def exit_code(self) -> int:
        """Of the process, which has ended or is about to."""
        self._process.join()
        return self._process.exitcode or 0


class _Crew:
    """Decoding processes that share the chunks. Used as a context: on leaving, however that comes, they are gone."""

    def __init__(self, name: str, parts: Mapping[PartName, LabelledImages], processes: int) -> None:
        self._name, self._parts, self._processes = name, parts, processes

    def __enter__(self) -> _Crew:
        self._folder = tempfile.TemporaryDirectory(prefix="vitbench-preflight-")
        self._members: list[_Member] = []
        readers = pickle.dumps({part: held.reader for part, held in self._parts.items()})
        try:
            with _interrupts_held_back():
                for number in range(self._processes):
                    self._members.append(_Member(readers, Path(self._folder.name), number))
                    self._members[-1].start()
            for member in self._members:
                self._receive(member)  # it says that it is ready
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.stop()
        self._folder.cleanup()

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
        while busy := {member.connection: member for member in self._members if member.given}:
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
            # A process that is already dead shows it at the next `_receive`.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                member.connection.send(chunk)

    def _receive(self, member: _Member) -> Any:
        try:
            return member.connection.recv()
        except (EOFError, OSError):
            raise DataError(self._obituary(member)) from None

    def _obituary(self, member: _Member) -> str:
        code = member.exit_code()
        where = "before its first image" if member.position.value < 0 else "between two images"
        if member.given:
            part, start, stop = member.given[0]
            if start <= member.position.value < stop:
                where = f"at image {self._parts[part].keys[member.position.value]!r} of '{part}'"
        written = member.errors.read_text(errors="replace").strip().splitlines() if member.errors.exists() else []
        last = f" Last line: {written[-1][:300]}." if written and code > 0 else ""
        if code == -signal.SIGKILL:
            cause = "was killed (SIGKILL), most often by the system when memory runs out"
            advice = "Use fewer processes, or take the image out if it is always the same one."
        else:
            cause = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            advice = "Take the image that it was at out, and check again."
        return f"Data set {self._name!r}: a decoding process {cause}, {where}.{last} {advice}"


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes started meanwhile never see Ctrl-C: it is this process's business, and it ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # when multiprocessing starts it, it lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, pickled_readers: bytes, position: Any, errors: str) -> None:
    """The decoding process: answers one chunk after another until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)  # libtiff writes there what it thinks
    except FileNotFoundError:  # the parent was interrupted and has already put its folder away
        return
    readers = pickle.loads(pickled_readers)
    # A closed pipe means that the parent is gone or has had enough.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(None)
        while True:
            part, start, stop = connection.recv()
            connection.send(_look(readers[part], start, stop, position))


def _look(reader: ImageReader, start: int, stop: int, position: Any) -> Looked:
    """Decode the images at these positions and keep what the findings need."""
    found = Looked.blank(stop - start)
    for row, index in enumerate(range(start, stop)):
        position.value = index
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
