"""Parameters, multiply-adds and activations of a model for one image, counted twice and certified.

Models live on the meta device: nothing is computed and no memory is held, whatever their size. What is not counted
as a multiply-add: norm layers (kept apart), activation functions, additions, pooling, softmax.
"""

from __future__ import annotations

import contextlib
import copy
import gc
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import torch
from timm.models import split_model_name_tag
from torch import Tensor, nn

from bench.catalog.families import ModelFamily
from bench.catalog.models import find_model
from bench.errors import CellFailedError
from bench.measure.build import SHAPE_ERRORS, build_model, check_takes_resolution, family_of, is_user_model, own_classes
from bench.measure.closed_form import closed_form_macs
from bench.measure.counters import TracedCounts, fvcore_problem, torch_counts, torch_problem, trace_counts
from bench.units import FLOPS_PER_MAC, GIGA

TOLERANCE = 0.001  # largest relative difference between the counters that is still called agreement

_COUNT_ERRORS = (*SHAPE_ERRORS, TypeError, AttributeError, KeyError, ImportError)


@dataclass(frozen=True)
class Complexity:
    """What one forward pass of one image holds. All integers are plain counts, not thousands or millions."""

    params: int  # all parameters of the model
    macs: int  # multiply-adds of convolutions and matrix products, attention's two included
    norm_macs: int | None  # fvcore's count of norm layers and weight standardisation; None without fvcore
    flops: int  # 2 x macs
    activations: int | None  # output elements of convolutions and matrix products, attention's two included
    attention_macs: int | None  # of macs: products of two computed tensors, neither of them a weight
    torch_macs: int | None  # FlopCounterMode's count; None if it failed
    closed_form_macs: int | None  # plain ViTs only
    certificate: Literal["ok", "differs", "failed"]
    certificate_note: str  # "" when ok, else the operators that differ
    macs_by_operator: dict[str, int]
    uncounted: dict[str, int]  # operators without a count that might hold a product: occurrences
    family: ModelFamily
    input_px: int


def measure_complexity(model: nn.Module | str, resolution_px: int, num_classes: int | None = None) -> Complexity:
    """Count a model given by name, or as a module, for one (3, resolution_px, resolution_px) image.

    num_classes: for names only; None is the model's own head, or 1000 classes where timm gives none. A module is
    copied without its weights and left as it is; its family is `other`.

    Raises UnknownNameError, ResolutionError, and CellFailedError with the reason if the model cannot be counted.
    """
    if isinstance(model, nn.Module):
        return _count(_shapes_only(model), resolution_px, "other")
    family = family_of(model)
    if is_user_model(model):  # not remembered: its file may change between two calls
        return _count_named(model, resolution_px, num_classes)
    row = find_model(model)
    # Tags differ in weights, not in shape, so rows of one architecture share a count.
    shape = model if row is not None and row.arguments else split_model_name_tag(model)[0]
    classes = num_classes if num_classes is not None else own_classes(model)
    return replace(_count_remembered(shape, resolution_px, classes), family=family)


def count_macs(model: nn.Module | str, resolution_px: int, num_classes: int | None = None) -> int:
    """Multiply-adds of one image; the same number as measure_complexity, remembered by name."""
    return measure_complexity(model, resolution_px, num_classes).macs


@lru_cache(maxsize=4096)
def _count_remembered(name: str, resolution_px: int, num_classes: int | None) -> Complexity:
    return _count_named(name, resolution_px, num_classes)


def _count_named(name: str, resolution_px: int, num_classes: int | None) -> Complexity:
    try:
        model = build_model(name, num_classes=num_classes, resolution_px=resolution_px, device="meta")
        return _count(model, resolution_px, "other")
    except CellFailedError as error:
        with contextlib.suppress(TypeError, AttributeError, KeyError, ImportError):
            check_takes_resolution(name, resolution_px)  # the size's fault, if this raises
        raise CellFailedError(f"Model {name!r} cannot be counted: {error}") from error
    except _COUNT_ERRORS as error:
        raise CellFailedError(f"Model {name!r} cannot be made: {_one_line(error)}") from error


