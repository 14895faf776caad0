"""VTAB-1k: 800 training and 200 validation images of each task, the whole test part, and labels cut into bins.

The official images are the first 800 of TFDS's train split and the first 200 of its validation part. No other source
has TFDS's order, so they are chosen here by a hash of their names, which the caution of each task says; a dump of the
official ones (`train800.txt`, `val200.txt`, `test.txt`) is read as it is.
Sources: Zhai et al. 2019, arXiv 1910.04867; the task_adaptation repository for splits and bins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.catalog.image_tasks import ImageTask
from bench.data.collection import ImageCollection, LabelledImages, PartName
from bench.data.local_files import files_part
from bench.data.safe_paths import inside
from bench.data.subsets import hash_order
from bench.errors import DataError

TRAIN_IMAGES = 800
VALIDATION_IMAGES = 200

DUMP_LISTS: Mapping[PartName, str] = {"train": "train800.txt", "validation": "val200.txt", "test": "test.txt"}

CLEVR_DISTANCE_EDGES = (8.0, 8.5, 9.0, 9.5, 10.0)  # depth of the nearest object, in the scenes' own unit
CLEVR_DISTANCE_CLASSES = ("up to 8", "8 to 8.5", "8.5 to 9", "9 to 9.5", "9.5 to 10", "over 10")
KITTI_DISTANCE_EDGES = (8.0, 20.0, 999.0)  # depth of the nearest vehicle in metres; beyond the last there is none
KITTI_DISTANCE_CLASSES = ("up to 8 m", "8 to 20 m", "over 20 m", "no vehicle")

# How a label comes from a stored value: 32 positions and 18 azimuths (0, 2, .. 34) two by two, 40 angles in 16 bins.
LABEL_RULES: Mapping[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {
    "": lambda value: value,
    "halves": lambda value: value // 2,
    "fortieths": lambda value: (value * 2) // 5,
}


def bin_of(value: float, edges: tuple[float, ...]) -> int:
    """How many edges lie below the value; a value on an edge belongs to the bin under it, as in task_adaptation."""
    return int(np.searchsorted(edges, value, side="left"))


def vtab_parts(task: ImageTask, source: ImageCollection) -> ImageCollection:
    """The 800, the 200 and the test part, from the parts that the source has.

    Without a test part, the source's share of test images (as of the whole set) is taken from train; without a
    validation part, the 200 too. Nothing is in two parts. A source of fewer images than VTAB needs gives four fifths
    and one fifth of them. Source of the order: `hash_order` over the keys.
    """
    images = source.part("train")
    order = hash_order(images.keys)  # positions in train; only those that are needed are taken, for sets are large
    if "test" in source.parts:
        test = source.part("test")
    else:
        count = round(len(order) * tested_share(task))
        order, tested = order[: len(order) - count], order[len(order) - count :]
        test = images.take(tested)
    if "validation" in source.parts:
        held = source.part("validation")
        validation = held.take(hash_order(held.keys)[:VALIDATION_IMAGES])
    else:
        count = min(VALIDATION_IMAGES, len(order) // 5)
        order, validated = order[: len(order) - count], order[len(order) - count :]
        validation = images.take(validated)
    parts: dict[PartName, LabelledImages] = {
        "train": images.take(order[:TRAIN_IMAGES]),
        "validation": validation,
        "test": test,
    }
    return replace(source, parts=parts)


def tested_share(task: ImageTask) -> float:
    """Share of a set without an official test part that is tested on."""
    return {"eurosat": 0.2, "resisc45": 0.2, "sun397": 0.2, "dsprites": 0.1}[task.folder]


def is_dump(place: Path) -> bool:
    """Whether a folder holds a task as lists of the official images."""
    return all((place / name).is_file() for name in DUMP_LISTS.values())


def open_dump(task: ImageTask, place: Path) -> ImageCollection:
    """The official images, from lists with lines `path label`, the paths relative to the folder.

    Raises DataError for a line that is not so, a label outside [0, classes) and an image that is not there.
    """
    parts: dict[PartName, LabelledImages] = {}
    for part, file in DUMP_LISTS.items():
        paths, labels = [], []
        text = (place / file).read_text(encoding="utf-8", errors="surrogateescape")
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            path, _, label = line.strip().rpartition(" ")
            if not (path and label.isdecimal() and int(label) < task.num_classes):
                raise DataError(
                    f"'{place / file}', line {number}: {line[:80]!r} is not `path label` with a label below "
                    f"{task.num_classes}."
                )
            paths.append(inside(path))
            labels.append(int(label))
        if not paths:
            raise DataError(f"'{place / file}' lists no images.")
        parts[part] = files_part(task.name, place, paths, labels)
    note = "The images are those listed in train800.txt, val200.txt and test.txt of a dump of VTAB-1k."
    return ImageCollection(task.name, tuple(str(i) for i in range(task.num_classes)), parts, (note,))
