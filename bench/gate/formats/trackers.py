"""Files for tools that follow a speed from commit to commit: Bencher, github-action-benchmark, change points.

Numbers are unrounded. A model without an estimate is absent from the JSON, and has empty fields in the history.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from statistics import median
from typing import Any

from bench.errors import StoreError
from bench.gate.formats.wording import milliseconds, pair_count, side, tidy
from bench.gate.result import CheckResult, ModelResult


def render_bencher(result: CheckResult) -> str:
    """Bencher Metric Format: benchmark name -> measure -> value, lower_value, upper_value.

    `slowdown-pct` is what a threshold belongs on: head against base on one machine, 0 for no change. `latency` is
    Bencher's own measure, nanoseconds of one forward pass of head on whatever machine this was, by the clock of the
    check (CPU time where that holds all the work); its bounds are the fastest and the slowest pair of processes.
    Source: https://bencher.dev/docs/reference/bencher-metric-format
    """
    benchmarks = {tidy(model.name): _bencher_measures(model) for model in result.models}
    return _indented({name: measures for name, measures in benchmarks.items() if measures})


def _bencher_measures(model: ModelResult) -> dict[str, dict[str, float | None]]:
    measures = {}
    if model.looks:
        measures["slowdown-pct"] = _metric(model.slowdown_pct, model.low_pct, model.high_pct)
    if model.pairs:
        latencies_ns = [median(pair.head_ns) / pair.forwards for pair in model.pairs]
        measures["latency"] = _metric(median(latencies_ns), min(latencies_ns), max(latencies_ns))
    return measures


def _metric(value: float | None, low: float | None, high: float | None) -> dict[str, float | None]:
    return {"value": value, "lower_value": low, "upper_value": high}


def render_benchmark_action(result: CheckResult) -> str:
    """JSON for github-action-benchmark, tool `customSmallerIsBetter`: a list of name, unit, value, range, extra.

    The value is the RATIO of head to base, not a time: raw times of two runners are not comparable, their ratios are.
    So 1 is no change, and an alert threshold of that action compares one commit's ratio with the last one's.
    """
    return _indented([_benchmark_action_entry(result, model) for model in result.models if model.looks])


def _benchmark_action_entry(result: CheckResult, model: ModelResult) -> dict[str, str | float]:
    value, low, high = (1 + (pct or 0.0) / 100 for pct in (model.slowdown_pct, model.low_pct, model.high_pct))
    extra = [
        f"{model.verdict}: {tidy(model.reason)}",
        f"{pair_count(model)} pairs of processes, rule {result.rule_version}",
        f"base {milliseconds(model.base_ms)} ms, {side(result.base)}",
        f"head {milliseconds(model.head_ms)} ms, {side(result.head)}",
    ]
    return {
        "name": f"{tidy(model.name)}: head / base",
        "unit": "ratio",
        "value": value,
        "range": f"± {max(value - low, high - value):.4f}",
        "extra": "\n".join(extra),
    }


def _indented(data: Any) -> str:
    return json.dumps(data, allow_nan=False, indent=2) + "\n"


def _ratio(pct: float | None) -> float | None:
    return None if pct is None else 1 + pct / 100


# The history is CSV, one row for each model and check; a row is always one line. `ratio` is head / base with its
# two-sided interval (99 %; 95 % under rule version 1). base_ms and head_ms are by `clock`, cpu or wall.
HISTORY: dict[str, Callable[[CheckResult, ModelResult], Any]] = {
    "started_at": lambda result, _: result.started_at,
    "base_commit": lambda result, _: result.base.commit,
    "head_commit": lambda result, _: result.head.commit,
    "head_is_dirty": lambda result, _: result.head.is_dirty,
    "model": lambda _, model: tidy(model.name),
    "ratio": lambda _, model: _ratio(model.slowdown_pct),
    "ratio_low": lambda _, model: _ratio(model.low_pct),
    "ratio_high": lambda _, model: _ratio(model.high_pct),
    "base_ms": lambda _, model: model.base_ms,
    "head_ms": lambda _, model: model.head_ms,
    "pairs": lambda _, model: pair_count(model),
    "clock": lambda _, model: "+".join(sorted({pair.clock for pair in model.pairs})),
    "verdict": lambda _, model: model.verdict,
    "rule_version": lambda result, _: result.rule_version,
    "machine": lambda result, _: result.conditions.get("machine"),
}
HISTORY_HEADER = ",".join(HISTORY) + "\n"


def render_history(result: CheckResult) -> str:
    """A history that begins with this check."""
    return append_history(result, "")


def append_history(result: CheckResult, existing: str) -> str:
    """What to write behind `existing` so that this check's rows stand in it, each on a line of its own.

    existing: the file's text so far, empty for none. A torn last line (a run that was killed) is ended first, its quote
    closed if it has an open one, so that it cannot swallow the rows after it; a torn header is completed.
    Raises StoreError if the file has other columns.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([value(result, model) for value in HISTORY.values()] for model in result.models)
    return _mended(existing.replace("\r\n", "\n")) + stream.getvalue()


def _mended(existing: str) -> str:
    if HISTORY_HEADER.startswith(existing):
        return HISTORY_HEADER[len(existing) :]
    if not existing.startswith(HISTORY_HEADER):
        first = existing.partition("\n")[0]
        raise StoreError(
            f"The history has other columns than this vitbench writes ({first[:60]!r}...). Give a new file, or move "
            "the old one away."
        )
    torn = existing.rpartition("\n")[2]
    return (('"' if torn.count('"') % 2 else "") + "\n") if torn else ""
