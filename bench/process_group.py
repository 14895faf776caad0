"""What a group of processes that share one cell know of each other. Starting them is bench.execute's work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed
from accelerate import PartialState
from accelerate.utils import broadcast, gather_object, reduce
from torch import Tensor

from bench.errors import CellFailedError, RequestError, UnsupportedError
from bench.processes import usable_cores

T = TypeVar("T")

SIZE_VARIABLE = "WORLD_SIZE"
# What torchrun sets for each process of a group; a lone process has none of them.
MEMBER_VARIABLES = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
WAIT = timedelta(hours=3)  # for the slowest member: others may have to wait while one writes or scores


@dataclass(frozen=True)
class ProcessGroup:
    """One process among `size`, and how it talks to the others.

    rank: 0 to size - 1; rank 0 writes what is written once. device: `cpu`, `mps`, or this process's own `cuda:<n>`,
    which is also the current CUDA device.
    """

    rank: int
    size: int
    device: str

    @property
    def is_first(self) -> bool:
        """Whether this is the process that does what is done once."""
        return self.rank == 0

    def gather(self, items: list[T]) -> list[T]:
        """The items of all processes, in the order of their ranks, in every process. Items must be picklable.

        Every process must call it, with a list of any length, or the others wait.
        """
        if self.size == 1:
            return list(items)
        gathered: list[T] = gather_object(items)
        return gathered

    def summed(self, tensor: Tensor) -> Tensor:
        """The sum of all processes' tensors, in every process."""
        if self.size == 1:
            return tensor
        summed: Tensor = reduce(tensor, reduction="sum")
        return summed

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors, on any device, with the first process's numbers."""
        if self.size > 1:
            with torch.no_grad():
                for tensor in tensors:
                    tensor.copy_(broadcast(tensor.detach().to(self.device).contiguous()))

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag whether any process has it set, so that all do the same at the same step."""
        if self.size == 1:
            return flags
        votes = self.summed(torch.tensor(flags, dtype=torch.float32, device=self.device))
        return tuple(bool(vote) for vote in votes.tolist())

    def first_before_others(self, make: Callable[[], T]) -> T:
        """What `make` gives in this process, which comes to it when the first process is through with its own.

        So that what is stored is made once and found by the others.
        """
        if self.is_first:
            made = make()
        self.barrier()
        return made if self.is_first else make()

    def barrier(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            torch.distributed.barrier()


def alone(device: str) -> ProcessGroup:
    """A group of one, which needs no environment and no torch.distributed."""
    return ProcessGroup(rank=0, size=1, device=device)


def group_size() -> int:
    """Processes in the group that the environment speaks of; 1 where it speaks of none. Raises RequestError."""
    return _number(SIZE_VARIABLE, at_least=1) if SIZE_VARIABLE in os.environ else 1


@contextmanager
def joined_group(device: str) -> Iterator[ProcessGroup]:
    """The group that torchrun's environment describes, for as long as the block lasts: gloo on CPUs, NCCL on CUDA.

    device: `cpu`, `cuda` or `mps`. Without that environment, or with a WORLD_SIZE of 1, a group of one.
    Raises RequestError for an environment that is incomplete, UnsupportedError for a device that is absent or cannot
    be shared, CellFailedError when the processes do not find each other.
    """
    size = group_size()
    if size == 1:
        yield alone(device)
        return
    _require_members(device, size)
    try:
        state = PartialState(cpu=device == "cpu", timeout=WAIT)
    except (RuntimeError, ValueError) as error:
        cause = str(error).strip().splitlines()[0]
        raise CellFailedError(f"{size} processes could not form a group: {cause}") from error
    try:
        own = "cpu" if device == "cpu" else str(state.device)  # accelerate numbers CPUs too
        yield ProcessGroup(rank=state.process_index, size=state.num_processes, device=own)
    finally:
        torch.distributed.destroy_process_group()
        PartialState._reset_state()


def _require_members(device: str, size: int) -> None:
    """Raise unless the environment is complete and this machine has a device for this process."""
    absent = [name for name in MEMBER_VARIABLES if name not in os.environ]
    if absent:
        raise RequestError(
            f"{SIZE_VARIABLE} is {size}, but {', '.join(absent)} is not set. Start a group of processes with torchrun, "
            f"or unset {SIZE_VARIABLE}."
        )
    if _number("RANK", at_least=0) >= size:
        raise RequestError(f"RANK is {os.environ['RANK']} in a group of {size}; ranks go from 0 to {size - 1}.")
    if device == "mps":
        raise UnsupportedError(f"{size} processes on mps: one process uses the whole device. Start one.")
    if device == "cuda" and _number("LOCAL_RANK", at_least=0) >= torch.cuda.device_count():
        raise UnsupportedError(
            f"Process {os.environ['LOCAL_RANK']} of this machine needs a GPU of its own; torch sees "
            f"{torch.cuda.device_count()}. Start as many processes as there are GPUs."
        )
    _share_cores(device)


def _share_cores(device: str) -> None:
    """An equal share of the cores for each process of this machine, where nothing says otherwise."""
    if device == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        here = _number("LOCAL_WORLD_SIZE", at_least=1) if "LOCAL_WORLD_SIZE" in os.environ else group_size()
        threads = max(1, usable_cores() // here)
        torch.set_num_threads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # accelerate would warn, and count cores that are not ours


def _number(name: str, *, at_least: int) -> int:
    text = os.environ[name]
    if not text.isdecimal() or int(text) < at_least:
        raise RequestError(f"{name} is {text!r}, expected a whole number from {at_least}. torchrun sets it.")
    return int(text)
