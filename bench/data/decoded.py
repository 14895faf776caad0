"""Images decoded once to squares of one size, kept on disk as a memory map; too many for that: decoded on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.collection import LabelledImages

Resize = Literal["square", "shorter side, centre crop"]


@dataclass(frozen=True)
class StoredImages:
    """N decoded images as S x S squares, of one or several parts one after the other.

    maps: arrays (n, S, S, 3), uint8, memory maps as a rule; the n of all add up to N. original_sizes: (N, 2), int32,
    width and height in pixels before the image became a square.
    """

    maps: tuple[NDArray[np.uint8], ...]
    original_sizes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.original_sizes)

    @property
    def stored_px(self) -> int:
        """The side S of the squares."""
        return int(self.maps[0].shape[1])

    def gather(self, index: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Copy the images at `index`, (B,), into `out`, (B, S, S, 3), in this order."""
        if len(self.maps) == 1:
            np.take(self.maps[0], index, axis=0, out=out, mode="clip")  # "raise" would copy twice
            return
        start = 0
        for pixels in self.maps:
            (here,) = np.nonzero((start <= index) & (index < start + len(pixels)))
            out[here] = pixels[index[here] - start]
            start += len(pixels)


@dataclass(frozen=True)
class EncodedImages:
    """N images too many to keep decoded: each is decoded and made an S x S square when it is asked for."""

    part: LabelledImages
    stored_px: int
    resize: Resize

    def __len__(self) -> int:
        return len(self.part)


SquareImages = StoredImages | EncodedImages
