"""Peak memory of one inference or one training step, in a process of its own, and the largest batch that fits.

Three devices, three meanings: the growth of the process on a CPU, allocated tensors on CUDA, what the driver handed
out on Metal. They are not comparable with each other. Each try of a batch needs a process of its own: bench.execute
starts it.
"""

from __future__ import annotations

import ctypes
import gc
import math
import resource
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
import timm
import torch
from torch import nn

from bench.errors import UnsupportedError
from bench.measure.devices import memory_limit_named, require_supported
from bench.measure.settings import apply_settings
from bench.measure.timing.steps import inference_step, require_trainable, training_step
from bench.suite.cell import LargestBatchCell, MemoryCell, TrainingMemoryCell
from bench.units import MIB

WeighedCell = MemoryCell | TrainingMemoryCell
TOY_MODELS = ("test_vit", "test_resnet")  # timm's smallest transformer and CNN: between them they touch the libraries
TOY_RESOLUTION_PX = 160
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
STATUS_FILE = Path("/proc/self/status")
RESET_PEAK_FILE = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): sets the peak resident set size to the current one

PRECISION = 1.05  # the search ends when a refused batch is at most so many times one that fits
FIRST_BATCH = 8
LARGEST_STEP = 16.0
GUIDED_TRIES = 2  # between one that fits and one that does not, before plain bisection
NET_FACTOR = 2.0  # times the budget: what a try on a CPU may allocate before the system refuses it more
NET_ROOM_MIB = 256  # for what is not the model's: stacks, pools of the allocator, toy models


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
        key = "peak_rss_delta_mib" if cell.device == "cpu" else "peak_allocated_mib"
        return {key: _peak_bytes(cell, build, trains) / MIB}


def _peak_bytes(cell: WeighedCell, build: Callable[[], nn.Module], trains: bool) -> int:
    """On a CPU the bytes by which the process grows."""
    before = 0
    if cell.device == "cpu":
        if cell.settings.compile:
            reason = "the process also holds the compiler, so no figure"
            raise UnsupportedError(f"Memory of compiled models on cpu: {reason}.")
        _initialise_libraries(trains)
        return_free_memory()
        before = int(psutil.Process().memory_info().rss)
    applied = apply_settings(build().train(trains), cell.settings, cell.device, cell.resolution_px)
    with applied.context:
        if isinstance(cell, TrainingMemoryCell):
            step: Callable[[], object] = training_step(cell, applied)
        else:
            step = inference_step(cell, applied, cell.batch_size)
        step()
        _forget_peak(cell.device)  # of building, of conversion to the precision, and of the first pass
        step()
        return _peak(cell.device) - before


def _forget_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    elif device == "mps":
        torch.mps.synchronize()
        torch.mps.empty_cache()
    else:
        return_free_memory()
        reset_peak_rss()


