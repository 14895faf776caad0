"""Plans: which cells, and in which order."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench.catalog.datasets import find_dataset
from bench.catalog.tuned import tuned_recipes
from bench.errors import RequestError, UnknownNameError
from bench.suite.cell import MemoryCell, PixelsCell, Recipe, Settings, SpeedCell, TrainCell, cell_id_of, parse_cell
from bench.suite.plan import definition_of, plan
from bench.suite.planning_context import ImagesFacts, PlanningContext
from bench.suite.spec import Sweep, load_suite, parse_suite


def facts(name: str) -> ImagesFacts:
    return ImagesFacts(name, num_classes=10, test_fingerprint="t", fingerprint="f", train_images=90, image_px=32)


WORLD = PlanningContext(
    device="cpu",
    find_dataset=lambda name, _: find_dataset(name),
    native_resolution=lambda _: 32,
    find_images=facts,
)


def cells_of(text: str, context: PlanningContext = WORLD) -> list[object]:
    return list(plan(parse_suite("question = 'Why?'\n" + text, Path("mine.toml")), context))


FAMILIES = ("vit", "hybrid", "resnet", "mbconv")

TRAIN = """
[[train]]
models = ["vit_32px_s", "resnet_32px_s"]
datasets = ["digits"]
train_images = ["all", 100]
budgets_gflop = [5, 10]
seeds = [0, 1, 2]
learning_rate = 0.002
"""


def test_a_train_block_is_the_product_of_its_axes() -> None:
    cells = [cell for cell in cells_of(TRAIN) if isinstance(cell, TrainCell)]
    assert len(cells) == 2 * 2 * 2 * 3
    assert {cell.train_images for cell in cells} == {798, 100}


def test_what_is_trained_on_has_a_regression_on_as_many_images_for_each_seed_that_draws_them() -> None:
    found = [cell for cell in cells_of(TRAIN) if isinstance(cell, PixelsCell)]
    assert [(cell.train_images, cell.seed) for cell in found] == [(798, 0), (100, 0), (100, 1), (100, 2)]
    assert {(cell.dataset, cell.resolution_px, cell.num_classes) for cell in found} == {("digits", 32, 10)}
    validated = cells_of(TRAIN + 'scored_part = "validation"\n')
    assert not any(isinstance(cell, PixelsCell) for cell in validated), "a sweep has no results to hold against it"


def test_a_block_of_pixels_replaces_the_regression_that_a_set_has_by_itself() -> None:
    asked = cells_of(TRAIN + '[[pixels]]\ndatasets = ["digits"]\ntrain_images = 50\nseeds = [7]')
    assert [(c.train_images, c.seed) for c in asked if isinstance(c, PixelsCell)] == [(50, 7)]


def test_a_train_block_says_its_own_augmentation_and_batch_size() -> None:
    own = TRAIN + 'augmentation = "shift and flip"\nbatch_size = 16\n'
    recipes = {cell.recipe for cell in cells_of("[recipe]\nweight_decay = 0.2\n" + own) if isinstance(cell, TrainCell)}
    asked = Recipe(learning_rate=0.002, weight_decay=0.2, batch_size=16, augmentation="shift and flip")
    assert recipes == {asked}


def test_the_same_cell_asked_for_twice_runs_once() -> None:
    assert len(cells_of(TRAIN + TRAIN)) == len(cells_of(TRAIN))


def test_larger_budgets_of_a_seed_come_first() -> None:
    order = [(cell.seed, -cell.budget_gflop) for cell in cells_of(TRAIN) if isinstance(cell, TrainCell)]
    assert order == sorted(order)


def test_timing_comes_in_rounds_of_random_order_and_memory_last() -> None:
    text = """
