"""The two counters: fvcore's walk over a TorchScript trace with our handles, and torch's FlopCounterMode.

Both run models on the meta device, where shapes are computed and numbers are not, or with numbers on the CPU. fvcore
says "flops" and returns multiply-adds; FlopCounterMode returns FLOPs, twice as many. Neither word leaves this module.

FlopCounterMode counts what it knows and says nothing of the rest: a custom operator, a Fourier transform or a solved
system adds zero, and a product of sparse or quantised matrices as much as one of dense floats. So it is watched.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, flex_attention, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from bench.measure.counting.meta_shapes import ShapesOnly
from bench.measure.counting.operators import (
    HANDLES,
    REAL_MACS_OF_A_COMPLEX,
    holds_no_product,
    matmul_macs,
    traced_without_product,
)
from bench.units import FLOPS_PER_MAC

Formula = Callable[..., int]

aten = torch.ops.aten
_KNOWN = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64,
                    torch.complex32, torch.complex64, torch.complex128})  # fmt: skip
_FLEX_AS_WRITTEN = "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG"


@dataclass(frozen=True)
class Counts:
    """What one counter found in one pass of one image.

    uncounted: operators without a count that might hold a product, or hold one of unknown cost: occurrences.
    """

    macs_by_operator: dict[str, int]
    uncounted: dict[str, int]

    @property
    def macs(self) -> int:
        """Multiply-adds of all products, norm layers left out."""
        return sum(self.macs_by_operator.values())


@dataclass(frozen=True)
class TracedCounts(Counts):
    """What the handles found in one trace."""

    norm_macs: int
    attention_macs: int
    activations: int


def trace_counts(model: nn.Module, image: Tensor) -> TracedCounts:
    """fvcore's walk with our handles. model and image on one device; image (1, 3, R, R).

    Raises whatever the model raises for that image, and what TorchScript raises when it cannot trace.
    """
    with _as_written(), ShapesOnly(), _TracedConvolution():
        from fvcore.nn.flop_count import FlopCountAnalysis

        analysis = FlopCountAnalysis(model, (image,))
        analysis.clear_op_handles()  # set_op_handle(op, None) would leave fvcore's own handle in place
        analysis.set_op_handle(**HANDLES)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        counts = analysis.by_operator()
        unsupported = analysis.unsupported_ops()
    totals: Counter[str] = Counter()
    macs_by_operator: dict[str, int] = {}
    for key, number in sorted(counts.items()):
        quantity, _, operator = key.partition("/")
        totals[quantity] += int(number)
        if quantity == "macs":
            macs_by_operator[operator] = int(number)
    return TracedCounts(
        macs_by_operator=macs_by_operator,
        uncounted={op: int(n) for op, n in sorted(unsupported.items()) if not traced_without_product(op)},
        norm_macs=totals["norm"],
        attention_macs=totals["attention"],
        activations=totals["activations"],
    )


def torch_counts(model: nn.Module, image: Tensor) -> Counts:
    """FlopCounterMode's multiply-adds by torch operator. model and image on one device, parameters without gradient.

    Not under no_grad: there some models take a path that the mode cannot follow.
    """
    counter = FlopCounterMode(display=False, custom_mapping=dict(FORMULAS))
    seen = OperatorsSeen(counter.flop_registry)  # formulas that the user has registered with torch included
    with _as_written(), LeavesTorch(seen.uncounted), ShapesOnly(), seen, counter:
        model(image)
    by_operator = counter.get_flop_counts().get("Global", {})
    counted = {str(op): int(flops) // FLOPS_PER_MAC for op, flops in by_operator.items()}
    return Counts(counted, dict(sorted(seen.uncounted.items())))


def torch_training_flops(model: nn.Module, images: Tensor) -> int:
    """FLOPs of a forward and a backward pass on the meta device, the gradient of images that ask for one included.

    torch's own rule for the backward pass of a convolution forgets its groups (ours replaces it): it counts
    EfficientNet-B0 at 14 times three forward passes.
    """
    counter = FlopCounterMode(display=False, custom_mapping={aten.convolution_backward: _convolution_backward})
    with ShapesOnly(), counter:
        model(images).sum().backward()
    return counter.get_total_flops()


def _convolution_backward(
    grad_shape: Sequence[int],
    input_shape: Sequence[int],
    weight_shape: Sequence[int],
    _bias: Any,
    _stride: Any,
    _padding: Any,
    _dilation: Any,
    transposed: bool,
    _output_padding: Any,
    _groups: int,
    wanted: Sequence[bool],
    **_: Any,
) -> int:
    """As many FLOPs as the forward pass for each of the two gradients that are wanted, the input's and the weights'.

    A weight's shape holds the input channels of one group alone.
    """
    places = input_shape if transposed else grad_shape
    forward = FLOPS_PER_MAC * math.prod(places) * math.prod(weight_shape[1:])
    return forward * sum(map(bool, wanted[:2]))


@contextmanager
def _as_written() -> Iterator[None]:
    """Run a model by its operators as they are written, where torch would put a kernel of its own in their place."""
    fast, onednn = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled
    compiles_not = getattr(flex_attention, _FLEX_AS_WRITTEN, False)
    setattr(flex_attention, _FLEX_AS_WRITTEN, True)  # it compiles itself, which no counter may watch
    torch.backends.mha.set_fastpath_enabled(False)  # a layer of nn.TransformerEncoder in one operator
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # nn.LSTM in one operator
    try:
        # FlopCounterMode knows the CPU's fused attention from torch 2.15 on.
        with torch.compiler.set_stance("force_eager"), sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is deprecated, and says so at import and at every trace
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.backends.mkldnn.enabled = onednn
        setattr(flex_attention, _FLEX_AS_WRITTEN, compiles_not)


@cache
def fvcore_problem() -> str | None:
    """Why fvcore's count cannot be used in this installation, or None: it counts a small known model right."""
    return _problem(lambda model, image: trace_counts(model, image).macs)


