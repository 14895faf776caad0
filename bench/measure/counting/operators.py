"""How many multiply-adds and activations each operator of a traced graph holds.

fvcore hands every operator's traced inputs and outputs to a handle; the handles here replace its table, which misses
fused attention and recurrent layers. They return a Counter whose keys carry the quantity: `macs/<op>`, `norm/<op>`,
`attention/<op>`, `activations/<op>`, so that one trace gives them all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch

Shape = Sequence[int]
Counts = Counter[str]
Handle = Callable[[list[Any], list[Any]], Counts]

REAL_MACS_OF_A_COMPLEX = 4

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


def tensordot_macs(left: Shape, right: Shape, out: Shape) -> int:
    """Multiply-adds of a product that sums over some axes and keeps all others, told by the elements of its tensors."""
    return math.isqrt(math.prod(left) * math.prod(right) * math.prod(out))


def einsum_macs(equation: str, *operands: Shape, path: Sequence[int] = ()) -> int:
    """Multiply-adds of an einsum.

    path: the positions of each pair that is contracted next, its result appended, as torch is told them; without it
    from left to right. A pair costs the product of all its index sizes, or nothing if no index of more than one value
    is summed over: then it is no product of matrices but an elementwise one, or a mere reordering.
    """
    terms, arrow, result = equation.replace(" ", "").partition("->")
    if not arrow:  # torch keeps what appears once
        result = "..." + "".join(name for name in terms if name.isalpha() and terms.count(name) == 1)
    indices = [_indices(term, len(shape)) for term, shape in zip(terms.split(","), operands, strict=True)]
    sizes: dict[str, int] = {}
    for names, shape in zip(indices, operands, strict=True):
        for name, size in zip(names, shape, strict=True):
            sizes[name] = max(size, sizes.get(name, 1))
    wanted = {name for name in sizes if name in result or (name.startswith(".") and "..." in result)}
    macs, left, order = 0, [set(names) for names in indices], list(path)
    while len(left) > 1:
        first, second = sorted(order[:2] or (0, 1))
        both = left.pop(second) | left.pop(first)
        needed = wanted.union(*left)
        if any(sizes[name] > 1 for name in both - needed):
            macs += math.prod(sizes[name] for name in both)
        left.insert(len(left) if order else 0, both & needed)
        del order[:2]
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


def _scalars(value: Any) -> int:
    """Real multiply-adds in one of a traced tensor's kind: a complex one is four real ones."""
    return REAL_MACS_OF_A_COMPLEX if "Complex" in (value.type().scalarType() or "") else 1


def _is_weight(value: Any) -> bool:
    """Whether a traced value is a parameter or buffer, possibly seen through views: an input, but not the image."""
    while value.node().kind() in _VIEWS:
        value = next(iter(value.node().inputs()))
    if value.node().kind() != "prim::Param":
        return bool(value.node().kind() in ("prim::GetAttr", "prim::Constant"))
    image = next(iter(value.node().outputs()))
    return bool(value.unique() != image.unique())


def _counted(op: str, macs: int, outputs: list[Any]) -> Counts:
    """The multiply-adds, in real ones, and what they give."""
    activations = math.prod(_shape(outputs[0]))
    return Counter({f"macs/{op}": macs * _scalars(outputs[0]), f"activations/{op}": activations})


def _product(op: str, macs: int, outputs: list[Any], operands: Sequence[Any]) -> Counts:
    """Counts of one product; it is attention's if neither operand is a weight."""
    counts = _counted(op, macs, outputs)
    if macs and not any(_is_weight(value) for value in operands):
        counts[f"attention/{op}"] = counts[f"macs/{op}"]
    return counts


def _attention(inputs: list[Any], outputs: list[Any]) -> Counts:
    query, key, value = (_shape(v) for v in inputs[:3])
    op = "scaled_dot_product_attention"
    counts = _product(op, attention_macs(query, key, value), outputs, ())
    counts[f"activations/{op}"] += _attention_scores(query, key, value)  # as its two matmuls would have
    return counts


def _convolution(inputs: list[Any], outputs: list[Any]) -> Counts:
    image, weight, transposed = _shape(inputs[0]), _shape(inputs[1]), bool(inputs[6].toIValue())
    positions = math.prod((image if transposed else _shape(outputs[0]))[2:])
    return _counted("conv", image[0] * positions * math.prod(weight), outputs)  # the weight's shape holds the groups


