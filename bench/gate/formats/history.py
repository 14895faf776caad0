"""A history as CSV, one row for each model and check, appended: what change-point tools read.

`ratio` is head / base with its two-sided interval (99 %; 95 % under rule version 1), empty where there is no estimate.
base_ms and head_ms are by `clock`, cpu or wall. A row is always one line.
"""

from __future__ import annotations

import csv
import io
from typing import Any

from bench.errors import StoreError
from bench.gate.formats.wording import pair_count, tidy
from bench.gate.result import CheckResult, ModelResult

COLUMNS = (
    "started_at",
    "base_commit",
    "head_commit",
    "head_is_dirty",
    "model",
    "ratio",
    "ratio_low",
    "ratio_high",
    "base_ms",
    "head_ms",
    "pairs",
    "clock",
    "verdict",
    "rule_version",
    "machine",
)
HEADER = ",".join(COLUMNS) + "\n"


def render(result: CheckResult) -> str:
    """A history that begins with this check."""
    return append(result, "")


def append(result: CheckResult, existing: str) -> str:
    """What to write behind `existing` so that this check's rows stand in it, each on a line of its own.

    existing: the file's text so far, empty for none. A torn last line (a run that was killed) is ended first, its quote
    closed if it has an open one, so that it cannot swallow the rows after it; a torn header is completed.
    Raises StoreError if the file has other columns.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for model in result.models:
        writer.writerow(_row(result, model))
    return _mend(existing) + stream.getvalue()


def _mend(existing: str) -> str:
    existing = existing.replace("\r\n", "\n")
    if HEADER.startswith(existing):
        return HEADER[len(existing) :]
    if not existing.startswith(HEADER):
        first = existing.partition("\n")[0]
        raise StoreError(
            f"The history has other columns than this vitbench writes ({first[:60]!r}...). Give a new file, or move "
            "the old one away."
        )
    torn = existing.rpartition("\n")[2]
    return (('"' if torn.count('"') % 2 else "") + "\n") if torn else ""


def _row(result: CheckResult, model: ModelResult) -> list[Any]:
    values = [
        result.started_at,
        result.base.commit,
        result.head.commit,
        result.head.is_dirty,
        tidy(model.name),
        *(None if pct is None else 1 + pct / 100 for pct in (model.slowdown_pct, model.low_pct, model.high_pct)),
        model.base_ms,
        model.head_ms,
        pair_count(model),
        "+".join(sorted({pair.clock for pair in model.pairs})),
        model.verdict,
        result.rule_version,
        result.conditions.get("machine"),
    ]
    return ["" if value is None else value for value in values]
