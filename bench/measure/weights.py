"""Weights: public ones from the hub or its cache, a user's own safetensors file, or random ones.

Only safetensors files are read. A pickle runs code when it is opened, so none is, whatever its name says.
Making the network is bench.measure.build's work, and so is handing it a file; this module looks at the file first.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import safetensors
import torch
from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors.torch import load_file, save_file
from timm.data.config import resolve_data_config
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from bench.catalog.models import find_model
from bench.errors import CellFailedError, RequestError, StoreError, UnsupportedError
from bench.measure.build import build_model, build_with_weights, is_user_model, own_classes

ID_DIGITS = 16
METADATA_KEY = "__metadata__"  # of a safetensors header
CLASS_NAMES_KEY = "class_names"  # of a file's metadata: a JSON list, in the order of the head's outputs
_FILE_ID = re.compile(rf"sha256 [0-9a-f]{{{ID_DIGITS}}}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# The hub's own error is one of the HTTP library's, which has been another in other versions of huggingface_hub.
_TRANSFER_ERRORS: tuple[type[BaseException], ...] = (OSError, *HfHubHTTPError.__bases__)


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights, in evaluation state on the CPU, and what is known of them.

    sha256: first 16 hexadecimal digits of the SHA-256 of the weights' file; None for random weights.
    config: timm's data configuration (input_size, interpolation, mean, std, crop_pct, crop_mode) for the resolution.
    has_own_head: whether the classifier came with the weights; otherwise its last layer is zero, or random with
    random weights. class_names: of the head's outputs, where the file says them.
    """

    model: nn.Module
    sha256: str | None
    config: dict[str, Any]
    has_own_head: bool = True
    class_names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Header:
    """What a safetensors file says of itself before its numbers: shapes by name, and metadata."""

    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]


def load_weights(
    model_name: str,
    weights: str,
    *,
    num_classes: int | None,
    resolution_px: int,
    file: Path | None = None,
    download: bool = False,
    seed: int = 0,
) -> LoadedModel:
    """The named network with the weights asked for.

    weights: `public`, those of the timm tag; `sha256 <16 digits>`, those of `file`; `random`, drawn from `seed`.
    num_classes: None keeps the head that comes with the weights; any other number than that head's gives one whose
    last layer is zero. download: whether absent public weights may be fetched from the hub.

    Raises UnsupportedError for weights that are not here or exist nowhere, CellFailedError for a file that is broken
    or does not fit the network, RequestError, UnknownNameError and ResolutionError.
    """
    if weights == "random":
        model = build_model(model_name, num_classes=num_classes, resolution_px=resolution_px, seed=seed)
        return LoadedModel(model.eval(), None, data_config(model_name, model, resolution_px), has_own_head=False)
    if weights == "public":
        path = public_file(model_name, download=download)
        digest = _checked_digest(path)
    elif _FILE_ID.fullmatch(weights):
        path = _given_file(weights, file)
        digest = weights.removeprefix("sha256 ")
    else:
        raise RequestError(f"Unknown weights {weights!r}. Write public, random or `sha256 <{ID_DIGITS} digits>`.")
    header = _read_header(path)
    build = _user_model if is_user_model(model_name) else _timm_model
    model, has_own_head = build(model_name, path, header, num_classes, resolution_px, seed)
    config = data_config(model_name, model, resolution_px)
    return LoadedModel(model.eval(), digest, config, has_own_head, _class_names(header) if has_own_head else None)


def file_weights_id(path: Path) -> str:
    """`sha256 <16 hexadecimal digits>` of a safetensors file, the name of its weights in a cell.

    Raises RequestError for a file that is absent, is a pickle or cannot be read.
    """
    problem = _problem(path)
    if problem is not None:
        raise RequestError(f"Weights '{path}' {problem}")
    return f"sha256 {_digest(path)[:ID_DIGITS]}"


