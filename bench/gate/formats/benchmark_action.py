"""JSON for github-action-benchmark, tool `customSmallerIsBetter`: a list of name, unit, value, range, extra.

The value is the RATIO of head to base, not a time: raw times of two runners are not comparable, their ratios are. So
1 is no change, and an alert threshold of that action compares one commit's ratio with the last one's.
"""

from __future__ import annotations

import json

from bench.gate.formats.wording import milliseconds, pair_count, side, tidy
from bench.gate.result import CheckResult, ModelResult


def render(result: CheckResult) -> str:
    """Indented JSON, one entry for each model that has an estimate."""
    entries = [_entry(result, model) for model in result.models if model.slowdown_pct is not None]
    return json.dumps(entries, allow_nan=False, indent=2) + "\n"


def _entry(result: CheckResult, model: ModelResult) -> dict[str, str | float]:
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
