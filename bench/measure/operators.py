"""How many multiply-adds and activations each operator of a traced graph holds.

fvcore hands every operator's traced inputs and outputs to a handle; the handles here replace its table, which misses
fused attention and LSTMs. They return a Counter whose keys carry the quantity: `macs/<op>`, `norm/<op>`,
`attention/<op>`, `activations/<op>`, so that one trace gives them all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

Shape = Sequence[int]
Counts = Counter[str]
Handle = Callable[[list[Any], list[Any]], Counts]

# Operators that only re-label memory on the way from a weight to a product.
_VIEWS = {"aten::t", "aten::transpose", "aten::permute", "aten::view", "aten::reshape", "aten::expand",
          "aten::unsqueeze", "aten::squeeze", "aten::flatten", "aten::contiguous", "aten::to", "aten::select",
          "aten::slice", "aten::chunk", "aten::split", "aten::unbind", "aten::repeat", "aten::clone",
          "aten::type_as", "aten::detach", "prim::ListUnpack"}  # fmt: skip


def attention_macs(query: Shape, key: Shape, value: Shape) -> int:
    """Multiply-adds of fused attention's two products: B * H * Lq * Lk * (Dqk + Dv).

    query: (..., Lq, Dqk), key: (..., Lk, Dqk), value: (..., Lk, Dv). Leading sizes broadcast; with grouped queries
    the key and value heads are shared, and the query's head count is the one that counts. Masks save nothing here.
    """
    return _attention_scores(query, key, value) * (query[-1] + value[-1])


def _attention_scores(query: Shape, key: Shape, value: Shape) -> int:
    """Elements of the attention matrix: B * H * Lq * Lk."""
    batch = [max(sizes) for sizes in _aligned(query[:-2], key[:-2], value[:-2])]
    return math.prod(batch) * query[-2] * key[-2]


def matmul_macs(left: Shape, right: Shape) -> int:
    """Multiply-adds of torch.matmul, batch sizes broadcast, vectors on either side allowed."""
    rows = left[-2] if len(left) > 1 else 1
    columns = right[-1] if len(right) > 1 else 1
    batch = [max(sizes) for sizes in _aligned(left[:-2], right[:-2])]
    return math.prod(batch) * rows * left[-1] * columns


def einsum_macs(equation: str, *operands: Shape) -> int:
    """Multiply-adds of an einsum with an explicit output, contracted from left to right.

    A pair costs the product of all its index sizes, or nothing if no index is summed over: then it is no product of
    matrices but an elementwise one, or a mere reordering.
    """
    terms, _, result = equation.replace(" ", "").partition("->")
    indices = [_indices(term, len(shape)) for term, shape in zip(terms.split(","), operands, strict=True)]
    sizes: dict[str, int] = {}
    for names, shape in zip(indices, operands, strict=True):
        for name, size in zip(names, shape, strict=True):
            sizes[name] = max(size, sizes.get(name, 1))
    wanted = {name for name in sizes if name in result or (name.startswith(".") and "..." in result)}
    macs, left = 0, set(indices[0])
    for position, right in enumerate(indices[1:], start=1):
        both = left | set(right)
        needed = wanted.union(*indices[position + 1 :])
        if both - needed:
            macs += math.prod(sizes[name] for name in both)
        left = both & needed
    return macs


def _indices(term: str, rank: int) -> list[str]:
    """Index names of one einsum operand; those that `...` stands for are numbered from the right."""
    head, dots, tail = term.partition("...")
    hidden = rank - len(head) - len(tail) if dots else 0
    return [*head, *(f".{hidden - i}" for i in range(hidden)), *tail]


def _aligned(*shapes: Shape) -> list[tuple[int, ...]]:
    """Sizes of broadcast dimensions side by side, missing leading ones taken as 1."""
    rank = max(len(shape) for shape in shapes)
    return list(zip(*([1] * (rank - len(shape)) + list(shape) for shape in shapes), strict=True))


def _shape(value: Any) -> list[int]:
    sizes = value.type().sizes() if value.isCompleteTensor() else None
    if sizes is None:
        raise ValueError(f"operator {value.node().kind()} has a tensor of unknown shape")
    return list(sizes)


def _is_weight(value: Any) -> bool:
    """Whether a traced value is a parameter or buffer, possibly seen through views: an input, but not the image."""
    while value.node().kind() in _VIEWS:
        value = next(iter(value.node().inputs()))
    if value.node().kind() != "prim::Param":
        return bool(value.node().kind() in ("prim::GetAttr", "prim::Constant"))
    image = next(iter(value.node().outputs()))
    return bool(value.unique() != image.unique())


def _product(op: str, macs: int, outputs: list[Any], operands: Sequence[Any]) -> Counts:
    """Counts of one product; it is attention's if neither operand is a weight."""
    counts: Counts = Counter({f"macs/{op}": macs, f"activations/{op}": math.prod(_shape(outputs[0]))})
    if macs and not any(_is_weight(value) for value in operands):
        counts[f"attention/{op}"] = macs
    return counts


def _attention(inputs: list[Any], outputs: list[Any]) -> Counts:
    query, key, value = (_shape(v) for v in inputs[:3])
    op, macs = "scaled_dot_product_attention", attention_macs(query, key, value)
    activations = _attention_scores(query, key, value) + math.prod(_shape(outputs[0]))  # as its two matmuls would have
    return Counter({f"macs/{op}": macs, f"attention/{op}": macs, f"activations/{op}": activations})


