"""Bencher Metric Format: benchmark name -> measure -> value, lower_value, upper_value.

`slowdown-pct` is what a threshold belongs on: head against base on one machine, 0 for no change. `latency` is
Bencher's own measure, nanoseconds of one forward pass of head on whatever machine this was, by the clock of the check
(CPU time where that holds all the work); its bounds are the fastest and the slowest pair of processes. A model
without an estimate is absent, because the format has no word for that.
Source: https://bencher.dev/docs/reference/bencher-metric-format
"""

from __future__ import annotations

import json
from statistics import median

from bench.gate.formats.wording import tidy
from bench.gate.result import CheckResult, ModelResult

Metric = dict[str, float]


def render(result: CheckResult) -> str:
    """Indented JSON; numbers are unrounded."""
    benchmarks = {tidy(model.name): _measures(model) for model in result.models}
    return json.dumps({name: found for name, found in benchmarks.items() if found}, allow_nan=False, indent=2) + "\n"


def _measures(model: ModelResult) -> dict[str, Metric]:
    measures: dict[str, Metric] = {}
    if model.slowdown_pct is not None and model.low_pct is not None and model.high_pct is not None:
        measures["slowdown-pct"] = _metric(model.slowdown_pct, model.low_pct, model.high_pct)
    if model.pairs:
        latencies_ns = [median(pair.head_ns) / pair.forwards for pair in model.pairs]
        measures["latency"] = _metric(median(latencies_ns), min(latencies_ns), max(latencies_ns))
    return measures


def _metric(value: float, low: float, high: float) -> Metric:
    return {"value": value, "lower_value": low, "upper_value": high}
