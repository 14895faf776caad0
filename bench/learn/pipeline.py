"""From stored squares to batches on the device: order, crops and flips keyed by (seed, epoch, index).

A thread prepares the next batches while the model computes. On the CPU it also crops; elsewhere the device does.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from bench.data.decoding.decode_pool import DecodingAhead, EncodedImages
from bench.data.decoding.square_cache import SquareImages, StoredImages
from bench.data.generated.randomness import Stream, Words
from bench.learn.augment import Crop, crop_boxes, flips, image_words, show, show_whole

AHEAD = 2  # batches prepared before they are asked for

MaybeTensor = TypeVar("MaybeTensor", Tensor, Tensor | None)


@dataclass(frozen=True)
class Batch:
    """What one forward pass sees: a micro-batch of one process.

    images: (B, 3, R, R), float32 in [0, 1], contiguous, on the device. labels: (B,), int64, on the device.
    index: (B,), positions in the stored images. step: the optimiser step it belongs to, counted from 0. first: the
    place of its first image in the step's batch, of all processes. ends_step: no more of this process
    follow for this step. share: B / (all images of the step, in all processes), so that the step's loss is the sum over
    micro-batches and processes of share x mean loss.
    """

    images: Tensor
    labels: Tensor
    index: NDArray[np.int64]
    step: int
    first: int
    ends_step: bool
    share: float


@dataclass(frozen=True)
class _Request:
    """One micro-batch before its pixels are there. words: (B, WORDS_PER_IMAGE), what its crops and flips follow."""

    index: NDArray[np.int64]
    words: Words | None
    step: int
    first: int
    ends_step: bool
    share: float

    def batch(self, images: Tensor, labels: Tensor) -> Batch:
        return Batch(images, labels, self.index, self.step, self.first, self.ends_step, self.share)


class Batches:
    """An iterator of Batch, prepared ahead by a thread; use it in a `with` block, which ends thread and processes.

    images: how many images have been handed out. waited_s: seconds that the consumer spent in `next`, the wait for
    the first batch included.
    Raises DataError from `next` for an image that cannot be decoded and when a decoding process has died.
    """

    def __init__(
        self,
        images: SquareImages,
        labels: NDArray[np.int64],
        requests: Iterator[_Request],
        *,
        most: int,
        resolution_px: int,
        crop: Crop,
        flip: bool,
        device: torch.device | str,
        workers: int,
    ) -> None:
        self.images, self.waited_s = 0, 0.0
        self._source, self._labels, self._requests = images, torch.from_numpy(np.array(labels)), requests
        self._resolution_px, self._crop, self._flip, self._device = resolution_px, crop, flip, torch.device(device)
        self._ahead = DecodingAhead(images, most, max(1, workers)) if isinstance(images, EncodedImages) else None
        self._asked: deque[_Request] = deque()
        self._buffer = np.empty((0, 0, 0, 3), dtype=np.uint8)
        device_index = _cuda_index(self._device)
        self._thread = ThreadPoolExecutor(1, "batches", initializer=_start_thread, initargs=(device_index,))
        self._closed = False
        self._ready: deque[Future[Callable[[], Batch] | None]] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        if self._closed:
            raise StopIteration
        started = time.perf_counter()
        try:
            while len(self._ready) < AHEAD:
                self._ready.append(self._thread.submit(self._prepare))
            finish = self._ready.popleft().result()
            # one more at once: the thread should have work while the model computes, not only at the next call
            self._ready.append(self._thread.submit(self._prepare))
            if finish is None:
                self.close()
                raise StopIteration
            batch = finish()
        finally:
            self.waited_s += time.perf_counter() - started
        self.images += len(batch.labels)
        return batch

    def _prepare(self) -> Callable[[], Batch] | None:
        """In the thread: the pixels of the next micro-batch, on the CPU cropped as well.

        Returns what is left to be done by the consumer; tensors that a GPU is to fetch are page-locked till then.
        """
        gathered = self._gathered()
        if gathered is None:
            return None
        request, squares, sizes = gathered
        pixels, labels = torch.from_numpy(squares), self._labels[torch.from_numpy(request.index)]
        boxes, mirrored = self._drawn(request.words, sizes, squares.shape[1])
        if self._device.type == "cpu":
            images = self._show(pixels, boxes, mirrored)
            return lambda: request.batch(images, labels)
        held = self._held(pixels), self._held(boxes), self._held(mirrored)
        held_labels = self._held(labels)

        def finish() -> Batch:
            pixels, boxes, mirrored = held
            shown = self._show(self._sent(pixels), self._sent(boxes), self._sent(mirrored))
            return request.batch(shown, self._sent(held_labels))

        return finish

    def _gathered(self) -> tuple[_Request, NDArray[np.uint8], NDArray[np.int32]] | None:
        """The next request, its squares (valid until the next call) and their original sizes."""
        if isinstance(self._source, StoredImages):
            request = next(self._requests, None)
            if request is None:
                return None
            B, S = len(request.index), self._source.stored_px
            if len(self._buffer) < B:
                self._buffer = np.empty((B, S, S, 3), dtype=np.uint8)
            self._source.gather(request.index, self._buffer[:B])
            return request, self._buffer[:B], self._source.original_sizes[request.index]
        assert self._ahead is not None
        while self._ahead.has_room and (request := next(self._requests, None)) is not None:
            self._ahead.ask(request.index)
            self._asked.append(request)
        return (self._asked.popleft(), *self._ahead.take()) if self._asked else None

    def _drawn(
        self, words: Words | None, original_sizes: NDArray[np.int32], stored_px: int
    ) -> tuple[Tensor | None, Tensor | None]:
        """Boxes and which images are mirrored. Boxes mirror too, so that there is only one of the two."""
        if words is None:
            return None, None
        mirrored = flips(words) if self._flip else None
        if self._crop == "none":
            return None, None if mirrored is None else torch.from_numpy(mirrored)
        boxes = crop_boxes(self._crop, words, original_sizes, stored_px=stored_px, resolution_px=self._resolution_px)
        if mirrored is not None:
            boxes[mirrored, 0] += boxes[mirrored, 2]
            boxes[mirrored, 2] *= -1
        return torch.from_numpy(boxes), None

    def _show(self, squares: Tensor, boxes: Tensor | None, mirrored: Tensor | None) -> Tensor:
        """(B, 3, R, R) of (B, S, S, 3): cropped, mirrored and resized on the device that the squares are on."""
        if boxes is None:
            return show_whole(squares, mirrored, self._resolution_px)
        return show(squares, boxes, self._resolution_px)

    def _held(self, tensor: MaybeTensor) -> MaybeTensor:
        """A copy that outlives the buffers of the thread."""
        if tensor is None:
            return tensor
        # torch uses page-locked memory again only when the copy from it is over
        return tensor.pin_memory() if self._device.type == "cuda" else tensor.clone()

    def _sent(self, tensor: MaybeTensor) -> MaybeTensor:
        """On the device; a GPU fetches it when it gets there, and nobody waits."""
        return tensor if tensor is None else tensor.to(self._device, non_blocking=self._device.type == "cuda")

    def close(self) -> None:
        """End the thread and the processes. Nothing can be read afterwards."""
        self._closed = True
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._ahead is not None:
            self._ahead.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class TrainingBatches(Batches):
    """The batches of a training, those of step `start_step` first; bit for bit what a training from step 0 would see.

    images, labels: all that can be drawn from; labels: (N,). pool: (M,), the positions that are, all of them without
    it. batch_size: images of one optimiser step in all processes; `rank` of `size` processes takes its slice of each.
    micro_batch_size: at most so many images in one Batch. resolution_px, crop, flip: see bench.learn.augment.
    workers: processes that decode, for images that are not stored.
    """

    def __init__(
        self,
        images: SquareImages,
        labels: NDArray[np.int64],
        *,
        batch_size: int,
        steps: int,
        seed: int,
        resolution_px: int,
        crop: Crop,
        flip: bool,
        device: torch.device | str,
        micro_batch_size: int | None = None,
        start_step: int = 0,
        pool: NDArray[np.int64] | None = None,
        workers: int = 0,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        def requests() -> Iterator[_Request]:
            drawn = keyed_batches(positions, batch_size, steps, seed, start_step)
            for step, (index, epochs) in enumerate(drawn, start_step):
                first, end = rank * batch_size // size, (rank + 1) * batch_size // size
                words = image_words(seed, epochs[first:end], index[first:end], len(images))
                for start in range(first, end, most):
                    here = slice(start, min(start + most, end))
                    share = len(index[here]) / batch_size
                    yield _Request(index[here], words[start - first :][:most], step, start, start + most >= end, share)

        positions = np.arange(len(images)) if pool is None else pool
        most = micro_batch_size or batch_size
        super().__init__(
            images,
            labels,
            requests(),
            most=min(most, batch_size),
            resolution_px=resolution_px,
            crop=crop,
            flip=flip,
            device=device,
            workers=workers,
        )


class ScoringBatches(Batches):
    """Every image once, in order, whole, resized to the resolution; `rank` of `size` processes takes its share.

    Process r gets the positions r * N // size to (r + 1) * N // size. The last batch may be smaller.
    """

    def __init__(
        self,
        images: SquareImages,
        labels: NDArray[np.int64],
        *,
        batch_size: int,
        resolution_px: int,
        device: torch.device | str,
        workers: int = 0,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        mine = np.arange(rank * len(images) // size, (rank + 1) * len(images) // size)
        requests = (
            _Request(mine[start : start + batch_size], None, step, start, True, 1.0)
            for step, start in enumerate(range(0, len(mine), batch_size))
        )
        super().__init__(
            images,
            labels,
            requests,
            most=batch_size,
            resolution_px=resolution_px,
            crop="none",
            flip=False,
            device=device,
            workers=workers,
        )


def epoch_order(size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of range(size), the same on every machine: raw Philox words, sorted."""
    # sorted raw words instead of Generator.permutation, whose stream numpy may change
    return np.argsort(Stream("order", seed, epoch).words(size), kind="stable").astype(np.int64)


