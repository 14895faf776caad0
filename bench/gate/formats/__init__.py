"""What a check is written as. A new format is a function `render(result) -> str` and a row here.

docs/ci/README.md says what each is for. Rendering is pure; writing.py is the only module that touches files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bench.gate.formats.ci import render_annotations, render_junit
from bench.gate.formats.pages import render_comment, render_page
from bench.gate.formats.trackers import append_history, render_bencher, render_benchmark_action, render_history
from bench.gate.result import CheckResult, render_json


class Format(NamedTuple):
    """One way to write a check. append: for a file that grows, what to add to one that holds the given text."""

    render: Callable[[CheckResult], str]
    ending: str
    append: Callable[[CheckResult, str], str] | None = None


FORMATS = {
    "json": Format(render_json, ".json"),
    "markdown": Format(render_page, ".md"),
    "comment": Format(render_comment, ".md"),
    "junit": Format(render_junit, ".xml"),
    "annotations": Format(render_annotations, ".txt"),
    "bencher": Format(render_bencher, ".json"),
    "benchmark-action": Format(render_benchmark_action, ".json"),
    "history": Format(render_history, ".csv", append_history),
}
