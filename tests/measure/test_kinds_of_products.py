"""Products of unusual kinds: the right count, or no certificate. Every image here is (1, 3, 8, 8): 64 tokens of 3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import flex_attention

from bench.measure.complexity import Complexity, measure_complexity
from bench.measure.counting.certificate import BY_NUMBERS

SIDE, TOKENS, WIDTH = 8, 64, 3


class Net(nn.Module):
    """A model of one function of itself and the image's tokens, (1, 64, 3)."""

    def __init__(self, function: Callable[..., Tensor], part: nn.Module | None = None, *weights: tuple[int, ...]):
        super().__init__()
        self.function, self.part = function, part
        self.weights = nn.ParameterList([torch.full(shape, 0.1) for shape in weights])

    def forward(self, image: Tensor) -> Tensor:
        return self.function(self, image.flatten(2).transpose(1, 2))


def count(function: Callable[..., Tensor], part: nn.Module | None = None, *weights: tuple[int, ...]) -> Complexity:
    return measure_complexity(Net(function, part, *weights), SIDE)


def test_a_complex_product_is_four_real_ones() -> None:
    found = count(lambda net, x: ((x + 1j) @ (net.weights[0] + 1j)).real, None, (WIDTH, 5))
    assert found.macs == found.torch_macs == 4 * TOKENS * WIDTH * 5
    assert found.certificate == "ok"


def test_a_complex_convolution_that_torch_does_in_three_real_ones_is_not_certified() -> None:
    found = count(lambda net, x: F.conv1d(x.mT + 0j, net.weights[0] + 0j).real, None, (5, WIDTH, 1))
    assert found.macs == 4 * TOKENS * WIDTH * 5
    assert found.torch_macs == 3 * TOKENS * WIDTH * 5
    assert found.certificate == "differs"


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (nn.GRU(3, 5, batch_first=True), TOKENS * 3 * (5 * 3 + 5 * 5)),
        (nn.GRU(3, 5), TOKENS * 3 * (5 * 3 + 5 * 5)),
        (nn.RNN(3, 5, nonlinearity="relu"), TOKENS * (5 * 3 + 5 * 5)),
        (nn.GRU(3, 5, 2, bidirectional=True), TOKENS * 2 * 3 * ((5 * 3 + 5 * 5) + (5 * 10 + 5 * 5))),
        (nn.LSTM(3, 5, proj_size=2), TOKENS * (4 * 5 * 3 + 4 * 5 * 2 + 2 * 5)),
    ],
)
def test_recurrent_layers_apply_every_weight_once_per_position(layer: nn.Module, macs: int) -> None:
    found = count(lambda net, x: net.part(x)[0], layer)
    assert (found.macs, found.torch_macs, found.certificate) == (macs, macs, "ok")


@pytest.mark.parametrize(("cell", "gates"), [(nn.GRUCell(3, 5), 3), (nn.RNNCell(3, 5), 1), (nn.LSTMCell(3, 5), 4)])
def test_recurrent_cells_are_counted(cell: nn.Module, gates: int) -> None:
    found = count(lambda net, x: torch.cat([*net.part(x[0])]), cell)
    assert (found.macs, found.certificate) == (TOKENS * gates * (5 * 3 + 5 * 5), "ok")


@pytest.mark.parametrize(
    ("function", "shape", "macs"),
    [
        (lambda net, x: torch.tensordot(x, net.weights[0], dims=([1, 2], [0, 1])), (TOKENS, 3, 7), TOKENS * 3 * 7),
        (lambda net, x: torch.inner(x, net.weights[0]), (7, 3), TOKENS * 3 * 7),
        (lambda net, x: torch.mv(x[0], net.weights[0]), (3,), TOKENS * 3),
        (lambda net, x: torch.addbmm(net.weights[0], x, x.mT), (TOKENS, TOKENS), TOKENS * TOKENS * 3),
        (lambda net, x: torch.zeros_like(x).baddbmm_(x, net.weights[0]), (1, 3, 3), TOKENS * 3 * 3),
        (lambda net, x: torch.einsum("bnc,cd", x, net.weights[0]), (3, 7), TOKENS * 3 * 7),
        (lambda net, x: torch.outer(x.flatten(), net.weights[0]), (7,), 0),  # nothing is summed
        (lambda net, x: torch.einsum("bnc,cd", x[..., :1], net.weights[0]), (1, 7), 0),  # nor of one channel
    ],
)
def test_products_by_other_names_are_counted(
    function: Callable[..., Tensor], shape: tuple[int, ...], macs: int
) -> None:
    found = count(function, None, shape)
    assert (found.macs, found.torch_macs, found.certificate) == (macs, macs, "ok")


