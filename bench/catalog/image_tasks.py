"""The public sets of images that the project knows: the ViT paper's five, VTAB's 19, and one for pretraining alone."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from bench.errors import UnknownNameError

TaskGroup = Literal["paper", "pretraining", "Natural", "Specialized", "Structured"]

PAPER = "@paper"
VTAB = "@vtab"


@dataclass(frozen=True)
class ImageTask:
    """One task, with the sizes of its parts, in images, and how its files come here.

    train_images, validation_images: what is trained on, and what is held out of it for the learning-rate sweep.
    metric: what the papers report on it; every accuracy is computed. flip, crop: whether training may use them.
    caution: what a reader of results must know. status: how sure the facts are.
    reader, folder, files, hub_*: for bench/data/catalogued.py; files are relative to the folder.
    hub_label_rule: how the label comes from the column `hub_label`; see bench/data/vtab.py.
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
    hub_repo: str = ""  # owner/name of a Hugging Face data set; empty: none that is known at a pinned revision
    hub_revision: str = ""  # 40 hexadecimal digits
    hub_image: str = ""  # empty: the only column of images
    hub_label: str = "label"
    hub_label_rule: str = ""  # empty: the column is the label

    @property
    def is_vtab(self) -> bool:
        """Whether it is one of VTAB's 19 tasks, with their 800 + 200 training images."""
        return self.group not in ("paper", "pretraining")


@functools.cache
def image_tasks() -> dict[str, ImageTask]:
    """Every task by its name, in the order of image_tasks.toml."""
    text = resources.files("bench.catalog").joinpath("image_tasks.toml").read_text(encoding="utf-8")
    return {
        name: ImageTask(name=name, files=tuple(fields.pop("files")), **fields)
        for name, fields in tomllib.loads(text).items()
    }


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
