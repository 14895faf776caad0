"""All records as one frame: a row each, with the columns, dtypes and words that are documented."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from analyse.records import counted, finetuned, record, timed, trained

import bench
from bench.errors import StoreError
from bench.store.files import open_run
from bench.store.frame import COLUMNS, tidy_frame

ROOT = Path(__file__).resolve().parents[2]


def test_each_record_is_a_row_failed_ones_too_in_their_order() -> None:
    failed = trained("vit_32px_s", 1, 0.0, status="failed", reason="NaN")
    frame = tidy_frame([trained("vit_32px_s", 0, 80.0), failed, timed("resnet_32px_s", 0, 100.0)])
    assert frame["task"].tolist() == ["train", "train", "speed"]
    assert frame["status"].tolist() == ["ok", "failed", "ok"]
    assert frame["reason"].tolist() == [pd.NA, "NaN", pd.NA]
    assert frame["top1_pct"].tolist()[0] == 80.0
    assert frame["throughput_img_per_s"].tolist()[2] == 100.0


@pytest.mark.parametrize("records", [[], [counted("resnet50", 10), finetuned("resnet50", 0, 90.0)]])
def test_columns_and_dtypes_are_the_documented_ones(records: list[object]) -> None:
    frame = tidy_frame(records)  # type: ignore[arg-type]
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        name: dtype for name, (dtype, _) in COLUMNS.items()
    }


def test_a_record_of_a_task_that_this_version_does_not_know_is_a_row() -> None:
    frame = tidy_frame([record({"task": "dream", "model": "x", "top": [1]}, {"hours": 3})])
    assert (frame["task"][0], frame["model"][0]) == ("dream", "x")


def test_every_column_is_explained_in_the_documentation() -> None:
    text = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")
    for name, (dtype, meaning) in COLUMNS.items():
        assert f"| `{name}` | {dtype} | {meaning} |" in text


def test_folders_of_results_and_of_suites_are_read(tmp_path: Path) -> None:
    for suite, is_local in (("one", False), ("two", True)):
        with open_run(tmp_path, suite, "m1", local=is_local) as writer:
            writer.append(trained("vit_32px_s", 0, 80.0))
            writer.append_summary({"workers": 1})
    assert len(bench.load_records(tmp_path)) == 2
    assert len(bench.load_records(tmp_path / "one", str(tmp_path / "local" / "two"))) == 2


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no results"):
        bench.load_records(tmp_path)
