from __future__ import annotations

import time

import pytest
import torch

from bench.errors import OutOfMemoryError
from bench.measure.devices import CpuClock, CudaClock, clock_for, is_out_of_memory, memory_limit_named

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_the_cpu_has_the_monotonic_clock():
    clock = clock_for("cpu")
    assert isinstance(clock, CpuClock)
    before = time.perf_counter()
    clock.synchronise()
    assert before <= clock.now() <= time.perf_counter()


@pytest.mark.gpu
@needs_cuda
def test_the_cuda_clock_waits_for_queued_work():
    clock = clock_for("cuda")
    assert isinstance(clock, CudaClock)
    a = torch.randn(4096, 4096, device="cuda")
    a @ a
    clock.synchronise()
    started, host = clock.now(), time.perf_counter()
    for _ in range(20):
        a @ a
    elapsed = clock.now() - started
    assert elapsed == pytest.approx(time.perf_counter() - host, rel=0.2)


@pytest.mark.gpu
@needs_cuda
def test_the_cuda_clock_never_runs_backwards():
    clock = clock_for("cuda")
    readings = [clock.now() for _ in range(50)]
    assert readings == sorted(readings)


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
