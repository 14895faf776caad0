"""Which device, precision, memory format and compiler a model runs with, folded or not; what a device cannot do."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from bench.errors import RequestError, UnsupportedError
from bench.measure.folding import Folding, fold
from bench.suite.cell import Settings

MIN_CAPABILITY_TF32 = (8, 0)  # Ampere
MIN_CAPABILITY_COMPILE = (7, 0)  # what Triton generates code for
INPUT_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Applied(NamedTuple):
    """A model under its settings. `context` is entered once, around everything that runs the model."""

    model: nn.Module
    input_dtype: torch.dtype
    context: AbstractContextManager[None]
    folding: Folding | None = None  # with `fold`: what was folded


def apply_settings(model: nn.Module, settings: Settings, device: str, resolution_px: int | None = None) -> Applied:
    """The model on the device, converted as the settings say.

    fp16 and bf16 convert weights and images; this is not autocast. fp32 switches TF32 off, tf32 on, inside `context`.
    The model is changed in place. With `compile`, each input shape is compiled at its first call, without caches.
    resolution_px: needed by `fold`, which compares outputs on images of that size, on the CPU, before the conversion.

    Raises UnsupportedError with the reason if the device cannot do a setting, or if a model in training mode is to be
    folded, before the model is touched; CellFailedError if folding changed the outputs.
    """
    require_supported(settings, device)
    folding = _fold(model, resolution_px) if settings.fold else None
    memory_format = torch.channels_last if settings.memory_format == "channels_last" else torch.contiguous_format
    dtype = INPUT_DTYPES[settings.precision]
    model = model.to(dtype=dtype).to(memory_format=memory_format).to(device)  # the device never holds an fp32 copy
    if settings.compile:
        # Static shapes: a batch of one after a batch of 64 would otherwise get code for any batch size.
        model = torch.compile(model, dynamic=False)  # type: ignore[assignment]
    return Applied(model, dtype, _backends(settings, device), folding)


def _fold(model: nn.Module, resolution_px: int | None) -> Folding:
    if model.training:
        raise UnsupportedError("A folded BatchNorm cannot be trained. Set fold = false.")
    if resolution_px is None:
        raise ValueError("folding compares outputs: it needs the resolution of the images")
    return fold(model, resolution_px)


def require_supported(settings: Settings, device: str) -> None:
    """Raise UnsupportedError if the device is absent or cannot do a setting; the message has the reason."""
    absent = _DEVICES[device]()
    if absent is not None:
        raise UnsupportedError(f"No {device} device: {absent}.")
    reason = _PRECISIONS[settings.precision](device)
    if reason is not None:
        raise UnsupportedError(f"precision {settings.precision} on {device}: {reason}.")
    reason = compile_reason(device) if settings.compile else None
    if reason is not None:
        raise UnsupportedError(f"torch.compile on {device}: {reason}.")


def resolve_device(device: str) -> str:
    """The device to use: `auto` is the first present of cuda, mps and cpu.

    Raises RequestError for a device that is unknown or absent.
    """
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if _DEVICES[name]() is None)
    if device not in _DEVICES:
        raise RequestError(f"Unknown device {device!r}. Known: auto, {', '.join(_DEVICES)}.")
    absent = _DEVICES[device]()
    if absent is not None:
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


def _no_cuda() -> str | None:
    return None if torch.cuda.is_available() else "torch sees no CUDA device here"


def _no_mps() -> str | None:
    return None if torch.backends.mps.is_available() else "torch sees no Metal device here"


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


_DEVICES: dict[str, Callable[[], str | None]] = {"cpu": lambda: None, "cuda": _no_cuda, "mps": _no_mps}
_PRECISIONS: dict[str, Callable[[str], str | None]] = {
    "fp32": lambda device: None,
    "tf32": _no_tf32,
    "fp16": _no_fp16,
    "bf16": _no_bf16,
}


@contextmanager
def _backends(settings: Settings, device: str) -> Iterator[None]:
    """TF32 as the precision says, and compilation without caches, for as long as the context is open."""
    with warnings.catch_warnings(), _compiled_afresh(settings.compile):
        if device != "cuda":
            yield
            return
        with tf32_allowed(settings.precision == "tf32"):
            yield


@contextmanager
def tf32_allowed(is_allowed: bool) -> Iterator[None]:
    """Within it, float32 matrix products and convolutions on CUDA use TF32 or do not."""
    # These two switches set the newer per-operator fp32_precision as well. Setting only the newer ones makes later
    # reads of these raise, and torch.compile reads them. Some versions of torch warn that they are the older way.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*TF32", category=UserWarning)
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        before = matmul.allow_tf32, cudnn.allow_tf32
        matmul.allow_tf32, cudnn.allow_tf32 = is_allowed, is_allowed
        try:
            yield
        finally:
            matmul.allow_tf32, cudnn.allow_tf32 = before


@contextmanager
def _compiled_afresh(is_compiled: bool) -> Iterator[None]:
    """No compiler caches: the compile time of a second process would otherwise be that of reading files."""
    if not is_compiled:
        yield
        return
    import torch.compiler.config as compiler_config

    warnings.filterwarnings("ignore", message="dynamo_pgo force disabled", category=UserWarning)
    before = compiler_config.force_disable_caches
    compiler_config.force_disable_caches = True
    try:
        yield
    finally:
        compiler_config.force_disable_caches = before