@cache
def torch_problem() -> str | None:
    """Why FlopCounterMode's count cannot be used in this installation, or None: it counts a small known model right."""
    return _problem(lambda model, image: torch_counts(model, image).macs)


class _Canary(nn.Module):
    """A convolution, fused attention and a linear layer whose multiply-adds are known: see CANARY_MACS."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 2, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.norm(self.conv(image)).flatten(2).transpose(1, 2)  # (1, 4, 8)
        heads = tokens.unflatten(2, (2, 4)).transpose(1, 2)  # (1, 2, 4, 4)
        mixed = F.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(2)
        logits: Tensor = self.head(mixed.mean(1))
        return logits


CANARY_MACS = 4 * 8 * 3 * 2 * 2 + 2 * 4 * 4 * (4 + 4) + 8 * 5  # 2 x 2 patches of a 4 px image, 2 heads of 4


def _problem(count: Callable[[nn.Module, Tensor], int]) -> str | None:
    model = _Canary().to("meta").eval().requires_grad_(False)
    try:
        macs = count(model, torch.empty(1, 3, 4, 4, device="meta"))
    except (ImportError, AttributeError, TypeError, ValueError, AssertionError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None if macs == CANARY_MACS else f"counts {macs} multiply-adds in a model of {CANARY_MACS}"


_CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED_CONVOLUTIONS = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
_TRANSPOSED_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")


class _TracedConvolution(TorchFunctionMode):
    """Send convolutions to torch._convolution, which TorchScript can trace on the meta device.

    convNd's own Python meta kernel compares sizes, and under tracing sizes are tensors without numbers.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, transposed = kwargs or {}, func in _TRANSPOSED_CONVOLUTIONS
        if not transposed and func not in _CONVOLUTIONS:
            return func(*args, **kwargs)
        named = dict(zip(_TRANSPOSED_ARGUMENTS if transposed else _ARGUMENTS, args, strict=False))
        return _convolve(transposed, **named, **kwargs)