def keyed_batches(
    pool: NDArray[np.int64], batch_size: int, steps: int, seed: int, start_step: int = 0
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The batches of `batches` from `start_step` on, each with the epoch that every image of it belongs to.

    Yields (index, epoch), both (batch_size,), steps - start_step times. The cost of a start in the middle is one
    epoch's order, however far in it lies.
    """
    size, order = len(pool), (-1, np.empty(0, dtype=np.int64))
    for step in range(start_step, steps):
        epochs, places = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), size)
        index = np.empty(batch_size, dtype=np.int64)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            if order[0] != epoch:
                order = (epoch, epoch_order(size, seed, epoch))
            here = epochs == epoch
            index[here] = pool[order[1][places[here]]]
        yield index, epochs


def images_per_second(batches: Batches) -> float:
    """What the pipeline alone gives: every batch is asked for and dropped, the first AHEAD + 1 not counted.

    Uses the batches up and closes them. Raises ValueError if there are not more than AHEAD + 1.
    """
    with batches:
        first = list(itertools.islice(batches, AHEAD + 1))  # prepared before they were asked for
        _wait_for(first)
        counted, started = batches.images, time.perf_counter()
        last = deque(batches, maxlen=1)
        _wait_for(last)
        if not last:
            raise ValueError(f"More than {AHEAD + 1} batches are needed to measure a rate.")
        return (batches.images - counted) / (time.perf_counter() - started)


def _wait_for(batches: Iterable[Batch]) -> None:
    """Returns when the device has made these batches."""
    for batch in batches:
        batch.images[-1, -1, -1, -1].item()


def _cuda_index(device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    return torch.cuda.current_device() if device.index is None else device.index


def _start_thread(cuda_index: int | None) -> None:
    """Keep torch in this thread from threads of its own, which would fight with the model's for the cores."""
    torch.get_num_threads()  # torch sets a new thread's number when it is first asked
    threadpool_limits(limits=1, user_api="openmp")  # OpenMP keeps it for each thread
    if cuda_index is not None:
        torch.cuda.set_device(cuda_index)  # a new thread starts at the first GPU and would take memory there