def test_torchs_own_attention_is_certified() -> None:
    found = count(lambda net, x: net.part(x, x, x)[0], nn.MultiheadAttention(3, 1, batch_first=True))
    assert found.macs == 4 * TOKENS * 3 * 3 + 2 * TOKENS * TOKENS * 3  # four projections, two products
    assert found.certificate == "ok"


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, tokens: Tensor, weight: Tensor) -> Tensor:
        return torch.einsum("bnc,cd->bnd", tokens, weight)


class Activation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, tokens: Tensor) -> Tensor:
        return tokens * tokens.sigmoid()


def test_a_product_inside_an_own_function_counts_without_a_certificate() -> None:
    found = count(lambda net, x: Product.apply(x, net.weights[0]), None, (3, 5))
    assert found.macs == TOKENS * 3 * 5
    assert (found.activations, found.certificate) == (None, "differs")
    assert "PythonOp.Product" in found.certificate_note
    assert "PythonOp.Product" in found.warning


def test_attention_that_compiles_itself_counts_without_a_certificate() -> None:
    found = count(lambda net, x: flex_attention(x[:, None], x[:, None], x[:, None])[:, 0])
    assert found.macs == TOKENS * TOKENS * (WIDTH + WIDTH)
    assert found.certificate == "differs"
    assert "flex_attention" in found.certificate_note


def test_vectors_multiplied_by_name_count_without_a_certificate() -> None:
    found = count(lambda net, x: torch.linalg.vecdot(x[:, :, None], net.weights[0]), None, (5, WIDTH))
    assert found.macs == TOKENS * 5 * WIDTH
    assert found.certificate == "differs"


def test_an_own_activation_function_costs_no_certificate() -> None:
    found = count(lambda net, x: Activation.apply(net.part(x)), nn.Linear(3, 5))
    assert (found.macs, found.certificate, found.warning) == (TOKENS * 3 * 5, "ok", "")


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (lambda net, x: torch.fft.irfft(torch.fft.rfft(x)), "aten::_fft_r2c"),
        (lambda net, x: torch.linalg.solve(x.mT @ x, x.mT), "aten::_linalg_solve_ex"),
        (lambda net, x: torch.linalg.svd(x)[1], "aten::_linalg_svd"),
        (lambda net, x: F.bilinear(x, x, net.weights[0]), "aten::_trilinear"),
        (lambda net, x: torch.cdist(x, x), "aten::_euclidean_dist"),
        (lambda net, x: (x * 9).long() @ net.weights[0][0].long(), "aten::mm of torch.int64"),
        (lambda net, x: torch.sparse.mm(net.weights[0][0].to_sparse(), x[0].T), "sparse_coo tensors"),
        (lambda net, x: torch.from_numpy(x.numpy() @ net.weights[0].numpy()), "Tensor.numpy"),
    ],
)
def test_what_no_counter_knows_the_cost_of_is_named(function: Callable[..., Tensor], named: str) -> None:
    found = count(function, None, (3, 3, 3))
    assert found.certificate == "differs"
    assert named in found.certificate_note


def test_a_quantised_layer_is_named(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "import warnings, torch\nfrom torch import nn\n"
        "def build():\n"
        "    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))\n"
        "    with warnings.catch_warnings():\n"
        "        warnings.simplefilter('ignore')\n"
        "        return torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=torch.qint8)\n"
    )
    found = measure_complexity(f"{file}:build", SIDE)
    assert found.certificate == "differs"
    assert "quantized::linear_dynamic" in found.certificate_note


