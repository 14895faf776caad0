"""From a suite file to a Markdown page, on a CPU, in seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.store.files import read_records, suite_folder

ROOT = Path(__file__).resolve().parents[1]


def vitbench(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    vitbench(folder, "run", str(ROOT / "tests" / "two_cells.toml"), "--device", "cpu")
    return folder


def accuracies(folder: Path) -> dict[str, float]:
    records = read_records(suite_folder(folder / "results", "two_cells", local=True)).records
    return {record.cell_id: record.values["top1_pct"] for record in records if record.cell["task"] == "train"}


def test_the_report_names_every_model_and_shows_its_figures(finished: Path) -> None:
    vitbench(finished, "report", "two_cells")
    page = (finished / "reports/local/two_cells/report.md").read_text()
    for model in ("vit_32px_s", "resnet_32px_s"):
        assert model in page
    figures = list((finished / "reports/local/two_cells/figures").glob("*.png"))
    assert figures
    assert all(figure.stat().st_size > 5_000 for figure in figures)
    assert "two_cells" in (finished / "reports/local/README.md").read_text()


def test_a_second_run_gives_identical_accuracies(finished: Path, tmp_path: Path) -> None:
    vitbench(tmp_path, "run", str(ROOT / "tests" / "two_cells.toml"), "--device", "cpu")
    assert accuracies(tmp_path) == accuracies(finished)
    assert len(accuracies(tmp_path)) == 2


def test_running_again_runs_nothing(finished: Path) -> None:
    assert "all 4 cells are in the store" in vitbench(
        finished, "run", str(ROOT / "tests" / "two_cells.toml"), "--device", "cpu"
    )


def test_every_training_keeps_its_predictions(finished: Path) -> None:
    folder = suite_folder(finished / "results", "two_cells", local=True)
    for cell_id in accuracies(finished):
        assert (folder / "predictions" / f"{cell_id}.parquet").exists()
