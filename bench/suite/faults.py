"""What is wrong with a suite file, as one line with its file, key and line number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError


def explain_faults(error: ValidationError, text: str, path: Path) -> str:
    """One line for the first thing that is wrong, with how many more there are."""
    first, *others = error.errors()
    location = [part for part in first["loc"] if not _is_type_name(part)]
    key = ".".join(str(part) for part in location) or "(top level)"
    line = _line_of(location, text)
    where = f"{path.name}:{line}" if line else path.name
    more = f" (and {len(others)} more)" if others and first["type"] == "extra_forbidden" else ""
    return f"Suite file {where}: {key}: {_wording(first)}{more}"


def _wording(problem: Any) -> str:
    kind, got = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        return "unknown key."
    if kind == "missing":
        return "is missing."
    if kind == "too_short":
        return "must not be empty."
    if kind == "value_error":
        return f"{problem['ctx']['error']}"
    if kind == "literal_error":
        return f"{got!r} is not known; expected {problem['ctx']['expected']}."
    return f"{problem['msg']}, got {got!r}."


def _is_type_name(part: str | int) -> bool:
    # pydantic puts the tried member of a union into the location; the user wrote no such key
    return isinstance(part, str) and not re.fullmatch(r"[a-z_]+", part)


def _line_of(location: Sequence[str | int], text: str) -> int | None:
    """Line of the key in TOML text, following `[[block]]` counts; None where it cannot be told."""
    if not location:
        return None
    keys = [part for part in location if isinstance(part, str)]
    index = next((part for part in location if isinstance(part, int)), 0)
    lines = text.splitlines()
    start = 0
    if len(keys) > 1 or (len(location) > 1 and isinstance(location[1], int)):
        headers = [i for i, line in enumerate(lines) if re.match(rf"\s*\[\[?\s*{keys[0]}\s*\]\]?", line)]
        if index < len(headers):
            start = headers[index]
    wanted = keys[1] if len(keys) > 1 else keys[0]
    for number, line in enumerate(lines[start:], start + 1):
        if re.match(rf"\s*\[*\s*{re.escape(wanted)}\s*(=|\])", line):
            return number
    return start + 1 if start else None
