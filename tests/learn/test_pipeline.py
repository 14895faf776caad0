from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from numpy.typing import NDArray

from bench.data.decoding.decode import ToSquare
from bench.data.decoding.decode_pool import EncodedImages
from bench.data.decoding.square_cache import StoredImages
from bench.data.sets.collection import LabelledImages
from bench.errors import DataError
from bench.learn.augment import crop_boxes, image_words, show
from bench.learn.pipeline import Batch, ScoringBatches, TrainingBatches, images_per_second, keyed_batches

N, SIDE = 23, 12
LABELS = np.arange(N, dtype=np.int64) % 5


@dataclass(frozen=True)
class Drawn:
    """Images as they are stored: arrays that differ in size. Reading `deadly` ends the process that reads it."""

    deadly: int = -1
    broken: int = -1

    def __len__(self) -> int:
        return N

    def read(self, index: int) -> NDArray[np.uint8]:
        if index == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if index == self.broken:
            raise DataError("it is torn")
        return np.random.default_rng(index).integers(0, 256, (15 + index, 20, 3), dtype=np.uint8)


def encoded(reader: Drawn | None = None) -> EncodedImages:
    part = LabelledImages(reader or Drawn(), LABELS, tuple(f"key{i}" for i in range(N)))
    return EncodedImages(part, SIDE, "square")


def stored() -> StoredImages:
    squares = [ToSquare(SIDE, "square")(Drawn().read(i)) for i in range(N)]
    sizes = np.array([size for _, size in squares], dtype=np.int32)
    return StoredImages((np.stack([pixels for pixels, _ in squares]),), sizes)


def training(images: StoredImages | EncodedImages, **changed: Any) -> TrainingBatches:
    settings: dict[str, Any] = {
        "batch_size": 10,
        "steps": 6,
        "seed": 3,
        "resolution_px": 8,
        "crop": "inception",
        "flip": True,
        "device": "cpu",
    }
    return TrainingBatches(images, LABELS, **(settings | changed))


def read_all(batches: TrainingBatches | ScoringBatches) -> list[Batch]:
    with batches:
        return list(batches)


def assert_same(found: list[Batch], expected: list[Batch]) -> None:
    assert [batch.step for batch in found] == [batch.step for batch in expected]
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


def test_batches_hold_the_order_of_the_seed_as_numbers_between_0_and_1() -> None:
    found = read_all(training(stored()))
    expected = [index for index, _ in keyed_batches(np.arange(N), 10, 6, seed=3)]
    assert [batch.index.tolist() for batch in found] == [index.tolist() for index in expected]
    assert [batch.labels.tolist() for batch in found] == [LABELS[index].tolist() for index in expected]
    for batch in found:
        assert batch.images.shape == (10, 3, 8, 8)
        assert batch.images.dtype == torch.float32
        assert batch.images.is_contiguous()
    everything = torch.cat([batch.images for batch in found])
    assert 0 <= everything.min() < 0.2
    assert 0.8 < everything.max() <= 1


def test_crops_are_those_of_seed_epoch_and_image() -> None:
    images = stored()
    batch = read_all(training(images, flip=False))[2]  # images 20 to 29 of the order: three of epoch 0, seven of 1
    epochs = np.array([0] * 3 + [1] * 7)
    words = image_words(3, epochs, batch.index, N)
    boxes = crop_boxes("inception", words, images.original_sizes[batch.index], stored_px=SIDE, resolution_px=8)
    pixels = torch.from_numpy(images.maps[0][batch.index])
    assert torch.equal(batch.images, show(pixels, torch.from_numpy(boxes), 8))


@pytest.mark.parametrize("crop", ["inception", "random", "none"])
def test_a_training_that_is_continued_sees_the_same_bits(crop: str) -> None:
    whole = read_all(training(stored(), crop=crop))
    for start in (1, 4, 6):
        assert_same(read_all(training(stored(), crop=crop, start_step=start)), whole[start:])


def test_an_image_that_comes_back_is_shown_differently() -> None:
    first, *_, later = read_all(training(stored(), batch_size=N, steps=2))
    assert not torch.allclose(first.images[first.index.argmin()], later.images[later.index.argmin()], atol=0.01)


def test_half_of_the_images_are_mirrored_when_flips_are_on() -> None:
    straight = read_all(training(stored(), crop="none", flip=False))
    flipped = read_all(training(stored(), crop="none"))
    pairs = [
        pair
        for one, other in zip(straight, flipped, strict=True)
        for pair in zip(one.images, other.images, strict=True)
    ]
    mirrored = [torch.equal(after, before.flip(2)) for before, after in pairs]
    assert all(
        torch.equal(after, before)
        for (before, after), is_mirrored in zip(pairs, mirrored, strict=True)
        if not is_mirrored
    )
    assert 15 < sum(mirrored) < 45  # of 60: 4 spreads of 3.9 around 30


