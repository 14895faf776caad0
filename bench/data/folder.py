"""A user's own images: a folder with a sub-folder for each class, with or without split folders above them.

    PATH/<class>/*.jpg                      split here, stratified, always the same way
    PATH/{train,validation,test}/<class>/*  `val` is another name of `validation`; without one, a part of train is it

Images are converted to RGB, resized on the shorter side and centre-cropped to a square.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bench.catalog.datasets import DatasetRow
from bench.data.image_set import Dataset, ImageSet, Parts, fingerprint_of
from bench.errors import DataError, RequestError

EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm"}
TEST_SHARE = 0.2  # of each class, where the folder names no test part
VALIDATION_SHARE = 0.1  # of each class's remaining images, where it names no validation part
RESOLUTION_PX = 32  # what the small models of the shipped suites take

_SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


@functools.lru_cache(maxsize=2)
def load_folder(name: str, path: Path) -> Dataset:
    """The images under `path`, in memory, at 32 px.

    Raises RequestError for a folder that is not laid out so, DataError for an image that cannot be read and for
    parts that do not hold the same classes.
    """
    classes, files = _find_files(name, path)
    parts = Parts(**{split: _read(path, files[split]) for split in ("train", "validation", "test")})
    return Dataset(
        name=name,
        class_names=classes,
        train=parts.train,
        validation=parts.validation,
        test=parts.test,
        fingerprint=fingerprint_of(parts),
        resolution_px=RESOLUTION_PX,
    )


def folder_row(name: str, path: Path) -> DatasetRow:
    """The folder's row, as if it stood in the catalog."""
    dataset = load_folder(name, path)
    return DatasetRow(
        name=name,
        title=name,
        kind="real",
        num_classes=len(dataset.class_names),
        class_names=dataset.class_names,
        resolution_px=dataset.resolution_px,
        train_images=len(dataset.train),
        validation_images=len(dataset.validation),
        test_images=len(dataset.test),
        licence="unknown",
        source="the user's folder",
        description=f"Images of the user's own, {len(dataset.class_names)} classes",
        caution="",
        how_to_get=f"--data {name}=PATH",
        fingerprint=dataset.fingerprint,
    )


def parse_data_option(option: str) -> tuple[str, Path]:
    """`NAME=PATH` -> (name, folder). Raises RequestError for anything else and for a folder that is not there."""
    name, separator, text = option.partition("=")
    if not (separator and name.isidentifier() and text):
        raise RequestError(f"--data {option!r} is not NAME=PATH, with letters, digits and '_' in the name.")
    path = Path(text).expanduser()
    if not path.is_dir():
        raise RequestError(f"--data {name}: folder {text!r} does not exist.")
    return name, path


def _find_files(name: str, path: Path) -> tuple[tuple[str, ...], dict[str, list[tuple[Path, int]]]]:
    """Class names, and the image files of each part with their class indices, in a fixed order."""
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    named = {_SPLITS[folder.name]: folder for folder in folders if folder.name in _SPLITS}
    found = (
        {split: _by_class(folder) for split, folder in named.items()}
        if "train" in named
        else {"train": _by_class(path)}
    )
    classes = tuple(sorted(found["train"]))
    if len(classes) < 2:
        raise RequestError(
            f"Data set {name!r}: {len(classes)} class folders with images. Expected at least two, as "
            "PATH/<class>/*.jpg or PATH/train/<class>/*.jpg."
        )
    for split, part in found.items():
        if unknown := sorted(set(part) - set(classes)):
            raise DataError(f"Data set {name!r}: class {unknown[0]!r} is in '{split}' and not in 'train'.")
    files: dict[str, list[tuple[Path, int]]] = {split: [] for split in ("train", "validation", "test")}
    for index, label in enumerate(classes):
        rest = sorted(found["train"][label], key=lambda file: hashlib.sha256(file.name.encode()).digest())
        for split, share in (("test", TEST_SHARE), ("validation", VALIDATION_SHARE)):
            if split in found:
                files[split] += [(file, index) for file in found[split].get(label, [])]
            else:
                count = max(1, round(len(rest) * share))
                files[split] += [(file, index) for file in rest[:count]]
                rest = rest[count:]
        if not rest:
            raise DataError(f"Data set {name!r}: class {label!r} has too few images to split. Give it at least three.")
        files["train"] += [(file, index) for file in rest]
    for split, part_files in files.items():
        if not part_files:
            raise DataError(
                f"Data set {name!r}: '{split}' holds no images in class folders. Expected {split}/<class>/*.jpg; "
                f"without a folder '{split}', a part of 'train' is used."
            )
    return classes, files


def _by_class(folder: Path) -> dict[str, list[Path]]:
    found = {}
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.name.startswith("."):
            images = sorted(file for file in entry.rglob("*") if file.suffix.lower() in EXTENSIONS)
            if images:
                found[entry.name] = images
    return found


def _read(root: Path, files: Sequence[tuple[Path, int]]) -> ImageSet:
    return ImageSet(
        images=np.stack([_read_image(file) for file, _ in files]),
        labels=np.array([index for _, index in files], dtype=np.int64),
        keys=tuple(file.relative_to(root).as_posix() for file, _ in files),
    )


def _read_image(file: Path) -> NDArray[np.uint8]:
    """(32, 32, 3), uint8."""
    try:
        with Image.open(file) as image:
            rgb = image.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"Image '{file}' cannot be read: {error}. Repair it or take it out of the folder.") from None
    scale = RESOLUTION_PX / min(rgb.size)
    size = tuple(max(RESOLUTION_PX, round(side * scale)) for side in rgb.size)
    left, top = ((side - RESOLUTION_PX) // 2 for side in size)
    resized = rgb.resize((size[0], size[1]), Image.Resampling.BICUBIC)
    cropped = resized.crop((left, top, left + RESOLUTION_PX, top + RESOLUTION_PX))
    return np.asarray(cropped, dtype=np.uint8)
