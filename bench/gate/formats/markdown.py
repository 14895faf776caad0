"""A page about a check for the step summary of a CI job: the verdict first, then what it rests on."""

from __future__ import annotations

from bench.gate.formats import blocks
from bench.gate.result import CheckResult
from bench.markdown_text import joined


def render(result: CheckResult) -> str:
    """GitHub-flavoured Markdown."""
    return joined(
        [
            f"## vitbench check: {result.verdict}",
            f"{blocks.headline(result)}\n\n{blocks.sides(result)}",
            _under("### Problems", blocks.problems(result)),
            blocks.models_table(result),
            blocks.noise(result),
            _under("### Exact counts", blocks.exact(result.exact)),
            blocks.folded("Conditions", blocks.conditions(result)),
            blocks.folded("How to read this", blocks.how_to_read(result)),
        ]
    )


def _under(heading: str, block: str) -> str:
    return f"{heading}\n\n{block}" if block else ""
