"""Parameters, multiply-adds and activations of a model for one image, counted twice and certified.

Models live on the meta device: nothing is computed and no memory is held, whatever their size. One whose code asks for
numbers runs on the CPU instead. What is not counted as a multiply-add: norm layers (kept apart), activation functions,
additions, pooling, softmax, and products that are spelled elementwise, as `(a * b).sum()`.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from timm.models import split_model_name_tag
from torch import Tensor, nn
from torch._dynamo import OptimizedModule
from torch.utils._pytree import tree_leaves

from bench.catalog.identity import ModelFamily
from bench.catalog.models import find_model
from bench.errors import BenchError, CellFailedError, UserCodeError
from bench.measure.build import (
    SHAPE_ERRORS,
    build_model,
    check_takes_resolution,
    family_of,
    native_resolution,
    own_classes,
    without_gradient,
)
from bench.measure.counting.certificate import Found, certify, closed_form_macs
from bench.measure.counting.counters import (
    Counts,
    TracedCounts,
    fvcore_problem,
    torch_counts,
    torch_problem,
    torch_training_flops,
    trace_counts,
)
from bench.measure.counting.meta_shapes import needs_numbers
from bench.measure.user_model import user_code
from bench.suite.model_source import is_user_model
from bench.units import FLOPS_PER_MAC, training_flops

OTHER_IMAGES = ((0.0, 1.0), (0.0, 0.1), (0.9, 1.0))  # ranges of values: one like the first, a dark one, a bright one
CHUNK = 8  # names handed to a process at a time: neighbours in a list often share an architecture
TRAINED_IMAGES = 2  # BatchNorm takes no statistics of one value
CountsOfOne = TypeVar("CountsOfOne", bound=Counts)
_COUNT_ERRORS = (*SHAPE_ERRORS, TypeError, AttributeError, KeyError, ImportError)


@dataclass(frozen=True)
class Complexity:
    """What one forward pass of one image holds. All integers are plain counts, not thousands or millions."""

    params: int  # all parameters of the model
    macs: int  # multiply-adds of convolutions and matrix products, attention's two included
    norm_macs: int | None  # norm layers and weight standardisation, by fvcore's convention
    flops: int  # 2 x macs
    activations: int | None  # output elements of convolutions and matrix products, attention's two included
    attention_macs: int | None  # of macs: products of two computed tensors, neither of them a weight
    # fvcore alone knows these three: None where it failed, or missed what FlopCounterMode saw.
    torch_macs: int | None  # FlopCounterMode's count; None if it failed
    closed_form_macs: int | None  # plain ViTs only
    certificate: Literal["ok", "differs", "failed"]
    certificate_note: str  # the operators that differ; when ok, "" or that it was counted with numbers
    macs_by_operator: dict[str, int]
    uncounted: dict[str, int]  # operators that might hold a product nobody counted, or of unknown cost: occurrences
    family: ModelFamily
    input_px: int

    @property
    def warning(self) -> str:
        """A sentence for what rests on a count that is not certified; "" for one that is."""
        if self.certificate == "ok":
            return ""
        return f"Its MACs are not certified, nor the budgets and FLOPs that rest on them: {self.certificate_note}."

    def marked(self, values: dict[str, Any]) -> dict[str, Any]:
        """A record's values that rest on this count, with the certificate if it is not ok, among the notes too."""
        if not self.warning:
            return values
        notes = {"notes": [*values["notes"], self.warning]} if "notes" in values else {}
        return {**values, **notes, "certificate": self.certificate, "certificate_note": self.certificate_note}


def measure_complexity(model: nn.Module | str, resolution_px: int, num_classes: int | None = None) -> Complexity:
    """Count a model given by name, or as a module, for one (3, resolution_px, resolution_px) image.

    num_classes: for names only; None is the model's own head, or 1000 classes where timm gives none. A module is
    copied without its weights and left as it is; its family is `other`.

    Raises UnknownNameError, ResolutionError, UserCodeError with the line of a user's model that fails, and
    CellFailedError with the reason if the model cannot be counted.
    """
    if isinstance(model, nn.Module):
        module = model
        return _count(_shapes_only(module), lambda: copy.deepcopy(module).cpu(), resolution_px)
    family = family_of(model)
    if is_user_model(model):  # not remembered: its file may change between two calls
        try:
            return _count_named(model, resolution_px, num_classes)
        except CellFailedError:
            network = build_model(model, num_classes=num_classes, resolution_px=resolution_px, seed=0).eval()
            with user_code(model), torch.inference_mode():  # raises UserCodeError with the line, if it is the code's
                network(torch.zeros(1, 3, resolution_px, resolution_px))
            raise
    row = find_model(model)
    # Tags differ in weights, not in shape, so rows of one architecture share a count.
    shape = model if row is not None and row.arguments else split_model_name_tag(model)[0]
    classes = num_classes if num_classes is not None else own_classes(model)
    return replace(_count_remembered(shape, resolution_px, classes), family=family)


