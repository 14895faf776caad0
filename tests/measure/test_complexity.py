from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from timm.layers.config import set_fused_attn
from timm.layers.std_conv import StdConv2d
from torch import Tensor, nn

from bench.catalog.models import model_rows
from bench.catalog.papers import JFT_IMAGES, paper_scaling, timm_published, training_exaflops
from bench.errors import ResolutionError, UnknownNameError, UserCodeError
from bench.measure import complexity
from bench.measure.build import build_model
from bench.measure.complexity import certify_all, count_macs, measure_complexity
from bench.measure.counting import counters
from bench.measure.counting.certificate import closed_form_macs, plain_vit_macs
from bench.measure.counting.operators import HANDLES


class Attention(nn.Module):
    """Attention over the 4 rows of a (B, 3, 4, 4) image, fused or as two products."""

    def __init__(self, fused: bool, key_heads: int = 3) -> None:
        super().__init__()
        self.fused, self.key_heads = fused, key_heads

    def forward(self, image: Tensor) -> Tensor:
        query, key = image, image[:, : self.key_heads]
        value = torch.cat([key, key], dim=-1)  # (B, H, 4, 8): Dv differs from Dqk
        if self.fused:
            return F.scaled_dot_product_attention(query, key, value, enable_gqa=self.key_heads != 3)
        key, value = (t.repeat_interleave(3 // self.key_heads, dim=1) for t in (key, value))
        return (query @ key.transpose(-2, -1)).softmax(-1) @ value


def test_macs_of_a_linear_layer_are_in_times_out() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5))
    assert count_macs(model, 8) == 3 * 8 * 8 * 5


def test_macs_of_a_convolution_are_positions_times_weights() -> None:
    count = measure_complexity(nn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3), 8)
    assert count.macs == 4 * 4 * 6 * 1 * 3 * 3
    assert count.activations == 6 * 4 * 4
    assert count.params == 6 * 9 + 6


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_macs_of_a_convolution_with_named_padding(padding: str) -> None:
    side = 8 if padding == "same" else 6
    assert count_macs(nn.Conv2d(3, 2, 3, padding=padding), 8) == side * side * 2 * 3 * 3 * 3


def test_macs_of_a_transposed_convolution_are_input_positions_times_weights() -> None:
    assert count_macs(nn.ConvTranspose2d(3, 2, 2, stride=2), 8) == 8 * 8 * 3 * 2 * 2 * 2


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("key_heads", [3, 1])
def test_attention_counts_the_same_fused_and_as_two_products(fused: bool, key_heads: int) -> None:
    count = measure_complexity(Attention(fused, key_heads), 4)
    assert count.macs == 3 * 4 * 4 * (4 + 8)  # H Lq Lk (Dqk + Dv)
    assert count.attention_macs == count.macs
    assert count.activations == 3 * 4 * 4 + 3 * 4 * 8
    assert count.certificate == "ok"


def test_a_vit_counts_the_same_with_and_without_fused_attention() -> None:
    fused = measure_complexity(build_model("vit_32px_m", device="meta"), 32)
    try:
        set_fused_attn(False)  # acts on models made from here on
        plain = measure_complexity(build_model("vit_32px_m", device="meta"), 32)
    finally:
        set_fused_attn(True)
    assert "scaled_dot_product_attention" in fused.macs_by_operator
    assert "matmul" in plain.macs_by_operator
    assert (fused.macs, fused.attention_macs, fused.activations) == (
        plain.macs,
        plain.attention_macs,
        plain.activations,
    )


def test_a_product_with_a_weight_is_no_attention() -> None:
    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(5, 4))

        def forward(self, image: Tensor) -> Tensor:
            return image @ self.weight.transpose(0, 1)

    count = measure_complexity(Weighted(), 4)
    assert (count.macs, count.attention_macs) == (3 * 4 * 4 * 5, 0)


