"""The one place where a name becomes a network: catalog rows, timm names, and a user's `path/to/file.py:function`.

Weights are random, or come out of a file that bench.measure.weights has looked at.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import lru_cache, partial
from typing import Any, NamedTuple

import timm
import torch
from timm.layers.hybrid_embed import HybridEmbed
from timm.layers.norm_act import GroupNormAct
from timm.layers.std_conv import StdConv2dSame
from timm.models import (
    _builder,
    get_arch_pretrained_cfgs,
    get_pretrained_cfg,
    is_model_pretrained,
    split_model_name_tag,
)
from timm.models.resnetv2 import create_resnetv2_stem
from torch import nn

from bench.catalog.identity import ModelFamily, known_family
from bench.catalog.models import find_model, model_rows
from bench.errors import ResolutionError, UnknownNameError, UserCodeError, first_line
from bench.measure.counting.meta_shapes import ShapesOnly, needs_numbers
from bench.measure.user_model import default_resolution, make_user_model, user_code
from bench.suite.model_source import file_of, is_user_model

DEFAULT_CLASSES = 1000  # for timm models that come without a head: what timm's published counts assume
DEFAULT_RESOLUTION_PX = 224

# What a network raises, when it is made or run, if its images have a size it cannot take.
SHAPE_ERRORS = (AssertionError, RuntimeError, ValueError, IndexError, ZeroDivisionError)


def build_model(
    name: str,
    *,
    num_classes: int | None = None,
    resolution_px: int | None = None,
    device: str = "cpu",
    seed: int | None = None,
) -> nn.Module:
    """The named network with random weights, in training mode.

    name: a catalog row, a timm name with or without tag, or `path/to/file.py:function`.
    num_classes: None keeps the model's own head, or gives one of 1000 classes to a timm model without a head.
    resolution_px: None is the model's own. device "meta" makes shapes without memory.
    seed: weights depend on it alone; the global random state is left as it was. None draws from the global state.

    Raises UnknownNameError, and ResolutionError where making the model shows that it cannot take that size;
    sizes that fail only in the forward pass are found by check_takes_resolution.
    """
    try:
        with nullcontext() if seed is None else torch.random.fork_rng(devices=[]):
            if seed is not None:
                torch.manual_seed(seed)
            return _build(name, num_classes, resolution_px, device)
    except _SizeRefusedError as error:
        raise _refusal(name, resolution_px or native_resolution(name), str(error)) from error


class Blank(NamedTuple):
    """A network to be filled from a file of weights.

    translate: timm's own step from a file's tensors to the network's names and sizes; position embeddings of another
    grid are interpolated in two dimensions. is_strict: as timm loads public weights into it.
    """

    model: nn.Module
    translate: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
    is_strict: bool


def build_blank(name: str, *, num_classes: int, resolution_px: int) -> Blank:
    """The named network, on the CPU, with weights that are yet to come.

    name: a catalog row or a timm name. num_classes: those of the head in the file; 0 if it has none.
    Raises UnknownNameError and ResolutionError.
    """
    if resolution_px != native_resolution(name):
        check_takes_resolution(name, resolution_px)  # so that what fails below is not the size
    timm_name, arguments = timm_name_of(name), _timm_arguments(name, num_classes)
    wanted = resolution_px if resolution_px != native_resolution(timm_name) else None
    with _device_context("cpu"), _unloaded() as found:
        model = _create(timm_name, arguments, wanted, pretrained=True)

    def translate(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        own: Callable[..., Any] = found[0].get("filter_fn") or (lambda tensors: tensors)
        takes_model = len(inspect.signature(own).parameters) > 1
        return own(tensors, model) if takes_model else own(tensors)  # type: ignore[no-any-return]

    return Blank(model, translate, bool(found[0].get("strict", True)))


@contextmanager
def _unloaded() -> Iterator[list[dict[str, Any]]]:
    """Let timm make models without reading weights; what it would have told its loader for each.

    That loader is the one place that knows a model's filter of names, and it says nowhere what it left unfilled.
    """
    found: list[dict[str, Any]] = []
    loader = _builder.load_pretrained
    _builder.load_pretrained = lambda model, **options: found.append(options)
    try:
        yield found
    finally:
        _builder.load_pretrained = loader


def model_exists(name: str) -> bool:
    """Whether build_model knows the name. Nothing is built."""
    if is_user_model(name):
        return file_of(name).is_file()
    return find_model(name) is not None or _is_timm_name(name)


def native_resolution(name: str) -> int:
    """Input height = width in pixels that the model is made for.

    Catalog rows say it; for other timm models it is the size of timm's default configuration; for a user's function
    the default of its `resolution_px` argument, else 224. Raises UnknownNameError.
    """
    row = find_model(name)
    if row is not None:
        return row.resolution_px
    if is_user_model(name):
        return default_resolution(name) or DEFAULT_RESOLUTION_PX
    _require_timm(name)
    config = get_pretrained_cfg(name)
    return int(config.input_size[-1]) if config is not None else DEFAULT_RESOLUTION_PX


def check_takes_resolution(name: str, resolution_px: int) -> None:
    """Return if the model can be made and run for images of that size, on the meta device.

    Raises UnknownNameError, and ResolutionError with a size that the model does take.
    """
    if resolution_px < 1:
        raise ResolutionError(f"Model {name!r} cannot take {resolution_px} px images: sizes start at 1 px.")
    reason, native = _why_not(name, resolution_px), native_resolution(name)
    if reason is not None and (resolution_px == native or _why_not(name, native) != reason):  # the same: not the size
        raise _refusal(name, resolution_px, reason)


def without_gradient(model: nn.Module) -> nn.Module:
    """The model itself, in evaluation mode, none of its parameters asking for a gradient."""
    for parameter in model.eval().parameters():  # ScriptModules have no requires_grad_
        parameter.requires_grad_(False)
    return model


def own_classes(name: str) -> int | None:
    """Classes of the model's own head, 1000 where timm gives it none; None for a user's function."""
    if is_user_model(name):
        return None
    config = get_pretrained_cfg(timm_name_of(name))
    return int(config.num_classes) if config is not None and config.num_classes else DEFAULT_CLASSES


def timm_name_of(name: str) -> str:
    """What timm calls a model of the catalog, or of timm itself."""
    row = find_model(name)
    return row.timm_name if row is not None else name


def require_own_code_builds(name: str, *, num_classes: int | None) -> None:
    """Return if a user's model can be made at its own size, without memory. Raises UserCodeError, RequestError."""
    try:
        build_model(name, num_classes=num_classes, device="meta")
    except (RuntimeError, TypeError, NotImplementedError) as error:
        if not needs_numbers(error):  # which the meta device has not, and a model may ask for
            raise


