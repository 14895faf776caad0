"""What has to be the same for a training to be repeated or continued, and what must be said where it is not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
import torch
import torch.distributed
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch import nn

from bench.data.randomness import Stream
from bench.errors import RequestError, UnsupportedError
from bench.measure.devices import require_supported
from bench.process_group import Team
from bench.suite.cell import FinetuneCell, PretrainCell

PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "accelerate", "pillow")  # that can move a number


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


def notes_on_batches(
    model: nn.Module, micro_batch_size: int, batch_size: int, processes: int, mixes: bool
) -> list[str]:
    """Where a result depends on how a batch was divided; sentences for a reader of it."""
    modules, notes = list(model.modules()), []
    is_divided = micro_batch_size < batch_size
    if is_divided and any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in modules):
        notes.append(
            f"BatchNorm took its statistics from {micro_batch_size} images at a time, not from the whole "
            f"batch of {batch_size}"
            + (", and its running ones from the first process's images." if processes > 1 else ".")
        )
    if is_divided and any(_drops(module) for module in modules):
        notes.append(f"Dropout was drawn for {micro_batch_size} images at a time.")
    if mixes and batch_size % (2 * processes):
        notes.append("Mixup paired images within each process's part of a batch, of which some have an odd number.")
    return notes


@contextlib.contextmanager
def accelerated(cell: FinetuneCell | PretrainCell, team: Team) -> Iterator[Accelerator]:
    """accelerate's view of this process: its device and precision. Nothing of it is left for the next cell."""
    AcceleratorState._reset_state()  # it refuses another precision than that of the cell before
    mixed = "bf16" if cell.settings.precision == "bf16" else "no"
    try:
        yield Accelerator(cpu=cell.device == "cpu", mixed_precision=mixed)
    finally:
        AcceleratorState._reset_state()
        if team.size == 1:  # a team of several made its own state and ends it
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            PartialState._reset_state()


def require_trainable(cell: FinetuneCell | PretrainCell, team: Team, classes: int, word: str) -> None:
    """Raise for what would otherwise be ignored or go wrong. classes: of the data set."""
    require_supported(cell.settings, cell.device)
    if cell.settings.precision == "fp16":
        raise UnsupportedError(f"{word} in fp16 needs loss scaling, which is not implemented. Use bf16, tf32 or fp32.")
    if cell.settings.compile:
        raise UnsupportedError(f"{word} with torch.compile is not implemented. Set compile = false.")
    if cell.settings.fold:
        raise UnsupportedError(f"{word} needs BatchNorm as it is: a folded one cannot be trained. Set fold = false.")
    if cell.recipe.batch_size < team.size:
        raise UnsupportedError(
            f"A batch of {cell.recipe.batch_size} images cannot be divided among {team.size} processes. Use fewer."
        )
    if cell.num_classes != classes:
        raise RequestError(
            f"{word} {cell.model!r} with {cell.num_classes} classes was asked for; data set {cell.dataset!r} has "
            f"{classes}."
        )


def random_word(*names: str | int) -> int:
    """A number in [0, 2**63) that belongs to these names."""
    return int(Stream(*names).words(1)[0] >> np.uint64(1))


def _drops(module: nn.Module) -> bool:
    """Whether a layer leaves something out at random in training: dropout, or stochastic depth."""
    return bool(getattr(module, "p", 0.0) if isinstance(module, nn.modules.dropout._DropoutNd) else 0.0) or bool(
        getattr(module, "drop_prob", 0.0)
    )


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()}"
