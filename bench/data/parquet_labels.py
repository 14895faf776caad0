"""Labels of Parquet files as the hub's library writes them: each file says itself which number means which class."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.class_labels import Classes, few, number_classes
from bench.data.collection import PartName
from bench.errors import DataError

LabelRule = Callable[[NDArray[np.int64]], NDArray[np.int64]]
UNLABELLED = -1  # what sets of the hub put where the answer is kept secret


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
    if not any(one.values for held in files.values() for one in held):
        raise DataError(f"Data set {name!r}: its parquet files hold no rows.")
    unlabelled = [part for part, held in files.items() if _is_unlabelled(held)]
    notes = [f"Part '{part}' has no labels (-1 or none) and was left out." for part in unlabelled]
    kept = {part: held for part, held in files.items() if part not in unlabelled}
    if not kept:
        raise DataError(f"Data set {name!r} has no labels: all are -1 or missing.")
    for part, held in kept.items():
        values = [value for one in held for value in one.values]
        if None in values:
            raise DataError(f"Data set {name!r}: row {values.index(None)} of '{part}' has no label.")
        if UNLABELLED in values:
            raise DataError(
                f"Data set {name!r}: row {values.index(UNLABELLED)} of '{part}' has the label -1, which says on the "
                "hub that there is none. Its images cannot be used for this."
            )
    if rule is not None or (num_classes and not any(one.names for held in kept.values() for one in held)):
        classes = _worked_out(name, kept, rule, num_classes or 0)
    elif any(one.names for held in kept.values() for one in held):
        classes = _by_name(name, kept)
    else:
        texts = {part: [str(value) for one in held for value in one.values] for part, held in kept.items()}
        classes = number_classes(name, texts, lambda part, row: f"row {row} of '{part}'")
    return Classes(classes.names, classes.labels, (*notes, *classes.notes))


def _worked_out(
    name: str, files: Mapping[PartName, Sequence[FileLabels]], rule: LabelRule | None, num_classes: int
) -> Classes:
    labels = {}
    for part, held in files.items():
        values = [value for one in held for value in one.values]
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


def _notes(files: Mapping[PartName, Sequence[FileLabels]], first: FileLabels) -> list[str]:
    every = [one for held in files.values() for one in held]
    other = [one.path for one in every if one.names not in ((), first.names)]
    silent = [one.path for one in every if not one.names and any(isinstance(value, int) for value in one.values)]
    notes = []
    if other:
        notes.append(
            f"The numbers of classes in {few(other)} are others than in '{first.path}'; each file was read by its own "
            "class names."
        )
    if silent:
        notes.append(f"{few(silent)} has no class names; its numbers were taken to mean those of '{first.path}'.")
    return notes


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


def _is_unlabelled(held: Sequence[FileLabels]) -> bool:
    values = {value for one in held for value in one.values}
    return bool(values) and values <= {UNLABELLED, None}


def _composed(text: str) -> str:
    """One spelling of texts that look the same: an é may be one character or two."""
    return unicodedata.normalize("NFC", text)
