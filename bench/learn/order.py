"""Which images a training step sees: keyed by (seed, epoch), so that every model sees the same ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bench.data.randomness import Stream


def batches(pool: NDArray[np.int64], batch_size: int, steps: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """`steps` batches of exactly `batch_size` indices out of `pool`, epoch after epoch without replacement.

    pool: (N,), indices into the training part. A batch may span two epochs; a pool smaller than a batch repeats.
    The order depends on (seed, epoch) alone: not on the model, the batch size or the number of steps.
    """
    waiting = np.empty(0, dtype=np.int64)
    epoch = 0
    for _ in range(steps):
        while len(waiting) < batch_size:
            waiting = np.concatenate([waiting, pool[epoch_order(len(pool), seed, epoch)]])
            epoch += 1
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]


def epoch_order(size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of range(size), the same on every machine: raw Philox words, sorted."""
    # sorted raw words instead of Generator.permutation, whose stream numpy may change
    return np.argsort(Stream("order", seed, epoch).words(size), kind="stable").astype(np.int64)
