"""Images in the rows of Parquet files, read in place, a row group at a time; and which columns hold what is needed."""

from __future__ import annotations

import bisect
import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bench.data.class_labels import few
from bench.data.fingerprints import file_stamp
from bench.errors import DataError, RequestError

LABEL_NAMES = ("label", "labels", "fine_label", "target", "class")
IMAGE_NAMES = ("image", "img")


class Published(Protocol):
    """What a publisher says of a file."""

    def check(self, local: str) -> None:
        """Raises DataError unless the local file is what was published."""
        ...


@dataclass(frozen=True)
class ParquetImages:
    """A reader of a column of encoded images, bytes or {bytes, path}, over several parquet files."""

    files: tuple[str, ...]
    ends: tuple[int, ...]  # images up to and with each file
    column: str
    published: tuple[Published, ...] = ()  # of each file, where there is a publisher

    def __len__(self) -> int:
        return self.ends[-1]

    def stamp(self) -> str:
        """What changes when a file does; see bench/data/fingerprints.py."""
        return "\n".join([self.column, *(f"{file}\t{file_stamp(os.stat(file))}" for file in self.files)])

    def check(self) -> None:
        """Raises DataError for a file that is not what its publisher says."""
        for file, published in zip(self.files, self.published, strict=False):
            published.check(file)

    def read(self, index: int) -> bytes:
        at = bisect.bisect_right(self.ends, index)
        file, row = self.files[at], index - (self.ends[at - 1] if at else 0)
        try:
            stored = _row(file, row, self.column)
        except (OSError, ValueError, LookupError) as error:  # pyarrow's errors are these
            raise DataError(f"Row {row} of '{file}' cannot be read: {str(error)[:200]}.") from None
        encoded = stored.get("bytes") if isinstance(stored, dict) else stored
        if not isinstance(encoded, bytes):
            raise DataError(f"Row {row} of '{file}' has no image in column {self.column!r}, only {str(stored)[:80]!r}.")
        return encoded


def images_of(files: Sequence[str], column: str, published: Iterable[Published] = ()) -> ParquetImages:
    """The images in a column of these files, one file after the other."""
    ends = np.cumsum([parquet_file(file).metadata.num_rows for file in files])
    return ParquetImages(tuple(files), tuple(int(end) for end in ends), column, tuple(published))


def keys_of(part: str, files: Sequence[str], column: str, count: int) -> tuple[str, ...]:
    """The images' own names where each has one, else their numbers."""
    if all(_has_paths(file, column) for file in files):
        paths = [
            entry["path"] if entry else None
            for file in files
            for entry in parquet_file(file).read(columns=[f"{column}.path"]).column(column).to_pylist()
        ]
        if all(paths) and len(set(paths)) == len(paths):
            return tuple(f"{part}/{path}" for path in paths)
    return tuple(f"{part}/{i:07d}" for i in range(count))


def values_of(file: str, column: str) -> list[Any]:
    """The column's values, in order."""
    return list(parquet_file(file).read(columns=[column]).column(column).to_pylist())


def parquet_file(file: str) -> Any:
    """The opened file; opened anew when it has changed."""
    return _opened(file, file_stamp(os.stat(file)))


def image_column(name: str, schema: Any) -> tuple[str, tuple[str, ...]]:
    """The column of images, and others that could be meant. Raises RequestError where there is not one."""
    return _one_of(
        name, "images", [column.name for column in schema if _holds_images(column.type)], IMAGE_NAMES, schema
    )


def label_column(name: str, schema: Any, image: str) -> tuple[str, tuple[str, ...]]:
    """The column of labels, and others that could be meant. Raises RequestError where there is not one."""
    able = [column for column in schema if column.name != image and _holds_labels(column.type)]
    called = [column.name for column in able if is_called_label(column.name)]
    # a fraction is a label only where it is called one
    return _one_of(name, "labels", called or [c.name for c in able if not _is_float(c.type)], LABEL_NAMES, schema)


def is_called_label(column: str) -> bool:
    """Whether a column's name says that it holds labels."""
    return "label" in column.casefold() or column in LABEL_NAMES


def check_columns(name: str, path: str, schema: Any, image: str, label: str | None) -> None:
    """Raises DataError for a file that lacks one of the columns, or holds something else in it."""
    for column, holds, what in ((image, _holds_images, "encoded images"), (label, _holds_labels, "one label a row")):
        if column is None:
            continue
        if column not in schema.names:
            raise DataError(f"Data set {name!r}: '{path}' has no column {column!r}; it has {few(schema.names, 12)}.")
        if not holds(schema.field(column).type):
            raise DataError(
                f"Data set {name!r}: column {column!r} of '{path}' is of type {schema.field(column).type}, not {what}."
            )


def _one_of(
    name: str, what: str, able: Sequence[str], preferred: Sequence[str], schema: Any
) -> tuple[str, tuple[str, ...]]:
    called = [column for column in preferred if column in schema.names]
    named = [column for column in called if column in able]
    if named or (len(able) == 1 and not called):
        chosen = (named or able)[0]
        return chosen, tuple(column for column in able if column != chosen)
    if called:
        raise RequestError(
            f"Data set {name!r}: column {called[0]!r} is of type {schema.field(called[0]).type}, which is no column of "
            f"{what}: {_EXPECTED[what]}."
        )
    raise RequestError(
        f"Data set {name!r} has {len(able)} columns that could be of {what}; its columns are {few(schema.names, 12)}. "
        f"Expected one, or one called {preferred[0]!r}."
    )


_EXPECTED = {
    "images": "encoded images are expected in the file itself, as bytes or {bytes, path}",
    "labels": "one whole number or text a row is expected",
}


def _holds_images(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _holds_images(kind.value_type)
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _holds_labels(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _holds_labels(kind.value_type)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(is_text or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or _is_float(kind))


def _is_float(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind))


def _has_paths(file: str, column: str) -> bool:
    schema = parquet_file(file).schema
    return f"{column}.path" in [schema.column(i).path for i in range(len(schema.names))]


def _row(file: str, row: int, column: str) -> Any:
    stamp = file_stamp(os.stat(file))
    ends = _group_ends(file, stamp)
    group = bisect.bisect_right(ends, row)
    return _row_group(file, stamp, group, column)[row - (ends[group - 1] if group else 0)].as_py()


@functools.lru_cache(maxsize=64)
def _opened(file: str, stamp: str) -> Any:
    import pyarrow.parquet as pq

    del stamp  # another one is another file
    return pq.ParquetFile(file, memory_map=True)  # no shared file position, so a forked process can go on reading


@functools.lru_cache(maxsize=64)
def _group_ends(file: str, stamp: str) -> tuple[int, ...]:
    metadata = _opened(file, stamp).metadata
    return tuple(
        int(end) for end in np.cumsum([metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)])
    )


@functools.lru_cache(maxsize=4)  # images are mostly read in order; a row group is read once for all of its images
def _row_group(file: str, stamp: str, group: int, column: str) -> Any:
    return _opened(file, stamp).read_row_group(group, columns=[column]).column(column)
