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
