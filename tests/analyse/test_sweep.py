"""The learning rates in the catalog are those that the committed sweep chose."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.analyse.accuracies.sweep import choose_rates
from bench.catalog.tuned import tuned_rates, write_tuned_rates
from bench.errors import RequestError
from bench.store.files import read_records, suite_folder
from bench.store.record import Record
from bench.suite.plan import definition_of
from bench.suite.spec import RecipeSweep, load_suite, parse_suite

RESULTS = Path(__file__).resolve().parents[2] / "results"
SWEEP = parse_suite(
    """
question = "Which rate?"
[[train]]
models = ["vit_32px_s", "resnet_32px_s"]
datasets = ["textures"]
budgets_gflop = [300]
seeds = [5, 6]
scored_part = "validation"
learning_rate = { learning_rates = [0.001, 0.003, 0.009] }
""",
    Path("sweep.toml"),
)


def trial(
    rate: float, top1: float, seed: int = 5, status: str = "ok", *,
    model: str = "vit_32px_s", definition: str = "", decay: float = 0.05, **recipe: object,
) -> Record:  # fmt: skip
    return Record(
        suite="sweep",
        cell_id=f"{rate:010.6f}-{decay:010.6f}-{seed:05d}",
        cell={
            "task": "train", "model": model, "definition": definition or definition_of(model), "dataset": "textures",
            "fingerprint": "f", "num_classes": 10, "resolution_px": 32, "train_images": 8190, "budget_gflop": 300.0,
            "scored_part": "validation", "seed": seed, "device": "cpu", "settings": {},
            "recipe": {"learning_rate": rate, "weight_decay": decay, **recipe},
        },
        status=status,  # type: ignore[arg-type]
        values={"validation_top1_pct": top1, "validation_images": 1000} if status == "ok" else {},
        conditions={},
        started_at="2026-01-01T00:00:00.000+00:00",
        wall_s=0.0,
    )  # fmt: skip


GROWING = [0.001, 0.003, 0.009, 0.027, 0.081, 0.243, 0.729, 2.19, 6.57]  # to the last extension
GRID = [trial(0.001, 60.0), trial(0.003, 90.0), trial(0.009, 70.0)]


def test_the_mean_over_the_seeds_is_adopted_with_the_trials_behind_it() -> None:
    (chosen,) = choose_rates([*GRID, trial(0.003, 86.0, seed=6)], SWEEP)
    assert (chosen.model, chosen.learning_rate, chosen.validation_top1_pct) == ("vit_32px_s", 0.003, 88.0)
    assert (chosen.seeds, chosen.trials, chosen.cell_id) == (2, 4, GRID[1].cell_id)


def test_a_diverged_trial_bounds_the_grid() -> None:
    records = [*GRID[:2], trial(0.009, 0.0, status="failed"), trial(0.003, 86.0, seed=6)]
    assert [rate.learning_rate for rate in choose_rates(records, SWEEP)] == [0.003]


def test_weight_decays_are_tried_at_the_rate_that_was_chosen() -> None:
    with_decays = SWEEP.model_copy(
        update={
            "train": tuple(
                block.model_copy(update={"learning_rate": RecipeSweep(
                    learning_rates=(0.001, 0.003, 0.009), weight_decays=(0.005, 0.05, 0.5)
                )})
                for block in SWEEP.train
            )
        }
    )  # fmt: skip
    rates = [*GRID, trial(0.003, 90.0, seed=6)]
    with pytest.raises(RequestError, match="trials are still to come"):
        choose_rates(rates, with_decays)
    decays = [trial(0.003, 80.0, decay=0.005), trial(0.003, 95.0, decay=0.5), trial(0.003, 70.0, decay=5.0)]
    second = trial(0.003, 95.0, seed=6, decay=0.5)
    (chosen,) = choose_rates([*rates, *decays, second], with_decays)
    assert (chosen.learning_rate, chosen.weight_decay, chosen.trials) == (0.003, 0.5, 8)


def test_trials_of_what_a_name_stood_for_before_do_not_count() -> None:
    with pytest.raises(RequestError, match="vitbench run sweep"):
        choose_rates([trial(0.003, 90.0, definition="another network")], SWEEP)


def test_trials_with_another_recipe_than_the_sweeps_do_not_count() -> None:
    others = [trial(0.003, 10.0, augmentation="shift"), trial(0.001, 99.0, batch_size=16)]
    (chosen,) = choose_rates([*GRID, trial(0.003, 86.0, seed=6), *others], SWEEP)
    assert (chosen.learning_rate, chosen.validation_top1_pct, chosen.trials) == (0.003, 88.0, 4)


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (GRID, "vit_32px_s: trials are still to come"),
        ([trial(rate, 11.0) for rate in (0.001, 0.003, 0.009)], "vit_32px_s: no trial was above chance; give the"),
        (
            [trial(rate, 20.0 + 8 * step, seed) for step, rate in enumerate(GROWING) for seed in (5, 6)],
            "vit_32px_s: 6.57 is best and at the edge",
        ),
    ],
)
def test_a_sweep_that_chose_nothing_is_refused_with_the_models_name(records: list[Record], why: str) -> None:
    with pytest.raises(RequestError, match=why):
        choose_rates(records, SWEEP)


def test_nothing_to_choose_from_is_an_error() -> None:
    with pytest.raises(RequestError, match="vitbench run sweep"):
        choose_rates([], SWEEP)


def test_the_catalog_holds_what_the_committed_sweep_chose() -> None:
    chosen = choose_rates(read_records(suite_folder(RESULTS, "tune", local=False)).records, load_suite("tune"))
    assert {(rate.model, rate.budget_gflop): rate for rate in chosen} == tuned_rates()


def test_every_rate_in_the_catalog_was_tried_with_three_seeds() -> None:
    assert {rate.seeds for rate in tuned_rates().values()} == {3}


def test_a_written_table_reads_back_the_same(tmp_path: Path) -> None:
    write_tuned_rates(tuned_rates().values(), tmp_path / "tuned.csv")
    lines = (tmp_path / "tuned.csv").read_text().splitlines()
    assert len(lines) == 2 + len(tuned_rates())
