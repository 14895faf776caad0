"""Which operators a forward pass consists of that FlopCounterMode has no formula for, or not for such operands.

The mode counts what it knows and says nothing of the rest: a custom operator, a Fourier transform or a solved system
adds zero, and a product of sparse or quantised matrices as much as one of dense floats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from bench.measure.operators import REAL_MACS_OF_A_COMPLEX, holds_no_product, matmul_macs
from bench.units import FLOPS_PER_MAC

Formula = Callable[..., int]

aten = torch.ops.aten
_KNOWN = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64,
                    torch.complex32, torch.complex64, torch.complex128})  # fmt: skip


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
