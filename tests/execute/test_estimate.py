"""Rates of training steps that a plan is costed by."""

from __future__ import annotations

from bench.execute.estimate import images_seen_of, measured_rates, point_of, training_flop_of
from bench.suite.cell import Budget, ComplexityCell, Device, PretrainCell, PretrainRecipe, Settings


def cell(
    model: str, *, seed: int = 0, unit: str = "images", amount: float = 640, device: Device = "cpu"
) -> PretrainCell:
    return PretrainCell(
        metric_version=1,
        model=model,
        num_classes=64,
        resolution_px=32,
        dataset="mix-64",
        fingerprint="f",
        train_images=1000,
        seed=seed,
        budget=Budget(unit=unit, amount=amount),  # type: ignore[arg-type]
        recipe=PretrainRecipe(learning_rate=0.001, batch_size=64),
        device=device,
        settings=Settings(),
    )


def test_each_point_is_measured_once_and_a_model_that_cannot_train_has_a_reason() -> None:
    told: list[str] = []
    counted = ComplexityCell(metric_version=1, model="resnet18", resolution_px=224)
    cells = [cell("vit_32px_s"), counted, cell("vit_32px_s", seed=1), cell("no_such_model")]
    rates = measured_rates(cells, threads=1, told=told.append)
    assert told == ["vit_32px_s at 32 px", "no_such_model at 32 px"]
    good, bad = rates[point_of(cells[0])], rates[point_of(cells[3])]  # type: ignore[index]
    assert good.img_per_s is not None
    assert good.img_per_s > 50
    assert bad.img_per_s is None
    assert "no_such_model" in bad.reason


def test_a_cell_without_training_has_no_point() -> None:
    assert point_of(ComplexityCell(metric_version=1, model="resnet18", resolution_px=224)) is None


def test_compute_and_images_follow_from_any_budget_that_fixes_them() -> None:
    by_images = cell("vit_32px_s")
    flop = training_flop_of(by_images)
    assert flop is not None
    by_compute = cell("vit_32px_s", unit="gflop", amount=flop / 1e9)
    assert images_seen_of(by_compute) is not None
    assert abs(images_seen_of(by_compute) - 640) < 1e-6  # type: ignore[operator]
    by_time = cell("vit_32px_s", unit="device_s", amount=3)
    assert training_flop_of(by_time) is None
    assert images_seen_of(by_time) is None
