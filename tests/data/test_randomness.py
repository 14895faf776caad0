from __future__ import annotations

import hashlib

import numpy as np
import pytest

from bench.data.generated.randomness import Stream, random_order, uniform_of_words


def test_a_word_becomes_its_upper_24_bits_over_two_to_the_24th():
    words = np.array([0, 1 << 63, (1 << 64) - 1, 3 << 40, (1 << 40) - 1], dtype=np.uint64)

    numbers = uniform_of_words(words)

    assert numbers.dtype == np.float32
    assert numbers.tolist() == [0.0, 0.5, 1 - 2**-24, 3 * 2**-24, 0.0]


def test_a_stream_is_the_philox_generator_keyed_by_the_hash_of_its_names():
    key = int.from_bytes(hashlib.sha256(b"shapes/noise/train/0").digest()[:16], "little")

    expected = np.random.Philox(key=key).random_raw(4)

    assert Stream("shapes", "noise", "train", 0).words(4).tolist() == expected.tolist()


def test_the_first_word_of_a_stream_never_changes():
    assert int(Stream("a", 1).words(1)[0]) == 12100088058179327416


def test_uniform_numbers_fill_their_range_evenly():
    numbers = Stream("uniform").uniform(20_000, low=-2.0, high=6.0)

    assert numbers.min() >= -2
    assert numbers.max() < 6
    # The mean of n uniforms has standard deviation range / sqrt(12 n): 0.016 here.
    assert float(numbers.mean(dtype=np.float64)) == pytest.approx(2.0, abs=0.08)


def test_bell_numbers_have_mean_0_and_spread_1():
    numbers = Stream("bell").bell(20_000).astype(np.float64)

    assert numbers.mean() == pytest.approx(0, abs=0.04)
    assert numbers.std() == pytest.approx(1, abs=0.03)
    assert np.abs(numbers).max() <= 3.5


def test_integers_take_every_value_below_the_bound():
    assert set(Stream("integers").integers(500, below=7).tolist()) == set(range(7))


def test_coins_fall_on_both_sides():
    assert set(Stream("coin").coin(100).tolist()) == {-1.0, 1.0}


def test_a_random_order_is_a_permutation_that_its_names_fix():
    order = random_order(50, "order", 1)

    assert sorted(order.tolist()) == list(range(50))
    assert order.tolist() == random_order(50, "order", 1).tolist()
    assert order.tolist() != random_order(50, "order", 2).tolist()
