"""Plans of pretraining studies: sweeps at both ends, what transfers start from, and what waits for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bench.catalog.datasets import find_dataset
from bench.catalog.tables import read_csv
from bench.errors import RequestError, SuiteFileError
from bench.suite.cell import Budget, Cell, FewshotCell, FinetuneCell, PixelsCell, PretrainCell, TrainCell
from bench.suite.plan import plan
from bench.suite.planning_context import ImagesFacts, PlanningContext, PretrainingFacts
from bench.suite.spec import load_suite, parse_suite
from bench.suite.sweeps import Result


def corpus(name: str, resolution_px: int) -> PretrainingFacts:
    return PretrainingFacts(name, 64, resolution_px, "beginning", None)


def images(name: str) -> ImagesFacts:
    return ImagesFacts(name, num_classes=10, test_fingerprint="t", fingerprint="f", train_images=900, image_px=32)


WORLD = PlanningContext(
    device="cpu",
    find_dataset=lambda name, _: pytest.fail(f"{name} is not trained on in memory"),
    native_resolution=lambda _: 32,
    find_images=images,
    find_pretraining=corpus,
)
WITH_SETS = replace(WORLD, find_dataset=lambda name, _: find_dataset(name))

SWEPT = """
[[pretrain]]
models = ["vit_32px_s"]
datasets = ["mix-64"]
train_images = [1000]
resolution_px = 32
budgets_gflop = [10, 40, 160]
seeds = [3, 4]
learning_rate = { learning_rates = [0.0001, 0.001, 0.01, 0.1] }
"""
SMALLER = """
[[pretrain]]
models = ["vit_32px_s"]
datasets = ["mix-64"]
train_images = [100]
resolution_px = 32
budgets_gflop = [160]
seeds = [3, 4]
learning_rate = "swept"
"""
TUNED = """
[[finetune]]
models = ["vit_32px_s"]
datasets = ["digits"]
weights = ["pretrained:full", "random"]
learning_rates = [0.03, 0.1, 0.3, 0.9]
steps = 10
seeds = [3, 4]
train_images = 500
crop = false
"""


def cells_of(text: str, context: PlanningContext = WORLD) -> list[Cell]:
    return plan(parse_suite("question = 'Why?'\n" + text, Path("mine.toml")), context)


def pretrainings(text: str, context: PlanningContext = WORLD) -> list[PretrainCell]:
    return [cell for cell in cells_of(text, context) if isinstance(cell, PretrainCell)]


def with_trials(text: str, best: Mapping[float, float]) -> PlanningContext:
    """The context once the trials are in. best: budget -> the learning rate that did best; none learned elsewhere."""
    context = WORLD
    while True:
        known = {
            cell.cell_id: Result(
                1.5 if (there := best.get(cell.budget.amount)) is None
                else 90.0 if there == cell.recipe.learning_rate else 50.0,
                2048,
            )
            for cell in pretrainings(text, context)
        }  # fmt: skip
        if known == context.validation:
            return context
        context = replace(WORLD, validation=known)


def ended(cells: list[PretrainCell], context: PlanningContext, *, but: PretrainCell | None = None) -> PlanningContext:
    """The context once these runs have weights."""
    weights = {cell.cell_id: f"sha256 {cell.cell_id}" for cell in cells if cell is not but}
    return replace(context, trained_weights=weights)


def test_a_sweep_is_held_at_both_ends_with_the_first_seed() -> None:
    trials = pretrainings(SWEPT)
    assert {(cell.budget.amount, cell.recipe.learning_rate, cell.seed) for cell in trials} == {
        (budget, rate, 3) for budget in (10, 160) for rate in (0.0001, 0.001, 0.01, 0.1)
    }


def test_runs_take_the_rate_of_the_nearer_end_and_a_trial_is_one_of_them() -> None:
    context = with_trials(SWEPT, {10: 0.01, 160: 0.001})
    found = pretrainings(SWEPT, context)
    trials = {cell.cell_id for cell in pretrainings(SWEPT)}
    finals = [cell for cell in found if cell.seed == 4]
    # 40 is as far from 10 as from 160: the larger one counts
    assert {(cell.budget.amount, cell.recipe.learning_rate) for cell in finals} == {
        (10, 0.01), (40, 0.001), (160, 0.001)
    }  # fmt: skip
    assert len(found) == 8 + 2 * 3 - 2, "a best trial is not run again"
    assert trials < {cell.cell_id for cell in found}


def test_a_budget_where_nothing_learned_takes_the_rate_of_the_one_where_something_did() -> None:
    finals = [cell for cell in pretrainings(SWEPT, with_trials(SWEPT, {160: 0.001})) if cell.seed == 4]
    assert {(cell.budget.amount, cell.recipe.learning_rate) for cell in finals} == {
        (10, 0.001), (40, 0.001), (160, 0.001)
    }  # fmt: skip


def test_a_study_where_nothing_learned_takes_the_middle_of_the_grid() -> None:
    finals = [cell for cell in pretrainings(SWEPT, with_trials(SWEPT, {})) if cell.seed == 4]
    assert {(cell.budget.amount, cell.recipe.learning_rate) for cell in finals} == {
        (10, 0.001), (40, 0.001), (160, 0.001)
    }  # fmt: skip


SCRATCH = """
[[train]]
models = ["vit_32px_s"]
datasets = ["digits"]
budgets_gflop = [150]
seeds = [3, 4]
learning_rate = "swept"
"""


def scratch(text: str, context: PlanningContext) -> list[TrainCell]:
    return [cell for cell in cells_of(text, context) if isinstance(cell, TrainCell)]


def test_scratch_takes_the_recipe_and_the_rate_of_the_pretraining_nearest_in_compute() -> None:
    swept = SWEPT + '[pretraining]\nweight_decay = 0.2\nbatch_size = 16\naugmentation = "none"\n'
    assert not scratch(swept + SCRATCH, WITH_SETS), "it waits for the sweep"
    trials = with_trials(swept, {10: 0.01, 160: 0.001})
    runs = scratch(swept + SCRATCH, replace(WITH_SETS, validation=trials.validation))
    assert [(cell.seed, cell.recipe.learning_rate) for cell in runs] == [(3, 0.001), (4, 0.001)]
    recipe = runs[0].recipe
    assert (recipe.weight_decay, recipe.batch_size, recipe.schedule, recipe.augmentation) == (0.2, 16, "linear", "none")
    assert (recipe.label_smoothing, recipe.grad_clip_norm, recipe.validations) == (0.0, None, 1)


def test_scratch_takes_the_rate_of_the_first_of_two_sets_that_are_swept() -> None:
    swept = SWEPT + '[pretraining]\naugmentation = "none"\n'
    other = SWEPT.replace("mix-64", "rings-64")
    context = replace(WITH_SETS, validation=with_trials(swept, {10: 0.01, 160: 0.001}).validation)
    (run, _) = scratch(swept + other + SCRATCH, context)
    assert run.recipe.learning_rate == 0.001
    assert not scratch(swept.replace(SWEPT, other + SWEPT) + SCRATCH, context), "the first one's trials are out"


def test_scratch_by_a_recipe_that_it_cannot_follow_is_refused() -> None:
    with pytest.raises(RequestError, match="augmentation 'light' such a training does not have"):
        scratch(SWEPT + SCRATCH, WITH_SETS)
    with pytest.raises(RequestError, match=r"none of its \[\[pretrain\]\] blocks sweeps that model"):
        scratch(SCRATCH + 'augmentation = "shift"\n', WITH_SETS)


def test_a_block_takes_the_rates_that_another_one_swept() -> None:
    context = with_trials(SWEPT, {10: 0.01, 160: 0.001})
    smaller = [cell for cell in pretrainings(SMALLER + SWEPT, context) if cell.train_images == 100]
    assert [(cell.seed, cell.recipe.learning_rate) for cell in smaller] == [(3, 0.001), (4, 0.001)]
    with pytest.raises(RequestError, match="none of its blocks sweeps"):
        cells_of(SMALLER)


def test_transfers_wait_for_all_pretrainings_of_their_model() -> None:
    text = SWEPT + SMALLER + TUNED
    context = with_trials(SWEPT, {10: 0.01, 160: 0.001})
    runs = pretrainings(text, context)
    assert not _pretrained_tunings(text, ended(runs, WORLD)), "no transfer while a sweep is open"
    assert not _pretrained_tunings(text, ended(runs, context, but=runs[-1])), "no transfer while a run is missing"
    trials = _pretrained_tunings(text, ended(runs, context))
    assert {cell.scored_part for cell in trials} == {"validation"}
    assert len(trials) == 4 * 2, "four rates at two budgets, with the first seed's weights"
    assert {cell.seed for cell in trials} == {3}


def test_a_failed_pretraining_does_not_keep_the_others_waiting() -> None:
    text, context = SWEPT + TUNED, with_trials(SWEPT, {10: 0.01, 160: 0.001})
    runs = pretrainings(text, context)
    failed = next(cell for cell in runs if cell.seed == 4)
    done = ended(runs, context)
    done = replace(done, trained_weights={**done.trained_weights, failed.cell_id: None})
    assert _pretrained_tunings(text, done)


def test_each_pretraining_is_fine_tuned_once_with_its_own_seed_at_the_nearer_ends_rate() -> None:
    text, context = SWEPT + SMALLER + TUNED, with_trials(SWEPT, {10: 0.01, 160: 0.001})
    context = ended(pretrainings(text, context), context)
    origin = {f"sha256 {cell.cell_id}": cell for cell in pretrainings(text, context)}
    best = {10.0: 0.3, 160.0: 0.1}
    for _ in range(2):  # the first seed's trials, then those of the best rates with the second one
        trials = [cell for cell in _pretrained_tunings(text, context) if cell.scored_part == "validation"]
        known = {
            cell.cell_id: Result(
                90.0 if cell.recipe.learning_rate == best[origin[cell.weights].budget.amount] else 50.0, 1000
            )
            for cell in trials
        }
        context = replace(context, validation={**context.validation, **known})
    finals = [cell for cell in _pretrained_tunings(text, context) if cell.scored_part == "test"]
    assert all(origin[cell.weights].train_images == 1000 for cell in finals), "pretrained:full"
    assert all(cell.seed == origin[cell.weights].seed for cell in finals)
    found = sorted((origin[cell.weights].budget.amount, cell.seed, cell.recipe.learning_rate) for cell in finals)
    rates = {10: 0.3, 40: 0.1, 160: 0.1}
    assert found == [(budget, seed, rates[budget]) for budget in (10, 40, 160) for seed in (3, 4)]
    assert {cell.train_images for cell in finals} == {500}
    assert {cell.recipe.crop for cell in finals} == {"none"}


def test_few_shot_takes_every_pretraining_or_those_with_most_images_or_with_so_many_of_one_set() -> None:
    context = with_trials(SWEPT, {10: 0.01, 160: 0.001})
    for word, runs in (
        ("pretrained", 8),
        ("pretrained:full", 6),
        ("pretrained:mix-64:100", 2),
        ("pretrained:x:100", 0),
    ):
        text = SWEPT + SMALLER + f'\n[[fewshot]]\nmodels = ["vit_32px_s"]\ndatasets = ["digits"]\nweights = ["{word}"]'
        known = ended(pretrainings(text, context), context)
        assert sum(isinstance(cell, FewshotCell) for cell in cells_of(text, known)) == runs


def test_budgets_are_of_one_kind_and_exaflops_become_gflop() -> None:
    def block(budgets: str) -> str:
        names = 'models = ["vit_32px_s"]\ndatasets = ["mix-64"]'
        return f"[[pretrain]]\n{names}\ntrain_images = [64]\nlearning_rate = 0.1\n{budgets}"

    for budgets in ("", "budgets_gflop = [1]\nbudgets_images = [100]"):
        with pytest.raises(SuiteFileError, match="budgets of one kind"):
            cells_of(block(budgets))
    for budgets, expected in (
        ("budgets_exaflop = [2e-6]", Budget(unit="gflop", amount=2000)),
        ("budgets_images = [640]", Budget(unit="images", amount=640)),
        ("budgets_device_s = [1.5]", Budget(unit="device_s", amount=1.5)),
    ):
        assert {cell.budget for cell in pretrainings(block(budgets))} == {expected}


@pytest.mark.parametrize(
    ("images_line", "message"),
    [('train_images = ["all"]', "has no end"), ("train_images = [63]", "at least one of each")],
)
def test_a_corpus_is_asked_for_a_number_that_holds_every_class(images_line: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        cells_of(SWEPT.replace("train_images = [1000]", images_line))


def test_more_images_than_there_are_is_said_at_once() -> None:
    with pytest.raises(RequestError, match="901 images of 'digits', which has 900"):
        cells_of(TUNED.replace("500", "901"))


def test_the_pixel_control_is_a_cell_for_each_seed() -> None:
    cells = cells_of('[[pixels]]\ndatasets = ["digits"]\nseeds = [0, 5]\ntrain_images = 100')
    assert [(cell.seed, cell.train_images) for cell in cells if isinstance(cell, PixelsCell)] == [(0, 100), (5, 100)]


def test_the_shipped_study_has_what_it_promises() -> None:
    suite = load_suite("pretrain-desk")
    cells = [cell for cell in plan(suite, WITH_SETS) if isinstance(cell, PretrainCell)]
    assert len({cell.model for cell in cells}) == 4
    main, _, sizes, photographs, drawn = suite.pretrain
    assert (photographs.budgets, photographs.train_images) == (drawn.budgets, drawn.train_images), "at equal compute"
    assert photographs.learning_rate == main.learning_rate, "with equal trials"
    assert len(main.budgets) >= 4
    assert all(3 <= b.amount / a.amount <= 4 for a, b in zip(main.budgets, main.budgets[1:], strict=False))
    assert len(main.seeds) >= 3
    assert len({*main.train_images, *sizes.train_images}) >= 4
    assert len(suite.finetune[0].datasets) >= 5


def _pretrained_tunings(text: str, context: PlanningContext) -> list[FinetuneCell]:
    return [cell for cell in cells_of(text, context) if isinstance(cell, FinetuneCell) and cell.weights != "random"]


def test_the_papers_study_has_the_rates_and_decays_of_its_table_3() -> None:
    suite = load_suite("pretrain")
    recipes = {
        (model, dataset): block
        for block in suite.pretrain
        for model in block.models
        for dataset in block.datasets
        if block.train_images == ("all",)
    }
    table = {(row["models"], row["dataset"]): row for row in read_csv("paper_pretrain_hparams")}
    for model, rows in {
        "vit_base_patch16_224": ("ViT-B/{16,32}", "ImageNet-21k"),
        "vit_large_patch16_224": ("ViT-L/{16,32}", "ImageNet-21k"),
    }.items():
        block, row = recipes[model, "imagenet21k"], table[rows]
        assert block.learning_rate == float(row["base_lr"])
        recipe = block.recipe(suite.pretraining, 1.0)
        assert (recipe.weight_decay, recipe.dropout) == (float(row["weight_decay"]), float(row["dropout"]))
        assert (recipe.schedule, recipe.batch_size) == (row["lr_decay"], 4096)
    small, row = recipes["vit_base_patch16_224", "imagenet"], table["ViT-*", "ImageNet"]
    recipe = small.recipe(suite.pretraining, 1.0)
    assert small.learning_rate == float(row["base_lr"])
    assert (recipe.weight_decay, recipe.dropout, recipe.schedule) == (0.3, 0.1, "cosine")
    assert recipe.grad_clip_norm == 1.0
    for model, name in {
        "resnetv2_50x1_bit": "R50x{1,2}",
        "resnetv2_101x1_bit": "R101x1",
        "resnetv2_152x2_bit": "R152x{1,2}",
        "vit_base_r50_s16_224": "R50+ViT-B/{16,32}",
        "vit_large_r50_s32_224": "R50+ViT-L/32",
        "vit_huge_patch14_224": "ViT-H/14",
    }.items():
        assert recipes[model, "imagenet21k"].learning_rate == float(table[name, "JFT-300M"]["base_lr"])


@pytest.mark.parametrize("name", ["pretrain", "pretrain-gpu"])
def test_the_other_studies_have_four_budgets_and_four_sizes(name: str) -> None:
    suite = load_suite(name)
    assert max(len(block.budgets) for block in suite.pretrain) >= 4
    for block in suite.pretrain:
        steps = [b.amount / a.amount for a, b in zip(block.budgets, block.budgets[1:], strict=False)]
        assert all(2.9 <= step <= 4 for step in steps)
    sizes = {images for block in suite.pretrain for images in block.train_images}
    assert len(sizes) >= 4
