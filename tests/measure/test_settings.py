from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.errors import RequestError, UnsupportedError
from bench.measure import devices
from bench.measure.devices import available_precisions, compile_reason, resolve_device
from bench.measure.settings import apply_settings, tf32_allowed
from bench.suite.cell import Settings

needs_no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def convolution() -> nn.Module:
    return nn.Conv2d(3, 4, 3).eval()


def test_bf16_converts_weights_and_images(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devices, "has_native_bf16", lambda: True)
    applied = apply_settings(convolution(), Settings(precision="bf16"), "cpu")
    assert applied.input_dtype == torch.bfloat16
    assert {p.dtype for p in applied.model.parameters()} == {torch.bfloat16}


def test_channels_last_changes_the_layout_of_weights():
    weight = next(apply_settings(convolution(), Settings(memory_format="channels_last"), "cpu").model.parameters())
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_fp32_leaves_the_model_as_it_is():
    model = convolution()
    before = [p.clone() for p in model.parameters()]
    applied = apply_settings(model, Settings(), "cpu")
    with applied.context:
        assert all(torch.equal(a, b) for a, b in zip(applied.model.parameters(), before, strict=True))


@pytest.mark.parametrize(
    ("precision", "reason"), [("fp16", "through fp32"), ("tf32", "tensor cores"), ("bf16", "no bf16 instructions")]
)
def test_a_precision_the_cpu_cannot_do_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, precision: str, reason: str
):
    monkeypatch.setattr(devices, "has_native_bf16", lambda: False)
    model = convolution()
    with pytest.raises(UnsupportedError, match=rf"precision {precision} on cpu: .*{reason}"):
        apply_settings(model, Settings(precision=precision), "cpu")  # type: ignore[arg-type]
    assert next(model.parameters()).dtype == torch.float32


def test_available_precisions_say_why_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devices, "has_native_bf16", lambda: True)
    found = available_precisions("cpu")
    assert list(found) == ["fp32", "tf32", "fp16", "bf16"]
    assert found["fp32"] is None
    assert found["bf16"] is None
    assert found["tf32"] is not None


def test_compilation_without_a_compiler_is_refused_and_names_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    assert compile_reason("cpu") == "no C++ compiler (no-such-compiler -O2 is not on the PATH; CXX may name another)"
    with pytest.raises(UnsupportedError, match="no-such-compiler"):
        apply_settings(convolution(), Settings(compile=True), "cpu")


def test_tf32_is_switched_and_put_back():
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    for wanted in (True, False):
        with tf32_allowed(wanted):
            assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (wanted, wanted)
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


def test_the_cpu_is_always_there():
    assert resolve_device("cpu") == "cpu"


@needs_no_cuda
def test_an_absent_device_is_a_wrong_request():
    with pytest.raises(RequestError, match="'cuda' was asked for, but torch sees no CUDA device"):
        resolve_device("cuda")
    with pytest.raises(UnsupportedError, match="No cuda device"):
        apply_settings(convolution(), Settings(), "cuda")


def test_an_unknown_device_is_a_wrong_request():
    with pytest.raises(RequestError, match=r"Unknown device 'tpu'.*auto, cpu, cuda, mps"):
        resolve_device("tpu")


def test_auto_takes_the_first_device_present(monkeypatch: pytest.MonkeyPatch):
    present = {"cpu": lambda: None, "cuda": lambda: "none", "mps": lambda: None}
    monkeypatch.setattr(devices, "_DEVICES", present)
    assert resolve_device("auto") == "mps"


def test_folding_happens_before_the_conversion_and_is_told():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    applied = apply_settings(model, Settings(fold=True, memory_format="channels_last"), "cpu", 8)
    assert applied.folding is not None
    assert applied.folding.folded_batch_norms == 1
    assert next(applied.model.parameters()).is_contiguous(memory_format=torch.channels_last)


def test_a_model_in_training_is_not_folded():
    with pytest.raises(UnsupportedError, match="cannot be trained"):
        apply_settings(convolution().train(), Settings(fold=True), "cpu", 8)
    with pytest.raises(ValueError, match="resolution"):
        apply_settings(convolution(), Settings(fold=True), "cpu")


@pytest.mark.gpu
@needs_cuda
def test_tf32_is_on_only_inside_the_context_of_tf32():
    for precision in ("fp32", "tf32"):
        applied = apply_settings(convolution(), Settings(precision=precision), "cuda")  # type: ignore[arg-type]
        with applied.context:
            assert torch.backends.cudnn.allow_tf32 == (precision == "tf32")
