"""Recognising that a device ran out of memory: torch says it in a different way on each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bench.errors import OutOfMemoryError

# How the CPU and the Metal allocators word it; on CUDA there is a type. Both are plain RuntimeErrors.
ALLOCATOR_MESSAGES = ("DefaultCPUAllocator", "MPS backend out of memory")


@contextmanager
def memory_limit_named(what: str) -> Iterator[None]:
    """Within it, running out of memory raises bench's OutOfMemoryError, which says that `what` did not fit."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        cause = str(error).strip().splitlines()
        raise OutOfMemoryError(f"{what} does not fit into memory: {cause[0] if cause else 'no details'}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, of the process or of the device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in ALLOCATOR_MESSAGES)
