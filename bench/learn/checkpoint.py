"""A training that can go on: weights, optimiser and progress in one safetensors file, replaced as a whole.

Each folder belongs to one cell. Nothing here is executed on reading: the file holds tensors and JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import Parameter

from bench.data.generated.randomness import random_word
from bench.errors import StoreError
from bench.suite.cell import Frozen
from bench.whole_files import replacing, sync

PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "accelerate", "pillow")  # that can move a number
LATEST = "latest.safetensors"
SET_ASIDE = "set-aside.safetensors"
HEADER = "vitbench_checkpoint"  # key of the JSON in the file's metadata
MODEL, OPTIMISER, KEPT = "model.", "optimiser.", "kept."  # how tensors' names begin

# The tensors that torch's optimisers make at their first step, with the shape of the parameter; `step` counts.
_SHAPED: dict[type[torch.optim.Optimizer], tuple[str, ...]] = {
    torch.optim.SGD: ("momentum_buffer",),
    torch.optim.AdamW: ("exp_avg", "exp_avg_sq"),
}
_COUNTED: dict[type[torch.optim.Optimizer], tuple[str, ...]] = {torch.optim.SGD: (), torch.optim.AdamW: ("step",)}

Description = Mapping[str, str | int | None]


class Progress(BaseModel):
    """How far a training has come. Changes as it goes on.

    step: optimiser steps done, of `steps`. losses: those that a record keeps. train_seconds, waited_s: in steps that
    count, so without those that a kill made it repeat; eval_seconds: in evaluations on the validation part, which
    look_steps and look_top1_pct hold; tied_scores: what the best evaluation says of them. resumed: how often it was
    continued. rates: images per second of the parts, measured before the first step. notes: what a reader of the result
    must know.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    step: int = Field(default=0, ge=0)
    steps: int = Field(default=0, ge=0)
    losses: list[float] = []
    train_seconds: float = 0.0
    waited_s: float = 0.0
    eval_seconds: float = 0.0
    look_steps: list[int] = []
    look_top1_pct: list[float] = []
    tied_scores: str = ""
    resumed: int = 0
    rates: dict[str, float] = {}
    notes: list[str] = []


class _Header(Frozen):
    format_version: Literal[2] = 2
    description: dict[str, str | int | None]
    progress: Progress
    sha256: str  # of all the rest; safetensors itself notices a file cut short, but no changed byte


@dataclass(frozen=True)
class Checkpoint:
    """A training between two steps, on the CPU.

    description: everything that must be the same for it to continue bit for bit. model: all parameters and buffers.
    optimiser: what it remembers of each parameter. kept: the best weights so far, where those are wanted.
    """

    description: Description
    progress: Progress
    model: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    kept: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """The checkpoint that can be continued, if there is one; notes: why one that is there cannot be."""

    checkpoint: Checkpoint | None = None
    notes: tuple[str, ...] = ()


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the folder's checkpoint by this one; whenever the process dies, a whole one is there.

    Raises StoreError when it cannot be written; then the one before is still there.
    """
    tensors = _prefixed(checkpoint)
    header = _Header(
        description=dict(checkpoint.description),
        progress=checkpoint.progress,
        sha256=_seal(checkpoint.description, checkpoint.progress, tensors),
    )
    try:
        with replacing(folder / LATEST) as temporary:
            save_file(tensors, temporary, metadata={HEADER: header.model_dump_json()})
        sync(folder)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"Checkpoint '{folder / LATEST}' cannot be written: {_first_line(error)}.") from error


def find(folder: Path, description: Description) -> Found:
    """The checkpoint in this folder, if it is whole and was written under the same conditions.

    description: what has to agree; what it does not name may be anything. A checkpoint of other conditions is set
    aside, one that cannot be read stays until the next is written over it; a note says which and why.
    """
    _remove_leftovers(folder)
    path = folder / LATEST
    try:
        checkpoint = _read(path)
    except FileNotFoundError:
        return Found()
    except _UnreadableError as error:
        return Found(notes=(f"A checkpoint was ignored, since it cannot be read: {error}.",))
    differing = [
        f"{name} was {checkpoint.description.get(name)!r}, is {value!r}"
        for name, value in description.items()
        if checkpoint.description.get(name) != value
    ]
    if not differing:
        return Found(checkpoint)
    with contextlib.suppress(OSError):  # if it cannot be moved, the next one replaces it
        path.replace(folder / SET_ASIDE)
    return Found(
        notes=(
            f"A checkpoint of step {checkpoint.progress.step} was set aside, because going on from it would not give "
            f"the numbers of one training under these conditions: {'; '.join(differing)}.",
        )
    )


def discard(folder: Path) -> None:
    """Remove the checkpoints of a cell whose record is safely written, and the folder if nothing else is in it."""
    _remove_leftovers(folder)
    for name in (LATEST, SET_ASIDE):
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes, in the order of the names. Tensors may be on any device."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def conditions(model: nn.Module, device: torch.device, machine: str) -> dict[str, str | int | None]:
    """The part of a checkpoint's description that is about the model's shape and where it is trained."""
    shapes = " ".join(f"{name}{tuple(tensor.shape)}" for name, tensor in model.state_dict().items())
    return {
        "tensors": f"{random_word(shapes):016x}",
        "device": _device_name(device),
        "machine": machine,
        "threads": torch.get_num_threads(),
        "deterministic": int(torch.are_deterministic_algorithms_enabled()),
        **{package: version(package) for package in PACKAGES},
    }


def zero_state(optimiser: torch.optim.Optimizer) -> None:
    """Make the optimiser's tensors now, all zero, so that memory does not grow at the first step."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            state = optimiser.state[parameter]
            for slot in _SHAPED[type(optimiser)]:
                state[slot] = torch.zeros_like(parameter)  # laid out as the parameter is
            for slot in _COUNTED[type(optimiser)]:
                is_on_device = bool(group.get("fused") or group.get("capturable"))
                device = parameter.device if is_on_device else torch.device("cpu")
                state[slot] = torch.zeros((), dtype=torch.float32, device=device)