def _convolution(inputs: list[Any], outputs: list[Any]) -> Counts:
    out = _shape(outputs[0])
    image, weight, transposed = _shape(inputs[0]), _shape(inputs[1]), bool(inputs[6].toIValue())
    positions = math.prod((image if transposed else out)[2:])
    macs = image[0] * positions * math.prod(weight)  # the weight's shape already holds the groups
    return Counter({"macs/conv": macs, "activations/conv": math.prod(out)})


def _linear(inputs: list[Any], outputs: list[Any]) -> Counts:
    macs = math.prod(_shape(inputs[0])) * (_shape(inputs[1])[0] if len(_shape(inputs[1])) > 1 else 1)
    return Counter({"macs/linear": macs, "activations/linear": math.prod(_shape(outputs[0]))})


def _matmul(op: str, first: int) -> Handle:
    """Handle of a product whose operands are inputs first and first + 1."""

    def count(inputs: list[Any], outputs: list[Any]) -> Counts:
        left, right = inputs[first : first + 2]
        return _product(op, matmul_macs(_shape(left), _shape(right)), outputs, (left, right))

    return count


def _einsum(inputs: list[Any], outputs: list[Any]) -> Counts:
    operands = list(inputs[1].node().inputs())
    macs = einsum_macs(inputs[0].toIValue(), *(_shape(v) for v in operands))
    return _product("einsum", macs, outputs, operands)


def _lstm(inputs: list[Any], outputs: list[Any]) -> Counts:
    """An LSTM applies every weight matrix once per position: positions * sum of (4 hidden) x (input or hidden)."""
    positions = math.prod(_shape(inputs[0])[:-1])
    weights = [_shape(v) for v in inputs[2].node().inputs()]
    macs = positions * sum(math.prod(w) for w in weights if len(w) == 2)
    return Counter({"macs/lstm": macs, "activations/lstm": math.prod(_shape(outputs[0]))})


def _norm(op: str, affine_input: int) -> Handle:
    """Handle of a norm layer: fvcore's convention of 5 operations per element with scale and shift, 4 without."""

    def count(inputs: list[Any], outputs: list[Any]) -> Counts:
        per_element = 5 if inputs[affine_input].isCompleteTensor() else 4
        return Counter({f"norm/{op}": per_element * math.prod(_shape(inputs[0]))})

    return count


def _batch_norm(inputs: list[Any], outputs: list[Any]) -> Counts:
    """Batch norm with stored statistics: fvcore's 2 operations per element, 1 without scale and shift.

    Over a weight, with statistics of its own, it is BiT's weight standardisation and counts as any norm.
    """
    if inputs[5].toIValue():
        return _norm("batch_norm", 1)(inputs, outputs)
    per_element = 2 if inputs[1].isCompleteTensor() else 1
    return Counter({"norm/batch_norm": per_element * math.prod(_shape(inputs[0]))})


HANDLES: dict[str, Handle] = {
    "aten::_convolution": _convolution,
    "aten::linear": _linear,
    "aten::matmul": _matmul("matmul", 0),
    "aten::mm": _matmul("mm", 0),
    "aten::bmm": _matmul("bmm", 0),
    "aten::mv": _matmul("mv", 0),
    "aten::dot": _matmul("dot", 0),
    "aten::addmm": _matmul("addmm", 1),
    "aten::addmv": _matmul("addmv", 1),
    "aten::baddbmm": _matmul("baddbmm", 1),
    "aten::addbmm": _matmul("addbmm", 1),
    "aten::einsum": _einsum,
    "aten::scaled_dot_product_attention": _attention,
    "aten::lstm": _lstm,
    "aten::batch_norm": _batch_norm,
    "aten::group_norm": _norm("group_norm", 2),
    "aten::layer_norm": _norm("layer_norm", 2),
    "aten::instance_norm": _norm("instance_norm", 1),
}

# Operators that hold no product of matrices, of those that timm's models use. One that is missing here is reported.
_ELEMENTWISE = [
    "add", "add_", "addcmul", "ceil", "clamp_min", "cos", "div", "div_", "erf", "exp", "exp_", "gelu",
    "hardsigmoid", "hardsigmoid_", "hardswish", "hardswish_", "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_",
    "log", "log_softmax", "mul", "mul_", "neg", "pow", "prelu", "real", "reciprocal", "relu6", "relu6_", "rsqrt",
    "rsub", "sigmoid", "sigmoid_", "silu", "silu_", "sin", "softmax", "softplus", "sqrt", "square", "sub", "sub_",
    "tanh", "where", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool1d",
    "avg_pool2d", "max_pool1d", "max_pool2d", "amax", "amin", "argmax", "cumsum", "maximum", "dropout_",
    "linalg_vector_norm", "mean",
    "norm", "sum", "topk", "var", "std", "rms_norm", "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa",
    "upsample_bicubic2d", "upsample_bilinear2d", "upsample_linear1d", "upsample_nearest2d",
    "expand_as", "eye", "feature_dropout", "flip", "meshgrid",
    "one_hot", "pad", "pixel_shuffle", "pixel_unshuffle", "repeat", "repeat_interleave", "reshape_as", "tile",
    "unfold", "im2col", "col2im",
]  # fmt: skip
ELEMENTWISE = frozenset(f"aten::{op}" for op in _ELEMENTWISE)
