"""From a place in a report to its entry: `TABLE`, `TABLE:ROW` or `TABLE:ROW:COLUMN`, with as much as tells it apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.errors import RequestError, UnknownNameError
from bench.report.sidecar import Entry

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
