"""What all generated sets have in common: their size, their blocks and the classes' turn.

Image i of a part is of class i mod C and lies in block i // BLOCK_IMAGES, whose random streams are found by
name. So a smaller set is an exact, balanced beginning of a larger one, and blocks can be made in any order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.data.collection import ImageSet, Parts
from bench.data.randomness import Stream

RESOLUTION_PX = 32
BLOCK_IMAGES = 128  # the float pictures of a block fit into a processor's second-level cache
TRAIN_IMAGES = 8192  # rounded down to a multiple of the classes
VALIDATION_IMAGES = 1000
TEST_IMAGES = 2000

# Draws the pictures (N, 32, 32, 3) of the labels (N,); each role, such as "place" or "noise", has its own stream.
Streams = Callable[[str], Stream]
Draw = Callable[[NDArray[np.int64], Streams], NDArray[np.uint8]]


def make_generated(name: str, classes: int, draw: Draw) -> Parts:
    """The three parts of a generated set, at the sizes above."""
    return Parts(
        train=make_part(name, "train", classes, TRAIN_IMAGES - TRAIN_IMAGES % classes, draw),
        validation=make_part(name, "validation", classes, VALIDATION_IMAGES, draw),
        test=make_part(name, "test", classes, TEST_IMAGES, draw),
    )


def make_part(name: str, split: str, classes: int, count: int, draw: Draw) -> ImageSet:
    """The first `count` images of a part that has no end."""
    pictures = []
    for block in range(-(-count // BLOCK_IMAGES)):
        labels = (np.arange(BLOCK_IMAGES, dtype=np.int64) + block * BLOCK_IMAGES) % classes
        pictures.append(draw(labels, lambda role, block=block: Stream(name, role, split, block)))  # type: ignore[misc]
    return ImageSet(
        images=np.concatenate(pictures)[:count],
        labels=np.arange(count, dtype=np.int64) % classes,
        keys=tuple(f"{name}/{split}/{i:05d}" for i in range(count)),
    )