def _linear(inputs: list[Any], outputs: list[Any]) -> Counts:
    macs = math.prod(_shape(inputs[0])) * (_shape(inputs[1])[0] if len(_shape(inputs[1])) > 1 else 1)
    return _counted("linear", macs, outputs)


def _matmul(op: str, first: int) -> Handle:
    """Handle of a product whose operands are inputs first and first + 1."""

    def count(inputs: list[Any], outputs: list[Any]) -> Counts:
        left, right = inputs[first : first + 2]
        return _product(op, matmul_macs(_shape(left), _shape(right)), outputs, (left, right))

    return count


def _einsum(inputs: list[Any], outputs: list[Any]) -> Counts:
    operands, path = list(inputs[1].node().inputs()), inputs[2].toIValue() if len(inputs) > 2 else None
    macs = einsum_macs(inputs[0].toIValue(), *(_shape(v) for v in operands), path=path or ())
    return _product("einsum", macs, outputs, operands)


def _tensordot(op: str) -> Handle:
    def count(inputs: list[Any], outputs: list[Any]) -> Counts:
        left, right = inputs[:2]
        macs = tensordot_macs(_shape(left), _shape(right), _shape(outputs[0]))
        return _product(op, macs, outputs, (left, right))

    return count


def _vecdot(inputs: list[Any], outputs: list[Any]) -> Counts:
    """Torch itself multiplies and sums apart, so that this counter alone sees the product."""
    macs = math.prod(map(max, _aligned(*map(_shape, inputs[:2]))))
    return _product("linalg_vecdot", macs, outputs, inputs[:2])


def _recurrent(op: str) -> Handle:
    """Handle of LSTM, GRU or plain RNN layers: every weight matrix is applied once per position."""

    def count(inputs: list[Any], outputs: list[Any]) -> Counts:
        positions = math.prod(_shape(inputs[0])[:-1])
        is_packed = inputs[3].node().kind() == "prim::ListConstruct"  # then the batch's sizes come first
        weights = [_shape(v) for v in inputs[3 if is_packed else 2].node().inputs()]
        return _counted(op, positions * sum(math.prod(w) for w in weights if len(w) == 2), outputs)

    return count


def _recurrent_cell(op: str) -> Handle:
    """Handle of one step: the input's weight and the hidden state's, once for each row."""

    def count(inputs: list[Any], outputs: list[Any]) -> Counts:
        rows = math.prod(_shape(inputs[0])[:-1])
        return _counted(op, rows * sum(math.prod(_shape(v)) for v in inputs[2:4]), outputs)

    return count


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
    **{f"aten::{op}": _matmul(op, 0) for op in ("matmul", "mm", "bmm", "mv", "dot", "vdot", "linalg_matmul")},
    **{
        f"aten::{op}": _matmul(op.rstrip("_"), 1)
        for op in ("addmm", "addmm_", "addmv", "addmv_", "baddbmm", "baddbmm_", "addbmm", "addbmm_")
    },
    **{f"aten::{op}": _tensordot(op) for op in ("tensordot", "inner")},
    "aten::einsum": _einsum,
    "aten::linalg_vecdot": _vecdot,
    "aten::scaled_dot_product_attention": _attention,
    **{f"aten::{op}": _recurrent(op) for op in ("lstm", "gru", "rnn_tanh", "rnn_relu")},
    **{f"aten::{op}": _recurrent_cell(op) for op in ("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")},
    "aten::batch_norm": _batch_norm,
    "aten::group_norm": _norm("group_norm", 2),
    "aten::layer_norm": _norm("layer_norm", 2),
    "aten::instance_norm": _norm("instance_norm", 1),
}

