"""What a check is written as. A new format is a module with `render(result) -> str` and a row here.

Rendering is pure; writing.py is the only module that touches files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bench.gate.formats import bencher, benchmark_action, comment, history, junit, markdown, own_json, workflow_commands
from bench.gate.result import CheckResult


class Format(NamedTuple):
    """One way to write a check. append: for a file that grows, what to add to one that holds the given text."""

    render: Callable[[CheckResult], str]
    what: str
    ending: str
    append: Callable[[CheckResult, str], str] | None = None


FORMATS = {
    "json": Format(own_json.render, "everything, with every raw turn", ".json"),
    "markdown": Format(markdown.render, "a page, for a step summary", ".md"),
    "comment": Format(comment.render, "a short text for a pull request, with a marker to find it again", ".md"),
    "junit": Format(junit.render, "JUnit XML, for Jenkins, GitLab and others", ".xml"),
    "annotations": Format(workflow_commands.render, "GitHub workflow commands, to be printed", ".txt"),
    "bencher": Format(bencher.render, "Bencher Metric Format", ".json"),
    "benchmark-action": Format(benchmark_action.render, "ratios for github-action-benchmark", ".json"),
    "history": Format(
        history.render, "CSV that grows, a row for each model, for change points", ".csv", history.append
    ),
}
