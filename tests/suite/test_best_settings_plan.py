from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from bench.catalog.datasets import find_dataset
from bench.errors import SuiteFileError
from bench.suite.cell import Cell, Settings, SpeedCell
from bench.suite.plan import plan
from bench.suite.planning_context import Abilities, PlanningContext, TrialResult
from bench.suite.spec import parse_suite
from bench.suite.speed_plan import candidate_settings, choose_settings

FULL = Abilities(("fp32", "bf16"), can_compile=True)
WORLD = PlanningContext(
    device="cpu",
    find_dataset=lambda name, _: find_dataset(name),
    native_resolution=lambda _: 32,
    abilities=lambda: FULL,
)
BLOCK = """
question = "Why?"
[settings]
memory_format = "channels_last"
[[speed]]
models = ["vit_32px_s", "resnet_32px_s"]
metrics = ["throughput", "latency"]
batch_sizes = [1, 8]
processes = 3
settings = "best"
"""


def cells(context: PlanningContext = WORLD) -> list[Cell]:
    return plan(parse_suite(BLOCK, Path("mine.toml")), context)


def speed(found: list[Cell], role: str) -> list[SpeedCell]:
    return [cell for cell in found if isinstance(cell, SpeedCell) and cell.role == role]


def rate(cell: SpeedCell) -> TrialResult:
    """bf16 is best for the ViT; folding and compiling for the ResNet, whose compiled bf16 trials failed."""
    settings = cell.settings
    if cell.model == "vit_32px_s":
        return TrialResult(100.0 + (settings.precision == "bf16") + 0.1 * settings.fold)
    if settings.precision == "bf16" and settings.compile:
        return TrialResult(-math.inf)
    return TrialResult(100.0 + settings.fold + settings.compile, settings.fold)


def finished(found: list[Cell]) -> PlanningContext:
    return replace(WORLD, trials={cell.cell_id: rate(cell) for cell in speed(found, "trial")})


def test_every_combination_that_the_device_can_do_is_tried_once_for_every_model_and_batch():
    trials = speed(cells(), "trial")
    assert len(trials) == len({trial.cell_id for trial in trials}) == 2 * 2 * (2 * 2 * 2 * 2)
    tried = {(t.model, t.batch_size): {u.settings for u in trials if (u.model, u.batch_size) == (t.model, t.batch_size)}
             for t in trials}  # fmt: skip
    assert len(tried) == 4
    assert all(settings == set(candidate_settings(Settings(), ("fp32", "bf16"), FULL)) for settings in tried.values())
    assert {trial.metrics for trial in trials} == {("throughput",)}


def test_what_the_device_cannot_do_is_not_tried():
    able = Abilities(("fp32", "fp16"), can_compile=False)
    assert {(s.precision, s.compile) for s in candidate_settings(Settings(), ("fp32", "bf16"), able)} == {
        ("fp32", False)
    }


def test_the_precision_of_the_fixed_settings_is_always_in_the_race():
    tried = candidate_settings(Settings(precision="fp16"), ("fp32",), Abilities(("fp32", "fp16")))
    assert {settings.precision for settings in tried} == {"fp16", "fp32"}


def test_nothing_is_timed_in_full_while_a_trial_is_missing():
    found = cells()
    assert {cell.role for cell in found if isinstance(cell, SpeedCell)} == {"trial"}
    context = finished(found)
    known = dict(list(context.trials.items())[:-1])
    assert speed(cells(replace(context, trials=known)), "best") == []


def test_the_winner_is_timed_anew_beside_the_fixed_settings_in_every_round():
    found = cells(finished(cells()))
    best, fixed = speed(found, "best"), speed(found, "fixed")
    assert len(best) == len(fixed) == 2 * 2 * 3
    assert {cell.settings for cell in fixed} == {Settings(memory_format="channels_last")}
    assert {cell.metrics for cell in best} == {("throughput", "latency")}
    rounds = [cell.repeat for cell in found if isinstance(cell, SpeedCell) and cell.role != "trial"]
    assert rounds == sorted(rounds)
    roles = [cell.role for cell in found if isinstance(cell, SpeedCell) and cell.role != "trial"]
    assert roles != sorted(roles)
    assert roles != sorted(roles, reverse=True)


def test_each_model_gets_its_own_winner_and_folding_of_nothing_is_no_setting():
    best = {cell.model: cell.settings for cell in speed(cells(finished(cells())), "best")}
    assert best["vit_32px_s"] == Settings(precision="bf16")
    assert best["resnet_32px_s"] == Settings(compile=True, fold=True)


def test_a_model_whose_every_trial_failed_is_timed_with_fixed_settings_alone():
    trials = {cell.cell_id: TrialResult(-math.inf) for cell in speed(cells(), "trial")}
    found = cells(replace(WORLD, trials=trials))
    assert speed(found, "best") == []
    assert len(speed(found, "fixed")) == 2 * 2 * 3


def test_of_equal_trials_the_first_wins():
    results = {settings: TrialResult(1.0) for settings in candidate_settings(Settings(), ("fp32",), Abilities())}
    assert choose_settings(results) == Settings()


def test_roles_have_ids_of_their_own_and_fixed_cells_those_of_before():
    fixed, best = speed(cells(finished(cells())), "fixed")[0], speed(cells(finished(cells())), "best")[0]
    assert "role" not in fixed.model_dump(mode="json")
    assert best.model_dump(mode="json")["role"] == "best"
    assert fixed.model_copy(update={"role": "best"}).cell_id != fixed.cell_id


def test_best_settings_need_throughput_to_choose_by():
    with pytest.raises(SuiteFileError, match="chooses by throughput"):
        parse_suite(BLOCK.replace('"throughput", ', ""), Path("mine.toml"))
