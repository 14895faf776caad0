"""From a suite that pretrains to a page: generated images, sweeps, transfers, controls, and what the page says."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bench.store.files import read_records, suite_folder
from bench.store.record import Record

ROOT = Path(__file__).resolve().parents[1]

SUITE = """
question = "Does any of it arrive?"

[settings]
memory_format = "channels_last"

[pretraining]
batch_size = 16
grad_clip_norm = 1.0
augmentation = "light"
looks = 2

[[pretrain]]
models = ["vit_32px_s", "resnet_32px_s"]
datasets = ["mix-64"]
train_images = [256]
resolution_px = 32
budgets_images = [64, 256]
seeds = [0, 1]
learning_rate = { learning_rates = [0.001, 0.004] }

[[pretrain]]
models = ["resnet_32px_s"]
datasets = ["mix-64"]
train_images = [64]
resolution_px = 32
budgets_images = [256]
seeds = [0, 1]
learning_rate = "swept"

[[finetune]]
models = ["vit_32px_s", "resnet_32px_s"]
datasets = ["digits"]
weights = ["pretrained:full", "random"]
resolution_px = 32
train_images = 100
batch_size = 16
steps = 4
learning_rates = [0.03, 0.1]
seeds = [0, 1]
crop = false
flip = false

[[fewshot]]
models = ["vit_32px_s", "resnet_32px_s"]
datasets = ["digits"]
weights = ["pretrained", "random"]
shots = [2]
draws = 2
resolution_px = 32

