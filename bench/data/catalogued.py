"""Opens a catalogued set from wherever its files are: a local copy, Hugging Face, or torchvision's download."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.catalog.image_tasks import ImageTask, find_image_task
from bench.data import manual, torchvision_sets
from bench.data.collection import ImageCollection, LabelledImages, PartName
from bench.data.hub import open_hub
from bench.data.hub_files import is_fetched
from bench.data.imagenet import LazyParts, open_imagenet, open_imagenet21k
from bench.data.local_files import SUBSET_FILE, check_present, missing_files, subset_reason
from bench.data.subsets import held_out
from bench.data.vtab import LABEL_RULES, is_dump, open_dump, vtab_parts
from bench.errors import DataError, RequestError

HUB_PREFIX = "hf:"

Reader = Callable[[ImageTask, Path, bool], ImageCollection]  # the task, the folder, whether to download

_READERS: Mapping[str, Reader] = {
    "imagenet": open_imagenet,
    "imagenet21k": open_imagenet21k,
    "cifar10": torchvision_sets.open_cifar,
    "cifar100": torchvision_sets.open_cifar,
    "pets": torchvision_sets.open_pets,
    "flowers102": torchvision_sets.open_flowers,
    "caltech101": torchvision_sets.open_caltech101,
    "dtd": torchvision_sets.open_dtd,
    "svhn": torchvision_sets.open_svhn,
    "sun397": torchvision_sets.open_sun397,
    "eurosat": torchvision_sets.open_eurosat,
    "pcam": torchvision_sets.open_pcam,
    "clevr_count": torchvision_sets.open_clevr_count,
    "resisc45": manual.open_resisc45,
    "retinopathy": manual.open_retinopathy,
    "clevr_distance": manual.open_clevr_distance,
    "dmlab": manual.open_listed,
    "dsprites_location": manual.open_dsprites,
    "dsprites_orientation": manual.open_dsprites,
    "kitti_distance": manual.open_kitti_distance,
    "snorb_azimuth": manual.open_smallnorb,
    "snorb_elevation": manual.open_smallnorb,
}
# The name of the folder inside which torchvision's files lie, for a user who names that one instead of its parent.
_INNER = ("cifar-10-batches-py", "cifar-100-python", "oxford-iiit-pet", "flowers-102", "NWPU-RESISC45", "SUN397")


def open_catalogued(name: str, *, root: Path, spec: str | None, download: bool) -> ImageCollection:
    """The train, validation and test part of a catalogued set, as the papers split it or as near as can be.

    root: the folder of local copies; the set lies in its folder there unless `spec` says where: a folder, a list
    (`*.csv`, `*.parquet`) or `hf:owner/name@<40 hexadecimal digits>`. ImageNet without train/ has the test part alone.
    notes say what differs from the official parts.
    Raises AbsentDataError with what to put where, DataError for files that are damaged or not the whole set,
    RequestError for a spec that names nothing, UnknownNameError for a name that is not catalogued.
    """
    task = find_image_task(name)
    place = _place(task, root, spec)
    if spec is not None and spec.startswith(HUB_PREFIX):
        repo_id, _, revision = spec.removeprefix(HUB_PREFIX).partition("@")
        return _finished(task, _from_hub(task, repo_id, revision, download), None)
    if spec is not None and place.is_file():
        return _finished(task, _from_list(task, place, download), subset_reason(place.parent))
    reason = subset_reason(place)
    if task.is_vtab and is_dump(place):
        return _checked(task, open_dump(task, place), reason)
    if spec is None and task.hub_repo and missing_files(task, place):
        if download or is_fetched(task.hub_repo, task.hub_revision):
            return _finished(task, _from_hub(task, task.hub_repo, task.hub_revision, download), None)
        check_present(task, place)
    return _finished(task, _READERS[task.reader](task, place, download), reason)


def is_here(name: str, *, root: Path, spec: str | None = None) -> bool:
    """Whether the set can be opened without a download, as far as the presence of its files tells."""
    task = find_image_task(name)
    if spec is not None and spec.startswith(HUB_PREFIX):
        repo_id, _, revision = spec.removeprefix(HUB_PREFIX).partition("@")
        return is_fetched(repo_id, revision)
    place = root / task.folder if spec is None else _outer(Path(spec).expanduser())
    here = place.is_file() or not missing_files(task, place) or (task.is_vtab and is_dump(place))
    return here or (spec is None and is_fetched(task.hub_repo, task.hub_revision))


def paper_parts(task: ImageTask, source: ImageCollection) -> ImageCollection:
    """train without what is held out for the sweep, that, and test; an official validation part is not used."""
    images = source.part("train")
    share = task.validation_images / (task.train_images + task.validation_images)
    held = held_out(images.keys, images.labels, max(1, round(len(images) * share)))
    parts: dict[PartName, LabelledImages] = {
        "train": images.take(np.flatnonzero(~held)),
        "validation": images.take(np.flatnonzero(held)),
        "test": source.part("test"),
    }
    return replace(source, parts=parts)


def _place(task: ImageTask, root: Path, spec: str | None) -> Path:
    if spec is None or spec.startswith(HUB_PREFIX):
        return root / task.folder
    place = Path(spec).expanduser()
    if not place.exists():
        raise RequestError(f"--data {task.name}: '{spec}' does not exist. {task.how_to_get}")
    return _outer(place)


def _outer(place: Path) -> Path:
    return place.parent if place.name in _INNER else place


def _from_hub(task: ImageTask, repo_id: str, revision: str, download: bool) -> ImageCollection:
    own = repo_id == task.hub_repo
    found = open_hub(
        task.name,
        repo_id,
        revision=revision or None,
        download=download,
        image=task.hub_image if own else "",
        label=task.hub_label if own or task.hub_label_rule else "",
        label_rule=LABEL_RULES[task.hub_label_rule] if task.hub_label_rule else None,
        num_classes=task.num_classes,
    )
    if task.folder == "smallnorb" and "validation" not in found.parts:
        return replace(found, parts=manual.halve_test(found.parts))
    return found


def _from_list(task: ImageTask, file: Path, download: bool) -> ImageCollection:
    from bench.data.user import open_user

    return open_user(task.name, str(file), download=download)


def _finished(task: ImageTask, source: ImageCollection, reason: str | None) -> ImageCollection:
    """The parts that the protocols ask for, checked, with what a reader must know of them."""
    if isinstance(source.parts, LazyParts):  # ImageNet's sets, which check and split themselves when they are read
        return source.noted(task.caution, *_subset_notes(reason))
    split = vtab_parts(task, source) if task.is_vtab else paper_parts(task, source)
    return _checked(task, split, reason).noted(task.caution)


def _checked(task: ImageTask, split: ImageCollection, reason: str | None) -> ImageCollection:
    """The same parts. Raises DataError for classes or numbers of images that are not the whole set's.

    Another number of images is noted instead where the published numbers themselves are not certain.
    """
    for part, images in split.parts.items():
        top = int(images.labels.max(initial=0))
        if len(images) and not 0 <= images.labels.min() <= top < len(split.class_names):
            raise DataError(
                f"Data set {task.name!r}: '{part}' has labels {images.labels.min()} to {top} for "
                f"{len(split.class_names)} classes. Its annotations are damaged; get them again."
            )
    if reason is not None:
        return split.noted(*_subset_notes(reason))
    if len(split.class_names) != task.num_classes:
        raise DataError(
            f"Data set {task.name!r} has {len(split.class_names)} classes here, expected {task.num_classes}. "
            f"{_subset_hint(task)}"
        )
    expected: dict[PartName, int] = {
        "train": task.train_images,
        "validation": task.validation_images,
        "test": task.test_images,
    }
    odd = [part for part, count in expected.items() if len(split.part(part)) != count]
    if not odd:
        return split
    counts = ", ".join(f"{len(split.part(part)):,} {part} images, expected {expected[part]:,}" for part in odd)
    if task.exact_sizes:
        raise DataError(f"Data set {task.name!r} has {counts}, so top-1 would not be comparable. {_subset_hint(task)}")
    return split.noted(f"This copy has {counts}.")


def _subset_notes(reason: str | None) -> tuple[str, ...]:
    return () if reason is None else (f"Not the whole set, so not comparable with published numbers: {reason}",)


def _subset_hint(task: ImageTask) -> str:
    return f"{task.how_to_get} For a subset on purpose, say why in a file '{SUBSET_FILE}' in its folder."


@functools.cache
def reader_names() -> frozenset[str]:
    """The readers that rows of the catalog can name."""
    return frozenset(_READERS)
