"""A safetensors file of weights: whether it is one, its name by content, what it holds, and how one is written.

Only safetensors files are read. A pickle runs code when it is opened, so none is, whatever its name says.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.errors import CellFailedError, RequestError, StoreError, UnsupportedError
from bench.whole_files import replacing, sync

ID_DIGITS = 16
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
        raise StoreError(f"Weights '{path}' cannot be written: {first_line(error)}") from error
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
            f"Weights '{path}' cannot be read as safetensors: {first_line(error)} Get or save the file again."
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


def first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shortened(lines[0] if lines else type(error).__name__)
