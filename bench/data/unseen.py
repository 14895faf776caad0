"""Generated set `unseen`: fractals and rings of classes that no corpus holds: what is pretraining on others worth?

Drawn as bench.data.corpora draws them, with class parameters from another namespace.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.generated import RESOLUTION_PX, Streams, make_generated
from bench.data.image_set import Parts

NAMESPACE = "unseen"
CLASSES = 20  # a fractal, a ring, a fractal, ...


def make_unseen() -> Parts:
    """8,180 train, 1,000 validation and 2,000 test pictures in 20 classes."""
    return make_generated("unseen", CLASSES, draw_unseen)


def draw_unseen(labels: NDArray[np.int64], streams: Streams) -> NDArray[np.uint8]:
    """Pictures (N, 32, 32, 3) of the fractals and rings that the labels (N,) name."""
    from bench.data.corpora import coloured, draw_ink  # imports torch, which most readers of data sets do without

    pixels: NDArray[np.uint8] = coloured(
        draw_ink("mix", NAMESPACE, labels, streams, RESOLUTION_PX, "cpu"), streams
    ).numpy()
    return pixels
