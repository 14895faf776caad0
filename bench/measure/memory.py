"""Peak memory of one inference, in a process that does nothing else.

Three devices, three meanings: the growth of the process on a CPU, allocated tensors on CUDA, what the driver handed
out on Metal. They are not comparable with each other.
"""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import timm
import torch
from torch import nn

from bench.errors import UnsupportedError
from bench.measure.images import make_images
from bench.measure.oom import memory_limit_named
from bench.measure.settings import Applied, apply_settings
from bench.suite.cell import MemoryCell
from bench.units import MIB

TOY_MODELS = ("test_vit", "test_resnet")  # timm's smallest transformer and CNN: between them they touch the libraries
TOY_RESOLUTION_PX = 160
STATUS_FILE = Path("/proc/self/status")
RESET_PEAK_FILE = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): sets the peak resident set size to the current one


def measure_memory(cell: MemoryCell, build: Callable[[], nn.Module]) -> dict[str, float]:
    """Peak memory in MiB of weights, images and activations of one forward pass after one thrown away.

    cpu: `peak_rss_delta_mib`, resident set size at its peak during that pass minus that before `build` was called.
    On Linux the peak is VmHWM, reset before the pass. Where it cannot be reset it is ru_maxrss, the peak of the
    process's whole life, so that the cost of building the model and of importing counts too: an upper bound.
    cuda: `peak_allocated_mib`, allocated by torch's allocator, caches excluded.
    mps: `peak_allocated_mib`, memory held from the driver, caches included: an upper bound.

    Raises UnsupportedError, OutOfMemoryError.
    """
    size = f"{cell.model} at batch size {cell.batch_size}, {cell.resolution_px} px"
    with memory_limit_named(f"Inference with {size}"), torch.inference_mode():
        if cell.device == "cpu":
            return {"peak_rss_delta_mib": _peak_on_cpu(cell, build) / MIB}
        return {"peak_allocated_mib": (_peak_on_cuda if cell.device == "cuda" else _peak_on_mps)(cell, build) / MIB}


def _peak_on_cpu(cell: MemoryCell, build: Callable[[], nn.Module]) -> int:
    """Bytes by which the process grows."""
    if cell.settings.compile:
        raise UnsupportedError("Memory of compiled models on cpu: the process also holds the compiler, so no figure.")
    _initialise_libraries()
    return_free_memory()
    before = int(psutil.Process().memory_info().rss)
    applied = apply_settings(build().eval(), cell.settings, cell.device, cell.resolution_px)
    with applied.context:
        step = _make_step(cell, applied)
        step()
        return_free_memory()  # of building, of conversion to the precision, and of the first pass
        reset_peak_rss()
        step()
    return peak_rss() - before


def _peak_on_cuda(cell: MemoryCell, build: Callable[[], nn.Module]) -> int:
    applied = apply_settings(build().eval(), cell.settings, cell.device, cell.resolution_px)
    with applied.context:
        step = _make_step(cell, applied)
        step()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        step()
        torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated())


def _peak_on_mps(cell: MemoryCell, build: Callable[[], nn.Module]) -> int:
    applied = apply_settings(build().eval(), cell.settings, cell.device, cell.resolution_px)
    with applied.context:
        step = _make_step(cell, applied)
        step()
        torch.mps.synchronize()
        torch.mps.empty_cache()
        step()
        torch.mps.synchronize()
    return int(torch.mps.driver_allocated_memory())


def _make_step(cell: MemoryCell, applied: Applied) -> Callable[[], None]:
    images = make_images(
        cell.batch_size,
        cell.resolution_px,
        dtype=applied.input_dtype,
        channels_last=cell.settings.memory_format == "channels_last",
        device=cell.device,
    )

    def step() -> None:
        applied.model(images)

    return step


def _initialise_libraries() -> None:
    """Run toy models, so that code pages, thread pools and kernel caches are there before the count starts."""
    for name in TOY_MODELS:
        model = timm.create_model(name).eval()
        model(torch.zeros(1, 3, TOY_RESOLUTION_PX, TOY_RESOLUTION_PX))


def return_free_memory() -> None:
    """Give memory that nothing uses back to the system, so that the model's is not served from it unseen."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc; musl keeps no such pool
        if trim is not None:
            trim(0)


def reset_peak_rss() -> bool:
    """Set the peak resident set size to the present one; False where the system does not let us."""
    try:
        RESET_PEAK_FILE.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def peak_rss() -> int:
    """Bytes: the peak resident set size since the last reset, or of the whole process where there is no VmHWM."""
    if STATUS_FILE.exists():
        for line in STATUS_FILE.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes on Linux, bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit
