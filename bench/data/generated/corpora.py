"""Generated corpora to pretrain on: as many images as one likes, of 64 to 10,000 classes, at 32 to 224 px.

A name says the family and the number of classes: `fractals-1000`, `rings-64`, `mix-128` (every other class of either).
Class k is the same in a corpus of any number of classes. Image i of a part is of class i mod C and lies in block
i // BLOCK_IMAGES, as in `generated`, so that a smaller corpus is the exact beginning of a larger one. Colours, ground,
noise, size, place and turn are drawn without looking at the class. The same pixels come from a CPU and from a GPU:
everything is done element by element, in operations that IEEE 754 fixes to the last bit.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.decoding.pixel_file import open_array, open_or_make, reserve_array, seal_array
from bench.data.decoding.square_cache import Progress, StoredImages
from bench.data.generated.fractals import draw_fractals
from bench.data.generated.randomness import Floats, Stream
from bench.data.generated.rings import draw_rings
from bench.data.generated.small_sets import BLOCK_IMAGES, Streams
from bench.data.sets.collection import FINGERPRINT_DIGITS
from bench.errors import RequestError, UnknownNameError
from bench.places import cache_root
from bench.whole_files import replacing

Family = Literal["fractals", "rings", "mix"]
CorpusPart = Literal["train", "validation"]
Draw = Callable[[str, NDArray[np.int64], Streams, int, str], Tensor]

NAMESPACE = "corpus"  # of the classes; `unseen` draws its own from another
CLASSES = (64, 10_000)
CORPUS_PX = (32, 224)  # side, least and most
VALIDATION_IMAGES = 2048
LEAST_CONTRAST, MOST_CONTRAST = 0.35, 0.6
NOISE = 0.12  # either way, 1 being black to white
SLOPE = 0.15  # the ground's change from one side to the other
STORED = 64 * BLOCK_IMAGES  # images in a file of the cache: 25 MB at 32 px, 1.2 GB at 224 px
_NAME = re.compile(r"([a-z]+)-(\d+)")
_FAMILIES: dict[Family, tuple[str, str]] = {
    "fractals": ("Fractals", "Iterated function systems; the class is the system."),
    "rings": ("Rings", "Rings inside one another whose radius swings; the class is how many and by which waves."),
    "mix": ("Fractals and rings", "Iterated function systems and swinging rings, half of the classes each."),
}


@dataclass(frozen=True)
class Corpus:
    """One corpus at one resolution. It has no end; see `draw_block` for its images."""

    name: str
    family: Family
    num_classes: int
    resolution_px: int

    @property
    def title(self) -> str:
        """For a person: `Fractals, 1,000 classes`."""
        return f"{_FAMILIES[self.family][0]}, {self.num_classes:,} classes"

    @property
    def description(self) -> str:
        """What is in the images."""
        return _FAMILIES[self.family][1]

    @property
    def class_names(self) -> tuple[str, ...]:
        """`fractal 0`, `ring 17`: what each class is called."""
        if self.family == "mix":
            return tuple(f"{'ring' if k % 2 else 'fractal'} {k // 2}" for k in range(self.num_classes))
        return tuple(f"{self.family.removesuffix('s')} {k}" for k in range(self.num_classes))

    @property
    def validation_images(self) -> int:
        """Images of the validation part: as many of every class, about VALIDATION_IMAGES in all."""
        return self.num_classes * max(1, VALIDATION_IMAGES // self.num_classes)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over the pixels and labels of the first block of both parts, and over the name."""
        return _fingerprint(self)


def is_corpus(name: str) -> bool:
    """Whether the name has the form of a corpus: a family that is known, a dash and a number."""
    found = _NAME.fullmatch(name)
    return found is not None and found[1] in _FAMILIES


def find_corpus(name: str, resolution_px: int) -> Corpus:
    """The corpus of this name. Raises UnknownNameError for a name of another form, RequestError for numbers out of
    range."""
    found = _NAME.fullmatch(name)
    if found is None or found[1] not in _FAMILIES:
        raise UnknownNameError("corpus", name, [f"{family}-1000" for family in _FAMILIES])
    classes = int(found[2])
    if not CLASSES[0] <= classes <= CLASSES[1]:
        raise RequestError(f"Corpus '{name}': {classes} classes; it can have {CLASSES[0]} to {CLASSES[1]:,}.")
    if not CORPUS_PX[0] <= resolution_px <= CORPUS_PX[1]:
        raise RequestError(
            f"Corpus '{name}' at {resolution_px} px: it can be drawn at {CORPUS_PX[0]} to {CORPUS_PX[1]} px."
        )
    return Corpus(name, found[1], classes, resolution_px)


