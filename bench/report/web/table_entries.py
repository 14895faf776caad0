"""What the page knows of a table's entries beside their text: the number to sort by, and where each comes from."""

from __future__ import annotations

import math
import re

from bench.report.table import Cell, Column, Table
from bench.report.web.record_index import RecordIndex

Entry = tuple[float | None, str, int | None]  # number to sort by, reference to records, place of the publication

_NUMBER = re.compile(r"[−-]?\d[\d\u202f ]*(?:\.\d+)?(?:e[−-]?\d+)?")


def table_entries(table: Table, index: RecordIndex, sources: dict[str, int]) -> list[list[Entry]]:
    """The entries of each row. sources: publications and their places, to which new ones are added."""

    def entry(cell: Cell, column: Column) -> Entry:
        source = sources.setdefault(cell.source, len(sources)) if cell.source else None
        return sort_value(cell, column), index.reference(cell.records), source

    return [[entry(cell, column) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows]


def sort_value(cell: Cell, column: Column) -> float | None:
    """The number by which an entry of a numeric column is sorted, unrounded; None where it has none."""
    if not column.is_number:
        return None
    for value in (cell.value, cell.text):
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, int | float):
            return value if math.isfinite(value) else None
        found = _NUMBER.match(str(value))
        if found:
            return float(re.sub(r"[\u202f ]", "", found.group()).replace("−", "-"))
    return None
