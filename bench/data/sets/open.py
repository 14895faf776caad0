"""The images that a name stands for, ready to use: catalogued, embedded, or a user's own after the preflight."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.catalog.datasets import dataset_rows
from bench.catalog.image_tasks import image_tasks
from bench.data.decoding.decode import DECODER
from bench.data.formats.formats import open_user
from bench.data.generated.embedded import load_dataset
from bench.data.preflight.preflight import check_images, without_bad
from bench.data.public.catalogued import open_catalogued
from bench.data.sets.collection import (
    FINGERPRINT_DIGITS,
    PART_NAMES,
    ImageCollection,
    ImageSet,
    LabelledImages,
    PartName,
)
from bench.data.sets.fingerprints import check_published, fingerprint_of_collection, remember
from bench.data.sets.splits import with_all_parts
from bench.errors import DataError, UnknownNameError
from bench.places import cache_root
from bench.processes import usable_cores
from bench.store.preflights import Preflight

Progress = Callable[[int, int], None]
_OWN_HINT = "A set of your own is named with --data NAME=PLACE."
UNREADABLE = "names"  # begins the fingerprint of images that are not all there
_LOOK = f"2-{DECODER}"  # raise the number when a look finds other things


@dataclass(frozen=True)
class ArrayReader:
    """Images of an array (N, H, W, 3), uint8."""

    images: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = self.images[index]
        return pixels


def is_embedded(name: str) -> bool:
    """Whether the set is made on the spot, without files."""
    return name in dataset_rows()


def open_images(
    name: str, *, data: Mapping[str, str], root: Path, download: bool, progress: Progress | None = None
) -> ImageCollection:
    """The set of this name with the parts that its protocols need; opened once in a process.

    data: name -> where `--data` says that its images are. A user's own images lose those that cannot be read and
    get the parts that they lack; see `preflight_of`, which `progress` is for.
    Raises UnknownNameError, RequestError for a place that is not there, DataError for images that cannot be used.
    """
    if is_embedded(name):
        return _embedded(name)
    if name in image_tasks():
        place = data.get(name, data.get(name.removeprefix("vtab_")))  # VTAB's 1,000 images are of the same files
        return _catalogued(name, place, root, download)
    if name not in data:
        raise UnknownNameError("data set", name, [*dataset_rows(), *image_tasks(), *data], hint=_OWN_HINT)
    preflight_of(name, data[name], download=download, progress=progress)
    return _users(name, data[name], download)


def preflight_of(
    name: str, spec: str, *, download: bool, processes: int | None = None, progress: Progress | None = None
) -> Preflight:
    """What a look at every image of a user's set found; remembered for as long as the images are the same."""
    found = _found(name, spec, download)
    processes = processes or usable_cores()
    fingerprint = stored_fingerprint(name, spec, download=download)
    if fingerprint.startswith(UNREADABLE):
        return check_images(found, processes=processes, progress=progress)
    file = cache_root() / "preflight" / f"{name}-{fingerprint}-{_LOOK}.json"
    with contextlib.suppress(OSError, ValueError, DataError):  # absent, damaged or of another version: looked at anew
        return Preflight.from_values(json.loads(file.read_text(encoding="utf-8")))
    checked = check_images(found, processes=processes, progress=progress)
    if stored_fingerprint(name, spec, download=download) == fingerprint:  # else an image changed meanwhile
        remember(file, json.dumps(checked.as_values()))
    return checked


def confirm_images(
    name: str, planned: str, parts: Sequence[PartName] | None, *, data: Mapping[str, str], root: Path, download: bool
) -> bool:
    """Whether the images, read wholly (once in a process), have the fingerprint that they were planned with.

    parts: None for all images of a user's set as they lie, those that cannot be used included. Where they are others,
    they are opened and looked at anew at the next call of `open_images`.
    Raises DataError for files of the hub that are not what it published.
    """
    stored = functools.partial(stored_fingerprint, name, download=download, wholly=True)
    collection = open_images(name, data=data, root=root, download=download)
    for part in parts or collection.parts:
        check_published(collection.part(part).reader)
    found = stored(data[name]) if parts is None else fingerprint_of_collection(collection, parts, wholly=True)
    if found == planned:
        return True
    if name in data and name not in image_tasks():
        stored(data[name])  # of what the new look is
    for opened in (_found, _users, _catalogued):
        opened.cache_clear()
    return False


def stored_fingerprint(name: str, spec: str, *, download: bool, wholly: bool = False) -> str:
    """The fingerprint of a user's images as they lie; of their names alone if one is gone or not ours to read.

    It is what a look at them depends on, so groups are in it: they say how parts are split off.
    wholly: see `fingerprint_of_collection`.
    """
    found = _found(name, spec, download)
    try:
        fingerprint = fingerprint_of_collection(found, present_parts(found), wholly=wholly)
    except DataError:  # a look at the images names it
        keys = "\n".join(key for part in present_parts(found) for key in found.part(part).keys)
        return f"{UNREADABLE} {hashlib.sha256(keys.encode()).hexdigest()[:FINGERPRINT_DIGITS]}"
    groups = [found.part(part).groups for part in present_parts(found)]
    if not any(groups):
        return fingerprint
    both = f"{fingerprint} {groups}".encode(errors="backslashreplace")
    return hashlib.sha256(both).hexdigest()[:FINGERPRINT_DIGITS]


def present_parts(collection: ImageCollection) -> list[PartName]:
    """The parts that a collection has, in their usual order."""
    return [part for part in PART_NAMES if part in collection.parts]


@functools.lru_cache(maxsize=8)
def _found(name: str, spec: str, download: bool) -> ImageCollection:
    return open_user(name, spec, download=download)


@functools.lru_cache(maxsize=8)
def _users(name: str, spec: str, download: bool) -> ImageCollection:
    clean = without_bad(_found(name, spec, download), preflight_of(name, spec, download=download))
    return with_all_parts(clean) if "train" in clean.parts else clean  # a test part alone can be evaluated on


@functools.lru_cache(maxsize=8)
def _catalogued(name: str, place: str | None, root: Path, download: bool) -> ImageCollection:
    return open_catalogued(name, root=root, spec=place, download=download)


@functools.lru_cache(maxsize=8)
def _embedded(name: str) -> ImageCollection:
    dataset = load_dataset(name)
    parts: dict[PartName, LabelledImages] = {}
    for part in PART_NAMES:
        held: ImageSet = getattr(dataset, part)
        parts[part] = LabelledImages(ArrayReader(held.images), held.labels, held.keys)
    return ImageCollection(name, dataset.class_names, parts)
