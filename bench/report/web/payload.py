"""The data of the page: records, table entries and the plot, packed so that no text in them can end their element."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from bench.catalog.identity import family_rank
from bench.report.figures.style import BLUE, GREEN, GREY, PURPLE, VERMILION, family_style
from bench.report.tables.table import Cell, Column, Table
from bench.report.web.plot_data import LAYERS, Axis, Plot, PlotPoint, Value
from bench.store.record import Record
from bench.store.rows import machine_of

# Lighter members of the same palette, for a dark ground: at least 6:1 against #16181d.
ON_DARK = {BLUE: "#56B4E9", VERMILION: "#F0955A", GREEN: "#35C79C", PURPLE: "#E69FCB", GREY: "#A8ACB3"}
_SYMBOLS = {"o": "circle", "^": "triangle-up", "s": "square", "X": "x", "D": "diamond"}  # matplotlib's name -> plotly's
_DIGITS = 7  # of a coordinate: a ten-thousandth of a pixel; tables keep the unrounded value
Entry = tuple[float | None, str, int | None]  # number to sort by, reference to records, place of the publication

_NUMBER = re.compile(r"[−-]?\d[\d\u202f ]*(?:\.\d+)?(?:e[−-]?\d+)?")


def packed(data: object) -> str:
    """JSON, compressed, in base64: letters, digits, `+`, `/` and `=` alone. The same data give the same text.

    10,000 records' points are 3 MB of JSON; a page with plotly in it has room for one. Raises ValueError for NaN.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


class RecordIndex:
    """Numbers the record ids of a page in the order of their first use, so that references stay short.

    A reference such as `4-6 9` names records 4, 5, 6 and 9.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def reference(self, ids: Iterable[str]) -> str:
        """The numbers of these ids in rising order, runs of three or more as `first-last`; empty for none."""
        numbers = sorted({self._numbers.setdefault(cell_id, len(self._numbers)) for cell_id in ids})
        parts: list[str] = []
        for _, places in itertools.groupby(enumerate(numbers), key=lambda place: place[1] - place[0]):
            run = [number for _, number in places]
            parts += [f"{run[0]}-{run[-1]}"] if len(run) > 2 else [str(number) for number in run]
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


def plot_payload(plot: Plot, index: RecordIndex) -> dict[str, object]:
    """What plot.js reads. Points, and their values on each axis, are columns: objects would repeat their keys."""
    values: dict[str, list[dict[str, object]]] = defaultdict(list)
    for place, point in enumerate(plot.points):
        for key, value in point.values.items():
            values[key].append({"place": place, **_value(value, index)})
    families = sorted({point.family for point in plot.points}, key=family_rank)
    layers = {point.layer for point in plot.points}
    return {
        "axes": [_axis(axis) for axis in plot.axes],
        "layers": [{"key": key, "name": name} for key, name in LAYERS.items() if key in layers],
        "families": [_family(family) for family in families],
        "points": _columns([_point(point) for point in plot.points]),
        "values": {key: _columns(rows) for key, rows in values.items()},
        "start": {"x": plot.x, "y": plot.y, "front": plot.front},
        "strata": dict(plot.strata),
        "marks": plot.marks,
        "note": plot.note,
    }


def _columns(rows: Sequence[Mapping[str, object]]) -> dict[str, list[object]]:
    """The same as one list for each key, which every row has."""
    return {key: [row[key] for row in rows] for key in (rows[0] if rows else ())}


def _axis(axis: Axis) -> dict[str, object]:
    return {
        "key": axis.key,
        "title": axis.title,
        "form": axis.form,
        "better": axis.better,
        "isLog": axis.is_log,
        "note": axis.note,
        "isTold": axis.is_told,
    }


def _family(family: str) -> dict[str, object]:
    style = family_style(family)
    return {
        "key": family,
        "name": style.name,
        "light": style.colour,
        "dark": ON_DARK[style.colour],
        "symbol": _SYMBOLS[style.marker],
        "isFilled": style.is_filled,
    }


def _point(point: PlotPoint) -> dict[str, object]:
    return {
        "label": point.label,
        "family": point.family,
        "layer": point.layer,
        "isMain": point.is_main,
        "facts": point.facts,
        "along": dict(point.along),
        "stratum": point.stratum,
        "marks": point.marks,
    }


def _value(value: Value, index: RecordIndex) -> dict[str, object]:
    return {
        "value": _rounded(value.value),
        "bar": None if value.bar is None else [_rounded(end) for end in value.bar],
        "conditions": value.conditions,
        "rankedWith": value.ranked_with,
        "records": index.reference(value.records),
        "kind": value.kind,
    }


def _rounded(number: float) -> float | int:
    """Few digits. Raises ValueError for what is no number."""
    if not math.isfinite(number):
        raise ValueError(f"{number} is no coordinate")
    short = float(f"{number:.{_DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
