"""GitHub workflow commands: lines that a runner shows beside the job and on the pull request.

They act where they are printed, so the target is standard output: `--write annotations=-`.
Source of the escapes: github.com/actions/toolkit, packages/core/src/command.ts.
"""

from __future__ import annotations

from typing import Literal

from bench.gate.formats.wording import because, headline
from bench.gate.result import CheckResult, ModelResult
from bench.plain_text import printable

Level = Literal["error", "warning", "notice"]
LINES_PER_LEVEL = 10  # a step shows no more of each

_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})

Annotation = tuple[str, str]  # title and message


def render(result: CheckResult) -> str:
    """Errors, then warnings, then notices, one line each."""
    slower = [(f"Slower: {model.name}", because(model)) for model in result.models if model.verdict == "FAIL"]
    more = [(f"More work: {one.name}", one.reason) for one in result.exact if one.verdict == "FAIL"]
    undecided = [
        *((f"Not decided: {model.name}", because(model)) for model in _undecided(result)),
        *((f"Not counted: {one.name}", one.reason) for one in result.exact if one.verdict == "INCONCLUSIVE"),
        *(("Problem", problem) for problem in result.problems),
    ]
    notices = [(f"vitbench check: {result.verdict}", headline(result))]
    lines = [*_lines("error", slower + more), *_lines("warning", undecided), *_lines("notice", notices)]
    return "\n".join(lines) + "\n"


def _undecided(result: CheckResult) -> list[ModelResult]:
    return [model for model in result.models if model.verdict == "INCONCLUSIVE"]


def _lines(level: Level, annotations: list[Annotation]) -> list[str]:
    """At most as many as a step shows; the last one then says what is left out."""
    if len(annotations) > LINES_PER_LEVEL:
        left_out = annotations[LINES_PER_LEVEL - 1 :]
        titles = "; ".join(title for title, _ in left_out)
        annotations = [*annotations[: LINES_PER_LEVEL - 1], (f"{len(left_out)} more", titles)]
    return [command(level, title, message) for title, message in annotations]


def command(level: Level, title: str, message: str) -> str:
    """One workflow command. Title and message may hold anything; they stay text."""
    return f"::{level} title={printable(title).translate(_PROPERTY)}::{printable(message).translate(_DATA)}"
