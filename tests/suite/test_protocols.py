"""Cells that start from weights: what a suite asks for, and what follows once trials and trainings are in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.catalog.datasets import find_dataset
from bench.errors import RequestError, SuiteFileError
from bench.suite.cell import EvaluateCell, FewshotCell, FinetuneCell, PreflightCell, TrainCell
from bench.suite.plan import plan
from bench.suite.planning_context import ImagesFacts, PlanningContext
from bench.suite.spec import load_suite, parse_suite
from bench.suite.sweeps import Result


def facts(name: str) -> ImagesFacts:
    return ImagesFacts(name, num_classes=10, test_fingerprint="t", fingerprint="f", train_images=900, image_px=32)


WORLD = PlanningContext(
    device="cpu",
    find_dataset=lambda name, _: find_dataset(name),
    native_resolution=lambda _: 224,
    find_images=facts,
    file_weights=lambda model, path: f"sha256 of {path} for {model}",
)

FINETUNE = """
[[finetune]]
models = ["vit_base_patch16_224.augreg_in21k"]
datasets = ["cifar10"]
learning_rates = [0.01, 0.03, 0.1]
steps = 100
"""
BIT = FINETUNE.replace("vit_base_patch16_224.augreg_in21k", "resnetv2_50x1_bit.goog_in21k")


def cells_of(text: str, context: PlanningContext = WORLD) -> list[object]:
    return list(plan(parse_suite("question = 'Why?'\n" + text, Path("mine.toml")), context))


def finetunings(text: str, context: PlanningContext = WORLD) -> list[FinetuneCell]:
    return [cell for cell in cells_of(text, context) if isinstance(cell, FinetuneCell)]


def with_results(*top1: float, text: str = FINETUNE) -> list[FinetuneCell]:
    """The plan once the trials of each recipe give so much with every seed; those of a recipe without stay out."""
    recipes = [trial.recipe for trial in finetunings(text)]
    known: dict[str, Result] = {}
    while True:
        cells = finetunings(text, replace(WORLD, validation=known))
        trials = [c for c in cells if c.scored_part == "validation" and c.recipe in recipes[: len(top1)]]
        found = {trial.cell_id: Result(top1[recipes.index(trial.recipe)], 10_000) for trial in trials}
        if found == known:
            return cells
        known = found


def test_a_sweep_begins_with_its_trials_alone() -> None:
    trials = finetunings(FINETUNE)
    assert [(trial.recipe.learning_rate, trial.scored_part, trial.seed) for trial in trials] == [
        (0.01, "validation", 0),
        (0.03, "validation", 0),
        (0.1, "validation", 0),
    ]


def test_final_runs_wait_for_the_last_trial() -> None:
    assert len(with_results(80.0, 90.0)) == 3


def test_final_runs_take_the_best_trials_rate_for_every_seed() -> None:
    final = [cell for cell in with_results(80.0, 90.0, 70.0) if cell.scored_part == "test"]
    assert [(cell.recipe.learning_rate, cell.seed) for cell in final] == [(0.03, 0), (0.03, 1), (0.03, 2)]


def test_of_equal_trials_the_smaller_rate_is_taken() -> None:
    final = [cell for cell in with_results(70.0, 80.0, 80.0) if cell.scored_part == "test"]
    assert {cell.recipe.learning_rate for cell in final} == {0.03}


def test_the_grid_grows_until_the_best_rate_is_inside_it() -> None:
    trials = finetunings(FINETUNE)
    known = {trial.cell_id: Result(top1, 10_000) for trial, top1 in zip(trials, (60.0, 70.0, 80.0), strict=True)}
    grown = finetunings(FINETUNE, replace(WORLD, validation=known))
    assert [cell.recipe.learning_rate for cell in grown] == [0.01, 0.03, 0.1, 0.316]


def test_where_no_trial_learned_the_middle_of_the_grid_is_taken() -> None:
    final = [cell for cell in with_results(10.0, 9.0, 10.5) if cell.scored_part == "test"]
    assert {cell.recipe.learning_rate for cell in final} == {0.03}


def test_nothing_follows_when_every_trial_failed() -> None:
    assert [cell.scored_part for cell in with_results(*[float("-inf")] * 3)] == ["validation"] * 3


def test_one_rate_needs_no_trial() -> None:
    cells = finetunings(FINETUNE.replace("[0.01, 0.03, 0.1]", "[0.01]"))
    assert [cell.scored_part for cell in cells] == ["test"] * 3


def test_bit_models_try_the_hyperrule_too_and_keep_the_better_on_validation() -> None:
    assert [trial.recipe.name for trial in finetunings(BIT)] == ["vit", "vit", "vit", "bit"]
    final = [cell for cell in with_results(80.0, 81.0, 79.0, 83.0, text=BIT) if cell.scored_part == "test"]
    assert {cell.recipe.name for cell in final} == {"bit"}
    assert not any(cell.recipe.name == "bit" for cell in finetunings(BIT + "hyperrule = false\n"))


def test_the_papers_rates_and_steps_are_taken_for_its_data_sets() -> None:
    text = FINETUNE.replace("learning_rates = [0.01, 0.03, 0.1]\nsteps = 100", "").replace("cifar10", "pets")
    trials = finetunings(text)
    assert [trial.recipe.learning_rate for trial in trials] == [0.001, 0.003, 0.01, 0.03]
    assert {trial.recipe.steps for trial in trials} == {500}


def test_vtab_has_one_rate_and_so_no_trial() -> None:
    cells = finetunings(
        FINETUNE.replace("learning_rates = [0.01, 0.03, 0.1]\nsteps = 100", "").replace("cifar10", "vtab_dtd")
    )
    assert [(cell.scored_part, cell.recipe.learning_rate, cell.recipe.steps) for cell in cells] == [
        ("test", 0.01, 2500)
    ] * 3


def test_crops_and_flips_follow_the_data_set() -> None:
    def upright(name: str) -> ImagesFacts:
        return replace(facts(name), flip=False, crop=False)

    cells = finetunings(FINETUNE, replace(WORLD, find_images=upright))
    assert {(cell.recipe.flip, cell.recipe.crop) for cell in cells} == {(False, "none")}


def test_the_group_vtab_has_nineteen_tasks() -> None:
    cells = finetunings(FINETUNE.replace("cifar10", "@vtab").replace("[0.01, 0.03, 0.1]", "[0.01]") + "seeds = [0]\n")
    assert len({cell.dataset for cell in cells}) == 19


def test_own_trainings_are_started_from_once_they_are_done() -> None:
    text = """
