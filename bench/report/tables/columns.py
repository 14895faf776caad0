"""The columns of tables: each says its heading, how it gets and writes its number, and why one is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bench.analyse.stats.intervals import Interval
from bench.catalog.identity import identify_dataset
from bench.number_format import Scale, digits, ends
from bench.report.figures.style import family_style
from bench.report.tables.table import DASH, Cell, ColumnSpec, K, Notes, R

Records = tuple[str, ...]  # their ids


def own_records(row: Any) -> Records:
    """The records of the whole row, or its only one if it has one."""
    if hasattr(row, "cell_ids"):
        ids: Records = row.cell_ids
        return ids
    return () if row.cell_id is None else (row.cell_id,)


def no_records(row: object) -> Records:
    """Of a number that nobody measured."""
    return ()


def number(
    heading: str,
    value: Callable[[R], Any],
    shown: Callable[[Any], str],
    *,
    missing: str | Callable[[R], str] | None = None,
    records: Callable[[R], Records] = own_records,
    note: Callable[[R], str | None] | None = None,
    interval: Callable[[R], Interval | None] | None = None,
    source: Callable[[R], str] | None = None,
) -> ColumnSpec[R]:
    """A column of numbers.

    heading: with the unit. value: unrounded; None where there is none. shown: how it is written. missing: why there is
    none, for a footnote; without it a dash stands there. records: behind the number. note: a footnote beside it.
    interval: whose ends the sidecar holds too. source: of a published number.
    """

    def entry(row: R, notes: Notes) -> Cell:
        found = value(row)
        if found is None:
            return DASH if missing is None else notes.missing(missing(row) if callable(missing) else missing)
        return Cell(
            shown(found),
            found,
            records(row),
            mark=notes.mark(note(row) if note else None),
            more=ends(interval(row)) if interval else (),
            source=source(row) if source else "",
        )

    return ColumnSpec(heading, entry)


def condition(heading: str, value: Callable[[R], int], shown: Callable[[int], str] = str) -> ColumnSpec[R]:
    """A column of whole numbers that nobody measured, such as a batch size."""
    return number(heading, value, shown, records=no_records)


def words(
    heading: str,
    text: Callable[[R], str],
    value: Callable[[R], object] | None = None,
    *,
    records: Callable[[R], Records] = no_records,
    note: Callable[[R], str | None] | None = None,
) -> ColumnSpec[R]:
    """A column of plain text. value: what the text stands for in the sidecar, such as a model's own name."""

    def entry(row: R, notes: Notes) -> Cell:
        mark = notes.mark(note(row) if note else None)
        return Cell(text(row), value(row) if value else None, records(row), mark=mark)

    return ColumnSpec(heading, entry, is_number=False)


def each(keys: Iterable[K], heading: Callable[[K], str], entry: Callable[[R, K, Notes], Cell]) -> list[ColumnSpec[R]]:
    """A column for each of several places, such as data sets or training sizes."""

    def column(key: K) -> ColumnSpec[R]:
        return ColumnSpec(heading(key), lambda row, notes: entry(row, key, notes))

    return [column(key) for key in keys]


def dataset_column(name: Callable[[R], str]) -> ColumnSpec[R]:
    """The title of the data set with this name."""
    return words("Data set", lambda row: identify_dataset(name(row)).title, name)


def family_column(family: Callable[[R], str]) -> ColumnSpec[R]:
    """ViT, hybrid or CNN."""
    return words("Family", lambda row: family_style(family(row)).name)


def macs_column(
    macs: Callable[[R], float | None], scale: Scale, records: Callable[[R], Records] = own_records
) -> ColumnSpec[R]:
    """Multiply-adds of one image at the resolution of the row."""
    return number(f"MACs [{scale.unit}]", macs, digits(3, scale.factor), missing="not counted", records=records)
