"""One stored result: what was asked, what came out, under which conditions.

Format history
1: first version.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.suite.cell import Cell, parse_cell
from bench.suite.tasks import TASKS, Task

FORMAT_VERSION: Literal[1] = 1

Status = Literal["ok", "failed", "oom", "skipped"]


class Record(BaseModel):
    """One finished cell. Numbers are unrounded; every key of `values` and `samples` names its unit.

    cell: the JSON of what was asked, whatever version of this program wrote it; `asked` is the same as it was planned.
    """

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

    @cached_property
    def asked(self) -> Cell | None:
        """The cell as it was planned; None for one of a task, or with fields, that this version does not know."""
        try:
            return parse_cell(self.cell)
        except ValidationError:
            return None

    def __copy__(self) -> Self:
        copied = super().__copy__()
        copied.__dict__.pop("asked", None)  # it may get another cell
        return copied

    @property
    def task(self) -> Task | None:
        """The row of the cell's task, None for one that this version does not know."""
        return TASKS.get(str(self.cell.get("task")))
