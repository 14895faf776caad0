"""Peak memory of one inference or one training step, in a process that does nothing else.

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
from bench.measure.training_step import make_training_step, require_trainable
from bench.suite.cell import MemoryCell, TrainingMemoryCell
from bench.units import MIB

WeighedCell = MemoryCell | TrainingMemoryCell
TOY_MODELS = ("test_vit", "test_resnet")  # timm's smallest transformer and CNN: between them they touch the libraries
TOY_RESOLUTION_PX = 160
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
STATUS_FILE = Path("/proc/self/status")
RESET_PEAK_FILE = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): sets the peak resident set size to the current one


def measure_memory(cell: WeighedCell, build: Callable[[], nn.Module]) -> dict[str, float]:
    """Peak memory in MiB of weights, images and activations of one forward pass after one thrown away.

    Of a TrainingMemoryCell it is one optimiser step, gradients and the optimiser's buffers included.

    cpu: `peak_rss_delta_mib`, resident set size at its peak during that pass minus that before `build` was called.
    On Linux the peak is VmHWM, reset before the pass. Where it cannot be reset it is ru_maxrss, the peak of the
    process's whole life, so that the cost of building the model and of importing counts too: an upper bound.
    cuda: `peak_allocated_mib`, allocated by torch's allocator, caches excluded.
    mps: `peak_allocated_mib`, memory held from the driver, caches included: an upper bound.

    Raises UnsupportedError, OutOfMemoryError.
    """
    trains = isinstance(cell, TrainingMemoryCell)
    if isinstance(cell, TrainingMemoryCell):
        require_trainable(cell)
        keep_no_free_memory()  # not for inference: its figures of before would no longer compare
    size = f"{cell.model} at batch size {cell.batch_size}, {cell.resolution_px} px"
    what = f"{'Training' if trains else 'Inference'} with {size}"
    with memory_limit_named(what), torch.inference_mode(not trains):
        if cell.device == "cpu":
            return {"peak_rss_delta_mib": _peak_on_cpu(cell, build) / MIB}
        return {"peak_allocated_mib": (_peak_on_cuda if cell.device == "cuda" else _peak_on_mps)(cell, build) / MIB}


def _peak_on_cpu(cell: WeighedCell, build: Callable[[], nn.Module]) -> int:
    """Bytes by which the process grows."""
    if cell.settings.compile:
        raise UnsupportedError("Memory of compiled models on cpu: the process also holds the compiler, so no figure.")
    _initialise_libraries(isinstance(cell, TrainingMemoryCell))
    return_free_memory()
    before = int(psutil.Process().memory_info().rss)
    applied = _applied(cell, build)
    with applied.context:
        step = _make_step(cell, applied)
        step()
        return_free_memory()  # of building, of conversion to the precision, and of the first pass
        reset_peak_rss()
        step()
    return peak_rss() - before


def _peak_on_cuda(cell: WeighedCell, build: Callable[[], nn.Module]) -> int:
    applied = _applied(cell, build)
    with applied.context:
        step = _make_step(cell, applied)
        step()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        step()
        torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated())


def _peak_on_mps(cell: WeighedCell, build: Callable[[], nn.Module]) -> int:
    applied = _applied(cell, build)
    with applied.context:
        step = _make_step(cell, applied)
        step()
        torch.mps.synchronize()
        torch.mps.empty_cache()
        step()
        torch.mps.synchronize()
    return int(torch.mps.driver_allocated_memory())


def _applied(cell: WeighedCell, build: Callable[[], nn.Module]) -> Applied:
    model = build().train(isinstance(cell, TrainingMemoryCell))
    return apply_settings(model, cell.settings, cell.device, cell.resolution_px)


def _make_step(cell: WeighedCell, applied: Applied) -> Callable[[], None]:
    if isinstance(cell, TrainingMemoryCell):
        return make_training_step(cell, applied)
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


def _initialise_libraries(trains: bool) -> None:
    """Run toy models, so that code pages, thread pools and kernel caches are there before the count starts."""
    for name in TOY_MODELS:
        model = timm.create_model(name).eval()
        logits = model(torch.zeros(1, 3, TOY_RESOLUTION_PX, TOY_RESOLUTION_PX))
        if trains:
            logits.sum().backward()


def keep_no_free_memory() -> None:
    """Make glibc's allocator hand freed blocks back to the system at once, for the rest of this process.

    Otherwise it moves the size from which it does so as the process runs: the peak of one inference then differed by
    a tenth between processes, and jumped by a quarter where an activation grew past 32 MiB (mallopt(3)).
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MIB)
        mallopt(M_TRIM_THRESHOLD, 0)


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