def test_micro_batches_are_cut_from_their_step() -> None:
    whole, micro = read_all(training(stored())), read_all(training(stored(), micro_batch_size=4))
    assert [len(batch.labels) for batch in micro] == [4, 4, 2] * 6
    assert [batch.ends_step for batch in micro] == [False, False, True] * 6
    assert [batch.share for batch in micro] == [0.4, 0.4, 0.2] * 6
    for step, batch in enumerate(whole):
        of_step = [part for part in micro if part.step == step]
        assert torch.equal(torch.cat([part.images for part in of_step]), batch.images)


def test_processes_share_each_batch_between_them() -> None:
    whole = read_all(training(stored()))
    shares = [read_all(training(stored(), rank=rank, size=3)) for rank in range(3)]
    for step, batch in enumerate(whole):
        of_step = [share[step] for share in shares]
        assert [len(part.labels) for part in of_step] == [3, 3, 4]
        assert sum(part.share for part in of_step) == pytest.approx(1)
        assert torch.equal(torch.cat([part.images for part in of_step]), batch.images)


def test_only_images_of_the_pool_are_drawn_and_shown_as_without_it() -> None:
    pool = np.array([2, 20, 11])
    drawn = read_all(training(stored(), pool=pool, batch_size=3, steps=2))
    assert [sorted(batch.index.tolist()) for batch in drawn] == [[2, 11, 20]] * 2
    (everything,) = read_all(training(stored(), batch_size=N, steps=1))
    for image, index in zip(drawn[0].images, drawn[0].index, strict=True):
        assert torch.equal(image, everything.images[(everything.index == index).argmax()])


@pytest.mark.parametrize("workers", [0, 2])
def test_images_decoded_on_demand_are_those_that_were_stored(workers: int) -> None:
    changed = {"micro_batch_size": 3, "steps": 8}  # more micro-batches than are decoded ahead
    assert_same(read_all(training(encoded(), workers=workers, **changed)), read_all(training(stored(), **changed)))


def test_scoring_shows_every_image_once_and_whole() -> None:
    for images, size in ((stored(), 3), (encoded(), 1)):
        parts = [
            read_all(ScoringBatches(images, LABELS, batch_size=4, resolution_px=SIDE, device="cpu", rank=r, size=size))
            for r in range(size)
        ]
        index = np.concatenate([batch.index for part in parts for batch in part])
        assert index.tolist() == list(range(N))
        shown = torch.cat([batch.images for part in parts for batch in part])
        assert torch.equal(shown, torch.from_numpy(stored().maps[0]).permute(0, 3, 1, 2) / 255)


def left_over() -> tuple[set[psutil.Process], list[str]]:
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith(("batches", "decoders"))]
    return set(psutil.Process().children(recursive=True)), threads


@pytest.mark.parametrize("make", [stored, encoded])
def test_threads_and_processes_end_with_the_block_also_on_an_error(make: Any) -> None:
    before = left_over()
    batches = training(make(), workers=1)
    with contextlib.suppress(KeyError), batches:
        next(batches)
        assert left_over() != before
        raise KeyError
    assert left_over() == before
    with pytest.raises(StopIteration):
        next(batches)


def test_reading_to_the_end_closes_too() -> None:
    before = left_over()
    batches = training(stored())
    assert sum(1 for _ in batches) == 6
    assert left_over() == before


def test_a_loader_process_that_is_killed_is_an_error_and_not_a_wait() -> None:
    started = time.monotonic()
    with pytest.raises(DataError, match="was killed, most often by the system"):
        read_all(training(encoded(Drawn(deadly=7)), workers=2))
    assert time.monotonic() - started < 10


def test_an_image_that_cannot_be_decoded_is_named() -> None:
    with pytest.raises(DataError, match="Image 'key7' cannot be used: it is torn"):
        read_all(training(encoded(Drawn(broken=7)), workers=1))


def test_waiting_is_counted_and_so_are_images() -> None:
    with training(encoded(), workers=1) as batches:
        next(batches)
        assert batches.images == 10
        assert 0.05 < batches.waited_s < 30  # a process had to start


@pytest.mark.parametrize("crop", ["inception", "random", "none"])
def test_what_is_left_to_the_device_gives_the_same_images(crop: str) -> None:
    left_to_device = training(stored(), crop=crop)
    left_to_device._shows_in_thread = False  # as for a GPU
    assert_same(read_all(left_to_device), read_all(training(stored(), crop=crop)))


def test_the_thread_leaves_the_models_threads_alone() -> None:
    before = torch.get_num_threads()
    read_all(training(stored()))
    assert torch.get_num_threads() == before


def test_the_rate_of_the_pipeline_alone_needs_enough_batches() -> None:
    assert images_per_second(training(stored())) > 0
    with pytest.raises(ValueError, match="More than 3 batches"):
        images_per_second(training(stored(), steps=3))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("crop", ["inception", "random", "none"])
def test_a_gpu_sees_what_a_cpu_sees(crop: str) -> None:
    for here, there in zip(
        read_all(training(stored(), crop=crop)), read_all(training(stored(), crop=crop, device="cuda")), strict=True
    ):
        assert there.images.device.type == "cuda"
        assert torch.allclose(here.images, there.images.cpu(), atol=1e-4)
        assert torch.equal(here.labels, there.labels.cpu())
