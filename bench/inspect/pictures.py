"""Which image is looked at: one of scikit-learn's two photographs, a file, or an image of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from timm.data.transforms_factory import create_transform

from bench.data.collection import PartName, RawImage, raw_digest
from bench.data.decode import decode
from bench.data.open import open_images
from bench.errors import BadImageError, RequestError
from bench.places import data_root
from bench.store.inspections import ID_DIGITS, Picture
from bench.text import printable

# Shipped with scikit-learn, by their authors under CC BY (its images/README.txt names them).
PHOTOGRAPHS = {"china": "china.jpg", "flower": "flower.jpg"}


@dataclass(frozen=True)
class Opened:
    """An upright RGB image and what it is."""

    image: Image.Image
    picture: Picture


def open_picture(name: str) -> Opened:
    """A photograph by name, or the image file at this path.

    Raises RequestError for a file that is not there, BadImageError, with its name, for one that is no image.
    """
    if name in PHOTOGRAPHS:
        raw = resources.files("sklearn.datasets").joinpath("images", PHOTOGRAPHS[name]).read_bytes()
        return _opened(raw, name)
    path = Path(name)
    if not path.is_file():
        known = " and ".join(f"'{one}'" for one in PHOTOGRAPHS)
        raise RequestError(f"Image '{name}' is not there. Give a file, or one of the photographs {known}.")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RequestError(f"Image '{name}' cannot be read: {error.strerror}.") from None
    return _opened(raw, path.name)


def open_dataset_picture(
    dataset: str, part: PartName, index: int, *, data: Mapping[str, str], download: bool
) -> Opened:
    """Image number `index`, from 0, of a part of a data set. Raises RequestError for a number that is too large."""
    collection = open_images(dataset, data=data, root=data_root(), download=download)
    held = collection.part(part)
    if not 0 <= index < len(held):
        raise RequestError(f"Data set '{dataset}' has {len(held)} images in its {part} part; --index starts at 0.")
    class_name = collection.class_names[int(held.labels[index])]
    return _opened(held.reader.read(index), held.keys[index], dataset, class_name)


def _opened(raw: RawImage, name: str, dataset: str | None = None, class_name: str | None = None) -> Opened:
    try:
        image = decode(raw).image
    except BadImageError as error:
        raise BadImageError(f"Image '{name}' cannot be decoded: {error}") from None
    digest = hashlib.sha256(raw).hexdigest() if isinstance(raw, bytes) else raw_digest(raw).hex()
    shown = printable(name)
    return Opened(image, Picture(name=shown, sha256=digest[:ID_DIGITS], dataset=dataset, class_name=class_name))


def framed(image: Image.Image, config: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The image as the weights were made to see it, before it is normalised: (R, R, 3), uint8.

    config: timm's data configuration. Resized and cropped as in an evaluation.
    """
    transform = create_transform(
        config["input_size"],
        is_training=False,
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
        crop_pct=config["crop_pct"],
        crop_mode=config["crop_mode"],
        normalize=False,
    )
    pixels: NDArray[np.uint8] = transform(image).permute(1, 2, 0).numpy()  # (3, R, R) -> (R, R, 3)
    return np.ascontiguousarray(pixels)
