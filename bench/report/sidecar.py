"""The CSV beside each table: every entry with its unrounded value and the records or the publication behind it.

What a report writes here, `vitbench explain` reads.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.report.markdown import Cell, Column, Table, one_line

HEADER = ["row", "column", "shown", "value", "more", "record_ids", "source"]
TABLES = "tables"  # the folder beside the page


@dataclass(frozen=True)
class Entry:
    """One entry of a table as its sidecar holds it."""

    row: str
    column: str
    shown: str
    value: str  # unrounded; empty where nothing but text stands
    more: str  # further unrounded numbers of the entry: `low=81.2 high=85.0`
    record_ids: tuple[str, ...]
    source: str  # of a published number


def table_csv(table: Table) -> str:
    """One line per entry, in the order of rows and columns; rows have names of their own.

    A number without records of its own that was not published, such as a resolution or a batch size, says which
    records its row is about: it is one of their conditions.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(HEADER)
    for title, row in zip(row_titles(table), table.rows, strict=True):
        of_row = sorted({cell_id for cell in row for cell_id in cell.records})
        for column, cell in zip(table.columns[1:], row[1:], strict=True):
            ids = sorted(set(cell.records))
            if not ids and not cell.source and re.search(r"\d", cell.text):
                ids = of_row
            value = "" if cell.value is None else cell.value
            more = " ".join(f"{name}={number}" for name, number in cell.more)
            line = [title, one_line(column.heading), one_line(cell.text), value, more, " ".join(ids), cell.source]
            writer.writerow(line)
    return stream.getvalue()


def row_titles(table: Table) -> list[str]:
    """A name for each row that no other row of the table has.

    The first entry; where rows share it, with the next entries that no measurement made (data set, resolution, batch)
    as far as they tell the rows apart; then with a number.
    """
    titles = [one_line(row[0].text) or str(number) for number, row in enumerate(table.rows, 1)]
    for place, column in enumerate(table.columns[1:], 1):
        shared = {title for title, count in Counter(titles).items() if count > 1}
        if not shared:
            break
        for title in sorted(shared):
            alike = [number for number, known in enumerate(titles) if known == title]
            cells = [table.rows[number][place] for number in alike]
            if len({cell.text for cell in cells}) > 1 and not any(cell.records for cell in cells):
                for number, cell in zip(alike, cells, strict=True):
                    titles[number] = f"{title}, {_told(column, cell)}"
    return _numbered(titles)


def _told(column: Column, cell: Cell) -> str:
    return one_line(f"{column.heading} {cell.text}" if column.is_number else cell.text)


def _numbered(titles: Sequence[str]) -> list[str]:
    counts, seen, numbered = Counter(titles), Counter[str](), []
    for title in titles:
        seen[title] += 1
        numbered.append(f"{title} ({seen[title]})" if counts[title] > 1 else title)
    return numbered


def read_sidecars(report: Path) -> dict[str, list[Entry]]:
    """Table name -> its entries, of every table beside the page in this folder; empty where there are none.

    Raises OSError where a file cannot be read, KeyError for one that another version wrote.
    """
    return {path.stem: _read(path) for path in sorted((report / TABLES).glob("*.csv"))}


def _read(path: Path) -> list[Entry]:
    with open(path, encoding="utf-8", newline="") as stream:
        return [
            Entry(
                line["row"],
                line["column"],
                line["shown"],
                line["value"],
                line["more"],
                tuple(line["record_ids"].split()),
                line["source"],
            )
            for line in csv.DictReader(stream)
        ]