[[pixels]]
datasets = ["digits"]
train_images = 100
seeds = [0, 1]
"""


def vitbench(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "VITBENCH_CACHE": str(cwd / "cache")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the suite ran, and its report was written."""
    folder = tmp_path_factory.mktemp("pretraining")
    (folder / "study.toml").write_text(SUITE)
    for arguments in (("run", "study.toml", "--device", "cpu"), ("report", "study")):
        done = vitbench(*arguments, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def records(place: Path) -> list[Record]:
    return list(read_records(suite_folder(place / "results", "study", local=True)).records)


def of(records: list[Record], task: str, **cell: object) -> list[Record]:
    return [r for r in records if r.cell["task"] == task and all(r.cell[key] == value for key, value in cell.items())]


def test_everything_that_was_asked_for_ended(records: list[Record]) -> None:
    assert {record.status for record in records} == {"ok"}
    # 2 models x (2 ends x 2 rates + the other seed at both budgets), and 2 seeds of the smaller set
    assert len(of(records, "pretrain")) == 2 * (4 + 2) + 2
    finals = of(records, "finetune", scored_part="test")
    assert len([r for r in finals if r.cell["weights"] != "random"]) == 2 * 2 * 2
    assert len([r for r in finals if r.cell["weights"] == "random"]) == 2 * 2
    assert len(of(records, "fewshot")) == 2 * 2 * 2 + 2 + 2
    assert len(of(records, "pixels")) == 2


def test_transfers_start_from_weights_that_a_pretraining_ended_with(records: list[Record]) -> None:
    made = {r.values["weights_sha256"]: r for r in of(records, "pretrain")}
    for record in (*of(records, "finetune"), *of(records, "fewshot")):
        weights = record.cell["weights"]
        if weights != "random":
            origin = made[weights]
            assert origin.cell["model"] == record.cell["model"]
            if record.cell["task"] == "finetune":
                assert origin.cell["seed"] == record.cell["seed"]
                assert record.values["initial_weights_sha256"] == weights.removeprefix("sha256 ")


def test_fine_tuning_sees_as_many_images_as_it_was_allowed(records: list[Record]) -> None:
    for record in of(records, "finetune"):
        assert record.values["train_images"] == (100 if record.cell["scored_part"] == "test" else 80)


def test_what_a_pretraining_cost_is_in_its_record(records: list[Record]) -> None:
    for record in of(records, "pretrain"):
        values = record.values
        assert values["images_seen"] == record.cell["budget"]["amount"]
        assert values["train_flop"] == 6 * values["macs"] * values["images_seen"]
        assert values["train_flop_ratio"] == pytest.approx(1.0, abs=0.01)
        assert values["train_seconds"] > 0


def test_the_page_shows_compute_images_controls_and_the_paper(place: Path) -> None:
    folder = place / "reports" / "local" / "study"
    text = (folder / "report.md").read_text()
    figures = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {"finetuned_vs_pretraining", "2_shot_vs_pretraining", "2_shot_vs_pretraining_images"} <= figures
    assert "on 256 images of generated fractals and rings (64 classes), fine-tuned, 2 seeds" in text
    for words in (
        "Models of one size along pretraining compute",
        "What pretraining added",
        "Set by set: fine-tuned",
        "random features",
        "on pixels",
    ):
        assert words in text
    ids = {record.cell_id for record in read_records(suite_folder(place / "results", "study", local=True)).records}
    with open(folder / "tables" / "pretraining.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    assert any(cell_id in json.dumps(row) for row in rows for cell_id in ids)


def test_the_same_command_finds_everything_done(place: Path) -> None:
    again = vitbench("run", "study.toml", "--device", "cpu", cwd=place)
    assert again.returncode == 0
    assert "are in the store" in again.stdout


def test_a_plan_says_what_it_costs_at_a_measured_pace(place: Path) -> None:
    (place / "one.toml").write_text(
        'question = "How long?"\n[[pretrain]]\nmodels = ["vit_32px_s"]\ndatasets = ["rings-64"]\ntrain_images = [64]\n'
        "resolution_px = 32\nbudgets_images = [1000000]\nseeds = [0]\nlearning_rate = 0.001\n"
    )
    listed = vitbench("plan", "one.toml", "--measure", "--json", "--device", "cpu", cwd=place)
    assert listed.returncode == 0, listed.stderr
    (cell,) = json.loads(listed.stdout)
    assert cell["exaflop"] == pytest.approx(6 * 1.644e6 * 1e6 / 1e18, rel=0.02)
    rate = 1_000_000 / (cell["device_hours"] * 3600)
    assert 100 < rate < 100_000, "images a second on one core"


def test_pictures_of_ones_own_can_be_pretrained_on(place: Path) -> None:
    for i in range(40):
        file = place / "own" / ("a" if i % 2 else "b") / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (50, 40), (200 * (i % 2), 5 * i, 90)).save(file)
    (place / "own.toml").write_text(
        'question = "Mine?"\n[pretraining]\nbatch_size = 8\naugmentation = "strong"\n'
        '[[pretrain]]\nmodels = ["resnet_32px_s"]\ndatasets = ["@given"]\ntrain_images = [20]\nresolution_px = 32\n'
        "budgets_images = [32]\nseeds = [0]\nlearning_rate = 0.001\n"
        '[[fewshot]]\nmodels = ["resnet_32px_s"]\ndatasets = ["digits"]\nweights = ["pretrained"]\nshots = [2]\n'
        "draws = 2\nresolution_px = 32\n"
    )
    done = vitbench("run", "own.toml", "--device", "cpu", "--data", "own=own", cwd=place)
    assert done.returncode == 0, done.stderr
    found = read_records(suite_folder(place / "results", "own", local=True)).records
    (run,) = [record for record in found if record.cell["task"] == "pretrain"]
    assert (run.cell["num_classes"], run.values["train_images"]) == (2, 20)
    assert {record.status for record in found} == {"ok"}


def test_what_is_trained_or_pretrained_without_its_data_is_planned_and_skipped(place: Path) -> None:
    (place / "absent.toml").write_text(
        'question = "Where?"\n[pretraining]\nbatch_size = 64\n[[pretrain]]\nmodels = ["vit_32px_s"]\n'
        'datasets = ["imagenet21k"]\nbudgets_images = [64]\nresolution_px = 32\nseeds = [0]\nlearning_rate = 0.001\n'
        '[[train]]\nmodels = ["vit_32px_s"]\ndatasets = ["kmnist"]\nbudgets_gflop = [1]\nseeds = [0]\n'
        '[[finetune]]\nmodels = ["vit_32px_s"]\ndatasets = ["digits"]\nweights = ["trained:kmnist", "pretrained"]\n'
    )
    done = vitbench("run", "absent.toml", "--device", "cpu", cwd=place)
    assert done.returncode == 0, done.stderr
    records = read_records(suite_folder(place / "results", "absent", local=True)).records
    found = {record.cell["dataset"]: record for record in records}
    assert {record.status for record in records} == {"skipped"}
    assert "Register at image-net.org" in (found["imagenet21k"].reason or "")
    assert "`vitbench data check kmnist --download`" in (found["kmnist"].reason or "")
    assert done.stderr.count("Not here: the images of 'kmnist', so ") == 1
    tasks = sorted(record.cell["task"] for record in records)
    assert tasks == ["pixels", "pretrain", "train"], "what starts from them is not planned"


@pytest.mark.slow
def test_the_study_for_a_gpu_runs_in_small_on_a_cpu(tmp_path: Path) -> None:
    """Every block and model of `pretrain-gpu` with a tenth of the seconds, images, batch and steps, one seed, 32 px.

    Two of the transfer sets. At 64 px the looks at the validation part alone would take two cores an hour.
    """
    text = (ROOT / "bench" / "suite" / "builtin" / "pretrain-gpu.toml").read_text()
    for old, new in (
        ('precision = "bf16"', 'precision = "fp32"'),
        ("batch_size = 256", "batch_size = 25"),
        ("looks = 2", "looks = 1"),
        ("train_images = [262144]", "train_images = [26214]"),
        ("train_images = [8192, 32768, 131072]", "train_images = [819, 3276, 13107]"),
        ("budgets_device_s = [0.7, 2.2, 6.6, 20]", "budgets_device_s = [0.07, 0.22, 0.66, 2.0]"),
        ("budgets_device_s = [6.6]", "budgets_device_s = [0.66]"),
        ("seeds = [0, 1, 2]", "seeds = [0]"),
        ("steps = 60", "steps = 6"),
        ('datasets = ["digits", "unseen", "textures", "counts", "tilts"]', 'datasets = ["digits", "unseen"]'),
        ("train_images = 800", "train_images = 80"),
        ("resolution_px = 64", "resolution_px = 32"),
        ("resolution_px = [64]", "resolution_px = [32]"),
    ):
        assert old in text, f"the suite has changed: {old}"
        text = text.replace(old, new)
    (tmp_path / "small.toml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "bench", "run", "small.toml", "--device", "cpu"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "VITBENCH_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    records = list(read_records(suite_folder(tmp_path / "results", "small", local=True)).records)
    assert {record.status for record in records} == {"ok"}
    runs = of(records, "pretrain")
    assert len({record.cell["model"] for record in runs}) == 8
    assert {record.cell["budget"]["unit"] for record in runs} == {"device_s"}
    assert vitbench("report", "small", cwd=tmp_path).returncode == 0
    assert (tmp_path / "reports" / "local" / "small" / "figures" / "finetuned_vs_pretraining.png").exists()
