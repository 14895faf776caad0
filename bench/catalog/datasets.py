"""The data sets that exist, as rows: what they hold, where they come from, and the hash that identifies them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

from bench.catalog.tables import read_toml, typed
from bench.errors import UnknownNameError


@dataclass(frozen=True)
class DatasetRow:
    """One data set. `fingerprint`: first 16 hexadecimal digits of SHA-256 over pixels and labels of all parts."""

    name: str
    title: str
    kind: Literal["real", "generated"]
    num_classes: int
    class_names: tuple[str, ...]
    resolution_px: int
    train_images: int
    validation_images: int
    test_images: int
    licence: str
    source: str
    description: str  # one line
    caution: str  # what a reader of results on it must know; empty if nothing
    how_to_get: str
    fingerprint: str
    in_domain_of: tuple[str, ...] = ()  # corpora (without their number of classes) whose images are of the same kind


@functools.cache
def dataset_rows() -> dict[str, DatasetRow]:
    """Every catalogued data set by its name, in the order of datasets.toml."""
    tables = read_toml("datasets").values()
    rows = typed(DatasetRow, ({**table, "num_classes": len(table["class_names"])} for table in tables))
    return {row.name: row for row in rows}


def is_in_domain(dataset: str, corpus: str) -> bool:
    """Whether a set's images are of the kind that a corpus such as `mix-64` is made of, or the set is the corpus."""
    row = dataset_rows().get(dataset)
    return dataset == corpus or (row is not None and corpus.partition("-")[0] in row.in_domain_of)


def find_dataset(name: str) -> DatasetRow:
    """The row of this name. Raises UnknownNameError, with the nearest names, if there is none."""
    rows = dataset_rows()
    if name not in rows:
        raise UnknownNameError("data set", name, rows)
    return rows[name]