[[speed]]
models = ["@small"]
metrics = ["throughput", "latency", "peak_memory"]
processes = 3
"""
    cells = cells_of(text)
    speed = [cell for cell in cells if isinstance(cell, SpeedCell)]
    assert [cell.repeat for cell in speed] == [0] * 15 + [1] * 15 + [2] * 15
    rounds = [[cell.model for cell in speed if cell.repeat == repeat] for repeat in range(3)]
    assert rounds[0] != rounds[1]
    assert sorted(rounds[0]) == sorted(rounds[1])
    assert all(isinstance(cell, MemoryCell) for cell in cells[45:])


def test_a_cell_id_is_the_same_after_a_round_trip_and_differs_by_seed() -> None:
    first, second, *_ = (cell for cell in cells_of(TRAIN) if isinstance(cell, TrainCell))
    assert parse_cell(first.model_dump(mode="json")).cell_id == first.cell_id
    assert first.cell_id != second.cell_id
    assert len(first.cell_id) == 16


def test_a_cell_id_is_sha256_of_canonical_json() -> None:
    # sha256 of '{"a":1,"b":[2,"x"]}'
    assert cell_id_of({"b": [2, "x"], "a": 1}) == cell_id_of({"a": 1, "b": [2, "x"]}) == "454597f51f0e5988"


def test_fields_that_came_later_leave_the_ids_of_older_cells_alone() -> None:
    assert Settings().model_dump(mode="json") == {
        "precision": "fp32", "memory_format": "contiguous", "compile": False
    }  # fmt: skip
    assert Settings(fold=True).model_dump(mode="json")["fold"] is True


def test_committed_records_have_the_ids_of_their_cells() -> None:
    files = sorted(Path(__file__).parents[2].glob("results/*/*.jsonl"))
    stored = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    records = [record for record in stored if "cell_id" in record]
    assert len(records) > 500
    assert all(parse_cell(record["cell"]).cell_id == record["cell_id"] for record in records)


def test_what_a_name_stands_for_is_part_of_the_cell(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("def net(): ...")
    before = definition_of(f"{mine}:net")
    mine.write_text("def net(): return 1")
    assert before != definition_of(f"{mine}:net")
    assert definition_of("vit_32px_s") == "vit_tiny_patch16_224(depth=3, embed_dim=48, num_heads=3, patch_size=8)"
    assert definition_of("resnet18") is None


def test_tuned_is_the_catalogs_learning_rate_at_the_nearest_budget() -> None:
    cells = cells_of(TRAIN.replace("0.002", '"tuned"'))
    for cell in cells:
        if isinstance(cell, TrainCell):
            known = tuned_recipes(cell.model)
            nearest = min(known, key=lambda budget: abs(math.log(budget / cell.budget_gflop)))
            assert cell.recipe.learning_rate == known[nearest].learning_rate


def test_too_many_training_images_are_refused() -> None:
    with pytest.raises(RequestError, match="5000 training images of 'digits', which has 798"):
        cells_of(TRAIN.replace("100", "5000"))


def test_an_unknown_data_set_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        cells_of(TRAIN.replace('"digits"', '"digts"'))


def users_world(train_images: int) -> PlanningContext:
    mine = replace(find_dataset("digits"), name="mine", train_images=train_images)
    return PlanningContext(
        "cpu", lambda name, _: mine if name == "mine" else find_dataset(name), lambda _: 32, facts,
        extra_datasets=("mine",),
    )  # fmt: skip


def test_a_users_small_data_set_joins_in_full_and_on_no_size_axis() -> None:
    cells = plan(parse_suite("question = 'Why?'\n" + TRAIN, Path("mine.toml")), users_world(train_images=90))
    mine = [cell for cell in cells if isinstance(cell, TrainCell) and cell.dataset == "mine"]
    assert {cell.train_images for cell in mine} == {90}
    whole = [cell for cell in cells if isinstance(cell, TrainCell) and cell.train_images == 798]
    assert len(mine) == len(whole)


def test_a_users_data_set_stays_out_of_a_sweep() -> None:
    text = TRAIN + 'scored_part = "validation"\n'
    assert len(cells_of(text, users_world(90))) == len(cells_of(text))


@pytest.mark.parametrize(("has_photographs", "trained_on"), [(True, "fashion_mnist"), (False, "shapes")])
def test_pocket_trains_every_family_equally_on_photographs_where_there_are_some(
    has_photographs: bool, trained_on: str
) -> None:
    rows = {"fashion_mnist": replace(find_dataset("digits"), name="fashion_mnist"), "shapes": find_dataset("shapes")}
    world = replace(WORLD, find_dataset=lambda name, _: rows[name], is_here=lambda name: has_photographs)
    cells = [cell for cell in plan(load_suite("pocket"), world) if isinstance(cell, TrainCell)]
    assert {cell.dataset for cell in cells} == {trained_on}
    assert Counter(cell.model for cell in cells) == {f"{family}_32px_s": 2 for family in FAMILIES}
    assert len({cell.budget_gflop for cell in cells}) == 1


def test_the_sweep_tries_every_rate_with_one_seed_first() -> None:
    suite = load_suite("tune")
    here = {"datasets": ("shapes",)}  # no images are looked for
    swept = [one.model_copy(update=here) for one in suite.train if isinstance(one.learning_rate, Sweep)]
    cells = [cell for cell in plan(suite.model_copy(update={"train": swept}), WORLD) if isinstance(cell, TrainCell)]
    places = {(cell.model, cell.budget_gflop) for cell in cells}
    assert len({model for model, _ in places}) == 13
    assert len(cells) == 3 * len(places)
    assert {cell.seed for cell in cells} == {100}
