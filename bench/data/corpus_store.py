"""Corpora as memory maps in the cache: drawn once, in files of CHUNK images, for every set that begins with them.

cache/corpora/<name>-<side>px-<fingerprint>/<part>-<number>.npy, whole or not there at all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.corpora import Corpus, CorpusPart, draw_block
from bench.data.decoded import Progress, StoredImages, only_maker
from bench.data.generated import BLOCK_IMAGES
from bench.data.pixel_file import disk_error, open_array, reserve_array, seal_array
from bench.errors import DataError
from bench.places import cache_root
from bench.whole_files import replacing

CHUNK = 64 * BLOCK_IMAGES  # images in a file: 25 MB at 32 px, 1.2 GB at 224 px


def stored_corpus(
    corpus: Corpus, part: CorpusPart, count: int, *, progress: Progress | None = None
) -> tuple[StoredImages, NDArray[np.int64]]:
    """The first `count` images of a part, (N, R, R, 3), and their labels, (N,); drawn now unless they are there.

    progress: called with images done and all; what it raises stops the work between two blocks, and files that are
    whole stay. Two processes that want the same file draw it once.
    Raises DataError for a disk that is full or cannot be written; then nothing is left behind but whole files.
    """
    folder = cache_root() / "corpora" / f"{corpus.name}-{corpus.resolution_px}px-{corpus.fingerprint}"
    maps: list[NDArray[np.uint8]] = []
    for number in range(-(-count // CHUNK)):
        wanted = min(CHUNK, count - number * CHUNK)
        file = folder / f"{part}-{number:05d}.npy"
        stored = _opened(file, corpus, wanted)
        if stored is None:
            stored = _made(file, corpus, part, number, wanted, count, progress)
        maps.append(stored[:wanted])
    sizes = np.full((count, 2), corpus.resolution_px, dtype=np.int32)
    return StoredImages(tuple(maps), sizes), np.arange(count, dtype=np.int64) % corpus.num_classes


def _opened(file: Path, corpus: Corpus, wanted: int) -> NDArray[np.uint8] | None:
    """What is stored in a file; None if it is not there, damaged, or of fewer images than are wanted."""
    pixels, side = open_array(file), corpus.resolution_px
    is_ours = pixels is not None and pixels.shape[1:] == (side, side, 3) and len(pixels) >= wanted
    return pixels if is_ours else None


def _made(
    file: Path, corpus: Corpus, part: CorpusPart, number: int, wanted: int, count: int, progress: Progress | None
) -> NDArray[np.uint8]:
    """The file's images, drawn unless another process has done so meanwhile. Whole blocks, `wanted` images at least."""
    images = min(CHUNK, -(-wanted // BLOCK_IMAGES) * BLOCK_IMAGES)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with only_maker(file) as is_alone:
            stored = _opened(file, corpus, wanted)
            if stored is not None:
                return stored
            if is_alone:
                for left in file.parent.glob(f".{file.name}.*.tmp"):  # of makers that were killed
                    left.unlink(missing_ok=True)
            _draw(file, corpus, part, number * CHUNK, images, count, progress)
    except OSError as error:
        raise disk_error(file.parent, images, corpus.resolution_px, error) from None
    stored = _opened(file, corpus, wanted)
    if stored is None:
        raise DataError(f"Images were written to '{file}' and cannot be read back. Remove that file.")
    return stored


def _draw(
    file: Path, corpus: Corpus, part: CorpusPart, first: int, images: int, count: int, progress: Progress | None
) -> None:
    """Draw blocks into a file of a temporary name, then give it its name. Raises OSError, leaves nothing then."""
    side = corpus.resolution_px
    with replacing(file, durable=False) as temporary:
        offset = reserve_array(temporary, (images, side, side, 3))
        with open(temporary, "r+b") as stream:
            stream.seek(offset)
            for start in range(0, images, BLOCK_IMAGES):
                pixels, _ = draw_block(corpus, part, (first + start) // BLOCK_IMAGES)
                stream.write(pixels.tobytes())
                if progress is not None:
                    progress(min(count, first + start + BLOCK_IMAGES), count)
        seal_array(temporary)