def count_macs(model: nn.Module | str, resolution_px: int, num_classes: int | None = None) -> int:
    """Multiply-adds of one image; the same number as measure_complexity, remembered by name."""
    return measure_complexity(model, resolution_px, num_classes).macs


def certify_all(
    names: Iterable[str], *, resolution_px: int | None = None, num_classes: int | None = None, processes: int = 1
) -> Iterator[tuple[str, Complexity | str]]:
    """(name, its count) for each name in the order given; a reason in place of a count that failed.

    resolution_px: None is each model's own. processes: 1 counts here; more start fresh processes, each of which
    imports torch and stays below 2 GB. Results come as they are ready, in order.
    """
    tasks = [(name, resolution_px, num_classes) for name in names]
    if processes <= 1:
        yield from map(_count_one, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(_count_one, tasks, chunksize=CHUNK)


def _count_one(task: tuple[str, int | None, int | None]) -> tuple[str, Complexity | str]:
    name, resolution_px, num_classes = task
    try:
        return name, measure_complexity(name, resolution_px or native_resolution(name), num_classes)
    except UserCodeError:
        raise
    except BenchError as error:
        return name, str(error)


class TrainingFlopRatios(NamedTuple):
    """FLOPs that torch counts of a forward and a backward pass, over the three forward passes that definitions take.

    The definition gives every product of the forward pass two in the backward pass, one for the weights' gradient and
    one for the inputs'. A training step spares the second one where nothing before it learns: the gradient with
    respect to the pixels. That is the first layer's share: a fifth of a percent in ViT-B/16, an eighth in a small
    hybrid.
    """

    ratio: float  # that gradient included
    step_ratio: float  # as a training step computes it


@lru_cache(maxsize=64)
def count_training_flops(model_name: str, resolution_px: int, num_classes: int | None) -> TrainingFlopRatios:
    """The counts of one model. Nothing is computed: shapes run through the meta device.

    Raises what building raises, and whatever the counter or the model raises on the meta device.
    """
    defined = training_flops(count_macs(model_name, resolution_px, num_classes), 1)

    def ratio(with_pixels: bool) -> float:
        model = build_model(model_name, num_classes=num_classes, resolution_px=resolution_px, device="meta").train()
        size = (TRAINED_IMAGES, 3, resolution_px, resolution_px)
        images = torch.empty(size, device="meta", requires_grad=with_pixels)
        return torch_training_flops(model, images) / TRAINED_IMAGES / defined

    return TrainingFlopRatios(ratio(with_pixels=True), ratio(with_pixels=False))


@lru_cache(maxsize=4096)
def _count_remembered(name: str, resolution_px: int, num_classes: int | None) -> Complexity:
    return _count_named(name, resolution_px, num_classes)


def _count_named(name: str, resolution_px: int, num_classes: int | None) -> Complexity:
    def make(device: str, seed: int | None) -> nn.Module:
        return build_model(name, num_classes=num_classes, resolution_px=resolution_px, device=device, seed=seed)

    def with_numbers() -> nn.Module:
        with contextlib.suppress(TypeError, AttributeError, KeyError, ImportError):
            check_takes_resolution(name, resolution_px)  # the size's fault, if this raises
        return make("cpu", 0)

    try:
        return _count(make("meta", None), with_numbers, resolution_px)
    except CellFailedError as error:
        raise CellFailedError(f"Model {name!r} cannot be counted: {error}") from error
    except _COUNT_ERRORS as error:
        raise CellFailedError(f"Model {name!r} cannot be made: {_one_line(error)}") from error


def _count(shapes: nn.Module, with_numbers: Callable[[], nn.Module], resolution_px: int) -> Complexity:
    """Count a model by its shapes, on the meta device; where it does not run there, with numbers."""
    found = _pass(shapes, _image(shapes, resolution_px, "meta"))
    if found.best is None or needs_numbers(found.problem):
        with contextlib.suppress(NotImplementedError):  # a module that has none, on the meta device itself
            found = _passes_with_numbers(with_numbers(), resolution_px)
    best = found.best
    if best is None:
        raise CellFailedError(found.problem)
    closed = closed_form_macs(shapes)
    certificate, note = certify(found, closed)
    traced = best if isinstance(best, TracedCounts) else None
    return Complexity(
        params=sum(p.numel() for p in shapes.parameters()),
        macs=best.macs,
        norm_macs=traced.norm_macs if traced is not None else None,
        flops=FLOPS_PER_MAC * best.macs,
        activations=traced.activations if traced is not None else None,
        attention_macs=traced.attention_macs if traced is not None else None,
        torch_macs=found.by_torch.macs if found.by_torch is not None else None,
        closed_form_macs=closed,
        certificate=certificate,
        certificate_note=note,
        macs_by_operator=best.macs_by_operator,
        uncounted=found.uncounted,
        family="other",
        input_px=resolution_px,
    )


def _image(
    model: nn.Module, resolution_px: int, device: str, seed: int = 0, low: float = 0.0, high: float = 1.0
) -> Tensor:
    """One image: its shape alone on the meta device, values in [low, high) elsewhere."""
    channels = getattr(model, "in_chans", 3)
    size = (1, channels if isinstance(channels, int) else 3, resolution_px, resolution_px)
    if device == "meta":
        return torch.empty(size, device="meta")
    return torch.empty(size).uniform_(low, high, generator=torch.Generator().manual_seed(seed))


def _passes_with_numbers(model: nn.Module, resolution_px: int) -> Found:
    """Both counters on one image, and whether others cost the same."""
    with torch.random.fork_rng(devices=[]):
        found = _pass(model, _image(model, resolution_px, "cpu"))
        others = [_try_torch(model, _image(model, resolution_px, "cpu", 1, *ends))[0] for ends in OTHER_IMAGES]
    own = None if found.by_torch is None else found.by_torch.macs
    differing = [other.macs for other in others if other is not None and own is not None and other.macs != own]
    return replace(found, with_numbers=True, other_macs=next(iter(differing), None))


def _pass(model: nn.Module, image: Tensor) -> Found:
    """Both counters on one image."""
    model = without_gradient(_uncompiled(model))
    by_torch, torch_note = _try_torch(model, image)
    traced, fvcore_note = _tried("fvcore", fvcore_problem(), lambda: trace_counts(model, image))
    gc.collect(0)  # traces hold reference cycles
    return Found(traced, by_torch, "; ".join(filter(None, (fvcore_note, torch_note))))


def _try_torch(model: nn.Module, image: Tensor) -> tuple[Counts | None, str]:
    return _tried("FlopCounterMode", torch_problem(), lambda: torch_counts(model, image))


def _tried(counter: str, problem: str | None, count: Callable[[], CountsOfOne]) -> tuple[CountsOfOne | None, str]:
    """What the counter found, or why it found nothing."""
    if problem is not None:
        return None, f"{counter} is not usable here: {problem}"
    try:
        return count(), ""
    except _COUNT_ERRORS as error:
        return None, f"{counter} failed: {_one_line(error)}"


def _shapes_only(model: nn.Module) -> nn.Module:
    """A copy on the meta device; no weight is copied on the way, and the model itself stays as it is.

    Tensors that the modules hold as plain attributes, or in lists of them, are taken like parameters and buffers.
    """
    memo: dict[int, object] = {}
    for tensor in (leaf for module in model.modules() for leaf in tree_leaves(vars(module))):
        if isinstance(tensor, Tensor):
            shape = torch.empty_like(tensor, device="meta")
            memo[id(tensor)] = nn.Parameter(shape, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else shape
    return copy.deepcopy(model, memo)


def _uncompiled(model: nn.Module) -> nn.Module:
    """The model without torch.compile, which TorchScript refuses to trace. Changes the model."""
    for parent in list(model.modules()):
        parent._compiled_call_impl = None  # of nn.Module.compile
        for name, child in parent.named_children():
            if isinstance(child, OptimizedModule) and not isinstance(parent, OptimizedModule):
                setattr(parent, name, child._orig_mod)
    return model._orig_mod if isinstance(model, OptimizedModule) else model


def _one_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"
