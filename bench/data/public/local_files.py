"""Local copies of catalogued sets: which files are there, what to say of those that are not; class folders, lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.catalog.image_tasks import ImageTask
from bench.data.formats.safe_paths import FileReader, inside, is_litter, real_root
from bench.data.sets.collection import ImageCollection, LabelledImages, PartName
from bench.errors import AbsentDataError, DataError

DUMP_LISTS: Mapping[PartName, str] = {"train": "train800.txt", "validation": "val200.txt", "test": "test.txt"}
SUBSET_FILE = "vitbench-subset.txt"  # in a data folder: it is not the whole set on purpose, and its text says why

_EXTENSIONS = (".jpg", ".jpeg", ".png")


def missing_files(task: ImageTask, place: Path) -> list[str]:
    """Those of the task's files, or patterns of files, that are not in the folder."""
    return [name for name in task.files if not any(place.glob(name))]


def check_present(task: ImageTask, place: Path) -> None:
    """Raises AbsentDataError, with the missing files and how to get them, unless all of the task's files are there."""
    if missing := missing_files(task, place):
        named = ", ".join(f"'{name}'" for name in missing[:4]) + (", ..." if len(missing) > 4 else "")
        raise AbsentDataError(
            f"Data set {task.name!r} is not on this machine: folder '{place}' lacks {named}. {task.how_to_get} "
            f"A copy elsewhere is named by --data {task.name}=PATH."
        )


def subset_reason(place: Path) -> str | None:
    """What the folder says of why it holds only a part of the set; None if it claims to be whole."""
    file = place / SUBSET_FILE
    if not file.is_file():
        return None
    return " ".join(file.read_text(encoding="utf-8", errors="replace").split())[:200] or "no reason given"


def files_part(name: str, root: Path, paths: Sequence[str], labels: Sequence[int]) -> LabelledImages:
    """Image files below a root, by paths relative to it, which are their keys.

    Raises DataError if one of them is not there: half an archive is not a data set.
    """
    present: dict[str, set[str]] = {}
    for path in paths:
        folder = path.rpartition("/")[0]
        if folder not in present:
            listed = root / folder
            present[folder] = {entry.name for entry in listed.iterdir()} if listed.is_dir() else set()
    lost = [path for path in paths if path.rpartition("/")[2] not in present[path.rpartition("/")[0]]]
    if lost:
        raise DataError(
            f"Data set {name!r}: {len(lost):,} of {len(paths):,} images are missing under '{root}', the first is "
            f"'{lost[0]}'. The archive was not unpacked to its end; unpack it again."
        )
    return LabelledImages(
        reader=FileReader(real_root(root), tuple(paths)),
        labels=np.asarray(labels, dtype=np.int64).reshape(-1),
        keys=tuple(paths),
    )


def class_folders(name: str, root: Path) -> ImageCollection:
    """`root/<class>/<image>` as one part, train, classes and images in the order of their names.

    Raises DataError if there is no class, or one has no images.
    """
    classes = folders_in(root)
    paths, labels = [], []
    for label, folder in enumerate(classes):
        found = image_files(root / folder)
        if not found:
            raise DataError(f"Data set {name!r}: class folder '{root / folder}' has no images (.jpg, .jpeg, .png).")
        paths += [f"{folder}/{file}" for file in found]
        labels += [label] * len(found)
    if not classes:
        raise DataError(f"Data set {name!r}: '{root}' has no class folders.")
    reader = FileReader(real_root(root), tuple(paths))
    images = LabelledImages(reader, np.array(labels, dtype=np.int64), tuple(paths))
    return ImageCollection(name=name, class_names=classes, parts={"train": images})


def folders_in(folder: Path) -> tuple[str, ...]:
    """Names of the folders in a folder, sorted, without what a system left there."""
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not is_litter(entry.name)))


def image_files(folder: Path) -> list[str]:
    """Names of the images in a folder, sorted; none if there is no such folder."""
    if not folder.is_dir():
        return []
    names = (entry.name for entry in folder.iterdir())
    return sorted(name for name in names if name.lower().endswith(_EXTENSIONS) and not is_litter(name))


def is_dump(place: Path) -> bool:
    """Whether a folder holds a task as lists of the official images."""
    return all((place / name).is_file() for name in DUMP_LISTS.values())


def open_dump(task: ImageTask, place: Path) -> ImageCollection:
    """The official images, from lists with lines `path label`, the paths relative to the folder.

    Raises DataError for a line that is not so, a label outside [0, classes) and an image that is not there.
    """
    parts: dict[PartName, LabelledImages] = {}
    for part, file in DUMP_LISTS.items():
        paths, labels = [], []
        text = (place / file).read_text(encoding="utf-8", errors="surrogateescape")
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            path, _, label = line.strip().rpartition(" ")
            if not (path and label.isdecimal() and int(label) < task.num_classes):
                raise DataError(
                    f"'{place / file}', line {number}: {line[:80]!r} is not `path label` with a label below "
                    f"{task.num_classes}."
                )
            paths.append(inside(path))
            labels.append(int(label))
        if not paths:
            raise DataError(f"'{place / file}' lists no images.")
        parts[part] = files_part(task.name, place, paths, labels)
    note = "The images are those listed in train800.txt, val200.txt and test.txt of a dump of VTAB-1k."
    return ImageCollection(task.name, tuple(str(i) for i in range(task.num_classes)), parts, (note,))
