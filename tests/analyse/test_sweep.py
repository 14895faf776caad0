"""The learning rates in the catalog are those that the committed sweep chose."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.analyse.sweep import choose_rates
from bench.catalog.tuned import tuned_rates, write_tuned_rates
from bench.errors import RequestError
from bench.store.files import read_records, suite_folder
from bench.store.record import Record

RESULTS = Path(__file__).resolve().parents[2] / "results"


def trial(rate: float, top1: float, status: str = "ok") -> Record:
    return Record(
        suite="tune",
        cell_id=f"{rate:016.6f}",
        cell={
            "task": "train", "model": "m", "dataset": "d", "scored_part": "validation",
            "recipe": {"learning_rate": rate},
        },
        status=status,  # type: ignore[arg-type]
        values={"validation_top1_pct": top1} if status == "ok" else {},
        conditions={},
        started_at="2026-01-01T00:00:00.000+00:00",
        wall_s=0.0,
    )  # fmt: skip


def test_the_best_validation_wins_and_a_tie_goes_to_the_smaller_rate() -> None:
    (chosen,) = choose_rates([trial(0.001, 90.0), trial(0.003, 95.0), trial(0.009, 95.0)])
    assert (chosen.learning_rate, chosen.trials, chosen.at_edge) == (0.003, 3, False)


def test_a_diverged_trial_counts_as_tried() -> None:
    (chosen,) = choose_rates([trial(0.001, 90.0), trial(0.003, 95.0), trial(0.009, 0.0, "failed")])
    assert (chosen.trials, chosen.at_edge) == (3, False)


def test_a_winner_at_the_end_of_the_range_is_marked() -> None:
    (chosen,) = choose_rates([trial(0.001, 90.0), trial(0.003, 95.0)])
    assert chosen.at_edge


def test_nothing_to_choose_from_is_an_error() -> None:
    with pytest.raises(RequestError, match="vitbench run tune"):
        choose_rates([])


def test_the_catalog_holds_what_the_committed_sweep_chose() -> None:
    chosen = choose_rates(read_records(suite_folder(RESULTS, "tune", local=False)).records)
    assert {rate.model: rate for rate in chosen} == tuned_rates()


def test_a_written_table_reads_back_the_same(tmp_path: Path) -> None:
    write_tuned_rates(tuned_rates().values(), tmp_path / "tuned.csv")
    lines = (tmp_path / "tuned.csv").read_text().splitlines()
    assert len(lines) == 2 + len(tuned_rates())