[[train]]
models = ["vit_32px_s"]
datasets = ["shapes"]
budgets_gflop = [5]
seeds = [0]
learning_rate = 0.002

[[fewshot]]
models = ["vit_32px_s"]
datasets = ["digits"]
weights = ["trained:shapes", "random"]
resolution_px = 32
"""
    before = cells_of(text)
    assert [cell.weights for cell in before if isinstance(cell, FewshotCell)] == ["random"]
    (training,) = (cell for cell in before if isinstance(cell, TrainCell))
    done = replace(WORLD, trained_weights={training.cell_id: "sha256 0123456789abcdef"})
    after = [cell.weights for cell in cells_of(text, done) if isinstance(cell, FewshotCell)]
    assert after == ["sha256 0123456789abcdef", "random"]
    failed = replace(WORLD, trained_weights={training.cell_id: None})
    assert [cell.weights for cell in cells_of(text, failed) if isinstance(cell, FewshotCell)] == ["random"]


def test_a_weight_file_enters_a_cell_by_its_content() -> None:
    text = """
[[evaluate]]
models = ["resnet50.a1_in1k"]
weights = ["file:weights/{model}.safetensors"]
"""
    (cell,) = cells_of(text)
    assert isinstance(cell, EvaluateCell)
    assert cell.weights == "sha256 of weights/{model}.safetensors for resnet50.a1_in1k"


def test_a_users_images_are_looked_at_first_and_join_the_first_block_of_each_protocol() -> None:
    text = (
        FINETUNE.replace("[0.01, 0.03, 0.1]", "[0.01]")
        + "[[fewshot]]\nmodels = ['resnet50.a1_in1k']\ndatasets = ['pets']"
    )
    cells = cells_of(text, replace(WORLD, extra_datasets=("mine",)))
    assert isinstance(cells[0], PreflightCell)
    assert [cell.dataset for cell in cells if isinstance(cell, FinetuneCell)] == ["cifar10"] * 3 + ["mine"] * 3
    assert [cell.dataset for cell in cells if isinstance(cell, FewshotCell)] == ["pets", "mine"]


@pytest.mark.parametrize("weights", ["publik", "file:", "trained:", "trained:a b"])
def test_unknown_kinds_of_weights_are_refused_at_the_suite(weights: str) -> None:
    with pytest.raises(SuiteFileError, match="weights"):
        cells_of(FINETUNE + f'weights = ["{weights}"]\n')


@pytest.mark.parametrize("name", ["imagenet", "transfer", "fewshot", "vtab", "transfer-desk"])
def test_the_suites_of_these_protocols_make_plans(name: str) -> None:
    trained = replace(WORLD, find_dataset=lambda dataset, _: replace(find_dataset("shapes"), name=dataset))
    assert plan(load_suite(name), trained)


def test_small_weights_do_not_meet_the_images_that_they_were_trained_on() -> None:
    suite = load_suite("transfer-desk")
    for block in (*suite.finetune, *suite.fewshot):
        own = {word.removeprefix("trained:") for word in block.weights}
        assert not own & set(block.datasets)


def test_a_suite_about_ones_own_images_needs_some() -> None:
    suite = load_suite("own-images")
    with pytest.raises(RequestError, match="--data NAME=PLACE"):
        plan(suite, WORLD)
    cells = plan(suite, replace(WORLD, extra_datasets=("birds",)))
    assert {cell.dataset for cell in cells if isinstance(cell, FinetuneCell | FewshotCell | PreflightCell)} == {"birds"}
