"""From a folder of pictures to a page: the look at them, training, evaluation, few-shot and fine-tuning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from bench.data.generated.embedded import load_dataset
from bench.store.files import predictions_path, read_records, suite_folder
from bench.store.record import Record

ROOT = Path(__file__).resolve().parents[1]

SUITE = """
question = "Which is better on my pictures?"

[[train]]
models = ["resnet_32px_s"]
datasets = ["mine"]
budgets_gflop = [2]
seeds = [0]
learning_rate = 0.002

[[evaluate]]
models = ["resnet_32px_s"]
datasets = ["mine"]
weights = ["trained:mine"]
"""
ADAPT = """
[[fewshot]]
models = ["resnet_32px_s"]
datasets = ["mine"]
weights = ["trained:mine", "random"]
shots = [1, 5]
resolution_px = 32

[[finetune]]
models = ["resnet_32px_s"]
datasets = ["mine"]
weights = ["trained:mine", "random"]
learning_rates = [0.01, 0.03]
steps = 8
batch_size = 16
resolution_px = 32
seeds = [0]
"""
# 11 test pictures: no multiple of 2 or 3
SIZES = {"train": 24, "val": 6, "test": 11}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `pictures/<split>/<class>/*.jpg` and a suite."""
    folder = tmp_path_factory.mktemp("mine")
    shapes = load_dataset("shapes").train
    taken = 0
    for split, count in SIZES.items():
        for number in range(count):
            label = shapes.labels[taken] % 3
            path = folder / "pictures" / split / f"class{label}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(shapes.images[taken]).resize((48, 40)).save(path)
            taken += 1
    (folder / "mine.toml").write_text(SUITE)
    (folder / "adapt.toml").write_text(SUITE + ADAPT)
    return folder


def vitbench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "VITBENCH_CACHE": str(cwd / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
    )


def records_of(place: Path, suite: str, task: str, results: str = "results") -> list[Record]:
    stored = read_records(suite_folder(place / results, suite, local=True)).records
    return [record for record in stored if record.cell["task"] == task]


def test_a_folder_of_pictures_goes_through_every_protocol_to_a_page(place: Path) -> None:
    done = vitbench(
        "run", "adapt.toml", "--device", "cpu", "--data", "mine=pictures", "--checkpoint-minutes", "0.001", cwd=place
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list((place / "cache" / "checkpoints").glob("*/*"))  # their records are safe

    (look,) = records_of(place, "adapt", "preflight")
    assert (look.values["images"], look.values["bad"]) == (41, [])
    (evaluation,) = records_of(place, "adapt", "evaluate")
    (training,) = records_of(place, "adapt", "train")
    assert evaluation.cell["weights"] == training.values["weights_sha256"]
    # the same weights on the same pictures; only how they were shrunk to 32 px may differ
    assert evaluation.values["images"] == 11
    assert {record.cell["weights"] for record in records_of(place, "adapt", "fewshot")} == {
        training.values["weights_sha256"],
        "random",
    }
    finetunings = records_of(place, "adapt", "finetune")
    assert sorted(record.cell["scored_part"] for record in finetunings) == ["test"] * 2 + ["validation"] * 4
    for final in (record for record in finetunings if record.cell["scored_part"] == "test"):
        assert final.values["train_images"] == 30  # train and validation together
        trials = [r for r in finetunings if r.cell["scored_part"] == "validation"
                  and r.cell["weights"] == final.cell["weights"]]  # fmt: skip
        best = max(trials, key=lambda r: (r.values["top1_pct"], -r.cell["recipe"]["learning_rate"]))
        assert final.cell["recipe"] == best.cell["recipe"]

    again = vitbench("run", "adapt.toml", "--device", "cpu", "--data", "mine=pictures", cwd=place)
    assert "cells are in the store" in again.stdout, again.stdout + again.stderr

    written = vitbench("report", "adapt.toml", cwd=place)
    assert written.returncode == 0, written.stderr
    page = (place / "reports" / "local" / "adapt" / "report.md").read_text()
    assert "41" in page
    assert "mine" in page


@pytest.mark.slow
def test_counts_are_the_same_on_one_two_and_three_processes(place: Path) -> None:
    seen = []
    for processes in (1, 2, 3):
        results = f"results{processes}"
        done = vitbench(
            "run", "mine.toml", "--device", "cpu", "--data", "mine=pictures", "--results", results,
            "--processes", str(processes), cwd=place,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        (record,) = records_of(place, "mine", "evaluate", results)
        assert (record.values["processes"], record.values["images"]) == (processes, 11)
        table = pd.read_parquet(predictions_path(suite_folder(place / results, "mine", local=True), record.cell_id))
        assert table["key"].is_unique
        seen.append((record.values["correct_top1"], table["key"].tolist(), table["prediction"].tolist()))
    assert seen[0] == seen[1] == seen[2]
