"""Data sets of the Hugging Face hub that are parquet files: fetched at a pinned revision, checked, read in place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.data.class_labels import few
from bench.data.collection import ImageCollection, LabelledImages, PartName
from bench.data.hub_files import StoredFile, files_of_revision, newest_revision
from bench.data.hub_splits import choose_splits
from bench.data.parquet_images import (
    check_columns,
    image_column,
    images_of,
    is_called_label,
    keys_of,
    label_column,
    parquet_file,
    values_of,
)
from bench.data.parquet_labels import FileLabels, LabelRule, file_labels, number_labels
from bench.errors import DataError, RequestError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def open_hub(
    name: str,
    repo_id: str,
    *,
    revision: str | None,
    download: bool,
    image: str = "",
    label: str = "",
    label_rule: LabelRule | None = None,
    num_classes: int | None = None,
    config: str = "",
    splits: Sequence[str] = (),
) -> ImageCollection:
    """The parts of a parquet data set at one revision, classes as its files name them.

    revision: 40 hexadecimal digits, or None for the newest one, which is resolved only if `download`, and noted.
    image, label: columns; empty for those that can be meant. label_rule, num_classes: for a label that is worked out
    from the column; the classes are then named 0, 1, ... config: the folder of one of several configurations; empty
    where there is one. splits: those that are meant; empty for `choose_splits` to see.
    Raises RequestError for a name, revision, split or column that is not one, AbsentDataError for a revision that is
    not here, DataError for a download that fails or is not what the hub says, and for files that are no such images.
    """
    if not _REPOSITORY.fullmatch(repo_id):
        raise RequestError(f"Data set {name!r}: 'hf:{repo_id}' is not hf:owner/name[@revision].")
    if revision and not _COMMIT.fullmatch(revision):
        raise RequestError(
            f"Data set {name!r}: revision {revision!r} of hf:{repo_id} is not a commit of 40 hexadecimal digits. A "
            "branch or tag can move; the page 'Files and versions' of the data set shows its commits."
        )
    notes: tuple[str, ...] = ()
    if not revision:
        revision = newest_revision(name, repo_id, download)
        notes = (f"No revision of hf:{repo_id} was given; {revision} was the newest.",)
    here = _of_config(name, files_of_revision(name, repo_id, revision, download), config)
    chosen = choose_splits(name, [file.path for file in here], splits)
    by_path = {file.path: file for file in here}
    files = {part: [by_path[path] for path in paths] for part, paths in chosen.paths.items()}
    collection = _read(name, files, here, image, label, label_rule, num_classes)
    return ImageCollection(name, collection.class_names, collection.parts, (*chosen.notes, *collection.notes, *notes))


def _of_config(name: str, files: Mapping[StoredFile, str], config: str) -> Mapping[StoredFile, str]:
    """The files of one configuration: those in its folder, at whatever depth. All of them without a name."""
    if not config:
        return files
    found = {file: local for file, local in files.items() if config in file.path.split("/")[:-1]}
    if not found:
        known = sorted({file.path.rpartition("/")[0] for file in files})
        raise RequestError(f"Data set {name!r} has no configuration {config!r}; its files lie in {few(known)}.")
    return found


def _read(
    name: str,
    files: Mapping[PartName, Sequence[StoredFile]],
    here: Mapping[StoredFile, str],
    image: str,
    label: str,
    rule: LabelRule | None,
    num_classes: int | None,
) -> ImageCollection:
    notes = []
    try:
        schemas = {file: parquet_file(here[file]).schema_arrow for held in files.values() for file in held}
        schema = schemas[(files.get("train") or next(iter(files.values())))[0]]
        for column in filter(None, (image, label)):
            if column not in schema.names:
                raise RequestError(f"Data set {name!r} has no column {column!r}; it has {few(schema.names, 12)}.")
        if not image:
            image, others = image_column(name, schema)
            notes += _of_column("Images", image, others)
        if not label:
            label, others = label_column(name, schema, image)
            notes += _of_column("Labels", label, others)
        parts, labels = {}, {}
        for part, held in files.items():
            columns = {column for file in held for column in schemas[file].names}
            # a test part may be published without labels, and not with others
            has_labels = label in columns or any(is_called_label(column) for column in columns)
            for file in held:
                check_columns(name, file.path, schemas[file], image, label if has_labels else None)
            reader = images_of([here[file] for file in held], image, held)
            parts[part] = reader, keys_of(part, reader.files, image, len(reader))
            labels[part] = [_labels(name, file, here[file], schemas[file], label, has_labels) for file in held]
    except (OSError, ValueError, LookupError, TypeError) as error:  # pyarrow's errors are these
        raise DataError(f"Data set {name!r}: its parquet files cannot be read: {str(error)[:200]}.") from None
    classes = number_labels(name, labels, rule, num_classes)
    return ImageCollection(
        name,
        classes.names,
        {part: LabelledImages(parts[part][0], held, parts[part][1]) for part, held in classes.labels.items()},
        (*notes, *classes.notes),
    )


def _labels(name: str, file: StoredFile, local: str, schema: Any, label: str, has_labels: bool) -> FileLabels:
    if not has_labels:
        return FileLabels(file.path, [None] * parquet_file(local).metadata.num_rows, ())
    return file_labels(name, file.path, values_of(local, label), schema, label)


def _of_column(what: str, column: str, others: Sequence[str]) -> list[str]:
    return [f"{what} are those of column {column!r}; {few(others)} could be meant too."] if others else []
