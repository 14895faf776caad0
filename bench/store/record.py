"""One stored result: what was asked, what came out, under which conditions.

Format history
1: first version.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

FORMAT_VERSION: Literal[1] = 1

Status = Literal["ok", "failed", "oom", "skipped"]


class Record(BaseModel):
    """One finished cell. Numbers are unrounded; every key of `values` and `samples` names its unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = FORMAT_VERSION
    suite: str
    cell_id: str
    cell: dict[str, Any]
    status: Status
    reason: str | None = None  # why the status is not ok; one line
    values: dict[str, Any] = {}
    samples: dict[str, list[float]] = {}
    conditions: dict[str, Any]
    started_at: str  # UTC, ISO 8601
    wall_s: float  # in-cell seconds: training, evaluating, warming up, timing; not process start
