"""The project's own JSON: the whole result with every raw turn, and what a reader would otherwise compute again.

`derived` holds figures that follow from the rest; `read_result` passes over it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.errors import StoreError
from bench.gate.result import FORMAT_VERSION, CheckResult, ModelResult


def render(result: CheckResult) -> str:
    """One line of JSON; numbers are unrounded."""
    whole = {"derived": _derived(result), **result.model_dump(mode="json")}
    return json.dumps(whole, allow_nan=False, separators=(",", ":")) + "\n"


def _derived(result: CheckResult) -> dict[str, Any]:
    return {
        "verdict": result.verdict,
        "interval_level": result.interval_level,
        "models": [_derived_model(model) for model in result.models],
    }


def _derived_model(model: ModelResult) -> dict[str, Any]:
    return {
        "name": model.name,
        "verdict": model.verdict,
        "slowdown_pct": model.slowdown_pct,
        "low_pct": model.low_pct,
        "high_pct": model.high_pct,
        "base_ms": model.base_ms,
        "head_ms": model.head_ms,
        "pair_log_ratios": [pair.log_ratio for pair in model.pairs],
        "against_itself": [pair.against_itself for pair in model.pairs if pair.against_itself is not None],
    }


def read_result(path: Path) -> CheckResult:
    """The result that `render` wrote. Raises StoreError for what is not one, or is of another format version."""
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise StoreError(f"Check result '{path}' cannot be read: {error.strerror}.") from None
    except ValueError:  # not JSON, or not UTF-8
        raise StoreError(f"'{path}' is not JSON. Write it with `vitbench check --write json={path}`.") from None
    if not isinstance(data, dict) or "format_version" not in data:
        raise StoreError(f"'{path}' is not the result of a check. Write one with `vitbench check --write json=PATH`.")
    if data["format_version"] not in (1, FORMAT_VERSION):
        raise StoreError(
            f"Check result '{path}' has format version {data['format_version']!r}; this vitbench reads 1 "
            f"and {FORMAT_VERSION}. Read it with the version that wrote it."
        )
    data.pop("derived", None)
    try:
        return CheckResult.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"'{path}' is not the result of a check: {key}: {first['msg']}.") from None
