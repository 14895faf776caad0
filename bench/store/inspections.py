"""Stored inspections: what one model makes of one image, as arrays and the facts that belong to them.

<folder>/inspections/<id>.npz    arrays, a byte a number and a scale for each map; opened without pickles
<folder>/inspections/<id>.json   facts, and for every part that is missing the reason

<folder> is a suite's (results[/local]/<suite>), so that its report shows a section, or one of the user's own.
Reading one needs numpy alone, no torch.

Format history
1: first version.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import StoreError
from bench.whole_files import write_whole

FORMAT_VERSION: Literal[1] = 1
FOLDER = "inspections"
ID_DIGITS = 16

# Every array that an inspection may hold -> how many of its last axes are one map, which has a scale of its own.
# h, w: rows and columns of the model's tokens; R: resolution in pixels; L: layers; H: heads; K: filters.
MAP_AXES = {
    "filters": 3,  # (K, p, p, 3): principal components of the patch embedding, or filters of the first convolution
    "position_similarity": 2,  # (h, w, h, w): cosine of the position embedding of one place with all others
    "rollout": 2,  # (L, h, w): how much of each patch is in the query after this layer, heads averaged
    "rollout_heads": 2,  # (L, H, h, w): the same with one head at this layer; their mean over heads is `rollout`
    "gradient": 2,  # (R, R), >= 0: SmoothGrad of the score of the model's first class
    "grad_cam": 2,  # (h', w'), >= 0: on a CNN's last feature map of at least 4 x 4
}
IMAGE = "image"  # (R, R, 3), uint8: what the model saw, before it was normalised


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Weights(_Stored):
    """Where a model's weights come from. kind `random` has a seed, `public` and `file` have a hash.

    sha256: first 16 hexadecimal digits of the file's. cell_id: of the training that wrote the file, if it says so.
    """

    kind: Literal["random", "public", "file"]
    sha256: str | None = None
    seed: int | None = None
    cell_id: str | None = None


class Picture(_Stored):
    """Which image was looked at. sha256: first 16 hexadecimal digits, of the stored bytes or pixels."""

    name: str  # a file's name without its folders, `china`, or a data set's key
    sha256: str
    dataset: str | None = None
    class_name: str | None = None


class Tokens(_Stored):
    """How the image becomes a sequence. stride_px: pixels from one token to the next; the same both ways.

    kind: `patches` are cut out of the image; `feature map` are places of a convolutional stem's output, each of which
    sees more than its own square. prefix: tokens before those of the image, in order.
    """

    kind: Literal["patches", "feature map"]
    rows: int = Field(gt=0)
    columns: int = Field(gt=0)
    stride_px: float = Field(gt=0)
    prefix: tuple[str, ...] = ()


class PositionStructure(_Stored):
    """What the similarity of position embeddings says about the grid.

    rank_correlation: Spearman's, over all pairs of places, of the cosine with nearness on the grid (minus the distance
    of the places); rank_correlation_1d: with nearness along the sequence. same_row, same_column, elsewhere: mean cosine
    of pairs in one row, in one column, and in neither.
    """

    rank_correlation: float
    rank_correlation_1d: float
    same_row: float
    same_column: float
    elsewhere: float
    is_learned: bool  # the weights are not random, and the embedding is a parameter


class Facts(_Stored):
    """Everything about an inspection that is not an array. Unrounded; `inspection_id` depends on what determines it.

    attention_distance_px: layers x heads, mean over query patches of the attention-weighted distance of patch centres,
    prefix tokens left out; uniform_distance_px: what attention spread evenly over all patches would give.
    query: whose attention the rollout shows. filters: what the filters are, filters_share: of the variance, each.
    target: the class whose score the gradients belong to. absent: part -> why it is missing.
    """

    format_version: Literal[1] = FORMAT_VERSION
    inspection_id: str
    model: str
    title: str
    definition: str | None = None  # as in a cell: what the name stands for beyond timm's names
    family: Literal["vit", "cnn", "hybrid", "other"]
    weights: Weights
    picture: Picture
    resolution_px: int = Field(gt=0)
    tokens: Tokens | None = None
    layers: int = 0
    heads: int = 0
    query: str | None = None
    attention_distance_px: tuple[tuple[float, ...], ...] | None = None
    uniform_distance_px: float | None = None
    positions: PositionStructure | None = None
    filters: Literal["principal components", "first convolution"] | None = None
    filters_share: tuple[float, ...] | None = None
    target: int | None = None
    target_name: str | None = None
    target_probability: float | None = None
    grad_cam_layer: str | None = None
    preprocessing: dict[str, Any] = {}
    absent: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    conditions: dict[str, Any] = {}


@dataclass(frozen=True)
class Inspection:
    """One model and one image: facts, and arrays by the names of MAP_AXES and IMAGE. A part that is not in `arrays` is
    in `facts.absent`, with the reason."""

    facts: Facts
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadInspections:
    """Inspections in the order of models and images, and what could not be read, as sentences."""

    inspections: list[Inspection] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def inspection_id(identity: Mapping[str, Any]) -> str:
    """First 16 hexadecimal digits of SHA-256 over canonical JSON of what determines an inspection."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


def inspection_path(folder: Path, number: str) -> Path:
    """Where the facts of the inspection of that id lie under `folder`, if there is one."""
    return folder / FOLDER / f"{number}.json"


