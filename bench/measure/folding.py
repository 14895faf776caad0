"""Folding for inference: BatchNorm into the convolution before it, standardised weights into plain convolutions.

What follows what is read from a forward pass, not from names, and the folded model's outputs are compared with those
of the model as it was. What cannot be folded for certain is left alone and counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from timm.layers.std_conv import ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.init import skip_init
from torch.overrides import TorchFunctionMode

from bench.errors import CellFailedError

IMAGES = 2  # random ones, for the forward passes that are compared
SAMPLED_VALUES = 4096  # of each compared tensor, evenly spaced: whole activations of a large model would fill memory
# Largest difference, in standard deviations of the compared tensor, both passes in float64. Rounding alone gave at most
# 5e-14 in 36 of 37 timm models with random statistics, and 1e-6 in one whose activations grew without bound; a shift
# or an activation gone astray is of order 1.
TOLERANCE = 1e-5

# Exactly these: a subclass may do more than its base.
_CONVOLUTIONS = (nn.Conv2d, Conv2dSame)
_BATCH_NORMS = (nn.BatchNorm2d, BatchNormAct2d)
_STANDARDISED = (StdConv2d, StdConv2dSame, ScaledStdConv2d, ScaledStdConv2dSame)


@dataclass(frozen=True)
class Folding:
    """What was folded, and how far the outputs moved."""

    folded_batch_norms: int
    batch_norms_left: int  # in the model still: after something else than a convolution, or not for certain
    baked_convolutions: int
    max_difference: float  # over the output and every changed layer: largest |difference| / standard deviation

    def as_values(self) -> dict[str, Any]:
        """As records hold it. With nothing folded the two counts are 0."""
        return {
            "folded_batch_norms": self.folded_batch_norms,
            "batch_norms_left": self.batch_norms_left,
            "baked_convolutions": self.baked_convolutions,
            "fold_max_difference": self.max_difference,
        }


def fold(model: nn.Module, resolution_px: int) -> Folding:
    """Fold what can be folded, in place, and check the outputs on the same random images before and after.

    model: float32, on the CPU, in evaluation mode; folded and compared in float64, then float32 again. A BatchNorm is
    folded where its input is one convolution's output that nothing else reads; timm's BatchNormAct2d keeps its
    activation. A model with nothing to fold stays as it is, and its counts are 0.

    Raises ValueError for a model in training mode, CellFailedError if the outputs differ by more than TOLERANCE.
    """
    if model.training:
        raise ValueError("a model is folded for inference: call eval() first")
    model.double()
    images = torch.randn(IMAGES, 3, resolution_px, resolution_px, generator=torch.Generator().manual_seed(0)).double()
    names = {module: name for name, module in model.named_modules()}
    standardised: list[nn.Conv2d] = [module for module in names if isinstance(module, _STANDARDISED)]
    norms = [module for module in names if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    with torch.no_grad():
        pairs = _foldable_pairs(model, images)
        with _sampled({names[module]: module for module in (model, *standardised, *norms)}) as before:
            model(images)
        baked: dict[nn.Module, nn.Module] = {conv: plain_convolution(conv) for conv in standardised}
        fused: dict[nn.Module, nn.Module] = {
            conv: fuse_conv_bn_eval(cast("nn.Conv2d", baked.get(conv, conv)), norm) for conv, norm in pairs
        }
        left: dict[nn.Module, nn.Module] = {norm: _activation_of(norm) for _, norm in pairs}
        _replace(model, {**baked, **fused, **left})
        # a fused convolution's own output is another than before; that of its BatchNorm's place is not
        same = [names[module] for module in (*left, *baked) if module not in fused]
        with _sampled({name: model.get_submodule(name) for name in ("", *same)}) as after:
            model(images)
    model.float()
    difference = _largest_difference(before, after)
    if not difference <= TOLERANCE:
        raise CellFailedError(
            f"Folding changed the outputs by {difference:.2g} of their standard deviation; at most {TOLERANCE:g} is "
            f"allowed. Folded: {len(pairs)} BatchNorms, {len(baked)} convolutions with standardised weights."
        )
    return Folding(len(pairs), len(norms) - len(pairs), len(baked), difference)


def _foldable_pairs(model: nn.Module, images: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution with the BatchNorm that alone reads its output, both called once by a forward pass."""
    flow = _Flow()
    hooks = []
    for module in model.modules():
        if type(module) in (*_CONVOLUTIONS, *_STANDARDISED):
            hooks.append(module.register_forward_hook(flow.convolution_done))
        elif type(module) in _BATCH_NORMS:
            hooks.append(module.register_forward_pre_hook(flow.batch_norm_called))
    try:
        with flow:
            output = model(images)
    finally:
        for hook in hooks:
            hook.remove()
    flow.read(output)  # whoever called the model reads what it returns
    shared = _shared_parameters(model)
    return [
        (conv, norm)
        for conv, norm, readers in flow.pairs()
        if readers == 1 and flow.calls[conv] == flow.calls[norm] == 1 and _is_certain(conv, norm, shared)
    ]


