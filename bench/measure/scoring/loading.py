"""Stored images decoded and made ready by loader processes, in batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.data.decoding.decode import decode
from bench.data.sets.collection import LabelledImages
from bench.errors import DataError


class Loaded(NamedTuple):
    """Some images of a part. positions: (B,). pixels: (B, ...), what `prepare` made of them.

    problem: why the one image at positions[0] cannot be read; pixels are then empty.
    """

    positions: NDArray[np.int64]
    pixels: Tensor
    problem: str = ""


def load_batches(
    part: LabelledImages,
    index: NDArray[np.int64],
    prepare: Callable[[Image.Image], Any],
    *,
    batch_size: int,
    workers: int,
) -> Iterator[Loaded]:
    """The images at these positions, in this order. workers: loader processes, 0 decodes here, between batches.

    prepare: picklable; gives tensors or arrays of one shape. Raises RuntimeError when a loader process dies.
    """
    processes = min(workers, math.ceil(len(index) / batch_size))
    loader = DataLoader(
        _Prepared(part, index, prepare),
        batch_size=batch_size,
        num_workers=processes,
        collate_fn=_stacked,
        # A forked process would wait for ever for locks that this one's threads hold, that of standard input for one,
        # and would share the places in open files.
        multiprocessing_context="spawn" if processes else None,
        generator=torch.Generator(),  # otherwise the loader draws from the global one
    )
    yield from loader


@dataclass(frozen=True)
class _Prepared(Dataset[Loaded]):
    """Single images. What is wrong with one is told: an exception that leaves a loader process arrives as another."""

    part: LabelledImages
    index: NDArray[np.int64]
    prepare: Callable[[Image.Image], Any]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: int) -> Loaded:
        position = self.index[item : item + 1]
        try:
            image = decode(self.part.reader.read(int(position[0]))).image
        except DataError as error:
            return Loaded(position, torch.empty(0), str(error))
        return Loaded(position, torch.as_tensor(self.prepare(image)))


def _stacked(rows: list[Loaded]) -> Loaded:
    unreadable = next((row for row in rows if row.problem), None)
    if unreadable is not None:
        return unreadable
    return Loaded(np.concatenate([row.positions for row in rows]), torch.stack([row.pixels for row in rows]))
