"""Processes that decode images into rows of one file, which the process that started them maps into its memory.

Only numpy and Pillow are imported in them, so they start in a fraction of a second. They read what to do from a pipe:
when their parent is gone, however it went, the pipe ends and so do they; when one of them dies, the parent sees its
pipe end at once.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bench.data.collection import ImageReader, RawImage, raw_digest
from bench.errors import DataError

CHUNK = 8  # images handed to a process at once: 2 ms or more of work for 0.1 ms of handing over
STOP_SECONDS = 5.0  # patience with a process that was asked to end
_WAITING = 4  # chunks of a batch in work or waiting, for each process
_BOOT = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from bench.data.decoders import serve; serve()"
)

Prepare = Callable[[RawImage], tuple[NDArray[np.uint8], tuple[int, int]]]


@dataclass(frozen=True)
class _Refused:
    """An image that could not be read or decoded, and why."""

    index: int
    reason: str


@dataclass(frozen=True)
class Decoded:
    """B images: their original sizes, (B, 2), int32, and the `raw_digest` of what was read of each."""

    sizes: NDArray[np.int32]
    digests: list[bytes]


_Answer = Decoded | _Refused | OSError


@dataclass(frozen=True)
class _Work:
    """What it takes to decode: whose images, into what, and where that goes.

    scratch: the file is of use to nobody once the parent is dead.
    """

    reader: ImageReader
    prepare: Prepare
    file: str
    offset: int
    scratch: bool

    def decode(self, descriptor: int, index: Sequence[int], row: int) -> Decoded | _Refused:
        """Decode some images into consecutive rows of the file."""
        sizes = np.empty((len(index), 2), dtype=np.int32)
        digests = []
        for place, chosen in enumerate(index):
            try:
                raw = self.reader.read(chosen)
                pixels, sizes[place] = self.prepare(raw)
                digests.append(raw_digest(raw))  # of the very bytes that are shown; 2 % of decoding them
            except DataError as error:
                return _Refused(chosen, str(error))
            data = np.ascontiguousarray(pixels).data.cast("B")
            at = self.offset + (row + place) * len(data)
            while data:  # a write, not a map: a full disk is then an error and not a signal
                written = os.pwrite(descriptor, data, at)
                data, at = data[written:], at + written
        return Decoded(sizes, digests)


class Decoders:
    """Decodes images of a reader into a file, with processes or, if there are none, in the calling thread."""

    def __init__(
        self,
        reader: ImageReader,
        prepare: Prepare,
        keys: Sequence[str],
        file: Path,
        *,
        processes: int,
        offset: int = 0,
        scratch: bool = False,
    ) -> None:
        """prepare: makes a stored image an array, always of one size, with its original width and height; it can be
        pickled. file: is there, and large enough. scratch: the file is of use to nobody when this process is dead.
        """
        self._keys = keys
        self._work = _Work(reader, prepare, str(file), offset, scratch)
        self._own = os.open(file, os.O_WRONLY) if processes == 0 else None
        self._processes = [_Process(self._work) for _ in range(processes)]
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        for process in self._processes:
            self._idle.put(process)
        # one thread waits for each process; that is all these threads do
        self._threads = ThreadPoolExecutor(max(1, processes), thread_name_prefix="decoders")

    def start(self, index: NDArray[np.int64], row: int) -> Iterator[Decoded]:
        """Decode the images at `index` into the rows from `row` on; yields what came of them, chunk by chunk.

        Work begins now, for as much as the processes can take. Raises DataError at the chunk of an image that cannot
        be decoded and when a process died, OSError when the file cannot be written.
        """
        chunks = deque(range(at, min(at + CHUNK, len(index))) for at in range(0, len(index), CHUNK))
        begun: deque[Future[_Answer]] = deque()

        def begin() -> None:
            places = chunks.popleft()
            chosen = index[places.start : places.stop].tolist()
            begun.append(self._threads.submit(self._ask, chosen, row + places.start))

        def results() -> Iterator[Decoded]:
            while begun:
                answer = begun.popleft().result()
                if chunks:
                    begin()
                yield self._accepted(answer)

        if self._own is not None:
            return self._decoded_here(self._own, index, row, chunks)
        while chunks and len(begun) < _WAITING * len(self._processes):
            begin()
        return results()

    def _decoded_here(
        self, descriptor: int, index: NDArray[np.int64], row: int, chunks: Iterable[range]
    ) -> Iterator[Decoded]:
        for places in chunks:
            chosen = index[places.start : places.stop].tolist()
            yield self._accepted(self._work.decode(descriptor, chosen, row + places.start))

    def _ask(self, index: Sequence[int], row: int) -> _Answer:
        """In one of the threads: hand a chunk to a process that has nothing to do, and wait for it."""
        process = self._idle.get()
        try:
            return process.ask(index, row)
        finally:
            self._idle.put(process)

    def _accepted(self, answer: _Answer) -> Decoded:
        if isinstance(answer, OSError):
            raise answer
        if isinstance(answer, _Refused):
            raise DataError(
                f"Image '{self._keys[answer.index]}' cannot be used: {answer.reason.removesuffix('.')}. "
                "Repair it or take it out."
            )
        return answer

    def close(self) -> None:
        """End the processes, once they have finished the chunk they are at."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._processes:
            process.stop()
        if self._own is not None:
            os.close(self._own)
            self._own = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Process:
    """One decoding process as its parent sees it."""

    def __init__(self, work: _Work) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._popen = subprocess.Popen(
            [sys.executable, "-c", _BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C in the terminal is the parent's business
        )
        self._first: list[Any] = [sys.path, work]  # sent by the thread that asks first: the parent need not wait

    def ask(self, index: Sequence[int], row: int) -> _Answer:
        """Have some images decoded. Raises DataError if the process is dead or dies."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        try:
            while self._first:
                pickle.dump(self._first.pop(0), self._popen.stdin)
            pickle.dump((index, row), self._popen.stdin)
            self._popen.stdin.flush()
            answer: _Answer = pickle.load(self._popen.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            raise DataError(f"A process that decodes images {self._cause_of_death()}") from None
        return answer

    def _cause_of_death(self) -> str:
        code = self._popen.wait()
        self._errors.seek(0)
        written = self._errors.read().decode(errors="replace").strip().splitlines()
        last = f" Last line: {written[-1][:300]}" if written else ""
        if code == -signal.SIGKILL:
            return f"was killed, most often by the system when memory runs out: use fewer workers.{last}"
        return f"died of {signal.Signals(-code).name}.{last}" if code < 0 else f"ended with exit code {code}.{last}"

    def stop(self) -> None:
        """End the process: it leaves when its input ends, or is made to."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.close()
        try:
            self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:  # a process that was forked meanwhile holds the pipe open
            self._popen.kill()
            self._popen.wait()
        self._popen.stdout.close()
        self._errors.close()


def serve() -> None:
    """The life of a decoding process: what to do, then chunks, until the input ends."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not end up among the answers
    work: _Work = pickle.load(requests)
    descriptor = os.open(work.file, os.O_WRONLY)
    while True:
        try:
            index, row = pickle.load(requests)
        except EOFError:
            break
        answer: _Answer
        try:
            answer = work.decode(descriptor, index, row)
        except OSError as error:
            answer = error
        try:
            pickle.dump(answer, answers)
            answers.flush()
        except BrokenPipeError:
            break
    if work.scratch:
        with contextlib.suppress(OSError):
            os.unlink(work.file)
    os._exit(0)  # nothing is to be flushed, least of all into a pipe that nobody reads
