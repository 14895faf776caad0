"""`vitbench explain` over the committed reports and results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import fmean

import pytest
from commands import Done, vitbench

ROOT = Path(__file__).resolve().parents[2]


def explain(*arguments: object, cwd: Path = ROOT) -> Done:
    return vitbench("explain", *arguments, cwd=cwd)


def test_an_accuracy_is_the_mean_of_the_records_that_are_named() -> None:
    result = explain("reports/transfer-desk", "finetune:ViT S after Contours, Counted discs:Top-1 [%]", "--json")
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    values = [record["values"]["top1_pct"] for record in facts["records"]]
    assert len(values) == 3
    assert float(facts["value"]) == pytest.approx(fmean(values))
    for record in facts["records"]:
        line = (ROOT / record["file"]).read_text(encoding="utf-8").splitlines()[record["line"] - 1]
        assert json.loads(line)["cell_id"] == record["cell_id"]


def test_the_text_names_file_line_cell_values_and_conditions() -> None:
    result = explain("reports/speed-desk/report.md", "main:vit m @32:thr")
    assert result.returncode == 0, result.stderr
    assert "ViT M @32 (vit_32px_m): Throughput, batch 64 [img/s]" in result.stdout
    assert "from 5 records" in result.stdout
    assert result.stdout.count(".jsonl line ") == 5
    for words in ("  cell\n", "  values\n", "  conditions\n", "throughput_img_per_s", "cpu_model", "numbers"):
        assert words in result.stdout


def test_a_published_number_names_its_publication() -> None:
    result = explain("reports/paper-compute", "paper_table_6:ViT-B/32:exaFLOP (published)")
    assert result.returncode == 0, result.stderr
    assert "2010.11929" in result.stdout
    assert "No records: it is published." in result.stdout


def test_fewer_parts_list_tables_and_entries() -> None:
    assert "resolutions" in explain("reports/speed-desk").stdout
    rows = explain("reports/speed-desk", "resolutions").stdout
    assert "ViT M" in rows
    assert json.loads(explain("reports/speed-desk", "--json").stdout)["main"]["rows"] == 9


def test_records_that_are_elsewhere_are_asked_for(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "reports" / "speed-desk" / "tables", tmp_path / "reports" / "speed-desk" / "tables")
    result = explain("reports/speed-desk", "main:vit m @32:thr", cwd=tmp_path)
    assert result.returncode == 2
    assert "5 of 5 records are not there" in result.stderr
    assert "--results" in result.stderr
    again = explain("reports/speed-desk", "main:vit m @32:thr", "--results", ROOT / "results", cwd=tmp_path)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reports/nowhere"], "holds no report with tables"),
        (["reports/speed-desk", "mian"], "Did you mean 'main'?"),
        (["reports/speed-desk", "main:vit:thr"], "3 answer to the entry"),
    ],
)
def test_a_wrong_place_is_one_line_and_exit_two(arguments: list[str], message: str) -> None:
    result = explain(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
