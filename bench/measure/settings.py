"""How a model runs: precision, memory format, compiled or not, folded or not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import nn

from bench.errors import UnsupportedError
from bench.measure.devices import require_supported
from bench.measure.folding import Folding, fold
from bench.suite.cell import Settings

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
    folding = None
    if settings.fold:
        if model.training:
            raise UnsupportedError("A folded BatchNorm cannot be trained. Set fold = false.")
        if resolution_px is None:
            raise ValueError("folding compares outputs: it needs the resolution of the images")
        folding = fold(model, resolution_px)
    memory_format = torch.channels_last if settings.memory_format == "channels_last" else torch.contiguous_format
    dtype = INPUT_DTYPES[settings.precision]
    model = model.to(dtype=dtype).to(memory_format=memory_format).to(device)  # the device never holds an fp32 copy
    if settings.compile:
        # Static shapes: a batch of one after a batch of 64 would otherwise get code for any batch size.
        model = torch.compile(model, dynamic=False)  # type: ignore[assignment]
    return Applied(model, dtype, _backends(settings, device), folding)


@contextmanager
def _backends(settings: Settings, device: str) -> Iterator[None]:
    """TF32 as the precision says, and compilation without caches, for as long as the context is open."""
    with warnings.catch_warnings(), ExitStack() as contexts:
        if settings.compile:
            contexts.enter_context(_compiled_afresh())
        if device == "cuda":
            contexts.enter_context(tf32_allowed(settings.precision == "tf32"))
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
def _compiled_afresh() -> Iterator[None]:
    """No compiler caches: the compile time of a second process would otherwise be that of reading files."""
    import torch.compiler.config as compiler_config

    warnings.filterwarnings("ignore", message="dynamo_pgo force disabled", category=UserWarning)
    before = compiler_config.force_disable_caches
    compiler_config.force_disable_caches = True
    try:
        yield
    finally:
        compiler_config.force_disable_caches = before
