"""The CSV and TOML files beside this module, read as rows of checked types."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from bench.whole_files import replacing

Row = TypeVar("Row")


def catalog_file(name: str) -> Path:
    """A file of the catalog, such as `models.csv`."""
    return Path(str(resources.files("bench.catalog") / name))


@cache
def read_csv(name: str) -> tuple[dict[str, str], ...]:
    """Rows of `bench/catalog/<name>.csv` as text, lines that begin with # left out.

    Those without a type of their own: paper_models (Table 1 of the ViT paper), paper_pretrain_hparams (Table 3),
    paper_finetune_hparams (Table 4), paper_ablations (Tables 7, 8), vtab_tasks.
    """
    lines = catalog_file(f"{name}.csv").read_text(encoding="utf-8").splitlines()
    return tuple(csv.DictReader(line for line in lines if not line.startswith("#")))


def read_toml(name: str) -> dict[str, dict[str, Any]]:
    """Tables of `bench/catalog/<name>.toml` by their names, each with its name among its fields."""
    tables = tomllib.loads(catalog_file(f"{name}.toml").read_text(encoding="utf-8"))
    return {key: {"name": key, **fields} for key, fields in tables.items()}


def typed(row_type: type[Row], rows: Iterable[Mapping[str, Any]]) -> tuple[Row, ...]:
    """The rows as a dataclass whose fields are named like them; empty text is the default of a field that has one.

    Raises pydantic's ValidationError for a row that lacks a field or holds another type; other columns are passed over.
    """
    optional = {field.name for field in fields(row_type) if field.default is not MISSING}  # type: ignore[arg-type]
    filled = [{name: value for name, value in row.items() if value or name not in optional} for row in rows]
    return tuple(TypeAdapter(list[row_type]).validate_python(filled))  # type: ignore[valid-type]


def write_csv(path: Path, row_type: type[Row], rows: Iterable[Row], *, notes: Iterable[str]) -> None:
    """Replace a table whole or not at all: the notes as comments, then the dataclass's fields as columns."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        stream.writelines(f"# {note}\n" for note in notes)
        writer = csv.DictWriter(stream, [field.name for field in fields(row_type)], lineterminator="\n")  # type: ignore[arg-type]
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)  # type: ignore[call-overload]
    read_csv.cache_clear()
