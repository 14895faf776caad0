"""The command as a user types it: exit codes, one-line errors, nothing written on a wrong request."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import vitbench

ROOT = Path(__file__).resolve().parents[2]
TWO_CELLS = ROOT / "tests" / "two_cells.toml"


def start_vitbench(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_help_answers_in_half_a_second(tmp_path: Path) -> None:
    times = []
    for _ in range(5):
        started = time.perf_counter()
        assert start_vitbench("--help", cwd=tmp_path).returncode == 0
        times.append(time.perf_counter() - started)
    assert min(times) < 0.5


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, bench.cli; print(sorted({'torch', 'timm', 'pandas', 'numpy', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


SUITE = """
question = "Why?"
[[train]]
models = ["vit_32px_s"]
datasets = ["digits"]
budgets_gflop = [1]
seeds = [0]
learning_rate = 0.001
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("vit_32px_s", "vit_32px_x", "Unknown model 'vit_32px_x'"),
        ("digits", "digts", "Unknown data set 'digts'. Did you mean 'digits'"),
        ("seeds", "sedes", "suite.toml:3: train.0.seeds: is missing."),
        ("[1]", '"much"', "budgets_gflop"),
        ("[0]", "[", "is not TOML"),
        (
            "[[train]]",
            '[[speed]]\nmodels = ["resnet18"]\nmetrics = ["speed"]\n[[train]]',
            "suite.toml:5: speed.0.metrics.0: 'speed' is not known",
        ),
        (
            "[[train]]",
            '[[speed]]\nmodels = ["vit_base_patch16_224"]\nmetrics = ["latency"]\nresolution_px = [100]\n[[train]]',
            "16",  # which sizes it can take
        ),
    ],
)
def test_a_wrong_suite_is_one_line_exit_two_and_nothing_written(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    (tmp_path / "suite.toml").write_text(SUITE.replace(old, new))

    result = vitbench("run", "suite.toml", cwd=tmp_path)

    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["suite.toml"]


SIZES = """
question = "Why?"
[[speed]]
models = ["vit_32px_s"]
metrics = ["latency"]
resolution_px = [32, 50]
processes = 1
"""


@pytest.mark.parametrize(("sizes", "code"), [("[32, 50]", 0), ("[50]", 2)])
def test_of_several_sizes_one_that_a_model_cannot_take_stops_no_run(tmp_path: Path, sizes: str, code: int) -> None:
    (tmp_path / "suite.toml").write_text(SIZES.replace("[32, 50]", sizes))
    result = vitbench("run", "suite.toml", "--dry-run", cwd=tmp_path)
    assert result.returncode == code
    assert ("multiples of 8" in result.stderr) == (code == 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "poket"], "Unknown suite 'poket'"),
        (["complexity", "resnet5O"], "Unknown model 'resnet5O'"),
        (["complexity"], "Give model names, or --all."),
        (["report"], "No results under 'results'"),
        (["report", "pocket"], "No results of suite 'pocket'"),
        (["run", "pocket", "--data", "mine"], "is not NAME=PLACE"),
        (["run", "pocket", "--data", "mine=nowhere"], "'nowhere' does not exist"),
        (["models", "resnot"], "Unknown model 'resnot'"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_two(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = vitbench(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_process_ends_with_the_commands_exit_code(tmp_path: Path) -> None:
    result = start_vitbench("run", "poket", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("Error: Unknown suite 'poket'")


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    assert "Traceback" in vitbench("--debug", "run", "poket", cwd=tmp_path).stderr


def test_complexity_json_is_a_list_of_objects(tmp_path: Path) -> None:
    result = vitbench("complexity", "vit_32px_s", "resnet18", "--json", cwd=tmp_path)
    rows = json.loads(result.stdout)
    assert [(row["model"], row["resolution_px"], row["certificate"]) for row in rows] == [
        ("vit_32px_s", 32, "ok"),
        ("resnet18", 224, "ok"),
    ]
    assert rows[1]["flops"] == 2 * rows[1]["macs"] == 2 * 1814073344
    assert {"params", "activations"} <= rows[0].keys()


def test_models_of_a_family_are_listed(tmp_path: Path) -> None:
    rows = json.loads(vitbench("models", "--family", "hybrid", "--json", cwd=tmp_path).stdout)
    assert rows
    assert {row["family"] for row in rows} == {"hybrid"}


def test_doctor_says_what_is_missing_and_what_it_needs(tmp_path: Path) -> None:
    facts = json.loads(vitbench("doctor", "--json", cwd=tmp_path, CUDA_VISIBLE_DEVICES="").stdout)
    state, need = facts["device"]["cuda"]
    assert state == "no"
    assert need


def test_a_plan_prints_every_cell_and_writes_nothing(tmp_path: Path) -> None:
    result = vitbench("run", TWO_CELLS, "--dry-run", cwd=tmp_path)
    assert result.returncode == 0
    assert "train vit_32px_s on 100 digits images" in result.stdout
    assert "4 cells" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "pocket", "--nope"],
        ["run", "pocket", "--device", "tpu"],
        ["run", "pocket", "--processes", "0"],
        ["run", "pocket", "--micro-batch", "x"],
        ["plan", "pocket", "--data"],
        ["data", "check"],
    ],
)
def test_a_wrong_option_is_explained_without_a_traceback(tmp_path: Path, arguments: list[str]) -> None:
    result = vitbench(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "Error" in result.stderr


def test_an_unknown_data_set_says_how_to_name_ones_own(tmp_path: Path) -> None:
    suite = "question = 'Mine?'\n[[fewshot]]\nmodels = ['resnet_32px_s']\ndatasets = ['mine']\nweights = ['random']\n"
    (tmp_path / "mine.toml").write_text(suite)
    result = vitbench("run", "mine.toml", cwd=tmp_path)
    assert result.returncode == 2
    assert "Unknown data set 'mine'" in result.stderr
    assert "--data NAME=PLACE" in result.stderr


def test_a_plan_without_the_images_says_what_is_absent_and_counts_nothing_for_it(tmp_path: Path) -> None:
    suite = "question = 'How good?'\n[[evaluate]]\nmodels = ['resnet50.a1_in1k', 'vit_tiny_patch16_224']\n"
    (tmp_path / "public.toml").write_text(suite)
    result = vitbench("plan", "public.toml", cwd=tmp_path, VITBENCH_DATA=str(tmp_path))
    assert result.returncode == 0
    assert "Not here: the images of 'imagenet', so 2 cells would be skipped. Register at image-net.org" in result.stdout
    assert "Public weights of 2 models are needed" in result.stdout


def test_plan_run_and_report_say_which_set_stands_in_for_one_that_is_not_here(tmp_path: Path) -> None:
    text = "question = 'Why?'\n[[train]]\nmodels = ['vit_32px_s']\ndatasets = [['kmnist', 'digits']]\n"
    text += "budgets_gflop = [1]\nseeds = [0]\n"
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    told = "'digits' stands in for 'kmnist', whose images were not found. "
    plan, run, _ = (
        vitbench(verb, "mine.toml", cwd=tmp_path, VITBENCH_DATA=str(tmp_path)) for verb in ("plan", "run", "report")
    )
    assert told in plan.stdout
    assert f"Warning: {told}" in run.stderr
    page = (tmp_path / "reports/local/mine/report.md").read_text(encoding="utf-8")
    assert told in page.split("## What failed or was left out, and why")[1]


def test_a_plan_takes_stored_results_into_account(tmp_path: Path) -> None:
    assert vitbench("run", TWO_CELLS, "--results", "kept", cwd=tmp_path).returncode == 0
    fresh = vitbench("plan", TWO_CELLS, cwd=tmp_path)
    known = vitbench("plan", TWO_CELLS, "--results", "kept", cwd=tmp_path)
    assert "in the store" not in fresh.stdout
    assert "4 of these cells have a record in the store." in known.stdout
