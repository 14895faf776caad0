"""Fine-tuning recipes: the papers' numbers, and the learning rate of every step."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.errors import RequestError
from bench.learn.trainer import learning_rate_at
from bench.suite.cell import FinetuneRecipe
from bench.suite.recipes import (
    bit_hyperrule,
    hyperrule_sizes,
    hyperrule_steps,
    paper_finetuning,
    paper_learning_rates,
    paper_recipe,
    warmup_steps,
)


@pytest.mark.parametrize(
    ("dataset", "steps", "rates"),
    [
        ("imagenet", 20_000, (0.003, 0.01, 0.03, 0.06)),
        ("cifar10", 10_000, (0.001, 0.003, 0.01, 0.03)),
        ("cifar100", 10_000, (0.001, 0.003, 0.01, 0.03)),
        ("pets", 500, (0.001, 0.003, 0.01, 0.03)),
        ("flowers102", 500, (0.001, 0.003, 0.01, 0.03)),
        ("vtab_dmlab", 2500, (0.01,)),
    ],
)
def test_steps_and_learning_rates_are_those_of_table_4(dataset: str, steps: int, rates: tuple[float, ...]) -> None:
    assert paper_recipe(dataset, learning_rate=0.01, resolution_px=384).steps == steps
    assert paper_learning_rates(dataset) == rates


def test_every_row_of_table_4_is_a_data_set_and_names_its_source() -> None:
    names = ("imagenet", "cifar10", "cifar100", "pets", "flowers102", "vtab_dmlab")
    rows = [paper_finetuning(name) for name in names]
    assert [row.dataset for row in rows if row is not None] == [
        "ImageNet",
        "CIFAR-10",
        "CIFAR-100",
        "Oxford-IIIT Pets",
        "Oxford Flowers-102",
        "VTAB (19 tasks)",
    ]
    assert all(row is not None and "2010.11929" in row.source for row in rows)


def test_the_papers_recipe_is_sgd_with_clipping_cosine_and_nothing_else() -> None:
    assert paper_recipe("pets", learning_rate=0.003, resolution_px=384) == FinetuneRecipe(
        name="vit",
        learning_rate=0.003,
        steps=500,
        batch_size=512,
        warmup_steps=100,
        schedule="cosine",
        weight_decay=0.0,
        grad_clip_norm=1.0,
        stored_px=448,
        crop="inception",
        flip=True,
        mixup_alpha=0.0,
    )


@pytest.mark.parametrize(("steps", "warmup"), [(20_000, 500), (2500, 500), (500, 100), (50, 10), (4, 0)])
def test_warm_up_is_500_steps_and_a_fifth_of_shorter_runs(steps: int, warmup: int) -> None:
    assert warmup_steps(steps) == warmup


def test_a_set_that_the_paper_did_not_use_takes_its_steps_from_its_size() -> None:
    recipe = paper_recipe("flowers_of_my_own", learning_rate=0.01, resolution_px=224, train_images=30_000)
    assert recipe.steps == 10_000
    assert recipe.stored_px == round(224 * 448 / 384)
    assert paper_learning_rates("flowers_of_my_own") == (0.001, 0.003, 0.01, 0.03)


def test_a_set_of_unknown_size_without_steps_is_refused_with_what_to_do() -> None:
    with pytest.raises(RequestError, match="no number of fine-tuning steps for data set 'mine'"):
        paper_recipe("mine", learning_rate=0.01, resolution_px=384)


def test_sets_whose_labels_do_not_survive_crops_or_flips_get_neither() -> None:
    recipe = paper_recipe("vtab_dsprites_location", learning_rate=0.01, resolution_px=384, flip=False, crop=False)
    assert (recipe.crop, recipe.flip, recipe.stored_px) == ("none", False, 384)


@pytest.mark.parametrize(
    ("images", "steps", "mixup"),
    [
        (19_999, 500, 0.0),
        (20_000, 10_000, 0.1),
        (499_999, 10_000, 0.1),
        (500_000, 20_000, 0.1),
    ],
)
def test_the_hyperrule_goes_by_the_number_of_images(images: int, steps: int, mixup: float) -> None:
    recipe = bit_hyperrule(train_images=images, image_px=224, resolution_px=384)
    assert (hyperrule_steps(images), recipe.steps, recipe.mixup_alpha) == (steps, steps, mixup)
    assert (recipe.learning_rate, recipe.schedule, recipe.grad_clip_norm, recipe.crop) == (
        0.003,
        "stairs",
        None,
        "random",
    )


def test_the_hyperrule_goes_by_the_side_of_the_images() -> None:
    sizes = [hyperrule_sizes(95), hyperrule_sizes(96), hyperrule_sizes(224, is_r152x4=True)]
    assert [(size.stored_px, size.resolution_px) for size in sizes] == [(160, 128), (448, 384), (512, 480)]


@pytest.mark.parametrize(
    ("image_px", "resolution_px", "is_r152x4", "stored_px"),
    [(32, 128, False, 160), (32, 32, False, 40), (224, 384, False, 448), (224, 480, True, 512)],
)
def test_stored_squares_keep_the_hyperrules_proportion(
    image_px: int, resolution_px: int, is_r152x4: bool, stored_px: int
) -> None:
    recipe = bit_hyperrule(train_images=1000, image_px=image_px, resolution_px=resolution_px, is_r152x4=is_r152x4)
    assert recipe.stored_px == stored_px


def test_cosine_rises_to_the_peak_and_falls_to_zero() -> None:
    recipe = FinetuneRecipe(learning_rate=0.8, steps=12, warmup_steps=4, stored_px=32)
    rates = [learning_rate_at(recipe, step, recipe.steps) for step in range(12)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert rates[8] == pytest.approx(0.4)  # half of the eight steps after the warm-up
    assert learning_rate_at(recipe, 12, 12) == pytest.approx(0.0)


def test_stairs_fall_to_a_tenth_at_30_60_and_90_per_cent() -> None:
    recipe = FinetuneRecipe(name="bit", learning_rate=1.0, steps=10, warmup_steps=0, schedule="stairs", stored_px=32)
    rates = [learning_rate_at(recipe, step, recipe.steps) for step in range(10)]
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001])


def test_recipes_are_made_without_torch() -> None:
    program = "import sys, bench.suite.recipes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
