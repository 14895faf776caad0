"""`vitbench datasets` and the data set rows of `doctor`: embedded and catalogued sets together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app

REQUIRED = {
    "name",
    "title",
    "group",
    "num_classes",
    "train_images",
    "validation_images",
    "test_images",
    "metric",
    "licence",
    "source",
    "how_to_get",
    "caution",
    "here",
}


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_json_holds_one_object_a_set_with_the_same_facts_for_each() -> None:
    rows = json.loads(invoke("datasets", "--json"))
    assert [row["group"] for row in rows[:6]] == ["embedded"] * 6
    assert len(rows) == 6 + 5 + 19 + 1 + 4
    assert all(row.keys() >= REQUIRED for row in rows)


def test_a_local_copy_is_seen(tmp_path: Path) -> None:
    def here() -> dict[str, bool]:
        return {row["name"]: row["here"] for row in json.loads(invoke("datasets", "--json", "digits", "imagenet"))}

    assert here() == {"digits": True, "imagenet": False}
    (tmp_path / "data" / "imagenet" / "val").mkdir(parents=True)
    assert here() == {"digits": True, "imagenet": True}


def test_the_table_has_a_line_a_set() -> None:
    lines = invoke("datasets").splitlines()
    flowers = next(line for line in lines if line.startswith("flowers102"))
    assert flowers.split()[:8] == ["flowers102", "paper", "102", "918", "102", "6149", "top1", "no"]


def test_a_named_set_says_how_to_get_it_and_how_sure_it_is(tmp_path: Path) -> None:
    text = invoke("datasets", "vtab_kitti_distance")
    assert f"Folder: {tmp_path / 'data' / 'kitti'}, or --data vtab_kitti_distance=PATH" in text
    assert "mapping/train_rand.txt" in text
    assert "How sure:" in text


def test_a_group_stands_for_its_sets() -> None:
    names = [row["name"] for row in json.loads(invoke("datasets", "@paper", "--json"))]
    assert names == ["imagenet", "cifar10", "cifar100", "pets", "flowers102"]


def test_doctor_says_which_sets_are_not_here() -> None:
    sets = json.loads(invoke("doctor", "--json"))["data set"]
    assert sets["digits"] == ["yes", None]
    assert sets["vtab_svhn"] == ["no", "vitbench datasets vtab_svhn"]
    assert sets["mnist"] == ["no", "vitbench data check mnist --download"]
