"""The largest batch that fits, of every model and limit. A budget on a CPU and a GPU's memory are never one ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analyse.scores import RunKey, run_key
from bench.analyse.speeds import rows_of


@dataclass(frozen=True)
class LargestBatch:
    """What one search found. budget_mib: the CPU's, None where the device's own memory is the limit."""

    key: RunKey
    largest: int  # 0: not even one image
    smallest_refused: int | None
    stopped_by: str  # memory, cap or error
    reason: str  # of the smallest batch that was refused
    cap: int
    budget_mib: int | None
    limit_mib: float | None  # the budget, or what was free on the device
    peak_mib: float | None  # at the largest batch
    tries: int
    cell_id: str

    @property
    def limit(self) -> tuple[str, int | None]:
        """What the batches of one ranking must share."""
        return self.key.device, self.budget_mib


def largest_batches(frame: pd.DataFrame, machine: str) -> list[LargestBatch]:
    """Every search of the machine, in order of key and budget."""
    found = [_largest(row) for row in rows_of(frame[frame["machine"] == machine])]
    return sorted(found, key=lambda one: (one.key, one.budget_mib or 0, one.cap))


def _largest(row: Mapping[str, Any]) -> LargestBatch:
    refused = _whole(row["smallest_refused"])
    reasons = {int(one["batch_size"]): one.get("reason") for one in row["tries"] or ()}
    return LargestBatch(
        key=run_key(row),
        largest=int(row["largest_batch"]),
        smallest_refused=refused,
        stopped_by=str(row["stopped_by"]),
        reason=str(reasons.get(refused) or "") if refused is not None else "",
        cap=int(row["cap"]),
        budget_mib=_whole(row["memory_limit_mib"]),
        limit_mib=_number(row["limit_mib"]),
        peak_mib=_number(row["peak_mib"]),
        tries=len(reasons),
        cell_id=str(row["cell_id"]),
    )


def _whole(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
