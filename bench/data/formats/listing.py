"""A list of images: a CSV or Parquet file with the columns `path,label[,split,group]`.

Paths are relative to the list's folder, which they cannot leave. Labels are texts or integers. Splits are train,
validation (or val) and test. Images of one group (a patient, a video) stay together when a split is made.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from bench.data.formats.safe_paths import FileReader, check_ordinary, inside, real_root, resolve_inside, unreadable
from bench.data.sets.class_labels import SPLIT_NAMES, few, name_split, number_classes, spelled
from bench.data.sets.collection import PART_NAMES, ImageCollection, LabelledImages, PartName
from bench.errors import DataError

NEEDED = ("path", "label")
OPTIONAL = ("split", "group")
SUFFIXES = (".csv", ".parquet")

_EXPECTED = "Expected the header `path,label[,split,group]` in line 1 and a line per image."
_OTHER_DELIMITERS = {";": "';'", "\t": "tabs", "|": "'|'"}
_LIKELY_NAMES = {
    "path": ("image", "file", "filename", "file_name", "filepath", "image_path", "img", "name"),
    "label": ("class", "target", "category", "class_name", "labels", "y"),
}
_WHOLE = re.compile(r"-?\d+(\.0+)?")
_LIKE_NO_LABEL = frozenset(("na", "n/a", "#n/a", "<na>", "none", "null", "?"))
_OTHER_FORMATS = (
    (b"PK\x03\x04", "an Excel or zip"),
    (b"PAR1", "a Parquet"),
    (b"\x1f\x8b", "a gzip"),
)


class _Row(NamedTuple):
    line: int
    path: str
    label: str
    split: str
    group: str


@dataclass(frozen=True)
class _Table:
    """The cells of a list, as texts; an absent one is empty. line: what a line is called in messages."""

    list_name: str
    rows: Sequence[_Row]
    columns: Sequence[str]
    line: str

    def error(self, row: _Row, problem: str) -> DataError:
        """What to say of a row."""
        return DataError(f"List '{self.list_name}', {self.line} {row.line}: {problem}")


def open_listing(name: str, path: Path) -> ImageCollection:
    """The images that a list names. Keys are their paths.

    Raises DataError, with the line, for a list that cannot be read as one, for paths that leave its folder, are listed
    twice or are not there, and for labels and splits that make no sense.
    """
    table = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    if not table.rows:
        raise DataError(f"List '{path.name}' has a header and no images.")
    root = real_root(path.parent)
    files = _check_paths(root, table)
    labels = _labels(table)
    parts = _rows_by_part(table)
    classes = number_classes(
        name,
        {part: [labels[i] for i in index] for part, index in parts.items()},
        lambda part, index: f"list '{path.name}', {table.line} {table.rows[parts[part][index]].line}",
    )
    grouped = any(row.group for row in table.rows)
    return ImageCollection(
        name=name,
        class_names=classes.names,
        parts={
            part: LabelledImages(
                reader=FileReader(root, tuple(files[i] for i in index)),
                labels=classes.labels[part],
                keys=tuple(files[i] for i in index),
                groups=tuple(table.rows[i].group or files[i] for i in index) if grouped else None,
            )
            for part, index in parts.items()
        },
        notes=(*_notes(table, parts), *classes.notes),
    )


# --- what the cells say ---


def _check_paths(root: str, table: _Table) -> list[str]:
    """The plain path of each row's image."""
    files = []
    line_of: dict[str, int] = {}
    missing: list[_Row] = []
    disk = _Disk(root)
    for row in table.rows:
        try:
            file = disk.called(inside(row.path))
            status = os.lstat(resolve_inside(root, file))
            check_ordinary(file, status)
        except (FileNotFoundError, NotADirectoryError):
            missing.append(row)
        except OSError as error:
            raise table.error(row, str(unreadable(row.path, error))) from None
        except (DataError, UnicodeEncodeError) as error:
            raise table.error(row, str(error)) from None
        if file in line_of:
            listed = f"path {row.path!r} is listed already, in {table.line} {line_of[file]}. Keep one."
            raise table.error(row, listed)
        line_of[file] = row.line
        files.append(file)
    if missing:
        path = missing[0].path
        others = f" and {len(missing) - 1:,} other files of the list do" if len(missing) > 1 else " does"
        hint = " Write folders with '/'." if "\\" in path else ""
        if os.path.lexists(os.path.join(root, unquote(path))):
            hint = " Write names as they are on the disk, without %-codes."
        problem = f"file {path!r}{others} not exist. Paths are relative to the list's folder.{hint}"
        raise table.error(missing[0], problem)
    return files


