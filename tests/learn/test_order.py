from __future__ import annotations

import numpy as np

from bench.learn.order import batches, epoch_order


def test_an_epoch_shows_every_image_once() -> None:
    assert sorted(epoch_order(10, seed=3, epoch=0)) == list(range(10))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    assert epoch_order(50, 1, 2).tolist() == epoch_order(50, 1, 2).tolist()
    assert epoch_order(50, 1, 2).tolist() != epoch_order(50, 1, 3).tolist()
    assert epoch_order(50, 1, 2).tolist() != epoch_order(50, 2, 2).tolist()


def test_batches_are_full_and_cross_epochs_without_losing_an_image() -> None:
    pool = np.array([7, 8, 9])
    drawn = list(batches(pool, batch_size=2, steps=3, seed=0))
    assert [len(batch) for batch in drawn] == [2, 2, 2]
    assert sorted(np.concatenate(drawn)) == [7, 7, 8, 8, 9, 9]


def test_a_pool_smaller_than_a_batch_repeats() -> None:
    (batch,) = batches(np.array([4, 5]), batch_size=6, steps=1, seed=0)
    assert sorted(batch) == [4, 4, 4, 5, 5, 5]


def test_a_longer_training_begins_as_a_shorter_one() -> None:
    pool = np.arange(20)
    short, long = (list(batches(pool, 4, steps, seed=5)) for steps in (3, 9))
    assert np.array_equal(short, long[:3])
