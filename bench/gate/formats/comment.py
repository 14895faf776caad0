"""A comment on a pull request: short, and with a marker by which a bot finds it again to update it."""

from __future__ import annotations

from bench.gate.formats import blocks, wording
from bench.gate.result import CheckResult
from bench.markdown_text import joined

MARKER = "<!-- vitbench check -->"  # the first line; docs/ci/ looks for it
MAX_BYTES = 60_000  # GitHub takes 65,536 characters, and docs/ci/ posts no more than this
ROWS = 20  # models in the table on top


def render(result: CheckResult) -> str:
    """GitHub-flavoured Markdown. What does not fit into a comment is left out, and the comment says so."""
    top = [
        MARKER,
        f"**vitbench check: {result.verdict}.** {blocks.headline(result)}",
        _short_table(result),
        blocks.noise(result),
    ]
    whole = joined([*top, blocks.folded("Details", _details(result))])
    if len(whole.encode(errors="replace")) <= MAX_BYTES:
        return whole
    return joined([*top, "The details are too long for a comment; the job's summary and its files have them."])


def _short_table(result: CheckResult) -> str:
    slowdown = f"Slowdown and {wording.interval_level(result)} interval [%]"
    headings = ["Model", slowdown, "Verdict"]
    rows = [
        [blocks.name(model.name), wording.bare_estimate(model), blocks.verdict(model.verdict)]
        for model in wording.worst_first(result.models)
    ]
    if not rows:
        return ""
    shown = blocks.table(headings, rows[:ROWS], frozenset([slowdown]))
    return shown if len(rows) <= ROWS else f"{shown}\n\nThe worst {ROWS} of {len(rows)} models."


def _details(result: CheckResult) -> str:
    return joined(
        [
            blocks.sides(result),
            blocks.problems(result),
            blocks.models_table(result),
            blocks.exact(result.exact),
            blocks.conditions(result),
            blocks.how_to_read(result),
        ]
    ).rstrip("\n")