def test_an_operator_of_ones_own_is_named() -> None:
    @torch.library.custom_op("vitbench_tests::product", mutates_args=())
    def product(tokens: Tensor, weight: Tensor) -> Tensor:
        return tokens @ weight

    @product.register_fake
    def _(tokens: Tensor, weight: Tensor) -> Tensor:
        return tokens.new_empty(*tokens.shape[:-1], weight.shape[-1])

    found = count(lambda net, x: product(x, net.weights[0]), None, (3, 5))
    assert found.uncounted == {"vitbench_tests::product": 1}
    assert found.certificate == "differs"


@pytest.mark.parametrize(
    ("function", "part", "macs"),
    [
        (lambda net, x: net.part(x) if x.sum() > 0 else x, nn.Linear(3, 3), TOKENS * 3 * 3),
        (lambda net, x: net.part(x) * x.max().item(), nn.Linear(3, 3), TOKENS * 3 * 3),
        (lambda net, x: net.part(x[:, x[0].sum(1).add(1).nonzero().flatten()]), nn.Linear(3, 3), TOKENS * 3 * 3),
        (lambda net, x: F.scaled_dot_product_attention(x, x, x) if x.sum() > 0 else x, None, 2 * TOKENS**2 * 3),
        (lambda net, x: net.part(x)[0] if x.sum() > 0 else x, nn.LSTM(3, 5), TOKENS * 4 * 5 * (3 + 5)),
    ],
)
def test_a_model_that_asks_for_numbers_is_counted_with_them(
    function: Callable[..., Tensor], part: nn.Module | None, macs: int
) -> None:
    found = count(function, part)
    assert (found.macs, found.torch_macs) == (macs, macs)
    assert (found.certificate, found.certificate_note) == ("ok", BY_NUMBERS)


@pytest.mark.parametrize(
    "function",
    [
        lambda net, x: net.part(x[x.sum(-1) > 1.5]),
        lambda net, x: net.part(x) if x.mean() > 0.8 else x,  # no noise is so bright
        lambda net, x: net.part(x) if x.max() < 0.2 else x,
    ],
)
def test_a_count_that_depends_on_the_image_is_not_certified(function: Callable[..., Tensor]) -> None:
    found = count(function, nn.Linear(3, 3))
    assert found.certificate == "differs"
    assert "depends on the image" in found.certificate_note


def test_a_model_that_asks_for_numbers_when_it_is_made_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.rates = torch.linspace(0, 0.1, 3).tolist()\n"
        "        self.basis = [torch.eye(192)]\n"
        "        self.head = nn.Linear(192, 5)\n"
        "    def forward(self, image):\n"
        "        return self.head(image.flatten(1) @ self.basis[0]) * self.rates[1]\n"
    )
    found = measure_complexity(f"{file}:Net", SIDE)
    assert (found.macs, found.certificate) == (192 * 192 + 192 * 5, "ok")


def test_tensors_in_plain_attributes_go_along() -> None:
    model = Net(lambda net, x: x @ net.bases[0])
    model.bases = [torch.eye(3)]  # type: ignore[assignment]
    found = measure_complexity(model, SIDE)
    assert (found.macs, found.certificate) == (TOKENS * 3 * 3, "ok")
    assert model.bases[0].device.type == "cpu"


def test_a_compiled_model_counts_as_the_model() -> None:
    found = measure_complexity(torch.compile(nn.Sequential(nn.Flatten(), nn.Linear(192, 5))), SIDE)
    assert (found.macs, found.certificate) == (192 * 5, "ok")


def test_a_weight_that_is_a_product_costs_that_product() -> None:
    class LowRank(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(5, 2))

        def forward(self, weight: Tensor) -> Tensor:
            return weight + self.up @ self.down

    layer = nn.Linear(3, 5)
    nn.utils.parametrize.register_parametrization(layer, "weight", LowRank())
    found = count(lambda net, x: net.part(x), layer)
    assert (found.macs, found.certificate) == (TOKENS * 3 * 5 + 5 * 2 * 3, "ok")
