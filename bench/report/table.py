"""Markdown made of data: tables with footnotes. sidecar.py writes the CSV that stands beside each table."""

from __future__ import annotations

from dataclasses import dataclass, field

# The pages of this package have one module for all their Markdown.
from bench.markdown_text import bullets as bullets
from bench.markdown_text import escape as escape
from bench.markdown_text import fenced as fenced
from bench.markdown_text import joined as joined
from bench.markdown_text import one_line as one_line


@dataclass(frozen=True)
class Cell:
    """One entry of a table: what is shown, the unrounded value, and the records or the publication it comes from.

    more: further numbers that the text shows, by name, such as the ends of an interval.
    """

    text: str  # plain; escaped when the table is rendered
    value: object = None
    records: tuple[str, ...] = ()
    is_bold: bool = False
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

    def missing(self, why: str) -> Cell:
        """An entry that has no value, with the reason at the foot."""
        return Cell("n/a", mark=self.number(why))


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
    return text + (superscript(cell.mark) if cell.mark is not None else "")