# Operators that hold no product of matrices, beside views and those that torch tags as pointwise; without the
# underscores at either end. One that is missing here is reported as uncounted.
_WITHOUT_PRODUCT = frozenset(
    [
        # sums and other reductions, norms, softmax, running sums
        "all", "amax", "amin", "aminmax", "any", "argmax", "argmin", "count_nonzero", "linalg_vector_norm", "max",
        "mean", "min", "nansum", "norm", "prod", "std", "std_mean", "sum", "var", "var_mean",
        "native_batch_norm", "native_batch_norm_legit", "native_batch_norm_legit_no_training", "batch_norm_no_update",
        "batch_norm_with_update", "native_batch_norm_legit_functional", "native_layer_norm", "native_group_norm",
        "fused_rms_norm", "rms_norm", "weight_norm_interface", "renorm", "normalize", "softmax", "log_softmax",
        "safe_softmax", "masked_softmax", "logsumexp", "cumsum", "cumprod", "logcumsumexp", "cummax", "cummin",
        "cummax_helper", "cummin_helper", "local_response_norm",
        # pooling, interpolation, padding
        "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
        "adaptive_max_pool2d", "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d",
        "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices", "fractional_max_pool2d",
        "max_unpool2d", "upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d",
        "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_nearest_exact1d",
        "upsample_nearest_exact2d", "upsample_bilinear2d_aa", "upsample_bicubic2d_aa", "grid_sampler",
        "grid_sampler_2d", "grid_sampler_3d", "grid_sampler_2d_cpu_fallback", "pad", "constant_pad_nd",
        "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d", "replication_pad2d",
        "replication_pad3d", "im2col", "col2im", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
        # moving, choosing and sorting elements
        "cat", "concat", "stack", "copy", "to_copy", "clone", "unsafe_view", "unsafe_split",
        "unsafe_split_with_sizes", "repeat", "repeat_interleave", "tile", "expand_as", "reshape_as", "flip", "roll",
        "rot90", "unflatten", "meshgrid", "resize", "index", "unsafe_index", "index_put", "index_put_impl",
        "unsafe_index_put", "index_select", "index_add", "index_fill", "index_copy", "index_reduce", "gather",
        "scatter", "scatter_add", "scatter_reduce", "select_scatter", "slice_scatter", "diagonal_scatter",
        "masked_scatter", "masked_select", "masked_fill", "take", "put", "nonzero", "nonzero_static", "where", "sort",
        "topk", "kthvalue", "median", "nanmedian", "mode", "unique2", "unique_dim", "unique_consecutive",
        "searchsorted", "bucketize", "bincount", "histc", "tril", "triu", "diag_embed", "trace", "embedding",
        "one_hot", "local_scalar_dense", "is_all_true", "is_any_true", "assert_async", "functional_assert_async",
        "assert_tensor_metadata", "linalg_check_errors", "equal", "isin", "fill", "zero", "set", "lift_fresh", "lift",
        "pack_padded_sequence",
        # elementwise, though not tagged so
        "prelu", "prelu_kernel", "hardswish", "rsub", "log_sigmoid_forward",
        "complex", "polar", "floor_divide", "square", "outer", "ger", "addr", "linalg_cross",
        "glu", "mse_loss", "smooth_l1_loss", "huber_loss", "dropout", "feature_dropout", "native_dropout",
        "fused_dropout", "bernoulli", "normal", "uniform", "random", "exponential", "multinomial", "rrelu_with_noise",
        "affine_grid_generator",
    ]
)  # fmt: skip


def holds_no_product(operator: Any) -> bool:
    """Whether torch's operator (an OpOverload) multiplies no matrices, as far as is known of it."""
    if operator.is_view or {torch.Tag.pointwise, torch.Tag.inplace_view}.intersection(operator.tags):
        return True
    if not any("Tensor" in str(argument.type) for argument in operator._schema.arguments):
        return True  # it makes a tensor from nothing
    namespace, _, name = operator._schema.name.partition("::")
    return namespace == "prim" or (namespace == "aten" and _named_without_product(name.strip("_")))


def _named_without_product(name: str) -> bool:
    """The same of an operator of aten by its name, without underscores at either end."""
    if name in _WITHOUT_PRODUCT or name.startswith("new_") or name.endswith("_like"):
        return True
    namesake = getattr(torch.ops.aten, name, None)  # in-place ones lack the tag that theirs has
    return namesake is not None and any(
        torch.Tag.pointwise in getattr(namesake, overload).tags for overload in namesake.overloads()
    )


def traced_without_product(kind: str) -> bool:
    """The same of an operator in a TorchScript trace."""
    namespace, _, name = kind.partition("::")
    packet = getattr(torch.ops.aten, name, None) if namespace == "aten" else None
    return packet is not None and any(holds_no_product(getattr(packet, one)) for one in packet.overloads())