def draw_block(
    corpus: Corpus, part: CorpusPart, block: int, device: str = "cpu"
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images block * BLOCK_IMAGES and the next: pixels (BLOCK_IMAGES, R, R, 3) and labels (BLOCK_IMAGES,)."""
    labels = (np.arange(BLOCK_IMAGES, dtype=np.int64) + block * BLOCK_IMAGES) % corpus.num_classes

    def streams(role: str) -> Stream:
        return Stream(NAMESPACE, role, corpus.family, corpus.num_classes, part, block)

    ink = draw_ink(corpus.family, NAMESPACE, labels, streams, corpus.resolution_px, device)
    return coloured(ink, streams).cpu().numpy(), labels


def draw_ink(
    family: Family, namespace: str, labels: NDArray[np.int64], streams: Streams, size_px: int, device: str
) -> Tensor:
    """(N, R, R), float32 in [0, 1]: the figures of these classes, (N,), before they have colours."""
    if family != "mix":
        return _DRAWN[family](namespace, labels, streams, size_px, device)
    ink = torch.empty(len(labels), size_px, size_px, device=device)
    for rest, member in enumerate(("fractals", "rings")):
        here = np.flatnonzero(labels % 2 == rest)
        if len(here):
            own = functools.partial(_of_member, streams, member)
            drawn = _DRAWN[member](namespace, labels[here] // 2, own, size_px, device)
            ink[torch.from_numpy(here).to(device)] = drawn
    return ink


def coloured(ink: Tensor, streams: Streams) -> Tensor:
    """(N, R, R, 3), uint8, of figures (N, R, R): two colours, a ground that slopes, noise; dark on light for half."""
    count, size_px, device = len(ink), ink.shape[1], ink.device
    ground = streams("ground").uniform(count, 3, low=0.05, high=0.4)
    step = streams("ink").uniform(count, 3, low=LEAST_CONTRAST, high=MOST_CONTRAST)
    slope = streams("slope").uniform(count, 2, low=-SLOPE, high=SLOPE)
    side = streams("side").coin(count)
    along = (torch.arange(size_px, dtype=torch.float32, device=device) - (size_px - 1) / 2) / size_px
    plane = along[None, None, :] * _to(slope[:, 0], device, 3) + along[None, :, None] * _to(slope[:, 1], device, 3)
    colours = ink[..., None] * _to(step, device, 4) + _to(ground, device, 4) + plane[..., None]  # (N, R, R, 3)
    # 1 - colour for half of the images, as middle - side x (middle - colour) would be with other roundings
    light = _to((side < 0).astype(np.float32), device, 4)
    colours = colours + light * (1.0 - colours * 2.0)
    needed = colours.numel()
    words = streams("noise").words(-(-needed // 8)).astype("<u8").view(np.uint8)[:needed]
    noise = torch.from_numpy(words.copy()).to(device).view(colours.shape).to(torch.float32)
    colours = colours + (noise - 127.5) * (NOISE / 127.5)
    return torch.floor(colours * 255.0 + 0.5).clamp(0.0, 255.0).to(torch.uint8)


def stored_corpus(
    corpus: Corpus, part: CorpusPart, count: int, *, progress: Progress | None = None
) -> tuple[StoredImages, NDArray[np.int64]]:
    """The first `count` images of a part, (N, R, R, 3), and their labels, (N,); drawn now unless they are in the cache.

    cache/corpora/<name>-<side>px-<fingerprint>/<part>-<number>.npy, whole or not there at all, STORED images each.

    progress: called with images done and all; what it raises stops the work between two blocks, and files that are
    whole stay. Two processes that want the same file draw it once.
    Raises DataError for a disk that is full or cannot be written; then nothing is left behind but whole files.
    """
    folder = cache_root() / "corpora" / f"{corpus.name}-{corpus.resolution_px}px-{corpus.fingerprint}"
    maps: list[NDArray[np.uint8]] = []
    for number in range(-(-count // STORED)):
        wanted = min(STORED, count - number * STORED)
        file = folder / f"{part}-{number:05d}.npy"
        images = min(STORED, -(-wanted // BLOCK_IMAGES) * BLOCK_IMAGES)  # whole blocks
        opened = functools.partial(_opened, file, corpus, wanted)
        make = functools.partial(_draw, file, corpus, part, number * STORED, images, count, progress)
        maps.append(open_or_make(file, "Images", images, corpus.resolution_px, opened, make)[:wanted])
    sizes = np.full((count, 2), corpus.resolution_px, dtype=np.int32)
    return StoredImages(tuple(maps), sizes), np.arange(count, dtype=np.int64) % corpus.num_classes


def _opened(file: Path, corpus: Corpus, wanted: int) -> NDArray[np.uint8] | None:
    """What is stored in a file; None if it is not there, damaged, or of fewer images than are wanted."""
    pixels, side = open_array(file), corpus.resolution_px
    is_ours = pixels is not None and pixels.shape[1:] == (side, side, 3) and len(pixels) >= wanted
    return pixels if is_ours else None


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


_DRAWN: dict[str, Draw] = {"fractals": draw_fractals, "rings": draw_rings}


def _of_member(streams: Streams, member: str, role: str) -> Stream:
    return streams(f"{member} {role}")


def _to(values: Floats, device: torch.device, dims: int) -> Tensor:
    """(N,) or (N, 3) with as many axes of length 1 in between as make `dims`."""
    tensor = torch.from_numpy(np.ascontiguousarray(values)).to(device)
    middle = (1,) * (dims - tensor.dim())
    return tensor.view(len(values), *middle, *tensor.shape[1:])


@functools.lru_cache(maxsize=64)
def _fingerprint(corpus: Corpus) -> str:
    digest = hashlib.sha256(f"{corpus.name} {corpus.resolution_px}".encode())
    for part in ("train", "validation"):
        pixels, labels = draw_block(corpus, part, 0)
        digest.update(np.ascontiguousarray(pixels).data)
        digest.update(labels.astype("<i8").data)
    return digest.hexdigest()[:FINGERPRINT_DIGITS]