def state_tensors(optimiser: torch.optim.Optimizer, parameters: Mapping[str, Parameter]) -> dict[str, Tensor]:
    """`slot name` -> tensor, for every parameter. The tensors are the optimiser's own, not copies."""
    slots = (*_SHAPED[type(optimiser)], *_COUNTED[type(optimiser)])
    return {f"{slot} {name}": optimiser.state[p][slot] for slot in slots for name, p in parameters.items()}


def restore_state(
    optimiser: torch.optim.Optimizer, parameters: Mapping[str, Parameter], saved: Mapping[str, Tensor]
) -> None:
    """Copy saved tensors into those of `zero_state`. Raises KeyError for one that is missing."""
    for name, tensor in state_tensors(optimiser, parameters).items():
        tensor.copy_(saved[name])


class _UnreadableError(Exception):
    """A checkpoint that is torn, changed, or none."""


def _read(path: Path) -> Checkpoint:
    """Raises FileNotFoundError, and _UnreadableError with the reason."""
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a dict
        if HEADER not in metadata:
            raise _UnreadableError("it is a safetensors file, but none of this program's checkpoints")
        header = _Header.model_validate_json(metadata[HEADER])
    except FileNotFoundError:
        raise
    except (OSError, SafetensorError) as error:
        raise _UnreadableError(_first_line(error)) from error
    except ValidationError as error:
        raise _UnreadableError(f"its description is not one: {_first_line(error)}") from error
    if header.sha256 != _seal(header.description, header.progress, tensors):
        raise _UnreadableError("its content is not what was written")
    model, optimiser, kept = (_part(tensors, prefix) for prefix in (MODEL, OPTIMISER, KEPT))
    return Checkpoint(header.description, header.progress, model, optimiser, kept)


def _seal(description: Description, progress: Progress, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over everything in a checkpoint."""
    words = json.dumps([dict(description), progress.model_dump()], sort_keys=True)
    return hashlib.sha256(f"{words}\n{tensors_sha256(tensors)}".encode()).hexdigest()


def _prefixed(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """All tensors by their names in the file, each with memory of its own, as the format wants it."""
    named = {MODEL + name: tensor for name, tensor in checkpoint.model.items()}
    named |= {OPTIMISER + name: tensor for name, tensor in checkpoint.optimiser.items()}
    named |= {KEPT + name: tensor for name, tensor in checkpoint.kept.items()}
    return {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in named.items()}


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _remove_leftovers(folder: Path) -> None:
    """Remove what a process left that died while it wrote: `.latest...tmp`, and safetensors' own `.tmp...`."""
    for path in folder.glob(".*tmp*"):
        with contextlib.suppress(OSError):
            path.unlink()


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # without the path: notes are published
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()}"