def _is_certain(conv: nn.Conv2d, norm: nn.BatchNorm2d, shared: set[int]) -> bool:
    """Whether the convolution's weight is its own plain parameter and the norm has statistics of its own."""
    has_own_weight = isinstance(conv.weight, nn.Parameter) and id(conv.weight) not in shared
    has_hooks = bool(conv._forward_pre_hooks or conv._forward_hooks or norm._forward_pre_hooks or norm._forward_hooks)
    has_statistics = norm.running_mean is not None and norm.running_var is not None
    return has_own_weight and not has_hooks and has_statistics and not norm.training and not conv.training


def _shared_parameters(model: nn.Module) -> set[int]:
    """Ids of parameters that several modules hold."""
    owners = Counter(id(parameter) for module in model.modules() for parameter in module.parameters(recurse=False))
    return {parameter for parameter, count in owners.items() if count > 1}


@dataclass
class _Output:
    """One convolution's result, kept so that no other tensor can get its id while the pass runs."""

    conv: nn.Conv2d
    tensor: Tensor
    norm: nn.BatchNorm2d | None = None
    readers: int = 0


class _Flow(TorchFunctionMode):
    """Follows the outputs of convolutions through a forward pass: who reads them, and how often."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[nn.Module] = Counter()
        self._outputs: dict[int, _Output] = {}

    def convolution_done(self, conv: nn.Conv2d, _: Any, result: Tensor) -> None:
        self.calls[conv] += 1
        self._outputs[id(result)] = _Output(conv, result)

    def batch_norm_called(self, norm: nn.BatchNorm2d, arguments: tuple[Any, ...]) -> None:
        self.calls[norm] += 1
        output = self._outputs.get(id(arguments[0])) if arguments else None
        if output is not None:
            output.norm = norm

    def read(self, value: Any) -> None:
        """Count a reader of every convolution's output in a value."""
        for tensor in _tensors(value):
            if id(tensor) in self._outputs:
                self._outputs[id(tensor)].readers += 1

    def pairs(self) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d, int]]:
        """Convolution, BatchNorm that got its output, readers of that output."""
        return ((one.conv, one.norm, one.readers) for one in self._outputs.values() if one.norm is not None)

    def __torch_function__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if any(True for _ in _tensors(result)):  # shapes and types may be asked for by anybody
            self.read((args, kwargs))
        return result


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner)


def plain_convolution(conv: nn.Conv2d) -> nn.Conv2d:
    """A plain convolution with the weight that timm's standardising one computes anew in every pass.

    Source: timm.layers.std_conv; a standardised weight is that of a BatchNorm over each output channel's weight.
    """
    scale = (conv.gain * conv.scale).view(-1) if isinstance(conv, ScaledStdConv2d | ScaledStdConv2dSame) else None
    flat = conv.weight.reshape(1, conv.out_channels, -1)
    weight = F.batch_norm(flat, None, None, weight=scale, training=True, momentum=0.0, eps=cast("float", conv.eps))
    plain: nn.Conv2d = skip_init(  # type: ignore[no-untyped-call]
        Conv2dSame if getattr(conv, "same_pad", False) else nn.Conv2d,
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
        bias=conv.bias is not None,
    )
    plain.weight = nn.Parameter(weight.reshape_as(conv.weight), requires_grad=conv.weight.requires_grad)
    plain.bias = conv.bias
    return plain.eval()


def _activation_of(norm: nn.BatchNorm2d) -> nn.Module:
    """What is left of a BatchNorm once its arithmetic is in the convolution."""
    return nn.Sequential(norm.drop, norm.act).eval() if isinstance(norm, BatchNormAct2d) else nn.Identity()


def _replace(model: nn.Module, replacements: Mapping[nn.Module, nn.Module]) -> None:
    """Put modules into the places of others, under every name that these have."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is not None and child in replacements:
                parent._modules[name] = replacements[child]


@contextmanager
def _sampled(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Within it, evenly spaced values of what each named module last gave, copied before anything changes them."""
    samples: dict[str, Tensor] = {}

    def sampler(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def take(_: nn.Module, __: Any, result: Any) -> None:
            flat = torch.cat([tensor.detach().flatten() for tensor in _tensors(result)])
            samples[name] = flat[:: max(1, flat.numel() // SAMPLED_VALUES)].clone()

        return take

    hooks = [module.register_forward_hook(sampler(name)) for name, module in modules.items()]
    try:
        yield samples
    finally:
        for hook in hooks:
            hook.remove()


def _largest_difference(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
    """Over the layers that ran in both passes: largest |difference| / standard deviation; infinite or NaN if broken."""
    worst = 0.0
    for name, now in after.items():
        difference = float((now - before[name]).abs().max())
        spread = float(before[name].std(correction=0))
        relative = difference / spread if spread else (0.0 if difference == 0.0 else math.inf)
        worst = relative if math.isnan(relative) else max(worst, relative)
        if math.isnan(worst):
            return worst
    return worst
