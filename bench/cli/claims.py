"""`claims`: what the ViT paper and its popular accounts say, judged by published numbers and by stored records."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.analyse.claims.verdicts import JudgedClaim, Verdict

_WIDTH = 110


def claims(
    name: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Ids of claims; all by default.")
    ] = None,
    results: Annotated[list[Path] | None, typer.Option("--results", help="Folder of results (repeatable).")] = None,
    shipped: Annotated[bool, typer.Option("--shipped", help="The committed results instead of your own.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list with every figure and its record ids.")] = False,
) -> None:
    """Judge claims on ViTs and CNNs by published numbers and by your records; with NAME, show every figure."""
    from bench.analyse.claims.judge import judge_claims
    from bench.analyse.claims.verdicts import judged_json
    from bench.catalog.claims import claim_rows
    from bench.cli.stored import stored_inspections, studied_suites
    from bench.errors import UnknownNameError

    rows = claim_rows()
    for one in name or ():
        if one not in rows:
            raise UnknownNameError("claim", one, rows, listed_by="claims")
    wanted = {one: rows[one] for one in dict.fromkeys(name or rows)}
    roots = results or [Path("results")]
    studies = studied_suites(roots, shipped)
    judged = judge_claims(studies, stored_inspections(roots, shipped), claims=wanted)
    if as_json:
        typer.echo(json.dumps(judged_json(judged), indent=2, allow_nan=False))
        return
    typer.echo("\n\n".join(_told(one) for one in judged) if name else _listed(judged))
    if not studies:
        typer.echo("\nNo records were read: `vitbench run` makes some, `--shipped` reads the committed ones.")


def _listed(judged: Sequence[JudgedClaim]) -> str:
    from bench.cli.words import table

    rows = [[one.claim.id, one.published.word, _verdict(one.measured)] for one in judged]
    listed = table(["Claim", "By published numbers", "By the records read"], rows)
    return f"{listed}\n\n`vitbench claims NAME` says what a claim is and shows its figures."


def _verdict(verdict: Verdict) -> str:
    return verdict.word if verdict.analogue is None else f"{verdict.word} (analogue: {verdict.analogue})"


def _told(one: JudgedClaim) -> str:
    """One claim: where it is made, both verdicts with their reasons, and every figure."""
    from bench.analyse.claims.scope import scope_words

    claim = one.claim
    lines = [
        f"{claim.id}: {claim.statement}",
        f"  {claim.kind}: {claim.where} (place and wording: {claim.certainty})",
        f"  scope: {scope_words(claim.scope)}",
    ]
    for title, verdict in (("published", one.published), ("measured", one.measured)):
        lines += ["", f"  {title}: {_verdict(verdict)}"]
        lines += textwrap.wrap(verdict.reason, _WIDTH, initial_indent="    ", subsequent_indent="    ")
        if verdict.analogue_of:
            outside = f"Outside the scope: {verdict.analogue_of}."
            lines += textwrap.wrap(outside, _WIDTH, initial_indent="    ", subsequent_indent="    ")
        lines += _figures(verdict)
    return _printable("\n".join(lines))


def _figures(verdict: Verdict) -> list[str]:
    from bench.analyse.claims.words import figure_words

    marks = {"for": "+", "against": "-", "undecided": "?", "context": " "}
    lines = []
    for figure in verdict.evidence:
        origin = figure.source or f"{len(figure.record_ids)} records{f' of {figure.suite}' if figure.suite else ''}"
        lines.append(f"    {marks[figure.bearing]} {figure_words(figure)} [{origin}]")
    return lines


def _printable(text: str) -> str:
    from bench.plain_text import printable

    return printable(text)
