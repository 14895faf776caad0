"""`vitbench claims` as a user types it, over the committed results and over none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench.analyse.claims.verdicts import judged_from_json, judged_json

from bench.catalog.claims import claim_rows
from bench.store.files import read_records, stored_suites
from bench.store.inspections import read_inspections

ROOT = Path(__file__).resolve().parents[2]


def vitbench(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def shipped() -> list[dict]:
    return json.loads(vitbench("claims", "--shipped", "--json").stdout)


def test_json_holds_every_claim_and_reads_back(shipped):
    assert [one["claim"]["id"] for one in shipped] == list(claim_rows())
    assert judged_json(judged_from_json(shipped)) == shipped


def test_measured_figures_name_records_of_the_committed_results(shipped):
    folders = [ROOT / "results" / name for name in stored_suites(ROOT / "results", local=False)]
    known = {record.cell_id for folder in folders for record in read_records(folder).records}
    known |= {one.facts.inspection_id for folder in folders for one in read_inspections(folder).inspections}
    rows = [row for one in shipped for row in one["measured"]["evidence"]]
    assert rows
    for row in rows:
        assert row["record_ids"]
        assert set(row["record_ids"]) <= known


def test_trainings_of_minutes_on_generated_images_decide_no_claim_of_the_paper(shipped):
    decided = {one["claim"]["id"] for one in shipped if one["measured"]["word"] != "untestable here"}
    assert decided == {"attention-quadratic", "attention-cost-barely-starts"}  # which counts decide


def test_a_named_claim_is_told_with_its_figures():
    told = vitbench("claims", "vit-l16-beats-bit-l", "--shipped").stdout
    assert "published: inconclusive" in told
    assert "? ViT-L/16 − BiT-L ResNet152x4, ImageNet ReaL: 0.00 points [arXiv 2010.11929v2, Table 2]" in told


def test_a_figure_of_the_page_is_explained_from_the_suite_that_measured_it():
    place = "claims_evidence:vits-save-memory, measured: largest batch of ViT M @32:Value"
    told = vitbench("explain", "reports", place).stdout
    assert "unrounded   0.675" in told
    assert told.count("results/speed-desk/") == 2


def test_the_readme_counts_the_claims():
    assert f"judges {len(claim_rows())} statements" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_without_records_the_published_verdicts_stand_alone(tmp_path):
    ran = vitbench("claims", cwd=tmp_path)
    assert ran.returncode == 0
    assert "No records were read" in ran.stdout
    assert "contradicted" in ran.stdout
    assert not list(tmp_path.iterdir())


def test_an_unknown_claim_gets_the_nearest(tmp_path):
    ran = vitbench("claims", "vits-save-memry", cwd=tmp_path)
    assert ran.returncode == 2
    assert ran.stderr == "Error: Unknown claim 'vits-save-memry'. Did you mean 'vits-save-memory'?\n"
