"""What differs between devices: their clocks, which precisions they compute in, how they say that memory ran out.

Everything that times takes its clock as an argument, so that its logic is tested without waiting.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import torch

from bench.errors import OutOfMemoryError, RequestError, UnsupportedError
from bench.suite.cell import Settings

MIN_CAPABILITY_TF32 = (8, 0)  # Ampere
MIN_CAPABILITY_COMPILE = (7, 0)  # what Triton generates code for
# How the CPU and the Metal allocators word it; on CUDA there is a type. Both are plain RuntimeErrors.
ALLOCATOR_MESSAGES = ("DefaultCPUAllocator", "MPS backend out of memory")


class Clock(Protocol):
    """A clock that stands in the device's queue of work."""

    def now(self) -> float:
        """Seconds since a fixed moment, read once the work queued before this call is done."""

    def synchronise(self) -> None:
        """Wait until nothing is queued on the device."""


class CpuClock:
    """The monotonic clock. CPU operators return when they are done, so there is no queue to wait for."""

    def now(self) -> float:
        return time.perf_counter()

    def synchronise(self) -> None:
        return


class CudaClock:
    """CUDA events on the current stream: the device's own times, without the host's way back.

    Work that a model leaves on a side stream is outside a block unless the model joins it, as torch's modules do.
    """

    def __init__(self) -> None:
        self._last = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call, unused-ignore]
        self._next = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call, unused-ignore]
        self._seconds = 0.0
        self._last.record()

    def now(self) -> float:
        self._next.record()
        self._next.synchronize()
        # From reading to reading: an event's distance is a float32 of milliseconds and loses microseconds after 16 s.
        self._seconds += self._last.elapsed_time(self._next) / 1e3
        self._last, self._next = self._next, self._last
        return self._seconds

    def synchronise(self) -> None:
        torch.cuda.synchronize()


class MpsClock:
    """The monotonic clock, read after the queue of the Metal device has drained."""

    def now(self) -> float:
        torch.mps.synchronize()
        return time.perf_counter()

    def synchronise(self) -> None:
        torch.mps.synchronize()


def clock_for(device: str) -> Clock:
    """The clock of `cpu`, `cuda` or `mps`."""
    clocks: dict[str, Callable[[], Clock]] = {"cpu": CpuClock, "cuda": CudaClock, "mps": MpsClock}
    return clocks[device]()


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


def require_supported(settings: Settings, device: str) -> None:
    """Raise UnsupportedError if the device is absent or cannot do a setting; the message has the reason."""
    if absent := _DEVICES[device]():
        raise UnsupportedError(f"No {device} device: {absent}.")
    if reason := _PRECISIONS[settings.precision](device):
        raise UnsupportedError(f"precision {settings.precision} on {device}: {reason}.")
    if settings.compile and (reason := compile_reason(device)):
        raise UnsupportedError(f"torch.compile on {device}: {reason}.")


def resolve_device(device: str) -> str:
    """The device to use: `auto` is the first present of cuda, mps and cpu.

    Raises RequestError for a device that is unknown or absent.
    """
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if _DEVICES[name]() is None)
    if device not in _DEVICES:
        raise RequestError(f"Unknown device {device!r}. Known: auto, {', '.join(_DEVICES)}.")
    if absent := _DEVICES[device]():
        raise RequestError(f"Device {device!r} was asked for, but {absent}. --device auto takes what there is.")
    return device


def available_precisions(device: str) -> dict[str, str | None]:
    """For each precision None if the device can do it, else the reason why not."""
    return {precision: reason(device) for precision, reason in _PRECISIONS.items()}


def compile_reason(device: str) -> str | None:
    """What torch.compile lacks on this device, or None."""
    if device == "cuda":
        if torch.cuda.get_device_capability() < MIN_CAPABILITY_COMPILE:
            return "Triton needs compute capability 7.0"
        return None if find_spec("triton") else "the package triton is not installed"
    if device == "mps":
        return None
    compiler = os.environ.get("CXX") or {"Darwin": "clang++", "Windows": "cl"}.get(platform.system(), "g++")
    if shutil.which(shlex.split(compiler)[0]) is None:
        return f"no C++ compiler ({compiler} is not on the PATH; CXX may name another)"
    if platform.system() == "Linux" and not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "Python's C headers are missing (Python.h; the package python3-dev on Debian)"
    return None


def has_native_bf16() -> bool:
    """Whether the CPU multiplies bf16 numbers in hardware: AVX512-BF16, AMX, or Arm's BF16 instructions.

    torch's own answer for x86 is also yes where oneDNN emulates bf16 with AVX-512, slower than fp32.
    """
    if platform.machine().lower() in ("x86_64", "amd64"):
        return bool(torch.cpu._is_avx512_bf16_supported()) or has_amx()
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call, unused-ignore]
    return bool(has_onednn and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def has_amx() -> bool:
    """Whether the CPU has Intel's matrix tiles."""
    return platform.machine().lower() in ("x86_64", "amd64") and bool(torch.cpu._is_amx_tile_supported())


def _no_tf32(device: str) -> str | None:
    if device != "cuda":
        return "tf32 is a mode of NVIDIA's tensor cores"
    if torch.version.hip is not None or torch.cuda.get_device_capability() < MIN_CAPABILITY_TF32:
        return "tf32 needs an NVIDIA GPU of compute capability 8.0 or higher"
    return None


def _no_fp16(device: str) -> str | None:
    # Measured on a CPU with AVX512-FP16: 4 to 27 % slower than fp32 on timm's test_vit and test_resnet.
    return "torch computes fp16 on CPUs through fp32, so it is no faster; use bf16" if device == "cpu" else None


def _no_bf16(device: str) -> str | None:
    if device == "cpu":
        return None if has_native_bf16() else "this CPU has no bf16 instructions (AVX512-BF16, AMX or Arm BF16)"
    if device == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return None if native else "this GPU has no bf16 arithmetic (compute capability 8.0 or higher has)"
    return None if torch.backends.mps.is_macos_or_newer(14, 0) else "bf16 on Metal needs macOS 14"


_DEVICES: dict[str, Callable[[], str | None]] = {  # why it is absent
    "cpu": lambda: None,
    "cuda": lambda: None if torch.cuda.is_available() else "torch sees no CUDA device here",
    "mps": lambda: None if torch.backends.mps.is_available() else "torch sees no Metal device here",
}
_PRECISIONS: dict[str, Callable[[str], str | None]] = {
    "fp32": lambda device: None,
    "tf32": _no_tf32,
    "fp16": _no_fp16,
    "bf16": _no_bf16,
}
