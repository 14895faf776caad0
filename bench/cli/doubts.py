"""Warnings on timings while they come in, a line each."""

from __future__ import annotations

from collections import defaultdict

from bench.analyse.stability import SPREAD_CHECKS, doubts_of, measurement_of
from bench.store.record import Record


class TimingWarnings:
    """Remembers the timings of a run, so that processes of one model can be compared with one another."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, ...], list[Record]] = defaultdict(list)
        self._told: set[tuple[tuple[str, ...], str]] = set()

    def after(self, record: Record) -> list[str]:
        """What is to be said of this timing, and once of its model's processes together; nothing of other cells."""
        is_timed = record.task is not None and record.task.measures == "time" and record.status == "ok"
        if not is_timed or record.cell.get("role") == "trial":
            return []
        place = measurement_of(record)
        self._groups[place].append(record)
        together = [doubt for doubt in doubts_of(self._groups[place]) if doubt.check in SPREAD_CHECKS]
        fresh = [doubt for doubt in together if (place, doubt.check.field) not in self._told]
        self._told |= {(place, doubt.check.field) for doubt in fresh}
        return [f"Warning: {doubt.sentence}" for doubt in (*doubts_of([record]), *fresh)]