def save_weights(path: Path, state_dict: Mapping[str, Tensor], metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Write tensors to a safetensors file, whole or not at all, and name those that hold a NaN or an infinity.

    metadata: goes into the file's header; CLASS_NAMES_KEY is read back by load_weights. Tensors may share memory.
    The same tensors and metadata give the same bytes, so that a file can be known by its hash.
    Raises StoreError when the file cannot be written; what was at `path` is then still there.
    """
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state_dict.items()}
    broken = tuple(name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all()))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary, metadata=dict(metadata))
        with open(temporary, "r+b") as stream:
            _sort_header(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except (OSError, safetensors.SafetensorError) as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StoreError(f"Weights '{path}' cannot be written: {_first_line(error)}") from error
    return broken


def _sort_header(stream: IO[bytes]) -> None:
    """Rewrite the header with its keys in order: safetensors writes metadata in one that differs between runs."""
    length = int.from_bytes(stream.read(8), "little")
    header = json.loads(stream.read(length))
    header = {METADATA_KEY: header[METADATA_KEY], **header} if METADATA_KEY in header else header
    if METADATA_KEY in header:
        header[METADATA_KEY] = dict(sorted(header[METADATA_KEY].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) <= length:  # never longer: both are JSON without spaces
        stream.seek(8)
        stream.write(text.ljust(length))


def data_config(model_name: str, model: nn.Module, resolution_px: int) -> dict[str, Any]:
    """How images are prepared for these weights, in timm's words, with `input_size` (3, resolution, resolution).

    Where timm knows a larger size for testing and it is this one, the crop that belongs to it is taken. The catalog's
    small models are trained here, on whole images in [-1, 1].
    """
    published: Mapping[str, Any] = getattr(model, "pretrained_cfg", None) or {}
    tested_px = (published.get("test_input_size") or (0,))[-1]
    is_own_size = (published.get("input_size") or (0,))[-1] == resolution_px
    asked: dict[str, Any] = {"input_size": (3, resolution_px, resolution_px)}
    row = find_model(model_name)
    if row is not None and row.arguments:
        asked |= {"mean": (0.5,) * 3, "std": (0.5,) * 3, "crop_pct": 1.0, "crop_mode": "center"}
    config: dict[str, Any] = resolve_data_config(  # type: ignore[no-untyped-call]
        asked, pretrained_cfg=published, use_test_size=tested_px == resolution_px and not is_own_size
    )
    return config


def public_file(model_name: str, *, download: bool) -> Path:
    """The public weights of a model in the hub's cache; fetched there first if they are absent and `download` is given.

    Raises UnsupportedError where there are none, or none within reach, and CellFailedError for a broken transfer.
    """
    config = None if is_user_model(model_name) else _public_config(model_name)
    if config is None:
        raise UnsupportedError(
            f"Model '{model_name}' has no public weights. Give a safetensors file of your own, or take `random`."
        )
    if not config.hf_hub_id:
        raise UnsupportedError(
            f"The public weights of '{model_name}' exist only as a pickle ({config.url}), and opening one runs code. "
            "Convert it to safetensors yourself and give that file."
        )
    repository, _, revision = config.hf_hub_id.partition("@")
    names = _safetensors_names(config.hf_hub_filename)
    for name in names:
        found = try_to_load_from_cache(repository, name, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    if not download:
        raise UnsupportedError(
            f"The weights of '{model_name}' are not here (hub repository '{repository}'). "
            "Get them once with `vitbench run ... --download`; later runs need no network."
        )
    return _fetched(model_name, repository, revision or None, names)


def _public_config(model_name: str) -> Any:
    """timm's configuration of public weights, or None where the name has none."""
    row = find_model(model_name)
    if row is not None and row.arguments:
        return None
    config = get_pretrained_cfg(row.timm_name if row is not None else model_name)
    return config if config is not None and config.has_weights else None


def _safetensors_names(filename: str | None) -> list[str]:
    """Names under which a repository may hold its weights as safetensors, in timm's order of preference."""
    if filename is None or filename == constants.PYTORCH_WEIGHTS_NAME:
        return [constants.SAFETENSORS_SINGLE_FILE]
    if filename.endswith(".safetensors"):
        return [filename]
    same_name = filename.rpartition(".")[0] + ".safetensors"
    return ["open_clip_model.safetensors", same_name] if filename == "open_clip_pytorch_model.bin" else [same_name]


def _fetched(model_name: str, repository: str, revision: str | None, names: list[str]) -> Path:
    """The first of the names that the hub has, whole and with the hash that the hub announced."""
    endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    if constants.is_offline_mode():
        raise UnsupportedError(
            f"The weights of '{model_name}' are not here, and HF_HUB_OFFLINE forbids fetching them. Unset it, or copy "
            f"the hub's cache of '{repository}' to this machine."
        )
    for name in names:
        try:
            # The client's own first look waits for a silent hub for five minutes; this one takes one timeout.
            address = hf_hub_url(repository, name, revision=revision, endpoint=endpoint)
            get_hf_file_metadata(address, timeout=constants.HF_HUB_ETAG_TIMEOUT, endpoint=endpoint)
        except (RepositoryNotFoundError, RevisionNotFoundError, GatedRepoError) as error:
            raise UnsupportedError(
                f"The weights of '{model_name}' cannot be had: {endpoint} shows no repository '{repository}' to you "
                f"({type(error).__name__}). HF_TOKEN may give access."
            ) from error
        except EntryNotFoundError:
            continue
        except _TRANSFER_ERRORS as error:
            raise UnsupportedError(
                f"The weights of '{model_name}' are not here, and {endpoint} does not answer ({_first_line(error)}) "
                "Run again with a network; finished cells are kept."
            ) from error
        try:
            path = Path(hf_hub_download(repository, name, revision=revision, endpoint=endpoint))
        except _TRANSFER_ERRORS as error:
            raise CellFailedError(
                f"The weights of '{model_name}' did not arrive whole from {endpoint}: {_first_line(error)} "
                "Run again; what arrived is kept."
            ) from error
        _require_announced(path, name, is_new=True)
        return path
    raise UnsupportedError(
        f"The weights of '{model_name}' are not at {endpoint}: '{repository}' has no {' or '.join(names)}, and pickles "
        "are not read."
    )


def _checked_digest(path: Path) -> str:
    """First digits of the SHA-256 of a file in the hub's cache, which must be the one that the hub announced."""
    return _require_announced(path, path.name, is_new=False)[:ID_DIGITS]


def _require_announced(path: Path, name: str, *, is_new: bool) -> str:
    """SHA-256 of a cached file. The cache names large files by the hash that the hub announced; nobody else checks it.

    A file that came just now and is wrong is removed, so that the next run fetches it again.
    """
    digest, stored = _digest(path), path.resolve()
    if not _SHA256.fullmatch(stored.name) or stored.name == digest:
        return digest
    if is_new:
        for wrong in (path, stored):
            with suppress(OSError):
                wrong.unlink(missing_ok=True)
        remedy = "It was removed; run again."
    else:
        remedy = f"Remove '{stored}' and run again with --download."
    raise CellFailedError(
        f"Weights '{name}' are not what the hub announced: their SHA-256 is {digest[:ID_DIGITS]}..., expected "
        f"{stored.name[:ID_DIGITS]}.... {remedy}"
    )


def _given_file(weights: str, file: Path | None) -> Path:
    """The user's file, if it is there, is no pickle and has the hash that the cell names."""
    if file is None:
        raise UnsupportedError(
            f"The weights '{weights}' are in no file known here. Name the file again in the request."
        )
    problem = _problem(file)
    if problem is not None:
        raise CellFailedError(f"Weights '{file}' {problem}")
    found = f"sha256 {_digest(file)[:ID_DIGITS]}"
    if found != weights:
        raise CellFailedError(
            f"Weights '{file}' are {found}, the plan says {weights}: the file changed after the plan was made. "
            "Run again."
        )
    return file


def _problem(path: Path) -> str | None:
    """The rest of a sentence on why a file cannot be taken as weights, or None. Reads a few bytes at most."""
    if not path.is_file():
        return "are not there. Check the path."
    try:
        with open(path, "rb") as stream:
            start = stream.read(9)
    except OSError as error:
        return f"cannot be read: {error.strerror}."
    is_headed = start[8:] == b"{"  # safetensors: the header's length in 8 bytes, any of them, then JSON
    if not is_headed and (start[:4] == b"PK\x03\x04" or start[:1] == b"\x80"):
        return "are a pickle, and opening one runs code. Save them as safetensors."
    if path.suffix != ".safetensors":
        return "do not end in .safetensors, the one format that is read. Save them as safetensors."
    return None


def _read_header(path: Path) -> _Header:
    """Shapes and metadata. Raises CellFailedError for a file that is torn, or is no safetensors file."""
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
            return _Header(shapes, dict(opened.metadata() or {}))
    except (OSError, safetensors.SafetensorError) as error:
        raise CellFailedError(
            f"Weights '{path}' cannot be read as safetensors: {_first_line(error)} Get or save the file again."
        ) from error


def _timm_model(
    name: str, path: Path, header: _Header, num_classes: int | None, resolution_px: int, seed: int
) -> tuple[nn.Module, bool]:
    """The network with the file's weights, and whether its head is the file's."""
    in_file = _classes_in(name, header)
    try:
        model = build_with_weights(name, path, num_classes=in_file, resolution_px=resolution_px)
    except (RuntimeError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise CellFailedError(_misfit(name, path, error)) from error
    wanted = num_classes if num_classes is not None else in_file or own_classes(name)
    if wanted == in_file:
        return model, True
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # a head may have layers before its last one, and those do not start at zero
        model.reset_classifier(wanted)  # type: ignore[operator]
    zero_head(model, wanted or 0)
    return model, False


def _classes_in(name: str, header: _Header) -> int:
    """Classes of the head in a file, 0 if it has none that timm would recognise."""
    row = find_model(name)
    config = get_pretrained_cfg(row.timm_name if row is not None else name)
    classifier = config.classifier if config is not None else None
    first = classifier[0] if isinstance(classifier, list | tuple) else classifier
    shape = header.shapes.get(f"{first}.weight")
    return shape[0] if shape else 0


def zero_head(model: nn.Module, num_classes: int) -> bool:
    """Set weights and biases of the classifier's last layer to zero; whether the model says which layer this is.

    That is every linear or convolutional layer of the classifier that gives one score a class: several where heads
    stand side by side. What comes before it in the classifier (a norm, a hidden layer) is left as it is: with zeros
    there as well, no gradient but that of the last bias would ever be other than zero.
    """
    get = getattr(model, "get_classifier", None)
    head = get() if callable(get) else ()
    layers = [layer for part in (head if isinstance(head, list | tuple) else (head,)) for layer in part.modules()]
    last = [layer for layer in layers if _outputs(layer) == num_classes]
    for layer in last:
        for parameter in layer.parameters(recurse=False):
            nn.init.zeros_(parameter)
    return bool(last)


def _outputs(layer: nn.Module) -> int | None:
    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.out_channels if isinstance(layer, nn.Conv2d) else None


def _user_model(
    name: str, path: Path, header: _Header, num_classes: int | None, resolution_px: int, seed: int
) -> tuple[nn.Module, bool]:
    model = build_model(name, num_classes=num_classes, resolution_px=resolution_px, seed=seed)
    try:
        model.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise CellFailedError(_misfit(name, path, error)) from error
    return model, True


def _misfit(name: str, path: Path, error: Exception) -> str:
    """One line out of torch's list of what does not fit: the first two entries and the number of the others."""
    entries = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(entries) > 1 and entries[0].startswith("Error(s) in loading"):
        entries = entries[1:]
    shown = " ".join(_shortened(entry) for entry in entries[:2]) or type(error).__name__
    rest = f" And {len(entries) - 2} more." if len(entries) > 2 else ""
    return f"Weights '{path}' do not fit model '{name}': {shown}{rest} They may be another model's."


def _shortened(text: str, limit: int = 160) -> str:
    text = text if text.endswith(".") else text + "."
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _class_names(header: _Header) -> tuple[str, ...] | None:
    """Class names in the file's metadata; None where there are none, or no list of names."""
    try:
        names = json.loads(header.metadata.get(CLASS_NAMES_KEY, "null"))
    except json.JSONDecodeError:
        return None
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def _digest(path: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits. Raises CellFailedError if it cannot be read to its end."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CellFailedError(f"Weights '{path}' cannot be read: {error.strerror or error}.") from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return _shortened(lines[0] if lines else type(error).__name__)


def _sync_folder(folder: Path) -> None:
    """Put the rename itself on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
