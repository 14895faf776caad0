"""The public sets of images that the project knows: the ViT paper's five, VTAB's 19, one for pretraining, small ones.

Also which of them belong together, and the order of their columns in tables.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.catalog.tables import read_toml, typed
from bench.errors import UnknownNameError

TaskGroup = Literal["paper", "pretraining", "small", "Natural", "Specialized", "Structured"]

PAPER = "@paper"
VTAB = "@vtab"
PAPER_SETS = ("cifar10", "cifar100", "pets", "flowers102", "imagenet")  # ImageNet at the right, as in Figure 5
VTAB_GROUPS = ("Natural", "Specialized", "Structured")
VTAB_TASKS = 19


@dataclass(frozen=True)
class ImageTask:
    """One task, with the sizes of its parts, in images, and how its files come here.

    train_images, validation_images: what is trained on, and what is held out of it for the learning-rate sweep.
    metric: what the papers report on it; every accuracy is computed. flip, crop: whether training may use them.
    caution: what a reader of results must know. status: how sure the facts are.
    reader, folder, files, also_at, hub_*: for bench/data/public/catalogued.py. files: patterns, relative to the folder.
    also_at: folders that the files may lie in instead, below the folder or where a system's package puts them.
    content: the first 16 hexadecimal digits of SHA-256 over all images and labels, where it is known.
    hub_label_rule: how the label comes from the column `hub_label`; see bench/data/public/original_files.py.
    """

    name: str
    title: str
    group: TaskGroup
    num_classes: int
    train_images: int
    validation_images: int
    test_images: int
    metric: Literal["top1", "mean_per_class"]
    licence: str
    source: str
    how_to_get: str
    flip: bool
    crop: bool
    caution: str
    status: str
    reader: str
    folder: str
    files: tuple[str, ...]
    exact_sizes: bool
    class_names: tuple[str, ...] = ()  # of files that do not name them
    also_at: tuple[str, ...] = ()
    content: str = ""
    hub_repo: str = ""  # owner/name of a Hugging Face data set; empty: none that is known at a pinned revision
    hub_revision: str = ""  # 40 hexadecimal digits
    hub_image: str = ""  # empty: the only column of images
    hub_label: str = "label"
    hub_label_rule: str = ""  # empty: the column is the label

    @property
    def is_vtab(self) -> bool:
        """Whether it is one of VTAB's 19 tasks, with their 800 + 200 training images."""
        return self.group in VTAB_GROUPS


@functools.cache
def image_tasks() -> dict[str, ImageTask]:
    """Every task by its name, in the order of image_tasks.toml."""
    return {task.name: task for task in typed(ImageTask, read_toml("image_tasks").values())}


def find_image_task(name: str) -> ImageTask:
    """The task of this name. Raises UnknownNameError, with the nearest names, if there is none."""
    if name not in image_tasks():
        raise UnknownNameError("data set", name, image_tasks())
    return image_tasks()[name]


def image_task_groups() -> dict[str, tuple[str, ...]]:
    """`@paper` and `@vtab`, with the names that each stands for, in the order of the papers' tables."""
    tasks = image_tasks().values()
    return {
        PAPER: tuple(task.name for task in tasks if task.group == "paper"),
        VTAB: tuple(task.name for task in tasks if task.is_vtab),
    }


def image_task_names(name: str) -> Sequence[str]:
    """The names that a group stands for; any other name alone. Raises UnknownNameError for a group that is none."""
    groups = image_task_groups()
    if name.startswith("@"):
        if name not in groups:
            raise UnknownNameError("group of data sets", name, groups)
        return groups[name]
    return (name,)


def vtab_group(dataset: str) -> str | None:
    """The VTAB group of a data set, or None where it is no task of VTAB."""
    task = image_tasks().get(dataset)
    return task.group if task is not None and task.group in VTAB_GROUPS else None


def vtab_tasks() -> list[str]:
    """Names of VTAB's tasks in the order of the catalog, group by group."""
    rows = image_tasks().values()
    return [task.name for group in VTAB_GROUPS for task in rows if task.group == group]


def set_order(dataset: str) -> tuple[int, int, str]:
    """Sort key: the paper's small sets, then others by name, then VTAB's tasks, ImageNet last."""
    if dataset == "imagenet":
        return 3, 0, dataset
    if dataset in PAPER_SETS:
        return 0, PAPER_SETS.index(dataset), dataset
    return (1, 0, dataset) if vtab_group(dataset) is None else (2, vtab_tasks().index(dataset), dataset)


def averaged_sets(sets_of_models: Iterable[Collection[str]]) -> tuple[str, ...]:
    """The sets that a mean over sets is taken of: identical ones for all models; none where fewer than two are shared.

    sets_of_models: for each model, the sets that it has a result on. The paper's five as soon as one model has all of
    them (the others then have no mean); otherwise those that every model has, of the paper's sets if any was measured.
    """
    found = [set(names) for names in sets_of_models]
    if any(names >= set(PAPER_SETS) for names in found):
        return PAPER_SETS
    shared = set.intersection(*found) if found else set()
    if any(names & set(PAPER_SETS) for names in found):
        shared &= set(PAPER_SETS)
    return in_order(name for name in shared if vtab_group(name) is None) if len(shared) > 1 else ()


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Data sets in the order of columns."""
    return tuple(sorted(set(names), key=set_order))


def is_five_set_mean(names: Sequence[str]) -> bool:
    """Whether these are the sets of the paper's Figure 5, left."""
    return set(names) == set(PAPER_SETS)