def family_of(name: str) -> ModelFamily:
    """`vit`, `cnn` or `hybrid` as the catalog says, by row or by timm's name, else `other`."""
    row = find_model(name)
    if row is not None:
        return row.family
    if not is_user_model(name):
        _require_timm(name)
    return known_family(name) or "other"


def _build(name: str, num_classes: int | None, resolution_px: int | None, device: str) -> nn.Module:
    if is_user_model(name):
        try:
            return _build_user_model(name, num_classes, resolution_px, device)
        except (RuntimeError, TypeError) as error:
            if device != "meta" or not needs_numbers(error):
                raise
        return _build_user_model(name, num_classes, resolution_px, "cpu").to("meta")
    timm_name, arguments = timm_name_of(name), _timm_arguments(name, num_classes)
    wanted = resolution_px or native_resolution(name)
    with _device_context(device):
        try:
            model = _create(timm_name, arguments, wanted if wanted != native_resolution(timm_name) else None)
        except SHAPE_ERRORS as error:
            if wanted == native_resolution(name):
                raise  # not the size's fault
            raise _SizeRefusedError(str(error)) from error
    _require_whole_patches(model, name, wanted)
    return model if device == "meta" else model.to(device)


def _timm_arguments(name: str, num_classes: int | None) -> dict[str, Any]:
    """What _create is told about the shape of a catalog row or a timm model."""
    row = find_model(name)
    if row is None:
        _require_timm(name)
    classes = num_classes if num_classes is not None else own_classes(name)
    return {**(row.arguments if row is not None else {}), "num_classes": classes}


