"""Which models exist here: one row of models.csv or small_models.toml each. Never imports torch.

Rows name a model and what its weights are; making the network is bench.measure.build's work.
Every other timm model, and a user's own as `path/to/file.py:function`, works without a row.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from bench.catalog.tables import read_csv, read_toml, typed
from bench.errors import UnknownNameError

Family = Literal["vit", "cnn", "hybrid"]

GROUPS = ("@systems", "@small", "@public")


@dataclass(frozen=True)
class ModelRow:
    """One model: an architecture, the arguments that shape it, and what its weights were trained on."""

    name: str  # timm's `arch.tag`, or our own name for a small model
    title: str  # short, for labels in figures
    family: Family
    size_class: str  # systems: the ViT (Ti, S, B, L, H) nearest by parameters; small models: S, M, L by MACs
    paper_system: str
    resolution_px: int  # the size of timm's default configuration for these weights
    pretraining: str  # data the public weights saw; "none" for models that are trained here
    timm_name: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    source: str = ""
    note: str = ""  # recipe or distillation, where it matters for a comparison


@cache
def _systems() -> dict[str, ModelRow]:
    rows = (
        {**row, "title": f"{row['paper_system']} @{row['resolution_px']}", "timm_name": row["name"]}
        for row in read_csv("models")
    )
    return {row.name: row for row in typed(ModelRow, rows)}


@cache
def _small() -> dict[str, ModelRow]:
    tables = read_toml("small_models")
    for table in tables.values():
        table["pretraining"] = "none"
        table["arguments"] = {k: tuple(v) if isinstance(v, list) else v for k, v in table["arguments"].items()}
    return {row.name: row for row in typed(ModelRow, tables.values())}


def model_rows() -> dict[str, ModelRow]:
    """Every row by name: the systems of the papers first, then the small models, each in file order."""
    return {**_systems(), **_small()}


def find_model(name: str) -> ModelRow | None:
    """The row of that name, or None: a name without a row may still be a timm model or a user's own."""
    return _systems().get(name) or _small().get(name)


def select_models(names: Iterable[str]) -> list[str]:
    """Names with groups and patterns expanded, without repeats, in the order asked.

    `@systems` is every row of models.csv, `@small` every row of small_models.toml, `@public` every architecture of
    public_results.csv; `*`, `?` and `[...]` match rows of the first two. Any other name is kept as it is: whether it
    exists is for bench.measure.build to say.

    Raises UnknownNameError for a group that does not exist or a pattern that matches no row.
    """
    chosen: dict[str, None] = {}
    for name in names:
        chosen.update(dict.fromkeys(_expand(name)))
    return list(chosen)


def _expand(name: str) -> list[str]:
    if name == "@systems":
        return list(_systems())
    if name == "@small":
        return list(_small())
    if name == "@public":
        return list(dict.fromkeys(row["model"].partition(".")[0] for row in read_csv("public_results")))
    if name.startswith("@"):
        raise UnknownNameError("model group", name, GROUPS)
    if any(c in name for c in "*?[") and ".py:" not in name:
        matches = [row for row in model_rows() if fnmatch.fnmatchcase(row, name)]
        if not matches:
            raise UnknownNameError("model pattern", name, model_rows())
        return matches
    return [name]