def _count(model: nn.Module, resolution_px: int, family: ModelFamily) -> Complexity:
    """Count a model that is on the meta device already."""
    params = sum(p.numel() for p in model.parameters())
    model = model.eval().requires_grad_(False)
    channels = getattr(model, "in_chans", 3)
    image = torch.empty(1, channels if isinstance(channels, int) else 3, resolution_px, resolution_px, device="meta")
    by_torch, torch_note = _try_torch(model, image)
    traced, fvcore_note = _try_fvcore(model, image)
    if traced is None and by_torch is None:
        raise CellFailedError(f"{fvcore_note}; {torch_note}")
    torch_macs = sum(by_torch.values()) if by_torch is not None else None
    macs = traced.macs if traced is not None else torch_macs
    assert macs is not None
    closed = closed_form_macs(model)
    certificate, note = _certify(traced, by_torch, closed, fvcore_note or torch_note)
    return Complexity(
        params=params,
        macs=macs,
        norm_macs=traced.norm_macs if traced is not None else None,
        flops=FLOPS_PER_MAC * macs,
        activations=traced.activations if traced is not None else None,
        attention_macs=traced.attention_macs if traced is not None else None,
        torch_macs=torch_macs,
        closed_form_macs=closed,
        certificate=certificate,
        certificate_note=note,
        macs_by_operator=traced.macs_by_operator if traced is not None else by_torch or {},
        uncounted=traced.uncounted if traced is not None else {},
        family=family,
        input_px=resolution_px,
    )


def _try_fvcore(model: nn.Module, image: Tensor) -> tuple[TracedCounts | None, str]:
    problem = fvcore_problem()
    if problem is not None:
        return None, f"fvcore is not usable here: {problem}"
    try:
        return trace_counts(model, image), ""
    except _COUNT_ERRORS as error:
        return None, f"fvcore failed: {_one_line(error)}"
    finally:
        gc.collect(0)  # traces hold reference cycles


def _try_torch(model: nn.Module, image: Tensor) -> tuple[dict[str, int] | None, str]:
    problem = torch_problem()
    if problem is not None:
        return None, f"FlopCounterMode is not usable here: {problem}"
    try:
        return torch_counts(model, image), ""
    except _COUNT_ERRORS as error:
        return None, f"FlopCounterMode failed: {_one_line(error)}"


def _certify(
    traced: TracedCounts | None, by_torch: dict[str, int] | None, closed: int | None, failure: str
) -> tuple[Literal["ok", "differs", "failed"], str]:
    """Compare the counts that exist. With one counter alone nothing is certified."""
    if traced is None:
        return "differs", f"{failure}; the count is FlopCounterMode's alone"
    if by_torch is None:
        return "failed", f"{failure}; the count is fvcore's alone"
    notes = _differences(traced.macs_by_operator, by_torch)
    if closed is not None and closed != traced.macs:
        notes.append(f"closed form of a plain ViT: {closed / GIGA:.6g} G, counted {traced.macs / GIGA:.6g} G")
    if traced.uncounted:
        notes.append(f"uncounted: {', '.join(traced.uncounted)}")
    return ("differs", "; ".join(notes)) if notes else ("ok", "")


def _differences(fvcore: dict[str, int], by_torch: dict[str, int]) -> list[str]:
    """Which kind of operator the two counters disagree about, if their totals differ by more than TOLERANCE."""
    ours, theirs = sum(fvcore.values()), sum(by_torch.values())
    if abs(ours - theirs) <= TOLERANCE * max(ours, theirs):
        return []
    notes = []
    for kind in ("convolution", "matrix product"):
        ours = sum(n for op, n in fvcore.items() if _kind(op) == kind)
        theirs = sum(n for op, n in by_torch.items() if _kind(op) == kind)
        if ours != theirs:
            operators = ", ".join(sorted({op for op in [*fvcore, *by_torch] if _kind(op) == kind}))
            notes.append(f"{kind}: fvcore {ours / GIGA:.6g} G, FlopCounterMode {theirs / GIGA:.6g} G ({operators})")
    return notes


def _kind(operator: str) -> str:
    return "convolution" if "conv" in operator else "matrix product"


def _shapes_only(model: nn.Module) -> nn.Module:
    """A copy on the meta device; no weight is copied on the way, and the model itself stays as it is."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    memo: dict[int, object] = {}
    for _, tensor in tensors:
        shape = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(shape, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else shape
    return copy.deepcopy(model, memo)


def _one_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"
