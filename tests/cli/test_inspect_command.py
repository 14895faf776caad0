"""`vitbench inspect` as a user types it: pages, stored arrays, one-line errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from bench.cli import main
from bench.store.inspections import read_inspections


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def vitbench(monkeypatch: pytest.MonkeyPatch):
    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["vitbench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(str(ended.value.code))

    return run


def test_a_page_and_its_arrays_lie_in_the_folder_asked_for(vitbench, capsys, tmp_path: Path) -> None:
    assert vitbench("inspect", "vit_32px_s", "-o", "out", "--with", "resnet_32px_s") == 0
    text = (tmp_path / "out" / "inspect.md").read_text(encoding="utf-8")
    assert "# What ViT S and ResNet S see" in text
    assert "vitbench inspect vit_32px_s -o out --with resnet_32px_s" in text
    stored = read_inspections(tmp_path / "out").inspections
    assert [(one.facts.model, one.facts.picture.name) for one in stored] == [
        ("vit_32px_s", "china"),
        ("vit_32px_s", "flower"),
        ("resnet_32px_s", "china"),
        ("resnet_32px_s", "flower"),
    ]
    assert stored[0].facts.conditions["torch"]
    assert "no attention: A CNN has no attention." in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


def test_without_a_folder_arrays_and_page_go_where_a_users_own_things_go(vitbench, tmp_path: Path) -> None:
    assert vitbench("inspect", "vit_32px_s", "flower") == 0
    assert len(read_inspections(tmp_path / "results" / "local" / "inspect").inspections) == 1
    assert (tmp_path / "reports" / "local" / "inspect" / "vit_32px_s" / "inspect.md").is_file()


def test_json_has_the_facts_and_nothing_else_is_printed(vitbench, capsys, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    assert vitbench("inspect", "vit_32px_s", "red.png", "-o", "out", "--json") == 0
    [facts] = json.loads(capsys.readouterr().out)
    assert facts["picture"]["name"] == "red.png"
    assert facts["weights"] == {"kind": "random", "sha256": None, "seed": 0, "cell_id": None}


def test_weights_and_images_of_a_suite_lead_to_a_section_of_its_report(vitbench, capsys, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(
        'question = "What is learned?"\n[[train]]\nmodels = ["vit_32px_s"]\ndatasets = ["digits"]\n'
        "budgets_gflop = [2]\nseeds = [0]\nlearning_rate = 0.001\n"
    )
    assert vitbench("run", "tiny.toml", "--keep-weights", "--workers", "1") == 0
    arguments = ("--weights", "trained:digits", "--dataset", "digits", "--index", "5", "--suite", "tiny")
    assert vitbench("inspect", "vit_32px_s", *arguments) == 0
    [stored] = read_inspections(tmp_path / "results" / "local" / "tiny").inspections
    assert stored.facts.weights.kind == "file"
    assert stored.facts.target_name is not None  # the file says what its classes are called
    assert vitbench("report", "tiny") == 0
    report = tmp_path / "reports" / "local" / "tiny"
    assert "## What the models see" in (report / "report.md").read_text(encoding="utf-8")
    capsys.readouterr()
    assert vitbench("explain", str(report), "inspections:ViT S:Images") == 0
    shown = capsys.readouterr().out
    assert f"{stored.facts.inspection_id}.json" in shown
    assert str(stored.facts.weights.cell_id) in shown  # and the training's record


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vit_32px_z",), "Unknown model 'vit_32px_z'"),
        (("vit_32px_s", "nowhere.jpg"), "Image 'nowhere.jpg' is not there"),
        (("vit_32px_s", "notes.txt"), "Image 'notes.txt' cannot be decoded"),
        (("vit_32px_s", "china", "--dataset", "digits"), "exclude one another"),
        (("vit_32px_s", "--dataset", "digts"), "Unknown data set 'digts'"),
        (("vit_32px_s", "--dataset", "digits", "--index", "899"), "has 899 images in its test part"),
        (("vit_32px_s", "--resolution", "30"), "cannot take 30 px images"),
        (("vit_32px_s", "--weights", "public"), "has no public weights"),
        (("vit_32px_s", "--weights", "nice"), "Unknown weights 'nice'"),
        (("vit_32px_s", "--weights", "absent.safetensors"), "are not there"),
        (("vit_32px_s", "--weights", "trained:shapes"), "Name it with --suite"),
        (("vit_32px_s", "--weights", "random", "--weights", "public"), "stands 2 times; models: 1"),
        (("vit_32px_s", "--suite", "pocket"), "No results of suite 'pocket'"),
        (("vit_32px_s", "--data", "a=b"), "Give --dataset too"),
    ],
)
def test_a_wrong_request_is_one_line_and_leaves_nothing(vitbench, capsys, tmp_path: Path, arguments, message) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    assert vitbench("inspect", *arguments, "-o", "out") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