@contextmanager
def _device_context(device: str) -> Iterator[None]:
    """Make tensors on the meta device, without drawing weights for them, or on the CPU, to be moved from there."""
    with torch.device("meta" if device == "meta" else "cpu"), ShapesOnly() if device == "meta" else nullcontext():
        yield


def _create(timm_name: str, arguments: dict[str, Any], img_size: int | None, **weights: Any) -> nn.Module:
    """A timm model at img_size; models of no fixed size take no such argument, and any image.

    weights: what timm.create_model is told about where they are; nothing for random ones.
    """
    if img_size is not None and _takes_img_size(timm_name):
        arguments = {**arguments, "img_size": img_size}
    if "stem_channels" in arguments:
        embedding = _hybrid_embedding(arguments["stem_channels"])
        arguments = {k: v for k, v in arguments.items() if k != "stem_channels"} | {"embed_layer": embedding}
    model: nn.Module = timm.create_model(timm_name, **weights, **arguments)
    return model


@lru_cache(maxsize=4096)
def _takes_img_size(timm_name: str) -> bool:
    """Whether timm makes this architecture for a size given as `img_size`: asked by making it, without memory."""
    config = get_pretrained_cfg(timm_name)
    if config is None or not config.fixed_input_size:
        try:
            with _device_context("meta"):
                timm.create_model(timm_name, pretrained=False, img_size=native_resolution(timm_name))
        except TypeError as error:
            if "img_size" in str(error):
                return False
            raise
    return True


def _hybrid_embedding(channels: int) -> Callable[..., nn.Module]:
    """Patch embedding on a BiT-style ResNet stem of `channels` channels and stride 4, as in R+ViT-Ti/16.

    The same parts as timm's vit_tiny_r_s16_p8_224, whose stem is fixed at 64 channels: a 7 x 7 weight-standardised
    convolution, group norm (8 groups here, so that channels may be multiples of 8), 3 x 3 max pooling.
    """
    stem = create_resnetv2_stem(
        3,
        out_chs=channels,
        stem_type="same",
        preact=False,
        conv_layer=partial(StdConv2dSame, eps=1e-8),
        norm_layer=partial(GroupNormAct, num_groups=8),
    )
    return partial(HybridEmbed, backbone=stem)


def patch_size(model: nn.Module) -> int | None:
    """Side in pixels of the square patches an image is cut into, or None if it is not cut into whole patches."""
    embedding = getattr(model, "patch_embed", None)
    if embedding is None or hasattr(embedding, "backbone"):  # a hybrid's patches lie on a feature map
        return None
    if getattr(embedding, "dynamic_img_pad", False):  # it pads instead of cutting off
        return None
    projection = getattr(embedding, "proj", None)
    if not isinstance(projection, nn.Conv2d) or projection.kernel_size != projection.stride:
        return None
    side = projection.stride[0]
    return side if isinstance(side, int) and side > 1 and projection.stride[1] == side else None


def _require_whole_patches(model: nn.Module, name: str, resolution_px: int) -> None:
    """Refuse sizes whose last row of patches timm would cut off in silence, unless the model was trained that way."""
    side = patch_size(model)
    if side is None or resolution_px % side == 0 or resolution_px == native_resolution(name):
        return
    lower, upper = resolution_px // side * side, (resolution_px // side + 1) * side
    nearest = f"{lower} or {upper}" if lower else str(upper)
    raise ResolutionError(
        f"Model {name!r} cannot take {resolution_px} px images: its patches are {side} px wide, "
        f"so it takes multiples of {side}. Nearest: {nearest}."
    )


class _SizeRefusedError(ValueError):
    """Making a network failed for a size that is not its own."""


