"""`vitbench export`: the stored records as a file or on standard output."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
from analyse.records import trained
from typer.testing import CliRunner

from bench.cli import app
from bench.store.files import open_run
from bench.store.frame import COLUMNS


def store(folder: Path) -> Path:
    for suite in ("one", "two"):
        with open_run(folder, suite, "m1", local=True) as writer:
            writer.append(trained("vit_32px_s", 0, 80.0).model_copy(update={"suite": suite}))
    return folder


def export(*words: str) -> str:
    return CliRunner().invoke(app, ["export", *words], catch_exceptions=False).stdout


def test_csv_is_written_to_standard_output(tmp_path: Path) -> None:
    frame = pd.read_csv(io.StringIO(export("two", "--results", str(store(tmp_path)))))
    assert list(frame.columns) == list(COLUMNS)
    assert (frame["suite"].tolist(), frame["top1_pct"].tolist()) == (["two"], [80.0])


def test_parquet_is_written_to_a_file_with_its_dtypes(tmp_path: Path) -> None:
    out = tmp_path / "records.parquet"
    export("--results", str(store(tmp_path)), "--format", "parquet", "--out", str(out))
    frame = pd.read_parquet(out)
    assert frame["suite"].tolist() == ["one", "two"]
    assert str(frame["seed"].dtype) == "Int64"