class _Disk:
    """Names of files as they are below a root, for names that were written in another Unicode form."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._names: dict[str, dict[str, str]] = {}  # folder -> composed name -> name on the disk

    def called(self, file: str) -> str:
        """The path of `file`, each step called as on the disk; as it is where nothing like it is there."""
        if file.isascii() or os.path.lexists(os.path.join(self._root, file)):
            return file
        folder, _, name = file.rpartition("/")
        folder = self.called(folder) if folder else ""
        if folder not in self._names:
            try:
                found = os.listdir(resolve_inside(self._root, folder) if folder else self._root)
            except OSError:
                found = []
            self._names[folder] = {spelled(entry): entry for entry in found}
        name = self._names[folder].get(spelled(name), name)
        return f"{folder}/{name}" if folder else name


def _labels(table: _Table) -> list[str]:
    """The label of each row. Integers that a spreadsheet or a gap turned into `1.0` are integers again."""
    labels = [row.label for row in table.rows]
    for row in table.rows:
        if not spelled(row.label):
            raise table.error(row, f"image {row.path!r} has no label.")
        if row.label.casefold() == "nan":
            raise table.error(row, f"image {row.path!r} has the label {row.label!r}, which is a missing number.")
    if all(_WHOLE.fullmatch(label) for label in set(labels)):
        return [label.partition(".")[0] for label in labels]
    return labels


def _rows_by_part(table: _Table) -> dict[PartName, list[int]]:
    """Part -> positions of its rows. All is `train` where no row names a split."""
    found: dict[PartName, list[int]] = {}
    named = any(row.split for row in table.rows)
    for i, row in enumerate(table.rows):
        part = name_split(row.split) if named else "train"
        if part is None:
            wrong = f"split {row.split!r} is unknown" if row.split else "the split is empty, while other rows have one"
            raise table.error(row, f"{wrong}. Use one of {', '.join(SPLIT_NAMES)}.")
        found.setdefault(part, []).append(i)
    return {part: found[part] for part in PART_NAMES if part in found}


def _notes(table: _Table, parts: dict[PartName, list[int]]) -> Iterable[str]:
    if blanks := sorted({row.label for row in table.rows if row.label.casefold() in _LIKE_NO_LABEL}):
        yield f"The labels {few(blanks)} are taken as classes. Do they stand for a missing label? Then take them out."
    if "split" in table.columns and not any(row.split for row in table.rows):
        yield "The list's column 'split' is empty, so all images are taken as one part."
    if unknown := [column for column in table.columns if column not in NEEDED + OPTIONAL]:
        yield f"Columns of the list that were ignored: {few(unknown)}."
    if not any(row.group for row in table.rows):
        return
    if alone := sum(not row.group for row in table.rows):
        yield f"{alone:,} images of the list have no group; each is a group of its own."
    in_parts = Counter(group for index in parts.values() for group in {table.rows[i].group for i in index} - {""})
    if shared := sorted(group for group, count in in_parts.items() if count > 1):
        yield f"{len(shared):,} groups have images in more than one part of the list's split: {few(shared)}."


def _check_header(list_name: str, columns: Sequence[str], hint: str = "") -> None:
    """Raises DataError unless the needed columns are there, once. hint: what to do if they are not, if known."""
    if twice := [column for column, count in Counter(columns).items() if count > 1 and column in NEEDED + OPTIONAL]:
        raise DataError(f"List '{list_name}' has the column {twice[0]!r} twice. Keep one.")
    for needed in NEEDED:
        if needed not in columns:
            likely = [column for column in columns if column in _LIKELY_NAMES[needed]]
            rename = f" Is it {likely[0]!r}? Rename it." if likely else ""
            held = few(columns) or "nothing"
            raise DataError(f"List '{list_name}' has no column '{needed}' but {held}.{hint or rename} {_EXPECTED}")


# --- CSV ---


def _read_csv(path: Path) -> _Table:
    text = _read_text(path)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: list[_Row] = []
    columns: list[str] = []
    line = 1
    try:
        columns = [cell.strip().casefold() for cell in next(rows)]
        _check_header(path.name, columns, _wrong_delimiter(text))
        places = [columns.index(column) if column in columns else None for column in NEEDED + OPTIONAL]
        line = rows.line_num + 1
        for cells in rows:
            if any(cell.strip() for cell in cells):
                if len(cells) != len(columns):
                    quote = " Put double quotes around cells with a comma in them." if len(cells) > len(columns) else ""
                    counts = f"{len(cells)} cells, and the header has {len(columns)}"
                    raise DataError(f"List '{path.name}', line {line}: {counts}.{quote}")
                found.append(_Row(line, *("" if i is None else cells[i].strip() for i in places)))
            line = rows.line_num + 1
    except csv.Error as error:
        raise DataError(f"List '{path.name}', line {line}: {error}. Is a double quote not closed?") from None
    return _Table(path.name, found, columns, "line")


def _read_text(path: Path) -> str:
    """The text of a list. Raises DataError for one that is empty or not UTF-8."""
    try:
        check_ordinary(path.name, path.stat())
        raw = path.read_bytes()
    except OSError as error:
        raise unreadable(path.name, error) from None
    for start, kind in _OTHER_FORMATS:
        if raw.startswith(start):
            raise DataError(
                f"List '{path.name}' is {kind} file, not CSV. Save it as CSV, or give it its own extension."
            )
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"List '{path.name}', line 1: the file is UTF-16. Save it as UTF-8.")
    try:
        text = raw.decode("utf-8-sig")  # with or without the mark that Excel puts in front
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"List '{path.name}', line {line}: byte 0x{raw[error.start]:02x} is not UTF-8. Save the list as UTF-8."
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"List '{path.name}', line {line}: a zero byte. The file is damaged, or not a CSV file.")
    if not text.strip():
        raise DataError(f"List '{path.name}' is empty. {_EXPECTED}")
    return text


def _wrong_delimiter(text: str) -> str:
    header = text.splitlines()[0]
    for delimiter, shown in _OTHER_DELIMITERS.items():
        if set(NEEDED) <= {cell.strip(' "').casefold() for cell in header.split(delimiter)}:
            return f" Its columns are separated by {shown}; separate them by commas."
    return ""


# --- Parquet ---


def _read_parquet(path: Path) -> _Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        check_ordinary(path.name, path.stat())
        with pq.ParquetFile(path) as file:
            columns = [column.strip().casefold() for column in file.schema_arrow.names]
            _check_header(path.name, columns)
            wanted = [i for i, column in enumerate(columns) if column in NEEDED + OPTIONAL]
            table = file.read(columns=[file.schema_arrow.names[i] for i in wanted])
            cells = {columns[i]: table.column(place).to_pylist() for place, i in enumerate(wanted)}
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a text that is not UTF-8
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"List '{path.name}' cannot be read as Parquet: {reason}") from None
    absent = [""] * len(cells["path"])
    texts = [_texts(path.name, column, cells[column]) if column in cells else absent for column in NEEDED + OPTIONAL]
    rows = [_Row(i, *found) for i, found in enumerate(zip(*texts, strict=True), start=1)]
    return _Table(path.name, rows, columns, "row")


def _texts(list_name: str, column: str, cells: Iterable[Any]) -> list[str]:
    """Cells of a column as texts; null and NaN become the empty text."""
    found = []
    for i, cell in enumerate(cells):
        if isinstance(cell, str):
            found.append(cell.strip())
        elif cell is None or cell != cell:
            found.append("")
        elif column != "path" and isinstance(cell, int) and not isinstance(cell, bool):
            found.append(str(cell))
        elif column != "path" and isinstance(cell, float) and cell.is_integer():
            found.append(str(int(cell)))  # integers become floats in a column that once had a gap
        else:
            kind = "a text" if column in ("path", "split") else "a text or an integer"
            raise DataError(
                f"List '{list_name}', row {i + 1}: {column} {cell!r} is a {type(cell).__name__}, not {kind}."
            )
    return found
