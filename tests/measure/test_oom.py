from __future__ import annotations

import pytest
import torch

from bench.errors import OutOfMemoryError
from bench.measure.devices import is_out_of_memory, memory_limit_named


def test_an_allocation_beyond_the_machine_is_out_of_memory():
    expected = pytest.raises(OutOfMemoryError, match=r"The thing does not fit into memory: .*can't allocate")
    with expected, memory_limit_named("The thing"):
        torch.empty(1 << 50, dtype=torch.uint8)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: not enough memory"),
    ],
)
def test_every_device_s_way_of_saying_it_is_known(error: Exception):
    assert is_out_of_memory(error)
    with pytest.raises(OutOfMemoryError), memory_limit_named("It"):
        raise error


def test_other_errors_pass_unchanged():
    with pytest.raises(RuntimeError, match="shapes"), memory_limit_named("It"):
        raise RuntimeError("shapes do not match")
