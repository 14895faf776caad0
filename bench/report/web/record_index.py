"""The records that a page refers to, numbered in the order of their first use so that references stay short."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from bench.store.frame import machine_of
from bench.store.record import Record


class RecordIndex:
    """Hands out a number for each record id. A reference such as `4-6 9` names records 4, 5, 6 and 9."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def reference(self, ids: Iterable[str]) -> str:
        """The numbers of these ids in rising order, runs of three or more as `first-last`; empty for none."""
        numbers = sorted({self._numbers.setdefault(cell_id, len(self._numbers)) for cell_id in ids})
        parts: list[str] = []
        start = 0
        while start < len(numbers):
            end = start
            while end + 1 < len(numbers) and numbers[end + 1] == numbers[end] + 1:
                end += 1
            run = numbers[start : end + 1]
            parts += [f"{run[0]}-{run[-1]}"] if len(run) > 2 else [str(number) for number in run]
            start = end + 1
        return " ".join(parts)

    def described(self, records: Sequence[Record]) -> dict[str, object]:
        """Where each numbered record comes from: `ids` by number, and `kinds` of records with a reference to theirs.

        A kind is task, day, commit and machine. Several records may have one id: one for each machine.
        """
        kinds: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for record in records:
            if record.cell_id in self._numbers:
                dirty = " with uncommitted changes" if record.conditions.get("git_dirty") else ""
                task = str(record.cell.get("task", "?")) + ("" if record.status == "ok" else f" ({record.status})")
                commit = str(record.conditions.get("git_commit") or "unknown")[:12] + dirty
                kinds[task, record.started_at[:10], commit, machine_of(record) or "unknown"].add(record.cell_id)
        return {
            "ids": " ".join(self._numbers),
            "kinds": [[*kind, self.reference(ids)] for kind, ids in sorted(kinds.items())],
        }