def _convolve(
    transposed: bool,
    *,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    output_padding: Any = 0,
    groups: int = 1,
) -> Tensor:
    """A convolution of a (B, C, ...) batch, or of a (C, ...) image as a batch of one."""
    axes = weight.ndim - 2

    def per_axis(value: Any) -> list[int]:
        values = [value] if isinstance(value, int) else list(value)
        return values * axes if len(values) == 1 else values

    if padding == "same":  # zeros that keep the image's size at stride 1, the odd one behind
        totals = [d * (k - 1) for d, k in zip(per_axis(dilation), weight.shape[2:], strict=True)]
        input = F.pad(input, [side for total in reversed(totals) for side in (total // 2, total - total // 2)])
    sizes = (per_axis(stride), per_axis(0 if isinstance(padding, str) else padding), per_axis(dilation))
    flags = (False, False, False, False)  # benchmark, deterministic, cudnn_enabled, allow_tf32
    batch = input if input.ndim == axes + 2 else input.unsqueeze(0)
    output = torch._convolution(batch, weight, bias, *sizes, transposed, per_axis(output_padding), groups, *flags)
    return output if batch is input else output.squeeze(0)


def _matmul(first: int) -> Formula:
    """Formula of a product whose operands are arguments first and first + 1."""

    def flops(*args: Any, **_: Any) -> int:
        left, right = args[first : first + 2]
        return FLOPS_PER_MAC * matmul_macs(left.shape, right.shape)

    return flops


def _of_complex_too(formula: Formula) -> Formula:
    """The formula, with a complex multiply-add as the real ones that it consists of."""

    def flops(*args: Any, **kwargs: Any) -> int:
        is_complex = any(isinstance(value, Tensor) and value.is_complex() for value in args)
        return formula(*args, **kwargs) * (REAL_MACS_OF_A_COMPLEX if is_complex else 1)

    flops._get_raw = True  # type: ignore[attr-defined]  # so that FlopCounterMode hands over tensors, not shapes
    return flops


# torch's own formulas, and rows for products that it has none for.
FORMULAS: Mapping[Any, Formula] = {
    op: _of_complex_too(formula)
    for op, formula in {
        **{op: _matmul(0) for op in (aten.mv, aten.dot, aten.vdot, aten._int_mm)},
        **{op: _matmul(1) for op in (aten.addmv, aten.addmv_, aten.addmm_, aten.baddbmm_, aten.addbmm, aten.addbmm_,
                                     aten._addmm_activation)},
        **flop_registry,
    }.items()
}  # fmt: skip


class OperatorsSeen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Note what goes uncounted by these formulas. To be entered before FlopCounterMode, which takes operators apart."""

    supports_higher_order_operators = True

    def __init__(self, formulas: Mapping[Any, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._formulas = formulas
        self.uncounted: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, operator = kwargs or {}, getattr(func, "overloadpacket", func)  # flex_attention has no overloads
        name, is_product = str(operator).replace(".", "::"), operator in self._formulas
        kinds = {_kind(value) for value in _pytree.tree_leaves((args, kwargs)) if isinstance(value, Tensor)}
        if strange := sorted(kind for kind in kinds if kind and (is_product or not kind.startswith("torch."))):
            self.uncounted[f"{name} of {' and '.join(strange)}"] += 1
        elif not is_product and (operator is func or not holds_no_product(func)):
            self.uncounted[name] += 1
        return func(*args, **kwargs)


def _kind(tensor: Tensor) -> str:
    """What a tensor is, if it is not a dense one of floats; a plain one of other numbers is its type, `torch.int8`."""
    if tensor.is_quantized:
        return "quantised tensors"
    if tensor.is_nested:
        return "nested tensors"
    if tensor.layout is not torch.strided:
        return f"{str(tensor.layout).removeprefix('torch.')} tensors"
    if type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        return f"{type(tensor).__name__} tensors"
    return "" if tensor.dtype in _KNOWN else str(tensor.dtype)


class LeavesTorch(TorchFunctionMode):
    """Note where a model hands numbers to another library, of which no counter sees anything."""

    def __init__(self, uncounted: Counter[str]) -> None:
        super().__init__()
        self._uncounted = uncounted

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (Tensor.numpy, Tensor.__array__, Tensor.__dlpack__):
            self._uncounted[f"Tensor.{func.__name__}"] += 1
        return func(*args, **(kwargs or {}))
