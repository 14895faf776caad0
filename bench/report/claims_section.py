"""What one suite's records say of the paper's claims: a table of those on which they say anything."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analyse.claims.verdicts import JudgedClaim, Verdict
from bench.analyse.claims.words import named, telling_first
from bench.catalog.claims import Claim
from bench.report.formats import counted
from bench.report.markdown import Cell, Column, Notes, Table, escape
from bench.report.section import Section

_MOST_NAMED = 2  # figures in one row; the page of all claims has the others
PAPER = "arXiv 2010.11929v2"
HEADING = "The paper's claims and these numbers"
_TEXT = (
    "What published numbers and these records say of what the ViT paper and its popular accounts claim. Records "
    "outside a claim's scope support or contradict nothing: they give an *analogue*, what they would say if the scope "
    "did not matter, and the footnote says where they leave it. Several comparisons behind one claim share a level of "
    "95 % (Bonferroni)."
)


def claims_section(judged: Sequence[JudgedClaim]) -> Section:
    """The claims of which this suite's records say something; empty where there are none."""
    told = [one for one in judged if says_something(one.measured)]
    left = len(judged) - len(told)
    pointer = f"On {counted(left, 'more claim')} these records say nothing. " if left else ""
    below = f"{pointer}All claims, with both verdicts and every figure: [claims](../claims.md)."
    return (
        Section(HEADING, _TEXT, claims_table("claims", told, "These records", with_figures=True), below=below)
        if told
        else Section("")
    )


def says_something(verdict: Verdict) -> bool:
    """Whether any figure bears on the claim; what is shown beside it bears on nothing."""
    return any(one.bearing != "context" for one in verdict.evidence)


def claims_table(name: str, judged: Sequence[JudgedClaim], measured_heading: str, *, with_figures: bool) -> Table:
    """One row per claim: both verdicts, the measured figures that decide or would, and where the claim is made."""
    titles = ["Claim", "Published numbers", measured_heading, *(["Figures measured here"] * with_figures)]
    heads = tuple(Column(title, is_number=False) for title in (*titles, f"Said in {PAPER}"))
    notes = Notes()
    rows = [
        (
            Cell(one.claim.statement, one.claim.id),
            Cell(one.published.word, one.published.word, source=sources(one.published)),
            _measured_cell(one.measured, notes),
            *([_figures_cell(one.measured)] * with_figures),
            Cell(_place(one.claim), source=one.claim.where),
        )
        for one in judged
    ]
    return Table(name, heads, tuple(rows), tuple(notes.texts))


def verdict_words(verdict: Verdict) -> str:
    """The verdict; outside the scope with its analogue."""
    return verdict.word if verdict.analogue is None else f"{verdict.word}; analogue: {verdict.analogue}"


def sources(verdict: Verdict) -> str:
    """Every publication behind a verdict, once."""
    return "; ".join(dict.fromkeys(one.source for one in verdict.evidence if one.source))


def record_ids(verdict: Verdict) -> tuple[str, ...]:
    """The records behind a verdict."""
    return tuple(sorted({cell_id for one in verdict.evidence for cell_id in one.record_ids}))


def _measured_cell(verdict: Verdict, notes: Notes) -> Cell:
    mark = notes.number(escape(f"outside the claim's scope: {verdict.analogue_of}")) if verdict.analogue_of else None
    words = verdict_words(verdict)
    return Cell(words, words, record_ids(verdict), mark=mark)


def _figures_cell(verdict: Verdict) -> Cell:
    telling = [one for one in verdict.evidence if one.bearing != "context"]
    ids = tuple(sorted({cell_id for one in telling for cell_id in one.record_ids}))
    return Cell(named(telling_first(telling), _MOST_NAMED) if telling else "none", None, ids)


def _place(claim: Claim) -> str:
    """The place in the paper; of a popular account, that it is one."""
    return claim.kind if claim.kind == "popular account" else claim.where.removeprefix(f"{PAPER}, ")
