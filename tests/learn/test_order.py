from __future__ import annotations

import numpy as np

from bench.learn.pipeline import epoch_order, keyed_batches


def test_an_epoch_shows_every_image_once() -> None:
    assert sorted(epoch_order(10, seed=3, epoch=0)) == list(range(10))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    assert epoch_order(50, 1, 2).tolist() == epoch_order(50, 1, 2).tolist()
    assert epoch_order(50, 1, 2).tolist() != epoch_order(50, 1, 3).tolist()
    assert epoch_order(50, 1, 2).tolist() != epoch_order(50, 2, 2).tolist()


def test_batches_are_full_and_cross_epochs_without_losing_an_image() -> None:
    pool = np.array([7, 8, 9])
    drawn = [index for index, _ in keyed_batches(pool, batch_size=2, steps=3, seed=0)]
    assert [len(batch) for batch in drawn] == [2, 2, 2]
    assert sorted(np.concatenate(drawn)) == [7, 7, 8, 8, 9, 9]


def test_a_pool_smaller_than_a_batch_repeats() -> None:
    ((batch, _),) = keyed_batches(np.array([4, 5]), batch_size=6, steps=1, seed=0)
    assert sorted(batch) == [4, 4, 4, 5, 5, 5]


def test_a_longer_training_begins_as_a_shorter_one() -> None:
    pool = np.arange(20)
    short, long = ([index for index, _ in keyed_batches(pool, 4, steps, seed=5)] for steps in (3, 9))
    assert np.array_equal(short, long[:3])


def test_every_image_of_a_batch_comes_with_its_epoch() -> None:
    pool = np.array([30, 10, 20, 50, 40])
    keyed = list(keyed_batches(pool, batch_size=3, steps=7, seed=1))
    epochs = np.concatenate([pool[epoch_order(5, seed=1, epoch=epoch)] for epoch in range(5)])
    assert np.concatenate([index for index, _ in keyed]).tolist() == epochs[:21].tolist()
    assert np.concatenate([epochs for _, epochs in keyed]).tolist() == [i // 5 for i in range(21)]


def test_a_training_that_is_continued_sees_what_the_uninterrupted_one_sees() -> None:
    whole = list(keyed_batches(np.arange(7), 10, steps=9, seed=2))  # a pool smaller than a batch
    for start in range(10):
        rest = list(keyed_batches(np.arange(7), 10, steps=9, seed=2, start_step=start))
        assert len(rest) == 9 - start
        for (index, epochs), (expected_index, expected_epochs) in zip(rest, whole[start:], strict=True):
            assert index.tolist() == expected_index.tolist()
            assert epochs.tolist() == expected_epochs.tolist()
