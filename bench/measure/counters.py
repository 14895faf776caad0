"""The two counters: fvcore's walk over a TorchScript trace with our handles, and torch's FlopCounterMode.

Both run models on the meta device, where shapes are computed and numbers are not, or with numbers on the CPU. fvcore
says "flops" and returns multiply-adds; FlopCounterMode returns FLOPs, twice as many. Neither word leaves this module.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, flex_attention, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from bench.measure.meta_shapes import ShapesOnly
from bench.measure.operators import HANDLES, traced_without_product
from bench.measure.uncounted import FORMULAS, LeavesTorch, OperatorsSeen
from bench.units import FLOPS_PER_MAC

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


class _TracedConvolution(TorchFunctionMode):
    """Send convolutions to torch._convolution, which TorchScript can trace on the meta device.

    convNd's own Python meta kernel compares sizes, and under tracing sizes are tensors without numbers.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (F.conv1d, F.conv2d, F.conv3d):
            return _convolve(*args, **kwargs)
        if func in (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d):
            return _convolve_transposed(*args, **kwargs)
        return func(*args, **kwargs)


def _convolve(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """F.convNd with its own argument names."""
    n = weight.ndim - 2
    dilations = _per_axis(dilation, n)
    if padding == "same":
        input, padding = _pad_same(input, weight, dilations), 0
    elif padding == "valid":
        padding = 0
    sizes = (_per_axis(stride, n), _per_axis(padding, n), dilations)
    return _unbatched(input, n, lambda x: _raw_convolution(x, weight, bias, sizes, False, [0] * n, groups))


def _convolve_transposed(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """F.conv_transposeNd with its own argument names."""
    n = weight.ndim - 2
    sizes = (_per_axis(stride, n), _per_axis(padding, n), _per_axis(dilation, n))
    extra = _per_axis(output_padding, n)
    return _unbatched(input, n, lambda x: _raw_convolution(x, weight, bias, sizes, True, extra, groups))


def _raw_convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    sizes: tuple[list[int], list[int], list[int]],
    transposed: bool,
    output_padding: list[int],
    groups: int,
) -> Tensor:
    flags = (False, False, False, False)  # benchmark, deterministic, cudnn_enabled, allow_tf32
    return torch._convolution(input, weight, bias, *sizes, transposed, output_padding, groups, *flags)


def _unbatched(image: Tensor, axes: int, convolve: Callable[[Tensor], Tensor]) -> Tensor:
    """Convolve a (C, ...) image as a batch of one, a (B, C, ...) batch as it is."""
    return convolve(image) if image.ndim == axes + 2 else convolve(image.unsqueeze(0)).squeeze(0)


def _pad_same(image: Tensor, weight: Tensor, dilations: list[int]) -> Tensor:
    """The zero padding that keeps the image's size at stride 1, the odd one behind."""
    pads: list[int] = []
    for kernel, dilation in zip(reversed(weight.shape[2:]), reversed(dilations), strict=True):
        total = dilation * (kernel - 1)
        pads += [total // 2, total - total // 2]
    return F.pad(image, pads)


def _per_axis(value: Any, axes: int) -> list[int]:
    if isinstance(value, int):
        return [value] * axes
    return list(value) * axes if len(value) == 1 else list(value)
