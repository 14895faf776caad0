"""Random numbers that are the same on every machine and in every numpy version.

Raw Philox words are a fixed algorithm; numpy's distributions are not promised to stay, so the conversion
from words to numbers is ours. A stream is found by its names, not by its place in a sequence.
Source: Philox 4x64-10, Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

FLOAT32_FRACTION_BITS = 24  # a float32 holds every multiple of 2**-24 in [0, 1)
Words = NDArray[np.uint64]
Floats = NDArray[np.float32]


class Stream:
    """The Philox words that belong to a tuple of names, read from the first on."""

    def __init__(self, *names: str | int) -> None:
        digest = hashlib.sha256("/".join(str(name) for name in names).encode()).digest()
        self._philox = np.random.Philox(key=int.from_bytes(digest[:16], "little"))

    def words(self, *shape: int) -> Words:
        """Uniform 64-bit words."""
        return np.asarray(self._philox.random_raw(int(np.prod(shape))), dtype=np.uint64).reshape(shape)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Floats:
        """Uniform float32 in [low, high)."""
        unit = uniform_of_words(self.words(*shape))
        return unit * np.float32(high - low) + np.float32(low)

    def integers(self, *shape: int, below: int) -> NDArray[np.int64]:
        """Uniform integers in [0, below), below at most 2**16; the bias is under 2**-32 of a probability."""
        return ((self.words(*shape) >> np.uint64(32)) * np.uint64(below) >> np.uint64(32)).astype(np.int64)

    def coin(self, *shape: int) -> Floats:
        """-1 or +1, equally likely, float32."""
        return (self.words(*shape) >> np.uint64(63)).astype(np.float32) * np.float32(2) - np.float32(1)

    def bell(self, *shape: int) -> Floats:
        """About normal, mean 0, standard deviation 1, within 3.5 of 0: the four 16-bit parts of a word, added."""
        words, mask = self.words(*shape), np.uint64(0xFFFF)
        total = (words & mask) + (words >> np.uint64(16) & mask) + (words >> np.uint64(32) & mask)
        total += words >> np.uint64(48)
        # The sum of four uniforms on [0, 65535] has mean 131070 and variance 4 * 65536**2 / 12.
        numbers: Floats = (total.astype(np.float32) - np.float32(131070)) * np.float32(math.sqrt(3) / 65536)
        return numbers


def uniform_of_words(words: Words) -> Floats:
    """The upper 24 bits of each word as a float32 in [0, 1); exact, so the same everywhere."""
    fraction = (words >> np.uint64(64 - FLOAT32_FRACTION_BITS)).astype(np.float32)
    return fraction * np.float32(2.0**-FLOAT32_FRACTION_BITS)


def random_word(*names: str | int) -> int:
    """A number in [0, 2**63) that belongs to these names."""
    return int(Stream(*names).words(1)[0] >> np.uint64(1))


def random_order(count: int, *names: str | int) -> NDArray[np.int64]:
    """A permutation of 0 .. count-1: the order of `count` random words."""
    return np.argsort(Stream(*names).words(count), kind="stable").astype(np.int64)
