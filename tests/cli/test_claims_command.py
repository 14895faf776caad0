"""`vitbench claims` as a user types it, over the committed results and over none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Done
from commands import vitbench as run_here

from bench.catalog.claims import claim_rows
from bench.store.files import read_records, stored_suites

ROOT = Path(__file__).resolve().parents[2]


def vitbench(*arguments: object, cwd: Path = ROOT) -> Done:
    return run_here(*arguments, cwd=cwd)


@pytest.fixture(scope="module")
def shipped() -> list[dict]:
    return json.loads(vitbench("claims", "--shipped", "--json").stdout)


def test_json_holds_every_claim_with_both_verdicts(shipped):
    assert [one["id"] for one in shipped] == list(claim_rows())
    words = {"supported", "contradicted", "inconclusive", "undecided"}
    assert all({one["published"]["word"], one["measured"]["word"]} <= words for one in shipped)


def test_measured_figures_name_records_of_the_committed_results(shipped):
    folders = [ROOT / "results" / name for name in stored_suites(ROOT / "results", local=False)]
    known = {record.cell_id for folder in folders for record in read_records(folder).records}
    rows = [row for one in shipped for row in one["measured"]["figures"]]
    assert rows
    for row in rows:
        assert row["record_ids"]
        assert set(row["record_ids"]) <= known


def test_counts_and_timings_of_public_models_decide_claims_and_trainings_of_minutes_do_not(shipped):
    decided = {one["id"] for one in shipped if one["measured"]["word"] != "undecided"}
    by_time = {"efficientnetv2-ahead-in-time", "vits-behind-from-imagenet-alone-in-time"}
    by_time |= {"vits-ahead-from-imagenet-21k-in-time"}
    assert decided == {"attention-quadratic", "attention-cost-barely-starts"} | by_time


def test_a_named_claim_is_told_with_its_figures():
    told = vitbench("claims", "vit-l16-beats-bit-l", "--shipped").stdout
    assert "published: inconclusive" in told
    assert "? ReaL, 90.54 − 90.54: 0.00 points [−0.37, 0.37] [arXiv 2010.11929v2, Table 2]" in told
    assert "measured: undecided, needs JFT-300M" in told


def test_figures_of_the_page_are_explained_by_their_records_and_by_their_publication():
    told = vitbench(
        "explain", "reports", "claims_evidence:attention-cost-barely-starts, measured: largest of 1:Value"
    ).stdout
    assert "unrounded   38.65" in told
    assert told.count("results/speed-desk/") == 1
    told = vitbench("explain", "reports", "claims_evidence:vits-need-jft:Value").stdout
    assert "unrounded   0.24" in told
    assert "published   https://arxiv.org/abs/1912.11370" in told


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
