"""`claims`: what the ViT paper and its popular accounts say, judged by published numbers and by stored records."""

from __future__ import annotations

import json
import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bench.analyse.claims.verdicts import JudgedClaim, Verdict

_WIDTH = 110
_OPEN = (math.inf, -math.inf)
_MARKS = {"for": "+", "against": "-", "undecided": "?", "beside": " "}


def claims(
    name: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Ids of claims; all by default.")
    ] = None,
    results: Annotated[list[Path] | None, typer.Option("--results", help="Folder of results (repeatable).")] = None,
    shipped: Annotated[bool, typer.Option("--shipped", help="The committed results instead of your own.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list with every figure and its record ids.")] = False,
) -> None:
    """Judge claims on ViTs and CNNs by published numbers and by your records; with NAME, show every figure."""
    from bench.analyse.claims.claims import judge_claims
    from bench.catalog.claims import claim_rows
    from bench.cli.stored import studied_suites
    from bench.cli.words import table
    from bench.errors import UnknownNameError
    from bench.text import printable

    rows = claim_rows()
    for one in name or ():
        if one not in rows:
            raise UnknownNameError("claim", one, rows, listed_by="claims")
    wanted = {one: rows[one] for one in dict.fromkeys(name or rows)}
    studies = studied_suites(results or [Path("results")], shipped)
    judged = judge_claims(studies, wanted)
    if as_json:
        typer.echo(json.dumps([_json(one) for one in judged], indent=2, allow_nan=False))
        return
    if name:
        typer.echo(printable("\n\n".join(_told(one) for one in judged)))
    else:
        lines = [[one.claim.id, one.published.word, one.measured.word] for one in judged]
        listed = table(["Claim", "By published numbers", "By the records read"], lines)
        typer.echo(f"{listed}\n\n`vitbench claims NAME` says what a claim is and shows its figures.")
    if not studies:
        typer.echo("\nNo records were read: `vitbench run` makes some, `--shipped` reads the committed ones.")


def _told(one: JudgedClaim) -> str:
    """One claim: where it is made, and both verdicts with every figure."""
    claim = one.claim
    lines = textwrap.wrap(f"{claim.id}: {claim.statement} ({claim.where})", _WIDTH, subsequent_indent="  ")
    lines += ["", f"  published: {one.published.word}", *_figures(one.published)]
    lines += textwrap.wrap(claim.note, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    needs = "" if one.measured.figures else f", needs {claim.needs}"
    return "\n".join([*lines, "", f"  measured: {one.measured.word}{needs}", *_figures(one.measured)])


def _figures(verdict: Verdict) -> list[str]:
    return [
        f"    {_MARKS[figure.bearing]} {figure.words} [{figure.source or f'{len(figure.record_ids)} records'}]"
        for figure in verdict.figures
    ]


def _json(one: JudgedClaim) -> dict[str, Any]:
    """As JSON values, numbers unrounded; what is open or not known is null."""
    found: dict[str, Any] = {key: getattr(one.claim, key) for key in ("id", "statement", "where", "needs", "note")}
    for side, verdict in (("published", one.published), ("measured", one.measured)):
        figures = [{key: None if value in _OPEN else value for key, value in vars(f).items()} for f in verdict.figures]
        found[side] = {"word": verdict.word, "reason": verdict.reason, "figures": figures}
    return found
