from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
from timm.layers import BatchNormAct2d, ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from torch import Tensor, nn

from bench.errors import CellFailedError
from bench.measure import folding
from bench.measure.folding import fold


def with_statistics(model: nn.Module) -> nn.Module:
    """The model in evaluation mode, its BatchNorms as if trained: untrained ones do nothing, which hides errors."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.5, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, 0, 0.3, generator=generator)
    return model.eval()


def outputs(model: nn.Module, px: int = 32) -> Tensor:
    with torch.no_grad():
        result: Tensor = model(torch.randn(3, 3, px, px, generator=torch.Generator().manual_seed(1)))
    return result


def kinds(model: nn.Module) -> set[type]:
    return {type(module) for module in model.modules()}


class Wired(nn.Module):
    """Two convolutions and a BatchNorm, wired as a test says."""

    def __init__(self, wire: Callable[[Wired, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.other, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.wire = wire

    def forward(self, x: Tensor) -> Tensor:
        return self.wire(self, x)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_byobnet"])
def test_every_batch_norm_after_a_convolution_is_folded_and_outputs_stay(name: str):
    model = with_statistics(timm.create_model(name))
    before = outputs(model, 64)
    found = fold(model, 64)
    torch.testing.assert_close(outputs(model, 64), before, rtol=1e-4, atol=1e-4 * float(before.std()))
    assert found.folded_batch_norms > 0
    assert found.batch_norms_left == 0
    assert found.max_difference < 1e-10
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_activation_of_a_batch_norm_stays():
    model = with_statistics(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), BatchNormAct2d(4, act_layer=nn.SiLU)))
    before = outputs(model)
    assert fold(model, 32).folded_batch_norms == 1
    torch.testing.assert_close(outputs(model), before, rtol=1e-4, atol=1e-5)
    assert nn.SiLU in kinds(model)


@pytest.mark.parametrize(
    ("wire", "folded"),
    [
        (lambda self, x: self.norm(self.conv(x)), 1),
        (lambda self, x: self.other(self.norm(self.conv(x)).relu()), 1),
        (lambda self, x: self.norm(self.conv(x).relu()), 0),
        (lambda self, x: self.norm(y := self.conv(x)) + y, 0),
        (lambda self, x: torch.stack([self.norm(y := self.conv(x)), y]).sum(0), 0),
        (lambda self, x: self.norm(self.conv(self.conv(x))), 0),
        (lambda self, x: self.norm(self.conv(x)) + self.norm(self.other(x)), 0),
        (lambda self, x: self.conv(self.norm(x)), 0),
    ],
    ids=["next", "between", "after relu", "residual", "stacked", "conv twice", "norm twice", "before"],
)
def test_a_batch_norm_is_folded_only_where_it_alone_reads_one_convolution(
    wire: Callable[[Wired, Tensor], Tensor], folded: int
):
    model = with_statistics(Wired(wire))
    before = outputs(model)
    found = fold(model, 32)
    assert (found.folded_batch_norms, found.batch_norms_left) == (folded, 1 - folded)
    torch.testing.assert_close(outputs(model), before, rtol=1e-4, atol=1e-5)


def test_a_convolution_whose_output_the_model_returns_is_left_alone():
    model = with_statistics(Wired(lambda self, x: (self.norm(y := self.conv(x)), y)))  # type: ignore[arg-type, return-value]
    assert fold(model, 32).folded_batch_norms == 0


def test_a_weight_that_two_convolutions_share_is_left_alone():
    model = Wired(lambda self, x: self.norm(self.conv(x)) + self.other(x))
    model.other = nn.Conv2d(3, 3, 3, padding=1)
    model.other.weight = model.conv.weight
    assert fold(with_statistics(model), 32).folded_batch_norms == 0


@pytest.mark.parametrize("kind", [StdConv2d, StdConv2dSame, ScaledStdConv2d, ScaledStdConv2dSame])
def test_standardised_weights_are_baked_into_plain_convolutions(kind: type[nn.Conv2d]):
    model = nn.Sequential(kind(3, 4, 3, stride=2), nn.ReLU(), kind(4, 5, 3, bias=True)).eval()
    before = outputs(model, 33)
    found = fold(model, 33)
    assert (found.baked_convolutions, found.folded_batch_norms) == (2, 0)
    assert kind not in kinds(model)
    torch.testing.assert_close(outputs(model, 33), before, rtol=1e-4, atol=1e-5)


def test_a_batch_norm_folds_into_a_baked_convolution():
    model = with_statistics(nn.Sequential(StdConv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()))
    before = outputs(model)
    found = fold(model, 32)
    assert (found.baked_convolutions, found.folded_batch_norms) == (1, 1)
    assert kinds(model) == {nn.Sequential, nn.Conv2d, nn.Identity, nn.ReLU}
    torch.testing.assert_close(outputs(model), before, rtol=1e-4, atol=1e-5)


def test_a_model_with_nothing_to_fold_says_so_and_stays_the_same():
    model = timm.create_model("test_vit", img_size=32).eval()
    before = outputs(model)
    assert fold(model, 32).as_values() == {
        "folded_batch_norms": 0,
        "batch_norms_left": 0,
        "baked_convolutions": 0,
        "fold_max_difference": 0.0,
    }
    assert torch.equal(outputs(model), before)


def test_outputs_that_moved_fail_the_cell(monkeypatch: pytest.MonkeyPatch):
    def forgets_the_mean(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
        assert norm.running_mean is not None
        norm.running_mean.zero_()
        return torch.nn.utils.fusion.fuse_conv_bn_eval(conv, norm)

    monkeypatch.setattr(folding, "fuse_conv_bn_eval", forgets_the_mean)
    with pytest.raises(CellFailedError, match=r"Folding changed the outputs by .* Folded: 1 BatchNorms"):
        fold(with_statistics(Wired(lambda self, x: self.norm(self.conv(x)))), 32)


def test_a_change_before_a_head_of_zeros_is_seen(monkeypatch: pytest.MonkeyPatch):
    model = with_statistics(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2)))
    outputs(model, 8)
    nn.init.zeros_(model[3].weight)
    nn.init.zeros_(model[3].bias)
    monkeypatch.setattr(folding, "fuse_conv_bn_eval", lambda conv, norm: conv)
    with pytest.raises(CellFailedError, match="Folding changed the outputs"):
        fold(model, 8)


def test_a_model_in_training_mode_is_refused():
    with pytest.raises(ValueError, match="eval"):
        fold(nn.Conv2d(3, 3, 1).train(), 8)
