"""The committed page of the claims: rebuilt byte for byte, and every number leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from bench.analyse.claims.claims import judge_claims
from bench.analyse.study import study
from bench.report.report_files import write_claims
from bench.report.tables.sidecar import read_sidecars
from bench.store.files import read_records, stored_suites
from bench.store.suites import read_suite

ROOT = Path(__file__).resolve().parents[2]
SUITES = sorted(stored_suites(ROOT / "results", local=False))
FILES = ("claims.md", "tables/claims.csv", "tables/claims_evidence.csv")


def test_the_committed_page_is_what_the_committed_results_give(tmp_path: Path) -> None:
    stored = [read_suite([ROOT / "results"], name, local=False) for name in SUITES]
    studies = [study(one.name, one.records, one.predictions) for one in stored if one.records]
    names = [one.suite for one in studies]
    write_claims(tmp_path, judge_claims(studies), names, rebuild_command="vitbench report --shipped")
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (ROOT / "reports" / name).read_bytes(), name


def test_every_number_of_the_page_leads_to_committed_records_or_a_publication() -> None:
    known = {record.cell_id for name in SUITES for record in read_records(ROOT / "results" / name).records}
    for table, entries in read_sidecars(ROOT / "reports").items():
        for entry in entries:
            assert set(entry.record_ids) <= known, (table, entry)
            if re.search(r"\d", entry.shown):
                assert entry.record_ids or entry.source, (table, entry)
