"""`@given` in every block that takes data sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.catalog.datasets import find_dataset
from bench.errors import RequestError
from bench.suite.plan import plan
from bench.suite.planning_context import ImagesFacts, PlanningContext, PretrainingFacts, with_given
from bench.suite.spec import parse_suite

BLOCKS = {
    "train": "budgets_gflop = [1]\nseeds = [0]\nlearning_rate = 0.1",
    "evaluate": "weights = ['random']",
    "fewshot": "",
    "finetune": "learning_rates = [0.1]\nsteps = 5",
    "pretrain": "budgets_images = [32]\nlearning_rate = 0.1",
    "pixels": "",
}


def context(*given: str) -> PlanningContext:
    return PlanningContext(
        device="cpu",
        find_dataset=lambda name, _: replace(find_dataset("digits"), name=name),
        native_resolution=lambda _: 32,
        find_images=lambda name: ImagesFacts(name, 3, "t", "f", 90, 40),
        find_pretraining=lambda name, px: PretrainingFacts(name, 3, px, "f", 90),
        extra_datasets=given,
    )


def asked(task: str, datasets: str, *given: str) -> list[str]:
    models = "" if task == "pixels" else 'models = ["vit_32px_s"]\n'
    text = f"question = 'Mine?'\n[[{task}]]\n{models}datasets = {datasets}\n{BLOCKS[task]}\n"
    cells = plan(parse_suite(text, Path("mine.toml")), context(*given))
    return list(dict.fromkeys(str(getattr(cell, "dataset", "")) for cell in cells if cell.task == task))


@pytest.mark.parametrize("task", BLOCKS)
def test_given_stands_for_the_users_sets_in_every_block(task: str) -> None:
    assert asked(task, '["@given"]', "birds", "cats") == ["birds", "cats"]


@pytest.mark.parametrize("task", BLOCKS)
def test_with_no_set_given_it_says_how_to_give_one(task: str) -> None:
    with pytest.raises(RequestError, match=r"Suite 'mine' is about images of your own.* --data NAME=PLACE"):
        asked(task, '["@given"]')


def test_given_sets_stand_where_they_are_named_and_once() -> None:
    assert with_given(("digits", "@given", "birds"), ("birds",), "s") == ["digits", "birds"]
    assert with_given(("digits",), (), "s") == ["digits"]


def test_train_sizes_hold_for_given_sets_that_a_block_names() -> None:
    text = (
        "question = 'Mine?'\n[[train]]\nmodels = ['vit_32px_s']\ndatasets = ['@given']\ntrain_images = [20, 40]\n"
        f"{BLOCKS['train']}\n"
    )
    cells = plan(parse_suite(text, Path("mine.toml")), context("birds"))
    assert sorted(cell.train_images for cell in cells if cell.task == "train") == [20, 40]