def _peak(device: str) -> int:
    if device == "cuda":
        torch.cuda.synchronize()
        return int(torch.cuda.max_memory_allocated())
    if device == "mps":
        torch.mps.synchronize()
        return int(torch.mps.driver_allocated_memory())
    return peak_rss()


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
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes on Linux, bytes on macOS
    return _status_bytes("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit


def _status_bytes(field: str) -> int:
    """What proc_pid_status(5) says of this process; 0 where it says nothing."""
    for line in STATUS_FILE.read_text().splitlines() if STATUS_FILE.exists() else ():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


@dataclass(frozen=True)
class Try:
    """One batch size in one fresh process. peak_mib: None where it was not reached; reason: None where it fits."""

    batch_size: int
    status: Literal["ok", "oom", "failed", "skipped"]
    peak_mib: float | None
    limit_mib: float | None
    reason: str | None
    seconds: float  # of the whole process

    @property
    def fits(self) -> bool:
        return self.status == "ok"


def search(attempt: Callable[[int], Try], cap: int) -> list[Try]:
    """Every try, in order, until the largest batch that fits is known to PRECISION or to one image, or is the cap.

    It ends after the first try if the model or the device cannot do it at all.
    """
    tries = [attempt(min(FIRST_BATCH, cap))]
    if tries[0].status == "skipped":
        return tries
    while (batch := next_batch(tries, cap)) is not None:
        tries.append(attempt(batch))
    return tries


def next_batch(tries: Sequence[Try], cap: int) -> int | None:
    """The batch to try after these; None when they say enough.

    While everything fits it grows, by at most LARGEST_STEP at a time, to where the peaks so far meet the limit. Then
    it closes in between the largest that fits and the smallest that does not. Peaks only guide: what counts is
    whether a batch ran.
    """
    low = _largest(tries)
    refused = [one.batch_size for one in tries if not one.fits]
    if not refused:
        return None if low >= cap else min(cap, _grown(tries))
    high = min(refused)
    if low == 0 and high > 1:
        return 1  # whether it runs at all
    if high - low <= 1 or high <= low * PRECISION:
        return None
    lower, upper = max(low + 1, int(low * PRECISION)), min(high - 1, math.ceil(high / PRECISION))
    first_refusal = next(index for index, one in enumerate(tries) if not one.fits)
    meets = _meets_limit(tries)
    if meets is None or len(tries) - 1 - first_refusal >= GUIDED_TRIES:
        meets = (low * high) ** 0.5
    return min(max(int(meets), lower), upper)


def as_values(tries: Sequence[Try]) -> dict[str, Any]:
    """What a record holds. largest_batch is 0 if not one image fits.

    stopped_by: `cap` if the largest batch allowed still fits, `memory` if the next refused one ran out of it, `error`
    if that one failed for another reason. limit_mib: the budget on a CPU, else what was free on the device.
    """
    largest = _largest(tries)
    refused = min((one for one in tries if not one.fits), key=lambda one: one.batch_size, default=None)
    stopped_by = "cap" if refused is None else "memory" if refused.status == "oom" else "error"
    return {
        "largest_batch": largest,
        "stopped_by": stopped_by,
        "smallest_refused": refused.batch_size if refused else None,
        "peak_mib": next((one.peak_mib for one in tries if one.batch_size == largest), None),
        "limit_mib": next((one.limit_mib for one in tries if one.limit_mib is not None), None),
        "tries": [{**asdict(one), "fits": one.fits} for one in tries],
    }


def measure_try(cell: LargestBatchCell, batch_size: int, build: Callable[[], nn.Module]) -> dict[str, float]:
    """`peak_mib` of one inference at that batch size, and the `limit_mib` it must not exceed.

    The pass is a memory cell's. On a CPU a batch fits if the process, which keeps no freed memory, grows by no more
    than the budget; one that would allocate twice that is refused by the system, so that the machine never swaps. On
    a GPU it fits if it runs.

    Raises UnsupportedError on Metal, which shares the machine's memory, and what measure_memory raises.
    """
    require_supported(cell.settings, cell.device)
    memory_cell = MemoryCell(
        metric_version=cell.metric_version,
        batch_size=batch_size,
        **cell.model_dump(include={"model", "definition", "num_classes", "resolution_px", "device", "settings"}),
    )
    if cell.device == "mps":
        raise UnsupportedError("largest batch on mps: the device has no memory of its own that could be full.")
    if cell.device == "cuda":
        free, _ = torch.cuda.mem_get_info()
        return {"limit_mib": free / MIB, "peak_mib": measure_memory(memory_cell, build)["peak_allocated_mib"]}
    assert cell.memory_limit_mib is not None  # the suite file says it for a CPU
    keep_no_free_memory()
    with data_limited(cell.memory_limit_mib):
        peak = measure_memory(memory_cell, build)["peak_rss_delta_mib"]
    return {"limit_mib": float(cell.memory_limit_mib), "peak_mib": peak}


def require_free_memory(cell: LargestBatchCell) -> None:
    """Raise UnsupportedError if tries within this budget could make the machine swap."""
    if cell.device != "cpu" or cell.memory_limit_mib is None:
        return
    needed = cell.memory_limit_mib * NET_FACTOR + NET_ROOM_MIB
    free = psutil.virtual_memory().available / MIB
    if free < needed:
        raise UnsupportedError(
            f"largest batch within {cell.memory_limit_mib} MiB: its tries may allocate {needed:.0f} MiB, and "
            f"{free:.0f} MiB are free. Lower memory_limit_mib in the suite file."
        )


@contextmanager
def data_limited(budget_mib: float) -> Iterator[None]:
    """Within it the process cannot allocate more than NET_FACTOR times the budget beyond what it holds (Linux)."""
    if sys.platform != "linux" or not STATUS_FILE.exists():
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    # VmData: private writable memory that the process has asked for
    soft = _status_bytes("VmData") + int((budget_mib * NET_FACTOR + NET_ROOM_MIB) * MIB)
    if before[1] != resource.RLIM_INFINITY:
        soft = min(soft, before[1])
    resource.setrlimit(resource.RLIMIT_DATA, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def judged(batch_size: int, reply: Mapping[str, Any], seconds: float) -> Try:
    """The try that a process's reply (status, reason, values) tells of: a peak above the limit does not fit."""
    values = reply.get("values") or {}
    status, reason = reply["status"], reply.get("reason")
    peak, limit = values.get("peak_mib"), values.get("limit_mib")
    if status == "ok" and peak is not None and limit is not None and peak > limit:
        status, reason = "oom", f"The process grows by {peak:.0f} MiB, the budget is {limit:.0f} MiB."
    return Try(batch_size, status, peak, limit, reason, seconds)


def _largest(tries: Sequence[Try]) -> int:
    return max((one.batch_size for one in tries if one.fits), default=0)


def _grown(tries: Sequence[Try]) -> int:
    """A larger batch than all so far, which fitted."""
    sizes = sorted(one.batch_size for one in tries)
    low = sizes[-1]
    last_factor = low / sizes[-2] if len(sizes) > 1 else LARGEST_STEP
    # a step to just beyond the limit that fits all the same is doubled, lest the search creeps
    least = last_factor**2 if last_factor < 2 else PRECISION
    meets = _meets_limit(tries)
    factor = LARGEST_STEP if meets is None else min(LARGEST_STEP, meets / low)
    return max(low + 1, math.ceil(low * max(factor, least)))


def _meets_limit(tries: Sequence[Try]) -> float | None:
    """Where the line through the two peaks nearest the limit meets it; None where it never does or nothing is known.

    Of a single one the line starts at no memory for no images, which is on the safe side.
    """
    fitting = sorted((one.batch_size, one.peak_mib) for one in tries if one.fits and one.peak_mib is not None)
    beyond = sorted((one.batch_size, one.peak_mib) for one in tries if not one.fits and one.peak_mib is not None)
    limit = next((one.limit_mib for one in tries if one.limit_mib is not None), None)
    if not fitting or limit is None:
        return None
    (first, low), (second, high) = [(0, 0.0), *fitting, *beyond[:1]][-2:]
    slope = (high - low) / (second - first)
    return first + (limit - low) / slope if slope > 0 else None
