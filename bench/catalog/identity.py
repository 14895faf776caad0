"""What a name in a record stands for: title, family and size of a model, title and kind of a data set."""

from __future__ import annotations

from dataclasses import dataclass

from bench.catalog.datasets import dataset_rows
from bench.catalog.families import known_family
from bench.catalog.image_tasks import image_tasks
from bench.catalog.models import find_model

FAMILY_ORDER = ("vit", "hybrid", "cnn")  # the order of tables and legends; others follow by name
OTHER_FAMILY = "other"


@dataclass(frozen=True)
class ModelIdentity:
    """A model as the catalog knows it; for a name without a row, the name is its title and the rest is a guess."""

    name: str
    title: str
    family: str
    size_class: str  # empty when unknown


@dataclass(frozen=True)
class DatasetIdentity:
    """A data set as the catalog knows it. `caution` is empty unless results on it need a warning."""

    name: str
    title: str
    kind: str  # generated, real (embedded), public (of image_tasks.toml), or given (a user's own)
    caution: str

    @property
    def carries_findings(self) -> bool:
        """Whether a finding may rest on this set alone: not on a real one with a flaw, such as shared writers."""
        return not (self.kind == "real" and self.caution)


def identify_model(name: str, counted_family: str | None = None) -> ModelIdentity:
    """The model of this name; counted_family is what the counter took it for, used where the catalog says nothing."""
    row = find_model(name)
    if row is not None:
        return ModelIdentity(name, row.title, row.family, row.size_class)
    return ModelIdentity(name, name, known_family(name) or counted_family or OTHER_FAMILY, "")


def identify_dataset(name: str) -> DatasetIdentity:
    """The data set of this name."""
    row = dataset_rows().get(name)
    if row is not None:
        return DatasetIdentity(name, row.title, row.kind, row.caution)
    task = image_tasks().get(name)
    if task is not None:
        return DatasetIdentity(name, task.title, "public", task.caution)
    return DatasetIdentity(name, name, "given", "")


def family_rank(family: str) -> tuple[int, str]:
    """Sort key that puts families in the order of FAMILY_ORDER."""
    known = FAMILY_ORDER.index(family) if family in FAMILY_ORDER else len(FAMILY_ORDER)
    return known, family


def dataset_rank(dataset: DatasetIdentity) -> tuple[bool, int, str]:
    """Sort key: sets that carry findings first, generated before real ones, then by name."""
    kinds = ("generated", "real", "public", "given")
    return (
        not dataset.carries_findings,
        kinds.index(dataset.kind) if dataset.kind in kinds else len(kinds),
        dataset.name,
    )
