"""Which network is looked at, and with which weights: named as suites name them, and as a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors
from timm.data.imagenet_info import ImageNetInfo
from torch import nn

from bench.catalog.identity import ModelFamily
from bench.catalog.models import find_model
from bench.errors import RequestError
from bench.inspect.positions import is_parameter
from bench.measure.build import family_of, model_exists, native_resolution, own_classes
from bench.measure.weight_files import file_weights_id, path_for_model
from bench.measure.weights import LoadedModel, load_weights
from bench.places import weights_file
from bench.store.inspections import Weights
from bench.suite.plan import definition_of
from bench.text import printable

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