def test_weight_standardisation_counts_as_norm() -> None:
    standardised = measure_complexity("resnetv2_50x1_bit", 64, 10)
    convolution_weights = sum(
        module.weight.numel()
        for module in build_model("resnetv2_50x1_bit", device="meta", num_classes=10).modules()
        if isinstance(module, StdConv2d)
    )
    assert standardised.macs == standardised.torch_macs
    assert standardised.norm_macs is not None
    assert standardised.norm_macs > 4 * convolution_weights > 0  # the rest is group norm


def test_norms_are_kept_apart_from_macs() -> None:
    count = measure_complexity(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), 8)
    assert count.macs == 8 * 8 * 12
    assert count.norm_macs == 2 * 4 * 8 * 8


@pytest.mark.parametrize("equation", ["bchw,dc->bdhw", "b...w,dw->b...d", "bchw,bchw->bch", "bchw,bchw->bchw"])
def test_einsums_count_as_flop_counter_mode_counts_them(equation: str) -> None:
    class Einsum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(7, 3 if "dc" in equation else 4))

        def forward(self, image: Tensor) -> Tensor:
            return torch.einsum(equation, image, self.weight if ",d" in equation else image)

    count = measure_complexity(Einsum(), 4)
    assert count.macs == count.torch_macs
    assert count.certificate == "ok"


def test_an_lstm_is_counted() -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(12, 5, bidirectional=True, batch_first=True)

        def forward(self, image: Tensor) -> Tensor:
            output: Tensor = self.lstm(image.transpose(1, 2).flatten(2))[0]  # 4 rows of 12 values
            return output

    count = measure_complexity(Rows(), 4)
    assert count.macs == 4 * 2 * (4 * 5 * 12 + 4 * 5 * 5)
    assert count.certificate == "ok"


def test_closed_form_of_vit_b16_is_the_count() -> None:
    macs = plain_vit_macs(patches=196, tokens=197, width=768, depth=12, mlp_width=3072, patch_size=16, classes=1000)
    count = measure_complexity("vit_base_patch16_224.orig_in21k_ft_in1k", 224)
    assert count.macs == count.torch_macs == count.closed_form_macs == macs
    assert (count.certificate, count.certificate_note) == ("ok", "")


def test_closed_form_is_for_plain_vits_only() -> None:
    for name in ("resnet50", "vit_base_r50_s16_224", "swin_tiny_patch4_window7_224", "eva02_tiny_patch14_224"):
        assert closed_form_macs(build_model(name, device="meta")) is None


def test_small_models_of_a_class_have_macs_within_a_quarter() -> None:
    targets = {"S": 1.6e6, "M": 3.7e6, "L": 8e6}
    by_class: dict[str, list[int]] = {}
    for name, row in model_rows().items():
        if row.arguments:
            by_class.setdefault(row.size_class, []).append(count_macs(name, 32, 10))
    for size, macs in by_class.items():
        assert len(macs) == 5
        assert max(macs) / min(macs) < 1.25
        assert all(abs(m / targets[size] - 1) < 0.2 for m in macs)


def test_training_compute_of_the_papers_vits_is_within_two_and_a_half_percent() -> None:
    rows = [row for row in paper_scaling() if row.family == "vit"]
    assert len(rows) == 6
    for row in rows:
        assert row.timm_arch is not None
        computed = training_exaflops(count_macs(row.timm_arch, row.resolution_px, 1000), row.epochs * JFT_IMAGES)
        assert computed == pytest.approx(row.exaflops, rel=0.025), row.name


def check_against_timm(name: str, resolution_px: int) -> None:
    published = timm_published()[name, resolution_px]
    count = measure_complexity(name, resolution_px, 1000)
    assert count.norm_macs is not None
    assert count.activations is not None
    tolerance_g = max(0.005 * published.gmacs, 0.005)
    assert (count.macs + count.norm_macs) / 1e9 == pytest.approx(published.gmacs, abs=tolerance_g)
    assert count.activations / 1e6 == pytest.approx(published.activations_m, abs=0.006)
    assert count.certificate == "ok"


