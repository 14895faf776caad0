"""Training-step cells: the step is a whole one, it changes nothing, and its clock is that of inference."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from fake_clock import FakeClock
from torch import Tensor, nn

from bench.errors import OutOfMemoryError, UnsupportedError
from bench.measure.settings import apply_settings
from bench.measure.timing.memory import measure_memory
from bench.measure.timing.speed import measure_training_step
from bench.measure.timing.steps import training_step
from bench.suite.cell import Settings, TrainingMemoryCell, TrainingStepCell
from bench.units import MIB


class Timed(nn.Module):
    """A linear network that takes 1 ms of a fake clock for each image."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.linear = nn.Linear(48, 3)
        self.was_training = True

    def forward(self, images: Tensor) -> Tensor:
        self.clock.queued += len(images) * 1e-3
        self.was_training &= self.training
        return self.linear(images.flatten(1))  # type: ignore[no-any-return]


def make_cell(**changes: Any) -> TrainingStepCell:
    arguments = {"metric_version": 1, "model": "timed", "resolution_px": 4, "batch_size": 8, "repeat": 0}
    return TrainingStepCell(**arguments | {"device": "cpu", "settings": Settings()} | changes)


def test_training_images_per_second_are_what_the_clock_says():
    clock = FakeClock()
    model = Timed(clock).eval()
    values, samples = measure_training_step(make_cell(), model, clock=clock)
    assert values["training_img_per_s"] == pytest.approx(1000)
    assert values["training_blocks"] == len(samples["block_img_per_s"])
    assert values["compile_s"] is None
    assert model.was_training


def test_a_step_computes_every_gradient_and_leaves_the_weights_alone():
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    cell = make_cell()
    step = training_step(cell, apply_settings(model, cell.settings, "cpu"))
    for _ in range(3):
        step()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_training_in_fp16_is_refused_with_a_reason():
    with pytest.raises(UnsupportedError, match="scaling of the loss"):
        measure_training_step(make_cell(settings=Settings(precision="fp16")), nn.Linear(1, 1))


def test_running_out_of_memory_names_the_training():
    class Full(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(1, 1)

        def forward(self, images: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(OutOfMemoryError, match="Training with timed at batch size 8, 4 px"):
        measure_training_step(make_cell(), Full())


def test_training_memory_holds_gradients_and_momentum():
    weights_mib = 64
    cell = TrainingMemoryCell(
        metric_version=1, model="wide", resolution_px=4, batch_size=2, device="cpu", settings=Settings()
    )

    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(48, weights_mib * MIB // 4 // 49))

    found = measure_memory(cell, build)["peak_rss_delta_mib"]
    assert found == pytest.approx(3 * weights_mib, rel=0.15)  # weights, gradients, momentum


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_a_real_network_trains_on_cuda(precision: str):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    cell = make_cell(device="cuda", settings=Settings(precision=precision))  # type: ignore[arg-type]
    values, _ = measure_training_step(cell, model)
    assert values["training_img_per_s"] > 0
