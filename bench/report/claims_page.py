"""The page of all claims: both verdicts with their reasons, and every figure behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import get_args

from bench.analyse.claims.rules import can_be_decided
from bench.analyse.claims.scope import scope_words
from bench.analyse.claims.verdicts import Evidence, JudgedClaim, Verdict, Word
from bench.analyse.claims.words import value_words
from bench.report.claims_section import HEADING, claims_table, verdict_words
from bench.report.formats import counted, fixed, listed
from bench.report.markdown import Cell, Column, Table, escape, fenced, joined, render_table

_INTRODUCTION = (
    "Each statement is judged twice, by rules on numbers: by what was *published* (the ViT paper's tables, timm's "
    "result files, the CNN papers; *computed* from these where it says so), and by what was *measured* in the records "
    "read here. A rule says *supported*, *contradicted* or *inconclusive*, or that the numbers cannot test it. Records "
    "outside a claim's scope (other pre-training, compute, resolution, device or data) never support or contradict it; "
    "what they would say if the scope did not matter is the *analogue*. Several comparisons behind one claim share a "
    "level of 95 % (Bonferroni), so that a claim on every set is not contradicted by chance. Where a paper prints no "
    "spread, its numbers are taken as printed and the reason says so. Rules and scopes stand in "
    "`bench/catalog/claims.toml`, and `vitbench claims NAME` prints one claim."
)


def claims_tables(judged: Sequence[JudgedClaim]) -> list[Table]:
    """The verdicts, and every figure with its records or its publication: the files beside the page."""
    return [claims_table("claims", judged, "Measured here", with_figures=False), evidence_table(judged)]


def claims_page(judged: Sequence[JudgedClaim], suites: Sequence[str], rebuild_command: str) -> str:
    """The whole page. suites: names of those that were read, plain."""
    read = (
        f"Records read: {counted(len(suites), 'suite')} ({listed(map(escape, suites))})." if suites else "No records."
    )
    return joined(
        [
            f"# {HEADING}",
            f"**Published numbers:** {_tally(one.published for one in judged)}. "
            f"**Measured here:** {_tally(one.measured for one in judged)}. {read}",
            _INTRODUCTION,
            "## Verdicts",
            render_table(claims_table("claims", judged, "Measured here", with_figures=False)),
            *(block for one in judged for block in _claim_blocks(one)),
            "## Rebuild this page",
            fenced(rebuild_command),
            "Every figure stands as CSV in [`tables/claims_evidence.csv`](tables/claims_evidence.csv), unrounded, with "
            "the ids of the records behind it or its publication.",
        ]
    )


_NO_SUITE = "; no suite here can decide this"


def _tally(verdicts: Iterable[Verdict]) -> str:
    counts = Counter(verdict.word for verdict in verdicts)
    return listed(f"{fixed(counts[word], 0)} {word}" for word in get_args(Word) if counts[word])


def _claim_blocks(one: JudgedClaim) -> list[str]:
    claim = one.claim
    nowhere = "" if can_be_decided(claim) else _NO_SUITE
    facts = (
        f"`{claim.id}` · {claim.kind} · {escape(claim.where)} (place and wording: {claim.certainty}). "
        f"Would be decided by {escape(claim.decided_by)}{nowhere}. Scope: {escape(scope_words(claim.scope))}."
    )
    outside = f" Outside the scope: {escape(one.measured.analogue_of)}." if one.measured.analogue_of else ""
    blocks = [
        f"## {escape(claim.statement)}",
        facts,
        f"**Published numbers: {verdict_words(one.published)}.** {escape(one.published.reason)}",
        f"**Measured here: {verdict_words(one.measured)}.** {escape(one.measured.reason)}{outside}",
    ]
    figures = [*one.published.evidence, *one.measured.evidence]
    if figures:
        summary = f"<details><summary>{counted(len(figures), 'figure')}</summary>"
        return [*blocks, summary, render_table(_figures_table(figures)), "</details>"]
    return blocks


def _figures_table(figures: Sequence[Evidence]) -> Table:
    heads = tuple(Column(title, is_number=False) for title in ("Figure", "Value", "Speaks", "From"))
    rows = [
        (Cell(one.label), Cell(value_words(one)), Cell(_SPEAKS[one.bearing]), Cell(_origin(one))) for one in figures
    ]
    return Table("figures", heads, tuple(rows))


def evidence_table(judged: Sequence[JudgedClaim]) -> Table:
    """One row per figure of every claim."""
    heads = tuple(Column(title, is_number=False) for title in ("Claim and figure", "Value", "Speaks"))
    rows = []
    for one in judged:
        for side, verdict in (("published", one.published), ("measured", one.measured)):
            rows += [_evidence_row(one.claim.id, side, figure) for figure in verdict.evidence]
    return Table("claims_evidence", heads, tuple(rows))


def _evidence_row(claim_id: str, side: str, figure: Evidence) -> tuple[Cell, ...]:
    more = tuple((name, end) for name, end in (("low", figure.low), ("high", figure.high)) if end is not None)
    return (
        Cell(f"{claim_id}, {side}: {figure.label}"),
        Cell(value_words(figure), figure.value, figure.record_ids, more=more, source=figure.source),
        Cell(_SPEAKS[figure.bearing], figure.bearing),
    )


def _origin(figure: Evidence) -> str:
    if figure.origin == "measured":
        return f"measured, {counted(len(figure.record_ids), 'record')}{f' of {figure.suite}' if figure.suite else ''}"
    return figure.source if figure.source.startswith("computed") else f"{figure.origin}: {figure.source}"


_SPEAKS = {"for": "for it", "against": "against it", "undecided": "does not decide", "context": "beside it"}