def _refusal(name: str, resolution_px: int, reason: str) -> ResolutionError:
    """With the smallest size above resolution_px that was tried and works."""
    first = reason.strip().splitlines()[0].rstrip(".") if reason.strip() else "a shape does not fit"
    native = native_resolution(name)
    hint = f"Its own size is {native} px."
    steps = (4, 8, 14, 16, 28, 32, 56, 64, 96, 112, 128)  # strides and windows in use
    for size in sorted({math.ceil((resolution_px + 1) / step) * step for step in steps} | {native}):
        if size > resolution_px and _takes(name, size):
            hint = f"The next size that works is {_smallest(name, resolution_px, size)} px; its own is {native} px."
            break
    return ResolutionError(f"Model {name!r} cannot take {resolution_px} px images: {first}. {hint}")


def _why_not(name: str, resolution_px: int) -> str | None:
    """What the model raises for images of that size, or None if it takes them. Raises UserCodeError for other faults
    of a user's model."""
    if not is_user_model(name):
        return _why_not_remembered(name, resolution_px)
    try:
        return _tried(name, resolution_px, lambda is_meta: user_code(name, is_meta=is_meta))
    except UserCodeError as error:
        native = native_resolution(name)
        if resolution_px == native or not isinstance(error.__cause__, SHAPE_ERRORS):
            raise
        _why_not(name, native)  # not the size's fault, if this raises
        return str(error.__cause__) or type(error.__cause__).__name__


@lru_cache(maxsize=1024)
def _why_not_remembered(name: str, resolution_px: int) -> str | None:
    return _tried(name, resolution_px, nullcontext)


def _tried(name: str, resolution_px: int, context: Callable[[bool], AbstractContextManager[Any]]) -> str | None:
    """What the model raises for images of that size, by shapes or else with numbers; `context` is around a pass."""
    for device in ("meta", "cpu"):
        try:
            model = without_gradient(_build(name, None, resolution_px, device))
            with context(device == "meta"), ShapesOnly():
                model(torch.zeros(1, 3, resolution_px, resolution_px, device=device))
            return None
        except (*SHAPE_ERRORS, TypeError) as error:  # a ResolutionError says already which sizes work
            if device == "meta" and needs_numbers(error):
                continue
            if isinstance(error, TypeError):
                raise
            return first_line(error)
    return None


def _takes(name: str, resolution_px: int) -> bool:
    with suppress(ResolutionError):
        return _why_not(name, resolution_px) is None
    return False


def _smallest(name: str, fails: int, works: int) -> int:
    """The smallest size that works, by bisection, for models that take any size from some size up."""
    if is_user_model(name) or _takes_img_size(timm_name_of(name)):
        return works  # made for one size: those between need not be alike
    while works - fails > 1:
        middle = (works + fails) // 2
        fails, works = (fails, middle) if _takes(name, middle) else (middle, works)
    return works


def _build_user_model(name: str, num_classes: int | None, resolution_px: int | None, device: str) -> nn.Module:
    """What the user's function makes of those of num_classes and resolution_px that it accepts and that were given."""
    offered = {"num_classes": num_classes, "resolution_px": resolution_px}
    given = {key: value for key, value in offered.items() if value is not None}
    defaults = {"num_classes": DEFAULT_CLASSES, "resolution_px": DEFAULT_RESOLUTION_PX}
    with _device_context(device):
        model = make_user_model(name, given, defaults, is_meta=device == "meta")
    return model if device == "meta" else model.to(device)


def _is_timm_name(name: str) -> bool:
    arch, tag = split_model_name_tag(name)
    if not timm.is_model(arch):
        return False
    return not tag or is_model_pretrained(name) or tag in _tags(arch)


@lru_cache(maxsize=4096)
def _tags(arch: str) -> frozenset[str]:
    """Tags of an architecture, those without weights included."""
    return frozenset(split_model_name_tag(name)[1] for name in get_arch_pretrained_cfgs(arch))


def _require_timm(name: str) -> None:
    if not _is_timm_name(name):
        raise UnknownNameError("model", name, [*model_rows(), *timm.list_models(), *timm.list_pretrained()])
