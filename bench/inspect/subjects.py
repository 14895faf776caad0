"""What is looked at: a network with its weights, named as suites name them, and an image."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from PIL import Image
from timm.data.imagenet_info import ImageNetInfo
from timm.data.transforms_factory import create_transform
from torch import nn

from bench.catalog.identity import ModelFamily
from bench.catalog.models import find_model
from bench.data.decoding.decode import decode
from bench.data.sets.collection import PartName, RawImage, raw_digest
from bench.data.sets.open import open_images
from bench.errors import BadImageError, RequestError
from bench.inspect.embedding import is_parameter
from bench.measure.build import family_of, model_exists, native_resolution, own_classes
from bench.measure.weight_files import file_weights_id, path_for_model
from bench.measure.weights import LoadedModel, load_weights
from bench.places import data_root, weights_file
from bench.store.inspections import ID_DIGITS, Picture, Weights
from bench.suite.plan import definition_of
from bench.text import printable

# Shipped with scikit-learn, by their authors under CC BY (its images/README.txt names them).
PHOTOGRAPHS = {"china": "china.jpg", "flower": "flower.jpg"}
_FILE_ID = re.compile(r"sha256 [0-9a-f]{16}")
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Subject:
    """A network with its weights, ready to be looked at.

    has_learned_positions: its position embedding is a parameter, and the weights are not random.
    """

    model: str
    title: str
    definition: str | None
    family: ModelFamily
    loaded: LoadedModel
    weights: Weights
    resolution_px: int
    has_learned_positions: bool

    @property
    def network(self) -> nn.Module:
        return self.loaded.model

    def class_name(self, target: int) -> str | None:
        """What an output of the head is called, where that is known."""
        names = self.loaded.class_names
        if names is not None:
            return names[target] if target < len(names) else None
        if self.weights.kind == "public" and own_classes(self.model) == IMAGENET_CLASSES:
            described: str = ImageNetInfo().index_to_description(target)
            return described
        return None


def load_subject(
    model: str,
    weights: str,
    *,
    resolution_px: int | None,
    seed: int,
    download: bool,
    trained: Callable[[str, str, int], str],
) -> Subject:
    """The named network with the weights asked for, in evaluation state, its parameters without gradients.

    weights: `random`, drawn from `seed`; `public`, those of the timm tag; `file:PATH` or a path that ends in
    .safetensors, where `{model}` stands for the model's name; `sha256 <16 digits>`, a file that a run left in the
    cache; `trained:NAME`, what `trained(model, NAME, seed)` says that a suite's training on NAME ended with.

    Raises what load_weights and build_model raise, and RequestError for weights that are not there.
    """
    resolution = resolution_px or native_resolution(model)  # an unknown name stops here
    named, file = _found(model, weights, seed, trained)
    loaded = load_weights(
        model, named, num_classes=None, resolution_px=resolution, file=file, download=download, seed=seed
    )
    learns_positions = is_parameter(loaded.model)
    loaded.model.eval().requires_grad_(False)
    row = find_model(model)
    return Subject(
        model=printable(model),
        title=row.title if row is not None else printable(model),
        definition=definition_of(model),
        family=family_of(model),
        loaded=loaded,
        weights=Weights(
            kind="random" if named == "random" else "public" if named == "public" else "file",
            sha256=loaded.sha256,
            seed=seed if named == "random" else None,
            cell_id=_cell_of(file) if file is not None else None,
        ),
        resolution_px=resolution,
        has_learned_positions=learns_positions and named != "random",
    )


def check_model(model: str) -> None:
    """Raise for a name that is no model, before anything is built."""
    if not model_exists(model):
        native_resolution(model)  # raises, with the nearest names


def _found(model: str, weights: str, seed: int, trained: Callable[[str, str, int], str]) -> tuple[str, Path | None]:
    """The weights' name as load_weights takes it, and their file."""
    if weights in ("random", "public"):
        return weights, None
    if weights.startswith("trained:"):
        weights = trained(model, weights.removeprefix("trained:"), seed)
    if _FILE_ID.fullmatch(weights):
        file = weights_file(weights)
        if not file.is_file():
            raise RequestError(
                f"Weights '{weights}' are not in the cache of this machine. `vitbench run SUITE --keep-weights` leaves "
                "those of its trainings there."
            )
        return weights, file
    if weights.startswith("file:") or weights.endswith(".safetensors"):
        file = Path(path_for_model(weights.removeprefix("file:"), model)).expanduser()
        return file_weights_id(file), file
    raise RequestError(
        f"Unknown weights '{weights}'. Write random, public, trained:DATASET, file:PATH or 'sha256 <16 digits>'."
    )


def _cell_of(file: Path) -> str | None:
    """The id of the training that wrote a file, if its header says so."""
    with safetensors.safe_open(file, framework="pt") as opened:
        found = (opened.metadata() or {}).get("cell_id", "")
    return found if re.fullmatch(r"[0-9a-f]{16}", found) else None


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
