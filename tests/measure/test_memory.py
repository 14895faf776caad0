from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor, nn

from bench.errors import OutOfMemoryError, UnsupportedError
from bench.measure.timing.memory import measure_memory, peak_rss, reset_peak_rss, return_free_memory
from bench.suite.cell import MemoryCell, Settings
from bench.units import MIB

needs_reset = pytest.mark.skipif(
    sys.platform != "linux" or not reset_peak_rss(), reason="the peak resident set size cannot be reset here"
)
CELL = MemoryCell(metric_version=1, model="hungry", resolution_px=32, batch_size=1, device="cpu", settings=Settings())


class Hungry(nn.Module):
    """Holds `weights_mib`, and `activations_mib` more during each forward pass."""

    def __init__(self, weights_mib: int, activations_mib: int) -> None:
        super().__init__()
        self.activations_mib = activations_mib
        self.weight = nn.Parameter(torch.ones(weights_mib * MIB // 4))

    def forward(self, images: Tensor) -> Tensor:
        return torch.ones(self.activations_mib * MIB // 4).sum() + images.sum()


@needs_reset
@pytest.mark.parametrize(("weights_mib", "activations_mib"), [(1, 200), (200, 1), (120, 80)])
def test_memory_is_weights_and_activations(weights_mib: int, activations_mib: int):
    found = measure_memory(CELL, lambda: Hungry(weights_mib, activations_mib))
    assert set(found) == {"peak_rss_delta_mib"}
    assert found["peak_rss_delta_mib"] == pytest.approx(weights_mib + activations_mib, rel=0.1)


@needs_reset
def test_memory_that_only_building_needs_is_not_counted():
    def build() -> nn.Module:
        torch.ones(300 * MIB // 4)
        return Hungry(100, 50)

    assert measure_memory(CELL, build)["peak_rss_delta_mib"] == pytest.approx(150, rel=0.1)


@needs_reset
def test_half_precision_weights_take_half_the_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bench.measure.devices.has_native_bf16", lambda: True)
    cell = CELL.model_copy(update={"settings": Settings(precision="bf16")})
    assert measure_memory(cell, lambda: Hungry(200, 1))["peak_rss_delta_mib"] == pytest.approx(101, rel=0.1)


@needs_reset
def test_the_peak_is_remembered_until_it_is_reset():
    return_free_memory()
    reset_peak_rss()
    before = peak_rss()
    torch.ones(100 * MIB // 4)
    assert peak_rss() - before == pytest.approx(100 * MIB, rel=0.1)
    return_free_memory()
    reset_peak_rss()
    assert peak_rss() - before < 20 * MIB


def test_a_model_beyond_the_machine_is_out_of_memory():
    with pytest.raises(OutOfMemoryError, match="hungry at batch size 1"):
        measure_memory(CELL, lambda: Hungry(1 << 30, 1))


def test_compiled_models_have_no_figure_on_the_cpu():
    cell = CELL.model_copy(update={"settings": Settings(compile=True)})
    with pytest.raises(UnsupportedError, match="holds the compiler"):
        measure_memory(cell, lambda: Hungry(1, 1))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_memory_on_cuda_is_what_is_allocated():
    cell = CELL.model_copy(update={"device": "cuda"})
    found = measure_memory(cell, lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 8192)))
    assert found["peak_allocated_mib"] == pytest.approx(3072 * 8192 * 4 / MIB, rel=0.3)
