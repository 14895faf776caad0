"""Processes that decode images into rows of one file, which the process that started them maps into its memory.

Only numpy and Pillow are imported in them, so they start in a fraction of a second. When one of them dies, the parent
sees its pipe end at once.
"""

from __future__ import annotations

import contextlib
import os
import queue
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.data.decoding.decode import Resize, ToSquare
from bench.data.decoding.pixel_file import reserve
from bench.data.sets.collection import ImageReader, LabelledImages, RawImage, raw_digest
from bench.errors import DataError
from bench.processes import PickleProcess, claimed_connections

CHUNK = 8  # images handed to a process at once: 2 ms or more of work for 0.1 ms of handing over
STOP_SECONDS = 5.0  # patience with a process that was asked to end
_WAITING = 4  # chunks of a batch in work or waiting, for each process

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


class _Process:
    """One decoding process as its parent sees it."""

    def __init__(self, work: _Work) -> None:
        self._process = PickleProcess(serve)
        self._first: list[_Work] = [work]  # sent by the thread that asks first: the parent need not wait

    def ask(self, index: Sequence[int], row: int) -> _Answer:
        """Have some images decoded. Raises DataError if the process is dead or dies."""
        while self._first:
            self._process.send(self._first.pop())
        self._process.send((index, row))
        try:
            answer: _Answer = self._process.receive()
        except EOFError:
            ending = self._process.ending()
            cause = ending.words
            if ending.was_killed:
                cause = "was killed, most often by the system when memory runs out: use fewer workers"
            last = f" Last line: {ending.last_line}" if ending.last_line else ""
            raise DataError(f"A process that decodes images {cause}.{last}") from None
        return answer

    def stop(self) -> None:
        """End the process: it leaves when its input ends, or is made to."""
        self._process.stop(STOP_SECONDS)


def serve() -> None:
    """The life of a decoding process: what to do, then chunks, until the input ends."""
    requests, answers = claimed_connections()
    work: _Work = requests.recv()
    descriptor = os.open(work.file, os.O_WRONLY)
    # A closed pipe means that the parent is gone or has had enough.
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            index, row = requests.recv()
            answer: _Answer
            try:
                answer = work.decode(descriptor, index, row)
            except OSError as error:
                answer = error
            answers.send(answer)
    if work.scratch:
        with contextlib.suppress(OSError):
            os.unlink(work.file)
    os._exit(0)  # nothing is to be flushed, least of all into a pipe that nobody reads


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
