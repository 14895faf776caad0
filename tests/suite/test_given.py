"""What data sets of a block are meant: the user's own for `@given`, of several the first that is here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from bench.catalog.datasets import find_dataset
from bench.errors import RequestError, SuiteFileError
from bench.suite.plan import plan
from bench.suite.planning_context import ImagesFacts, PlanningContext, PretrainingFacts, named_sets, stand_ins
from bench.suite.spec import parse_suite

BLOCKS = {
    "train": "budgets_gflop = [1]\nseeds = [0]\nlearning_rate = 0.1",
    "evaluate": "weights = ['random']",
    "fewshot": "",
    "finetune": "learning_rates = [0.1]\nsteps = 5",
    "pretrain": "budgets_images = [32]\nlearning_rate = 0.1",
    "pixels": "",
}


def context(*given: str, here: Collection[str] = ()) -> PlanningContext:
    return PlanningContext(
        device="cpu",
        find_dataset=lambda name, _: replace(find_dataset("digits"), name=name),
        native_resolution=lambda _: 32,
        find_images=lambda name: ImagesFacts(name, 3, "t", "f", 90, 40),
        find_pretraining=lambda name, px: PretrainingFacts(name, 3, px, "f", 90),
        is_here=lambda name: name in here,
        extra_datasets=given,
    )


def asked(task: str, datasets: str, *given: str, here: Collection[str] = ()) -> list[str]:
    models = "" if task == "pixels" else 'models = ["vit_32px_s"]\n'
    text = f"question = 'Mine?'\n[[{task}]]\n{models}datasets = {datasets}\n{BLOCKS[task]}\n"
    cells = plan(parse_suite(text, Path("mine.toml")), context(*given, here=here))
    return list(dict.fromkeys(str(getattr(cell, "dataset", "")) for cell in cells if cell.task == task))


@pytest.mark.parametrize("task", BLOCKS)
def test_given_stands_for_the_users_sets_in_every_block(task: str) -> None:
    assert asked(task, '["@given"]', "birds", "cats") == ["birds", "cats"]


@pytest.mark.parametrize("task", BLOCKS)
def test_with_no_set_given_it_says_how_to_give_one(task: str) -> None:
    with pytest.raises(RequestError, match=r"Suite 'mine' is about images of your own.* --data NAME=PLACE"):
        asked(task, '["@given"]')


def test_given_sets_stand_where_they_are_named_and_once() -> None:
    assert named_sets(("digits", "@given", "birds"), context("birds"), "s") == ["digits", "birds"]
    assert named_sets(("digits",), context(), "s") == ["digits"]


def test_train_sizes_hold_for_given_sets_that_a_block_names() -> None:
    text = (
        "question = 'Mine?'\n[[train]]\nmodels = ['vit_32px_s']\ndatasets = ['@given']\ntrain_images = [20, 40]\n"
        f"{BLOCKS['train']}\n"
    )
    cells = plan(parse_suite(text, Path("mine.toml")), context("birds"))
    assert sorted(cell.train_images for cell in cells if cell.task == "train") == [20, 40]


@pytest.mark.parametrize(
    ("here", "meant"),
    [({"faces", "digits"}, "faces"), ({"digits", "shapes"}, "digits"), ({"shapes"}, "shapes"), (set(), "shapes")],
)
def test_of_several_sets_in_the_place_of_one_the_first_that_is_here_is_taken(here: set[str], meant: str) -> None:
    assert asked("train", '[["faces", "digits", "shapes"], "tilts"]', here=here) == [meant, "tilts"]


@pytest.mark.parametrize("task", ["fewshot", "pixels"])
def test_other_blocks_take_no_set_in_the_place_of_another(task: str) -> None:
    with pytest.raises(SuiteFileError, match=r"mine\.toml"):
        asked(task, '[["digits", "shapes"]]')


@pytest.mark.parametrize(
    ("used", "told"),
    [({"shapes", "tilts"}, {"faces": "shapes"}), ({"faces", "shapes"}, {}), ({"faces"}, {}), (set(), {})],
)
def test_a_set_stands_in_for_another_where_only_the_second_was_used(used: set[str], told: dict[str, str]) -> None:
    block = f"models = ['vit_32px_s']\ndatasets = [['faces', 'digits', 'shapes'], 'tilts']\n{BLOCKS['train']}\n"
    text = f"question = 'Why?'\n[[train]]\n{block}[[train]]\n{block}"
    assert stand_ins(parse_suite(text, Path("mine.toml")), used) == told
