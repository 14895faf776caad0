from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from fake_clock import FakeClock
from torch import Tensor, nn

from bench.errors import CellFailedError, OutOfMemoryError, UnsupportedError
from bench.measure.timing.speed import measure_speed
from bench.suite.cell import Settings, SpeedCell

VALUES = {
    "throughput_img_per_s",
    "throughput_blocks",
    "warmup_iters",
    "warmup_settled",
    "latency_p50_ms",
    "latency_p90_ms",
    "latency_p99_ms",
    "latency_samples",
    "page_faults_per_pass",
    "latency_page_faults_per_pass",
    "compile_s",
}


class Timed(nn.Module):
    """A network that takes 1 ms of a fake clock for each image, and notes what it is given."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.batch_sizes: set[int] = set()
        self.collector_ran = False
        self.kept_gradients = False

    def forward(self, images: Tensor) -> Tensor:
        self.clock.queued += len(images) * 1e-3
        self.batch_sizes.add(len(images))
        self.collector_ran |= gc.isenabled()
        self.kept_gradients |= torch.is_grad_enabled()
        return images


class Raising(nn.Module):
    def __init__(self, error: Callable[[], BaseException]) -> None:
        super().__init__()
        self.error = error

    def forward(self, images: Tensor) -> Tensor:
        raise self.error()


def make_cell(**changes: Any) -> SpeedCell:
    arguments = {
        "metric_version": 1,
        "model": "timed",
        "resolution_px": 4,
        "batch_size": 8,
        "metrics": ("throughput", "latency"),
        "repeat": 0,
        "device": "cpu",
        "settings": Settings(),
    }
    return SpeedCell(**arguments | changes)


def test_values_and_samples_are_those_of_the_contract():
    clock = FakeClock()
    values, samples = measure_speed(make_cell(), Timed(clock), clock=clock)
    assert set(values) == VALUES
    assert values["throughput_img_per_s"] == pytest.approx(1000)
    assert values["latency_p50_ms"] == pytest.approx(1.0)
    assert values["latency_p99_ms"] == pytest.approx(1.0)
    assert values["throughput_blocks"] == len(samples["block_img_per_s"])
    assert values["latency_samples"] == len(samples["latency_ms"]) == 1000
    assert values["compile_s"] is None


@pytest.mark.parametrize(("metric", "batch_sizes"), [("throughput", {8}), ("latency", {1})])
def test_only_what_is_asked_is_measured(metric: str, batch_sizes: set[int]):
    clock = FakeClock()
    model = Timed(clock)
    values, samples = measure_speed(make_cell(metrics=(metric,)), model, clock=clock)
    assert set(values) == VALUES
    assert model.batch_sizes == batch_sizes
    assert (values["throughput_img_per_s"] is None) == (metric == "latency")
    assert len(samples) == 1


class Fake(nn.Module):
    """A network that takes so many seconds of a fake clock for each image, and memory for `fits` images at once."""

    def __init__(self, clock: FakeClock, image_s: float, fits: int = 1_000) -> None:
        super().__init__()
        self.clock, self.image_s, self.fits = clock, image_s, fits

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.clock.queued += len(images) * self.image_s
        return images


def test_under_a_time_limit_a_fast_model_leaves_most_of_it_to_slow_ones():
    clock = FakeClock()
    values, _ = measure_speed(make_cell(limit_s=8.0), Fake(clock, 0.001), clock=clock)
    assert (values["throughput_img_per_s"], values["latency_p50_ms"]) == (pytest.approx(1000), pytest.approx(1.0))
    assert set(values) == VALUES
    assert clock.seconds < 3.0


def test_under_a_time_limit_a_slow_model_gives_few_samples_and_ends_in_time():
    clock = FakeClock()
    values, samples = measure_speed(make_cell(limit_s=8.0), Fake(clock, 0.25), clock=clock)
    assert values["throughput_img_per_s"] == pytest.approx(4.0)
    assert (values["throughput_blocks"], values["warmup_iters"], values["warmup_settled"]) == (1, 1, None)
    assert samples["latency_ms"] == pytest.approx([250.0] * 4)
    assert clock.seconds <= 8.0


def test_a_batch_that_cannot_be_in_time_is_absent_with_the_reason_and_the_latency_stays():
    clock = FakeClock()
    values, samples = measure_speed(make_cell(limit_s=8.0), Fake(clock, 1.0), clock=clock)
    assert values["absent"] == {
        "throughput": "one image took 1 s, so that 8 at once, twice, take 8 s or more, and 6 s were left of the time "
        "limit"
    }
    assert (values["throughput_img_per_s"], values["latency_p50_ms"]) == (None, pytest.approx(1000.0))
    assert set(samples) == {"latency_ms"}
    assert clock.seconds == 2.0  # no batch was begun


def test_a_model_too_slow_for_one_image_has_two_reasons_and_is_no_failure():
    clock = FakeClock()
    values, samples = measure_speed(make_cell(limit_s=8.0), Fake(clock, 5.0), clock=clock)
    assert values["absent"] == {
        "latency": "one pass took 5 s, and 3 s were left of the time limit",
        "throughput": "one image alone was too slow",
    }
    assert samples == {}


def test_a_batch_that_does_not_fit_into_memory_costs_the_throughput_alone():
    clock = FakeClock()
    values, _ = measure_speed(make_cell(limit_s=8.0), Fake(clock, 0.001, fits=4), clock=clock)
    assert values["absent"] == {"throughput": "It does not fit into memory: CUDA out of memory."}
    assert values["latency_p50_ms"] == pytest.approx(1.0)


def test_a_time_limit_is_part_of_the_cell_only_where_there_is_one():
    assert "limit_s" not in make_cell().model_dump(mode="json")
    assert make_cell(limit_s=8.0).cell_id != make_cell().cell_id


def test_nothing_is_kept_for_gradients_and_no_collector_runs():
    clock = FakeClock()
    model = Timed(clock)
    measure_speed(make_cell(), model, clock=clock)
    assert not model.kept_gradients
    assert not model.collector_ran
    assert gc.isenabled()


def test_running_out_of_memory_names_the_cell():
    model = Raising(lambda: torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(OutOfMemoryError, match="timed at batch size 8, 4 px"):
        measure_speed(make_cell(), model)


def test_a_setting_the_device_cannot_do_stops_before_anything_runs():
    with pytest.raises(UnsupportedError, match="tf32"):
        measure_speed(make_cell(settings=Settings(precision="tf32")), Raising(AssertionError))


def test_compile_time_is_apart_from_throughput(monkeypatch: pytest.MonkeyPatch):
    clock = FakeClock()

    def compile_slowly(model: nn.Module, **_: object) -> Callable[[Tensor], Tensor]:
        seen: set[int] = set()

        def compiled(images: Tensor) -> Tensor:
            if len(images) not in seen:
                seen.add(len(images))
                clock.queued += 10.0
            return model(images)  # type: ignore[no-any-return]

        return compiled

    monkeypatch.setattr(torch, "compile", compile_slowly)
    monkeypatch.setattr("bench.measure.devices.compile_reason", lambda device: None)
    values, _ = measure_speed(make_cell(settings=Settings(compile=True)), Timed(clock), clock=clock)
    assert values["compile_s"] == pytest.approx(2 * 10.0 + 8e-3 + 1e-3)  # both batch sizes, each with its first run
    assert values["throughput_img_per_s"] == pytest.approx(1000)


def test_a_folded_cell_says_what_was_folded():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    clock = FakeClock()
    values, _ = measure_speed(
        make_cell(settings=Settings(fold=True)), nn.Sequential(model, Timed(clock)).eval(), clock=clock
    )
    assert set(values) - VALUES == {
        "folded_batch_norms", "batch_norms_left", "baked_convolutions", "fold_max_difference"
    }  # fmt: skip
    assert values["folded_batch_norms"] == 1


def test_a_failed_compilation_says_why(monkeypatch: pytest.MonkeyPatch):
    from torch._dynamo.exc import TorchDynamoException

    model = Raising(lambda: TorchDynamoException("\nC++ compile error: vector.h is missing\n\nSet TORCH_LOGS to see"))
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    monkeypatch.setattr("bench.measure.devices.compile_reason", lambda device: None)
    with pytest.raises(CellFailedError, match=r"torch.compile failed: C\+\+ compile error: vector.h is missing$"):
        measure_speed(make_cell(settings=Settings(compile=True)), model)


def test_a_real_network_runs_on_the_cpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bench.measure.timing.speed.BLOCK_SECONDS", 0.01)
    monkeypatch.setattr("bench.measure.timing.speed.MAX_LATENCY_SECONDS", 0.01)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(2)).eval()
    model(torch.zeros(1, 3, 4, 4))
    values, samples = measure_speed(make_cell(), model)
    assert values["throughput_img_per_s"] > 0
    assert min(samples["latency_ms"]) > 0


@pytest.mark.slow
def test_torch_compile_works_here_without_warnings():
    from bench.measure.devices import compile_reason

    if compile_reason("cpu") is not None:
        pytest.skip(f"torch.compile: {compile_reason('cpu')}")
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(16, 2)).eval()
    values, _ = measure_speed(make_cell(settings=Settings(compile=True)), model)
    assert values["compile_s"] > 0
    assert values["throughput_img_per_s"] > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16"])
def test_a_real_network_runs_on_cuda(precision: str):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2)).eval()
    cell = make_cell(device="cuda", settings=Settings(precision=precision))  # type: ignore[arg-type]
    values, _ = measure_speed(cell, model)
    assert values["throughput_img_per_s"] > 0
