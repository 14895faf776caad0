"""A safetensors file of weights: a user's own or a public one, its name by content, what it holds, how one is written.

Only safetensors files are read. A pickle runs code when it is opened, so none is, whatever its name says. Public
weights lie in the hub's cache, and are fetched there first where that is asked for.
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
from timm.models import get_pretrained_cfg
from torch import Tensor

from bench.catalog.models import find_model
from bench.errors import CellFailedError, RequestError, StoreError, UnsupportedError, first_line
from bench.suite.model_source import is_user_model
from bench.whole_files import replacing, sync

ID_DIGITS = 16
_SHA256 = re.compile(r"[0-9a-f]{64}")
# The hub's own error is one of the HTTP library's, which has been another in other versions of huggingface_hub.
_TRANSFER_ERRORS: tuple[type[BaseException], ...] = (OSError, *HfHubHTTPError.__bases__)
METADATA_KEY = "__metadata__"  # of a safetensors header
CLASS_NAMES_KEY = "class_names"  # of a file's metadata: a JSON list, in the order of the head's outputs
_LFS_POINTER = b"version https://git-lfs"
_ONE_OF_SEVERAL = re.compile(
    r"-\d{5}-of-(?!00001)\d{5}\.safetensors$"
)  # how the hub's libraries name the parts of one model


@dataclass(frozen=True)
class StoredWeights:
    """A file's tensors by name, and its metadata."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the metadata call the head's outputs; None where they do not, or hold no list of names."""
        try:
            names = json.loads(self.metadata.get(CLASS_NAMES_KEY, "null"))
        except json.JSONDecodeError:
            return None
        return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def path_for_model(path: str, model: str) -> str:
    """The path with the model's name for `{model}`, at any resolution the same; without the folder of a user's own."""
    return path.replace("{model}", model.rpartition("/")[2])


def file_weights_id(path: Path) -> str:
    """`sha256 <16 hexadecimal digits>` of a safetensors file, the name of its weights in a cell.

    Raises RequestError for a file that is absent, is a pickle or cannot be read.
    """
    problem = _problem(path)
    if problem is not None:
        raise RequestError(f"Weights '{path}' {problem}")
    return f"sha256 {sha256_of(path)[:ID_DIGITS]}"


def save_weights(path: Path, state_dict: Mapping[str, Tensor], metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Write tensors to a safetensors file, whole or not at all, and name those that hold a NaN or an infinity.

    metadata: goes into the file's header; CLASS_NAMES_KEY is read back by load_weights. Tensors may share memory.
    The same tensors and metadata give the same bytes, so that a file can be known by its hash.
    Raises StoreError when the file cannot be written; what was at `path` is then still there.
    """
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state_dict.items()}
    broken = tuple(name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all()))
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata=dict(metadata))
            with open(temporary, "r+b") as stream:
                _sort_header(stream)
        sync(path.parent)
    except (OSError, safetensors.SafetensorError) as error:
        raise StoreError(f"Weights '{path}' cannot be written: {_cause(error)}") from error
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


def given_file(weights: str, file: Path | None) -> Path:
    """The user's file, if it is there, is no pickle and has the hash that the cell names."""
    if file is None:
        raise UnsupportedError(
            f"The weights '{weights}' are in no file known here. Name the file again in the request."
        )
    problem = _problem(file)
    if problem is not None:
        raise CellFailedError(f"Weights '{file}' {problem}")
    found = f"sha256 {sha256_of(file)[:ID_DIGITS]}"
    if found != weights:
        raise CellFailedError(
            f"Weights '{file}' are {found}, the plan says {weights}: the file changed after the plan was made. "
            "Run again."
        )
    return file


def _problem(path: Path) -> str | None:
    """The rest of a sentence on why a file cannot be taken as weights, or None. Reads a few bytes at most."""
    if path.is_dir():
        return "are a folder. Name the .safetensors file in it."
    if not path.is_file():
        return "are not there. Check the path."
    if _ONE_OF_SEVERAL.search(path.name) or path.name.endswith(".safetensors.index.json"):
        return (
            "are one of several files of one model. Put all of its tensors into one safetensors file and name that one."
        )
    try:
        with open(path, "rb") as stream:
            start = stream.read(len(_LFS_POINTER))
    except OSError as error:
        return f"cannot be read: {error.strerror}."
    if start == _LFS_POINTER:
        return "are a pointer of Git LFS and not the file itself. Get it with `git lfs pull`."
    is_headed = start[8:9] == b"{"  # safetensors: the header's length in 8 bytes, any of them, then JSON
    if not is_headed and (start[:4] == b"PK\x03\x04" or start[:1] == b"\x80"):
        return "are a pickle, and opening one runs code. Save them as safetensors."
    if path.suffix != ".safetensors":
        return "do not end in .safetensors, the one format that is read. Save them as safetensors."
    if not start:
        return "are an empty file. Get or save it again."
    return None


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
                f"The weights of '{model_name}' are not here, and {endpoint} does not answer ({_cause(error)}) "
                "Run again with a network; finished cells are kept."
            ) from error
        try:
            path = Path(hf_hub_download(repository, name, revision=revision, endpoint=endpoint))
        except _TRANSFER_ERRORS as error:
            raise CellFailedError(
                f"The weights of '{model_name}' did not arrive whole from {endpoint}: {_cause(error)} "
                "Run again; what arrived is kept."
            ) from error
        _require_announced(path, name, is_new=True)
        return path
    raise UnsupportedError(
        f"The weights of '{model_name}' are not at {endpoint}: '{repository}' has no {' or '.join(names)}, and pickles "
        "are not read."
    )


def checked_digest(path: Path) -> str:
    """First digits of the SHA-256 of a file in the hub's cache, which must be the one that the hub announced."""
    return _require_announced(path, path.name, is_new=False)[:ID_DIGITS]


def _require_announced(path: Path, name: str, *, is_new: bool) -> str:
    """SHA-256 of a cached file. The cache names large files by the hash that the hub announced; nobody else checks it.

    A file that came just now and is wrong is removed, so that the next run fetches it again.
    """
    digest, stored = sha256_of(path), path.resolve()
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


def read_weights(path: Path) -> StoredWeights:
    """What the file holds. Raises CellFailedError for a file that is torn, or is no safetensors file.

    Of tensors that share memory safetensors' `save_model` writes one and notes the others' names; they come back.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            metadata = dict(opened.metadata() or {})
        tensors = load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise CellFailedError(
            f"Weights '{path}' cannot be read as safetensors: {_cause(error)} Get or save the file again."
        ) from error
    shared = {name: tensors[kept] for name, kept in metadata.items() if kept in tensors and name not in tensors}
    return StoredWeights(tensors | shared, metadata)


def shortened(text: str, limit: int = 160) -> str:
    text = text if text.endswith(".") else text + "."
    return text if len(text) <= limit else text[: limit - 3] + "..."


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits. Raises CellFailedError if it cannot be read to its end."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CellFailedError(f"Weights '{path}' cannot be read: {error.strerror or error}.") from error


def _cause(error: BaseException) -> str:
    return shortened(first_line(error))
