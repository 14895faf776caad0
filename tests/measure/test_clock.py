from __future__ import annotations

import time

import pytest
import torch

from bench.measure.devices import CpuClock, CudaClock, clock_for

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