@pytest.mark.parametrize(
    ("name", "resolution_px"),
    [
        ("vit_tiny_patch16_384.augreg_in21k_ft_in1k", 384),
        ("vit_tiny_r_s16_p8_224.augreg_in21k_ft_in1k", 224),
        ("resnetv2_50x1_bit.goog_in21k_ft_in1k", 448),
        ("tf_efficientnet_b0.aa_in1k", 224),
        ("resnet50.tv2_in1k", 176),
    ],
)
def test_counts_are_timms_published_ones(name: str, resolution_px: int) -> None:
    check_against_timm(name, resolution_px)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "resolution_px"), list(timm_published()))
def test_every_count_is_timms_published_one(name: str, resolution_px: int) -> None:
    check_against_timm(name, resolution_px)


@pytest.mark.slow
def test_every_row_of_the_catalog_is_certified() -> None:
    counts = dict(certify_all(model_rows()))
    assert [n for n, c in counts.items() if isinstance(c, str) or c.certificate != "ok"] == []


def test_a_module_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    measure_complexity(model, 8)
    assert model.training
    assert all(p.requires_grad and p.device.type == "cpu" for p in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_family_comes_from_the_name() -> None:
    assert measure_complexity("hybrid_32px_s", 32, 10).family == "hybrid"


def test_an_unknown_name_and_an_impossible_size_are_refused() -> None:
    with pytest.raises(UnknownNameError):
        measure_complexity("resnet50.no_such_weights", 224)
    with pytest.raises(ResolutionError, match="multiples of 16"):
        measure_complexity("vit_tiny_patch16_224", 100)
    with pytest.raises(ResolutionError, match="next size that works is 32 px"):
        measure_complexity("vgg11", 16)


def test_a_model_that_cannot_be_counted_fails_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from torch import nn\nclass Odd(nn.Module):\n    def forward(self, image):\n        return image.missing\n"
    )
    with pytest.raises(UserCodeError, match=r"mine.py:4: AttributeError: 'Tensor' object has no attribute 'missing'"):
        measure_complexity(f"{path}:Odd", 8)


def test_an_unknown_operator_is_named_and_leaves_no_certificate() -> None:
    class Fourier(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            transformed: Tensor = torch.fft.fft2(image).real
            return transformed

    count = measure_complexity(nn.Sequential(nn.Conv2d(3, 3, 1), Fourier()), 8)
    assert count.uncounted == {"aten::_fft_c2c": 1}
    assert (count.certificate, count.certificate_note) == ("differs", "uncounted: aten::_fft_c2c")


def test_a_missing_handle_shows_in_the_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    handles = {k: v for k, v in HANDLES.items() if k != "aten::scaled_dot_product_attention"}
    monkeypatch.setattr(counters, "HANDLES", handles)
    count = measure_complexity(build_model("vit_32px_s", device="meta"), 32)
    assert count.certificate == "differs"
    assert "matrix product" in count.certificate_note
    assert "closed form" in count.certificate_note
    assert "aten::scaled_dot_product_attention" in count.uncounted


def test_without_fvcore_the_other_counter_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complexity, "fvcore_problem", lambda: "ImportError: no torch.jit")
    count = measure_complexity(nn.Conv2d(3, 4, 1), 8)
    assert count.macs == count.torch_macs == 8 * 8 * 12
    assert (count.norm_macs, count.activations, count.certificate) == (None, None, "differs")
    assert "no torch.jit" in count.certificate_note


def test_both_counters_pass_their_canary() -> None:
    assert counters.fvcore_problem() is None
    assert counters.torch_problem() is None


def test_many_models_come_back_in_the_order_asked_with_reasons_for_failures() -> None:
    names = ["vit_32px_s", "no_such_model", "resnet_32px_s"]
    counts = list(certify_all(names))
    assert [name for name, _ in counts] == names
    assert isinstance(counts[1][1], str)
    assert "no_such_model" in counts[1][1]
