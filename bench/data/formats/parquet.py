"""Images and labels in the rows of Parquet files: which columns hold them, images read in place, a row group at a time.

Labels as the hub's library writes them: each file says itself which number means which class.
"""

from __future__ import annotations

import bisect
import functools
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.data.sets.class_labels import Classes, few, number_classes
from bench.data.sets.collection import PartName
from bench.data.sets.fingerprints import file_stamp
from bench.errors import DataError, RequestError

LabelRule = Callable[[NDArray[np.int64]], NDArray[np.int64]]
UNLABELLED = -1  # what sets of the hub put where the answer is kept secret
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
        """What changes when a file does; see bench/data/sets/fingerprints.py."""
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
    ends = tuple(accumulate(parquet_file(file).metadata.num_rows for file in files))
    return ParquetImages(tuple(files), ends, column, tuple(published))


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
    able = [column.name for column in schema if _holds_images(column.type)]
    return _one_of(name, "images", able, IMAGE_NAMES, schema)


def label_column(name: str, schema: Any, image: str) -> tuple[str, tuple[str, ...]]:
    """The column of labels, and others that could be meant. Raises RequestError where there is not one."""
    import pyarrow as pa

    able = [column for column in schema if column.name != image and _holds_labels(column.type)]
    called = [column.name for column in able if is_called_label(column.name)]
    # a fraction is a label only where it is called one
    whole = [column.name for column in able if not pa.types.is_floating(column.type)]
    return _one_of(name, "labels", called or whole, LABEL_NAMES, schema)


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
    types = pa.types
    holds = (types.is_string, types.is_large_string, types.is_integer, types.is_boolean, types.is_floating)
    return any(is_it(kind) for is_it in holds)


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
    return tuple(accumulate(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)))


@functools.lru_cache(maxsize=4)  # images are mostly read in order; a row group is read once for all of its images
def _row_group(file: str, stamp: str, group: int, column: str) -> Any:
    return _opened(file, stamp).read_row_group(group, columns=[column]).column(column)


# --- labels ---


@dataclass(frozen=True)
class FileLabels:
    """path: of the file, for messages. values: whole numbers or texts, None where there is none. names: what the
    numbers mean, by this file; () if it does not say."""

    path: str
    values: Sequence[int | str | None]
    names: tuple[str, ...]


def file_labels(name: str, path: str, values: Sequence[Any], schema: Any, column: str) -> FileLabels:
    """The labels of one file. Raises DataError for a number that is not whole and for two classes of one name."""
    names = _class_names(schema, column)
    spelled = Counter(_composed(text) for text in names)
    if twice := [text for text, count in spelled.items() if count > 1]:
        raise DataError(f"Data set {name!r}: '{path}' has two classes called {twice[0]!r}.")
    return FileLabels(path, [_label(name, path, value) for value in values], names)


def number_labels(
    name: str, files: Mapping[PartName, Sequence[FileLabels]], rule: LabelRule | None, num_classes: int | None
) -> Classes:
    """Class names, labels of each part, and notes. Parts without any label are left out and noted.

    rule, num_classes: for a label that is worked out from whole numbers; the classes are then named 0, 1, ...
    Raises DataError for an image without a label in a part with others, a number that is no class, a class that train
    lacks, and for files that hold no rows or no labels.
    """
    if not any(_values(held) for held in files.values()):
        raise DataError(f"Data set {name!r}: its parquet files hold no rows.")
    unlabelled = [part for part, held in files.items() if _values(held) and set(_values(held)) <= {UNLABELLED, None}]
    notes = [f"Part '{part}' has no labels (-1 or none) and was left out." for part in unlabelled]
    kept = {part: held for part, held in files.items() if part not in unlabelled}
    if not kept:
        raise DataError(f"Data set {name!r} has no labels: all are -1 or missing.")
    for part, held in kept.items():
        values = _values(held)
        if None in values:
            raise DataError(f"Data set {name!r}: row {values.index(None)} of '{part}' has no label.")
        if UNLABELLED in values:
            raise DataError(
                f"Data set {name!r}: row {values.index(UNLABELLED)} of '{part}' has the label -1, which says on the "
                "hub that there is none. Its images cannot be used for this."
            )
    are_named = any(one.names for held in kept.values() for one in held)
    if rule is not None or (num_classes and not are_named):
        classes = _worked_out(name, kept, rule, num_classes or 0)
    elif are_named:
        classes = _by_name(name, kept)
    else:
        texts = {part: [str(value) for value in _values(held)] for part, held in kept.items()}
        classes = number_classes(name, texts, lambda part, row: f"row {row} of '{part}'")
    return Classes(classes.names, classes.labels, (*notes, *classes.notes))


