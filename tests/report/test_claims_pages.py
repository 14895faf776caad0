"""The claims in reports: a section for each suite, and one page for all."""

import csv
import io
import re

import pytest

from bench.analyse.claims.claims import judge_claims
from bench.analyse.claims.verdicts import Figure, JudgedClaim, verdict
from bench.catalog.claims import Claim
from bench.report.report_files import write_claims, write_index
from bench.report.sections.claims_page import claims_page, claims_section, claims_table, evidence_table
from bench.report.tables.sidecar import table_csv
from bench.report.tables.table import render_table

HOSTILE = "<script>alert(1)</script> | *b* [x](javascript:y)\nnew line"
MOST_LINES = 90


def figure(bearing="for", label="a figure", ids=()):
    return Figure(label, 1.5, 0.5, 2.5, "points", bearing, "" if ids else "arXiv 2010.11929v2, Table 2", ids)


def judged(*measured, name="made-up"):
    claim = Claim(name, f"Statement of {name}.", "section 4", "JFT-300M", "A note.")
    return JudgedClaim(claim, verdict([figure()]), verdict(measured))


DECIDED = judged(figure("against", "the records' figure", ("abc", "def")), name="a")


def shown(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_a_row_holds_the_figures_the_verdict_with_its_reason_and_what_records_say():
    assert shown(claims_table([DECIDED, judged()])) == [
        ["Statement of a. (section 4)", "a figure: +1.50 points [0.50, 2.50] (Table 2)",
         "supported: beyond the noise. A note.", "contradicted: the records' figure: +1.50 points [0.50, 2.50]"],
        ["Statement of made-up. (section 4)", "a figure: +1.50 points [0.50, 2.50] (Table 2)",
         "supported: beyond the noise. A note.", "needs JFT-300M"],
    ]  # fmt: skip


def test_a_suites_section_holds_the_claims_that_its_records_bear_on():
    section = claims_section([DECIDED, judged()])
    assert len(section.table.rows) == 1
    assert "(../claims.md)" in section.text
    assert claims_section([judged()]).is_empty


def test_every_figure_leads_to_records_or_to_a_publication():
    for table in (claims_table([DECIDED]), evidence_table([DECIDED])):
        for line in csv.DictReader(io.StringIO(table_csv(table))):
            if any(letter.isdigit() for letter in line["shown"]):
                assert line["record_ids"] or line["source"], line


def test_the_evidence_file_holds_unrounded_numbers_and_both_ends():
    lines = list(csv.DictReader(io.StringIO(table_csv(evidence_table([DECIDED])))))
    measured = next(line for line in lines if ", measured: " in line["row"] and line["column"] == "Value")
    assert (measured["value"], measured["more"], measured["record_ids"]) == ("1.5", "low=0.5 high=2.5", "abc def")


def test_the_page_opens_with_its_counts_and_fits_on_two_screens():
    page = claims_page([DECIDED, judged()], ["desk"], "vitbench report")
    assert page.splitlines()[2] == (
        "**Of 2 claims, published numbers support 2. The records of desk contradict 1 and say nothing of 1.**"
    )
    assert len(claims_page(judge_claims([]), [], "vitbench report").splitlines()) <= MOST_LINES


def test_names_that_users_gave_stay_text():
    hostile = judged(figure(label=HOSTILE, ids=("abc",)))
    page = claims_page([hostile], [HOSTILE], "vitbench report")
    text = page + render_table(claims_section([hostile]).table)
    assert "<script>" not in text
    assert not re.search(r"(?<!\\)\]\(javascript:", text)
    assert not any(line.startswith("new line") for line in text.splitlines())


@pytest.mark.parametrize("times", [1, 2])
def test_the_page_lies_with_its_tables_and_the_index_leads_to_it(tmp_path, times):
    for _ in range(times):
        path = write_claims(tmp_path, [DECIDED], ["desk"], rebuild_command="vitbench report")
    assert path == tmp_path / "claims.md"
    assert sorted(one.name for one in (tmp_path / "tables").iterdir()) == ["claims.csv", "claims_evidence.csv"]
    assert "(claims.md)" in write_index(tmp_path).read_text(encoding="utf-8")


def test_an_index_without_the_page_does_not_lead_to_it(tmp_path):
    assert "claims.md" not in write_index(tmp_path).read_text(encoding="utf-8")
