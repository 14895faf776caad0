"""The CSV beside each table: every entry with its unrounded value and the records or the publication behind it.

What a report writes here, `vitbench explain` reads, at a place such as `TABLE:ROW:COLUMN`.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from bench.errors import RequestError, UnknownNameError
from bench.report.tables.table import Cell, Column, Table
from bench.text import one_line

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


HEADER = [field.name for field in fields(Entry)]


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
        rows_of: dict[str, list[int]] = defaultdict(list)
        for number, title in enumerate(titles):
            rows_of[title].append(number)
        for title, alike in rows_of.items():
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
            Entry(**{name: line[name] for name in HEADER} | {"record_ids": tuple(line["record_ids"].split())})
            for line in csv.DictReader(stream)
        ]


_MOST_NAMED = 8
_TYPED = str.maketrans({"\u202f": " ", "−": "-", "–": "-", "×": "x"})  # as a keyboard has them
_LISTED_BY = "explain REPORT TABLE"


def entries_at(tables: Mapping[str, Sequence[Entry]], place: str) -> list[Entry]:
    """The entries of a place: a whole table, one row, or one entry. Names may be shortened while they stay clear.

    Names may hold colons themselves, so every way to part row and column is tried, and the one that comes nearest to
    whole names counts. Raises UnknownNameError for a name that nothing answers to, RequestError where several do.
    """
    name, _, rest = place.partition(":")
    table = match_name("table", name.strip(), tables, "the report")
    entries, rest = list(tables[table]), rest.strip()
    if not rest:
        return entries
    rows = list(dict.fromkeys(entry.row for entry in entries))
    found = _parted(rest, rows, entries)
    if len(found) > 1:
        raise _ambiguous("entry", rest, [f"{table}:{entry.row}:{entry.column}" for entry in found])
    if found:
        return found
    where = f"table '{table}'"
    if not nearest(rest, rows):  # not a row alone, so the fault lies in one of two names
        row, _, column = rest.partition(":")
        whole = match_name("row", row.strip(), rows, where)
        columns = [entry.column for entry in entries if entry.row == whole]
        raise UnknownNameError("column", column.strip(), columns, where=where, listed_by=_LISTED_BY)
    whole = match_name("row", rest, rows, where)
    return [entry for entry in entries if entry.row == whole]


def _parted(rest: str, rows: Sequence[str], entries: Sequence[Entry]) -> list[Entry]:
    """The entries that `rest` may mean as a row and a column, of the readings that come nearest to whole names."""
    by_distance: dict[int, list[Entry]] = {}
    for at in (place for place, letter in enumerate(rest) if letter == ":"):
        wanted_row, wanted_column = rest[:at].strip(), rest[at + 1 :].strip()
        for row in nearest(wanted_row, rows):
            own = {entry.column: entry for entry in entries if entry.row == row}
            for column in nearest(wanted_column, own):
                distance = (_distance(wanted_row, row) or 0) + (_distance(wanted_column, column) or 0)
                by_distance.setdefault(distance, []).append(own[column])
    return list(dict.fromkeys(by_distance[min(by_distance)])) if by_distance else []


def match_name(kind: str, name: str, known: Iterable[str], where: str) -> str:
    """The known name that is meant; letter case does not matter. Raises as `entries_at` does."""
    known = list(known)
    found = nearest(name, known)
    if not found:
        raise UnknownNameError(kind, name, known, where=where, listed_by=_LISTED_BY)
    if len(found) > 1:
        raise _ambiguous(kind, name, found)
    return found[0]


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The known names that are this one; where none is, those that begin with it; where none does, that contain it."""
    by_distance: dict[int, list[str]] = {}
    for one in known:
        distance = _distance(name, one)
        if distance is not None:
            by_distance.setdefault(distance, []).append(one)
    return by_distance[min(by_distance)] if by_distance else []


def _distance(name: str, known: str) -> int | None:
    """0: the same, 1: its beginning, 2: a part of it, None: nothing of it."""
    ours, theirs = (text.translate(_TYPED).casefold() for text in (name, known))
    if not ours or ours not in theirs:
        return None
    return 0 if ours == theirs else 1 if theirs.startswith(ours) else 2


def _ambiguous(kind: str, name: str, found: Sequence[str]) -> RequestError:
    shown = ", ".join(repr(one) for one in found[:_MOST_NAMED])
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return RequestError(f"{len(found)} answer to the {kind} {name!r}: {shown}{more}. Say more of the name.")