def _worked_out(
    name: str, files: Mapping[PartName, Sequence[FileLabels]], rule: LabelRule | None, num_classes: int
) -> Classes:
    labels = {}
    for part, held in files.items():
        values = _values(held)
        if any(isinstance(value, str) for value in values):
            raise DataError(f"Data set {name!r}: labels of '{part}' are texts, expected numbers below {num_classes}.")
        numbers = np.array(values, dtype=np.int64)
        labels[part] = rule(numbers) if rule is not None else numbers
        _check_range(name, f"'{part}'", labels[part], num_classes)
    return Classes(tuple(str(i) for i in range(num_classes)), labels, ())


def _by_name(name: str, files: Mapping[PartName, Sequence[FileLabels]]) -> Classes:
    """By the names that files give their numbers. The classes are those of train, in the order of its first file."""
    by_train = sorted(files, key=lambda part: part != "train")
    first = next(one for part in by_train for one in files[part] if one.names)
    known = files.get("train") or [one for held in files.values() for one in held]
    names: dict[str, str] = {}  # as it is compared -> as it is shown
    for one in [first, *known]:
        for text in (*one.names, *sorted({value for value in one.values if isinstance(value, str)})):
            names.setdefault(_composed(text), text)
    index = {text: i for i, text in enumerate(names)}
    labels = {
        part: np.concatenate([_indices(name, part, one, first.names, index) for one in held])
        for part, held in files.items()
    }
    return Classes(tuple(names.values()), labels, tuple(_notes(files, first)))


def _indices(
    name: str, part: PartName, file: FileLabels, default: tuple[str, ...], index: Mapping[str, int]
) -> NDArray[np.int64]:
    """The labels of a file, (N,), as positions among all classes."""
    own = file.names or default
    numbers = np.array([value for value in file.values if not isinstance(value, str)], dtype=np.int64)
    _check_range(name, f"'{part}'", numbers, len(own))
    texts = [value if isinstance(value, str) else own[value] for value in file.values if value is not None]
    if unknown := [text for text in texts if _composed(text) not in index]:
        raise DataError(
            f"Data set {name!r}: class {unknown[0]!r} of '{file.path}' is in '{part}' and not in 'train', which has "
            f"{few(list(index), 12)}."
        )
    return np.array([index[_composed(text)] for text in texts], dtype=np.int64)


def _notes(files: Mapping[PartName, Sequence[FileLabels]], first: FileLabels) -> Iterator[str]:
    every = [one for held in files.values() for one in held]
    other = [one.path for one in every if one.names not in ((), first.names)]
    silent = [one.path for one in every if not one.names and any(isinstance(value, int) for value in one.values)]
    if other:
        yield (
            f"The numbers of classes in {few(other)} are others than in '{first.path}'; each file was read by its own "
            "class names."
        )
    if silent:
        yield f"{few(silent)} has no class names; its numbers were taken to mean those of '{first.path}'."


def _check_range(name: str, what: str, labels: NDArray[np.int64], count: int) -> None:
    if len(labels) and not 0 <= labels.min() <= labels.max() < count:
        raise DataError(
            f"Data set {name!r}: labels of {what} are {labels.min()} to {labels.max()}, expected 0 to {count - 1}."
        )


def _class_names(schema: Any, column: str) -> tuple[str, ...]:
    """The names of the classes in the metadata that the hub's library writes; () if there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(one) for one in features[column]["names"])
    except (ValueError, LookupError, TypeError):
        return ()


def _label(name: str, path: str, value: Any) -> int | str | None:
    if isinstance(value, float):
        if value != value:  # NaN, which is how pandas writes none
            return None
        if value != int(value):
            raise DataError(f"Data set {name!r}: label {value!r} of '{path}' is no whole number and no text.")
    return value if value is None or isinstance(value, str) else int(value)


def _values(files: Sequence[FileLabels]) -> list[int | str | None]:
    return [value for one in files for value in one.values]


def _composed(text: str) -> str:
    """One spelling of texts that look the same: an é may be one character or two."""
    return unicodedata.normalize("NFC", text)