def write_inspection(folder: Path, inspection: Inspection) -> Path:
    """Store an inspection under `folder`, over an older one of the same id; returns the path of its facts.

    Each file whole or not at all; the facts come last, so that facts without arrays are never seen. Raises StoreError.
    """
    facts = inspection.facts
    path = inspection_path(folder, facts.inspection_id)
    text = json.dumps(facts.model_dump(mode="json"), allow_nan=False, indent=1, ensure_ascii=True) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path.with_suffix(".npz"), _packed(inspection.arrays))
        write_whole(path, text.encode())
    except OSError as error:
        raise _disk_error(path, error) from None
    return path


def read_inspections(folder: Path) -> ReadInspections:
    """Every inspection of a folder, sorted by family, model, weights and image, whatever order they were made in.

    One that cannot be read is passed over with a warning that names it.
    """
    found = ReadInspections()
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            found.inspections.append(read_inspection(path))
        except StoreError as error:
            found.warnings.append(f"{error} It is passed over.")
    found.inspections.sort(key=lambda one: _order(one.facts))
    return found


def read_inspection(path: Path) -> Inspection:
    """The inspection whose facts are at `path`. Raises StoreError with what is wrong with it."""
    try:
        facts = _facts(path.read_bytes())
        with np.load(io.BytesIO(path.with_suffix(".npz").read_bytes()), allow_pickle=False) as stored:
            arrays = _unpacked(stored)
        _require_shapes(facts, arrays)
    except OSError as error:
        raise StoreError(f"Inspection '{path.name}' cannot be read: {error.strerror or error}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"Inspection '{path.name}' is none: {key}: {first['msg']}.") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        text = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise StoreError(f"Inspection '{path.name}' is none: {text}.") from None
    return Inspection(facts, arrays)


def _facts(text: bytes) -> Facts:
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("it is not a JSON object")
    version = data.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(f"it has format version {version!r}, and this vitbench reads {FORMAT_VERSION}")
    return Facts.model_validate(data)


def _order(facts: Facts) -> tuple[Any, ...]:
    family = ("vit", "hybrid", "cnn", "other").index(facts.family)
    weights = (facts.weights.kind, facts.weights.sha256 or "", facts.weights.seed or 0)
    picture = (facts.picture.dataset or "", facts.picture.name)
    return (family, facts.model, facts.definition or "", facts.resolution_px, *weights, *picture, facts.inspection_id)


def _packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The arrays as the bytes of an npz file; the same arrays give the same bytes.

    Raises ValueError for a name that is not an inspection's.
    """
    entries: dict[str, NDArray[Any]] = {}
    for name, values in arrays.items():
        if name == IMAGE:
            entries[name] = values
        elif name in MAP_AXES:
            entries[name], entries[f"{name}.scale"] = quantised(values, MAP_AXES[name])
        else:
            raise ValueError(f"an inspection has no array {name!r}")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, values in sorted(entries.items()):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(values), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), zipfile.ZIP_DEFLATED, 9)  # no date
    return packed.getvalue()


def _unpacked(stored: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    arrays = {name: restored(stored[name], stored[f"{name}.scale"]) for name in MAP_AXES if name in stored}
    return {IMAGE: stored[IMAGE], **arrays}


def _require_shapes(facts: Facts, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError for arrays that do not fit their facts: they are of another inspection, or were edited."""
    side, grid = facts.resolution_px, (facts.tokens.rows, facts.tokens.columns) if facts.tokens else None
    expected = {IMAGE: (side, side, 3), "gradient": (side, side)}
    if grid is not None:
        expected["position_similarity"] = grid * 2
        expected["rollout"] = (facts.layers, *grid)
        expected["rollout_heads"] = (facts.layers, facts.heads, *grid)
    for name, shape in expected.items():
        if name in arrays and arrays[name].shape != shape:
            raise ValueError(f"its array {name!r} has shape {arrays[name].shape}, its facts say {shape}")


def _disk_error(path: Path, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"No space left for inspection '{path}'. Free some space and run again.")
    return StoreError(f"Inspection '{path}' cannot be written: {error.strerror or error}. Name another folder.")


def quantised(values: NDArray[Any], map_axes: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Codes of one byte and the scale of each map: value = code / 127 x scale, code / 255 where none is negative.

    values: (..., map). Returns codes of the same shape, int8 or uint8, and scales (...), the largest magnitude of each
    map. An error is at most 0.4 % (0.2 %) of that.
    """
    if not np.isfinite(values).all():
        raise ValueError("an array holds a NaN or an infinity")
    lead = values.shape[: values.ndim - map_axes]
    flat = values.reshape(*lead, -1).astype(np.float64)
    scale = np.abs(flat).max(axis=-1)
    unit = flat / np.where(scale > 0, scale, 1.0)[..., None]
    is_signed = bool((flat < 0).any())
    codes = np.rint(unit * (127 if is_signed else 255)).astype(np.int8 if is_signed else np.uint8)
    return codes.reshape(values.shape), scale.astype(np.float32)


def restored(codes: NDArray[Any], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values that `quantised` turned into codes, as float32."""
    full = np.float32(127 if codes.dtype == np.int8 else 255)
    spread = scale.reshape(scale.shape + (1,) * (codes.ndim - scale.ndim))
    return np.asarray(codes.astype(np.float32) / full * spread, dtype=np.float32)
