"""Tables: entries with their records and footnotes, made of rows by columns, and written as Markdown.

columns.py has the usual columns; sidecar.py writes the CSV that stands beside each table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from bench.text import escape

R = TypeVar("R")  # what a row of a table is about
K = TypeVar("K")
C = TypeVar("C")
T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One entry of a table: what is shown, the unrounded value, and the records or the publication it comes from.

    more: further numbers that the text shows, by name, such as the ends of an interval.
    """

    text: str  # plain; escaped when the table is rendered
    value: object = None
    records: tuple[str, ...] = ()
    is_bold: bool = False
    is_estimate: bool = False  # neither measured nor published: in italics
    mark: int | None = None  # number of a footnote
    more: tuple[tuple[str, float], ...] = ()
    source: str = ""  # of a published number


@dataclass(frozen=True)
class Column:
    """A column's heading, plain, and whether it holds numbers."""

    heading: str
    is_number: bool = True


@dataclass(frozen=True)
class Table:
    """A table that can be written twice: as Markdown for reading, as CSV for tracing each number to its records."""

    name: str  # of the CSV file
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()  # footnotes, numbered from 1; Markdown


@dataclass
class Notes:
    """Footnotes of one table, numbered as they are first used."""

    texts: list[str] = field(default_factory=list)

    def number(self, text: str) -> int:
        """The number of this footnote, new or known."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1

    def mark(self, text: str | None) -> int | None:
        """The same, and none where there is nothing to say."""
        return self.number(text) if text else None

    def missing(self, why: str) -> Cell:
        """An entry that has no value, with the reason at the foot."""
        return Cell("n/a", mark=self.number(why))


DASH = Cell("–")  # where nothing was asked for


@dataclass(frozen=True)
class ColumnSpec(Generic[R]):
    """A column before it is filled: its heading with the unit, and the entry that it has for a row."""

    heading: str
    entry: Callable[[R, Notes], Cell]
    is_number: bool = True


Line = Mapping[str, Callable[[Notes], Cell]]  # heading -> its entry


def make_table(
    name: str, rows: Iterable[R], columns: Sequence[ColumnSpec[R]], last: Iterable[Line] = ()
) -> Table | None:
    """The table of these rows; None without rows. Footnotes are numbered in the order of reading.

    last: lines below the rows, about something else; a dash stands where they have no entry.
    """
    notes = Notes()
    cells = tuple(tuple(column.entry(row, notes) for column in columns) for row in rows)
    if cells:
        cells += tuple(
            tuple(line[column.heading](notes) if column.heading in line else DASH for column in columns)
            for line in last
        )
    heads = tuple(Column(column.heading, column.is_number) for column in columns)
    return Table(name, heads, cells, tuple(notes.texts)) if cells else None


def rooted(table: Table | None, source: str) -> Table | None:
    """The table with a source for every entry that names neither records nor a source of its own."""
    if table is None:
        return None
    rows = tuple(
        tuple(cell if cell.records or cell.source else replace(cell, source=source) for cell in row)
        for row in table.rows
    )
    return replace(table, rows=rows)


def grouped(items: Iterable[T], row: Callable[[T], K], column: Callable[[T], C]) -> dict[K, dict[C, T]]:
    """Items by row and column, rows in the order in which each comes first."""
    rows: dict[K, dict[C, T]] = {}
    for item in items:
        rows.setdefault(row(item), {})[column(item)] = item
    return rows


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def superscript(number: int) -> str:
    """The number as a footnote mark."""
    return str(number).translate(_SUPERSCRIPTS)


def render_table(table: Table) -> str:
    """GitHub-flavoured Markdown: numbers right-aligned, footnotes under the table."""
    head = "| " + " | ".join(escape(column.heading) for column in table.columns) + " |"
    rule = "|" + "|".join("---:" if column.is_number else ":---" for column in table.columns) + "|"
    body = ["| " + " | ".join(_render_cell(cell) for cell in row) + " |" for row in table.rows]
    lines = [head, rule, *body]
    if table.notes:
        lines += ["", "<br>".join(f"{superscript(i)} {note}" for i, note in enumerate(table.notes, 1))]
    return "\n".join(lines)


def _render_cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.is_bold and text:
        text = f"**{text}**"
    if cell.is_estimate and text:
        text = f"*{text}*"
    return text + (superscript(cell.mark) if cell.mark is not None else "")
