"""The claims in reports: a section for each suite, and one page for all."""

import csv
import io
import re

import pytest
from bench.analyse.claims.verdicts import Evidence, JudgedClaim, Verdict
from bench.report.claims_section import claims_section

from bench.catalog.claims import Claim, Scope
from bench.report.claims_page import claims_page, claims_tables
from bench.report.markdown import render_table
from bench.report.page import write_claims, write_index
from bench.report.sidecar import table_csv

HOSTILE = "<script>alert(1)</script> | *b* [x](javascript:y)\nnew line"


def figure(bearing="for", label="a figure", origin="measured", **more):
    source, ids = ("", ("abc", "def")) if origin == "measured" else ("arXiv 1, Table 2", ())
    return Evidence(label, 1.5, "points", 0.5, 2.5, bearing, origin, source, record_ids=ids, **more)


def judged(measured, published=None, name="made-up", kind="paper", rule="distance_grows"):
    row = Claim(
        name, f"Statement of {name}.", kind, "arXiv 2010.11929v2, Table 6", "from memory", rule, {}, "records",
        Scope(resolution_px=(224.0, float("inf"))),
    )  # fmt: skip
    return JudgedClaim(row, published or Verdict("supported", "So.", (figure(origin="published"),)), measured)


INSIDE = Verdict("contradicted", "Because.", (figure("against"),))
OUTSIDE = Verdict("untestable here", "Perhaps.", (figure(),), "same", "32 px, not 224 px or more")
NOTHING = Verdict("untestable here", "Nothing was measured.")
BESIDE = Verdict("untestable here", "Counts alone.", (figure("context"),))


def cells(section):
    return [[cell.text for cell in row] for row in section.table.rows]


def test_a_suites_section_holds_the_claims_that_its_records_bear_on_and_counts_the_others():
    section = claims_section([judged(INSIDE, name="a"), judged(NOTHING, name="b"), judged(BESIDE, name="c")])
    assert [row[0] for row in cells(section)] == ["Statement of a."]
    assert "On 2 more claims these records say nothing." in section.below
    assert "(../claims.md)" in section.below


def test_a_suite_without_a_word_on_any_claim_has_no_section():
    assert claims_section([judged(NOTHING)]).table is None


def test_outside_the_scope_the_analogue_stands_with_a_footnote_that_says_where():
    table = claims_section([judged(OUTSIDE)]).table
    assert table.rows[0][2].text == "untestable here; analogue: same"
    assert table.notes == ("outside the claim's scope: 32 px, not 224 px or more",)
    assert table.rows[0][2].mark == 1


def test_every_figure_leads_to_records_or_to_a_publication():
    for table in (*claims_tables([judged(OUTSIDE), judged(INSIDE, name="b")]), claims_section([judged(INSIDE)]).table):
        for line in csv.DictReader(io.StringIO(table_csv(table))):
            if any(letter.isdigit() for letter in line["shown"]):
                assert line["record_ids"] or line["source"], line


def test_the_evidence_file_holds_unrounded_numbers_and_both_ends():
    [evidence] = [table for table in claims_tables([judged(INSIDE)]) if table.name == "claims_evidence"]
    lines = list(csv.DictReader(io.StringIO(table_csv(evidence))))
    measured = next(line for line in lines if ", measured: " in line["row"] and line["column"] == "Value")
    assert (measured["value"], measured["more"], measured["record_ids"]) == ("1.5", "low=0.5 high=2.5", "abc def")


def test_the_page_tells_each_claim_with_both_verdicts_and_their_reasons():
    page = claims_page([judged(OUTSIDE), judged(NOTHING, name="b")], ["desk"], "vitbench report")
    assert "**Published numbers:** 2 supported. **Measured here:** 2 untestable here." in page
    assert "## Statement of made-up." in page
    assert "**Measured here: untestable here; analogue: same.** Perhaps. Outside the scope: 32 px" in page
    assert "Scope: 224 px or more." in page
    assert "<summary>2 figures</summary>" in page
    assert page.count("<details>") == page.count("</details>") == 2


def test_a_claim_that_no_suite_can_decide_says_so():
    told = "Would be decided by records; no suite here can decide this."
    assert told in claims_page([judged(NOTHING, rule="figure_only")], ["desk"], "vitbench report")
    assert told not in claims_page([judged(NOTHING)], ["desk"], "vitbench report")


def test_names_that_users_gave_stay_text():
    hostile = Verdict("supported", f"Reason {HOSTILE}.", (figure(label=HOSTILE, suite=HOSTILE),), "same", HOSTILE)
    page = claims_page([judged(hostile)], [HOSTILE], "vitbench report")
    shown = page + render_table(claims_section([judged(hostile)]).table)
    assert "<script>" not in shown
    assert not re.search(r"(?<!\\)\]\(javascript:", shown)
    assert not any(line.startswith("new line") for line in shown.splitlines())


@pytest.mark.parametrize("times", [1, 2])
def test_the_page_lies_with_its_tables_and_the_index_leads_to_it(tmp_path, times):
    for _ in range(times):
        path = write_claims(tmp_path, [judged(OUTSIDE)], ["desk"], rebuild_command="vitbench report")
    assert path == tmp_path / "claims.md"
    assert sorted(one.name for one in (tmp_path / "tables").iterdir()) == ["claims.csv", "claims_evidence.csv"]
    assert "(claims.md)" in write_index(tmp_path).read_text(encoding="utf-8")


def test_an_index_without_the_page_does_not_lead_to_it(tmp_path):
    assert "claims.md" not in write_index(tmp_path).read_text(encoding="utf-8")
