"""Training: the budget, what is kept, what is repeatable, and how it fails."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.sets.collection import Dataset, ImageSet
from bench.errors import CellFailedError, UnsupportedError
from bench.learn.train import train_from_scratch
from bench.learn.trainer import steps_for_budget
from bench.suite.cell import Recipe, Settings, TrainCell


def brightness_set() -> Dataset:
    """Two classes that one glance tells apart: dark and bright pictures."""

    def part(count: int, name: str) -> ImageSet:
        labels = np.arange(count, dtype=np.int64) % 2
        images = np.broadcast_to((labels * 200 + 20)[:, None, None, None], (count, 8, 8, 3)).astype(np.uint8)
        return ImageSet(images, labels, tuple(f"{name}/{i}" for i in range(count)))

    return Dataset("brightness", ("dark", "bright"), part(64, "a"), part(16, "b"), part(20, "c"), "f" * 16, 8)


def tiny_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(8 * 8 * 3, 2))


def make_cell(**changes: object) -> TrainCell:
    fields: dict[str, object] = {
        "model": "tiny",
        "num_classes": 2,
        "resolution_px": 8,
        "dataset": "brightness",
        "fingerprint": "f" * 16,
        "train_images": 64,
        "seed": 0,
        "budget_gflop": 6 * 384 * 16 * 30 / 1e9,
        "recipe": Recipe(learning_rate=0.01, batch_size=16, validations=3),
        "scored_part": "test",
        "device": "cpu",
        "settings": Settings(),
    }
    return TrainCell(**(fields | changes))  # type: ignore[arg-type]


MACS = 8 * 8 * 3 * 2  # of tiny_model


def test_a_budget_is_three_times_flops_times_images() -> None:
    # 6 x 100 MACs x 10 images a step x 50 steps
    assert steps_for_budget(6 * 100 * 10 * 50 / 1e9, macs=100, batch_size=10) == 50


def test_the_smallest_budget_is_one_step() -> None:
    assert steps_for_budget(1e-9, macs=100, batch_size=10) == 1


def test_a_model_learns_and_its_numbers_fit_together() -> None:
    training = train_from_scratch(make_cell(), tiny_model(), brightness_set(), MACS)
    values = training.values
    assert values["top1_pct"] == 100.0
    assert values["steps"] == 30
    assert values["images_seen"] == 30 * 16
    assert values["train_flop"] == 6 * MACS * 480
    assert values["test_images"] == 20
    assert values["top5_pct"] is None  # two classes
    assert training.samples["validation_step"] == [10.0, 20.0, 30.0]
    assert training.predictions.keys == tuple(f"c/{i}" for i in range(20))


def test_the_same_cell_gives_the_same_predictions_twice() -> None:
    first, second = (train_from_scratch(make_cell(), tiny_model(), brightness_set(), MACS) for _ in range(2))
    assert first.samples == second.samples
    assert np.array_equal(first.predictions.label_probability, second.predictions.label_probability)


def test_the_seed_draws_the_subset_and_the_order() -> None:
    first, second = (
        train_from_scratch(make_cell(train_images=10, seed=seed), tiny_model(), brightness_set(), MACS)
        for seed in (0, 1)
    )
    assert first.samples["loss"] != second.samples["loss"]


def test_validation_cells_never_touch_the_test_part() -> None:
    training = train_from_scratch(make_cell(scored_part="validation"), tiny_model(), brightness_set(), MACS)
    assert training.predictions.keys[0].startswith("b/")
    assert training.values["test_images"] == 0


class _Spoiled(nn.Module):
    """A linear model whose logits stop being numbers after some steps of training."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.steps = nn.Linear(8 * 8 * 3, 2), 0

    def forward(self, images: Tensor) -> Tensor:
        self.steps += self.training
        logits: Tensor = self.linear(images.flatten(1))
        return logits * (math.nan if self.steps > 5 else 1.0)


@pytest.mark.parametrize("steps", [30, 300])  # of 300, the loss of every sixth is kept
def test_a_loss_that_is_no_number_stops_the_cell_and_names_its_step(steps: int) -> None:
    with pytest.raises(CellFailedError, match=rf"training loss is nan at step 6 of {steps}"):
        train_from_scratch(make_cell(budget_gflop=6 * 384 * 16 * steps / 1e9), _Spoiled(), brightness_set(), MACS)


class _NaNInEvaluation(_Spoiled):
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(images.flatten(1))
        return logits if self.training else logits * math.nan


def test_scores_that_are_no_numbers_in_a_look_at_validation_fail_the_cell() -> None:
    message = r"'tiny', trained for 10 of 30 steps, gives scores that are no numbers, first nan .* of image 'b/0'"
    with pytest.raises(CellFailedError, match=message):
        train_from_scratch(make_cell(), _NaNInEvaluation(), brightness_set(), MACS)


def test_the_weights_with_the_best_validation_are_scored() -> None:
    class GoodThenBad(_Spoiled):
        def forward(self, images: Tensor) -> Tensor:
            self.steps += self.training
            logits: Tensor = self.linear(images.flatten(1))
            return logits if self.training or self.steps <= 20 else -logits  # the last look sees it fail

    training = train_from_scratch(make_cell(), GoodThenBad(), brightness_set(), MACS)
    assert training.values["best_validation_step"] == 20
    assert training.values["validation_top1_pct"] == 100.0
    assert training.samples["validation_top1_pct"][-1] == 0.0


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (Settings(precision="tf32"), "tf32 on cpu"),
        (Settings(precision="fp16"), "fp16"),
        (Settings(compile=True), "compile"),
    ],
)
def test_settings_that_cannot_train_are_refused_with_the_reason(settings: Settings, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        train_from_scratch(make_cell(settings=settings), tiny_model(), brightness_set(), MACS)


def test_plain_sgd_and_linear_decay_train_too() -> None:
    recipe = Recipe(learning_rate=0.05, optimizer="sgd", schedule="linear", batch_size=16, label_smoothing=0)
    assert train_from_scratch(make_cell(recipe=recipe), tiny_model(), brightness_set(), MACS).values["top1_pct"] == 100


def test_a_classifier_starts_small_so_that_the_first_loss_is_that_of_guessing() -> None:
    import timm

    torch.manual_seed(0)
    model = timm.create_model("test_efficientnet", num_classes=2)
    one_step = make_cell(budget_gflop=1e-9, recipe=Recipe(learning_rate=1e-9, batch_size=16, label_smoothing=0))
    training = train_from_scratch(one_step, model, brightness_set(), MACS)
    assert training.samples["loss"] == [pytest.approx(math.log(2), rel=0.1)]
