"""Opens a catalogued set from wherever its files are: a local copy, Hugging Face, or torchvision's download.

The papers' parts are made here. VTAB-1k has 800 training and 200 validation images of each task, and the whole test
part: the official ones are the first 800 of TFDS's train split and the first 200 of its validation part. No other
source has TFDS's order, so they are chosen here by a hash of their names, which the caution of each task says; a dump
of the official ones (`train800.txt`, `val200.txt`, `test.txt`) is read as it is.
Sources: Zhai et al. 2019, arXiv 1910.04867; the task_adaptation repository for splits and bins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.catalog.image_tasks import ImageTask, find_image_task
from bench.data.formats.formats import HUB_PREFIX, IDX_PREFIX, open_user
from bench.data.formats.hub import is_fetched, open_hub
from bench.data.public import idx_sets, original_files, torchvision_sets
from bench.data.public.imagenet import LazyParts, open_imagenet, open_imagenet21k
from bench.data.public.local_files import (
    SUBSET_FILE,
    check_present,
    class_folders,
    is_dump,
    missing_files,
    open_dump,
    subset_reason,
)
from bench.data.public.original_files import LABEL_RULES
from bench.data.sets.collection import ImageCollection, LabelledImages, PartName
from bench.data.sets.splits import hash_order, hold_out
from bench.errors import DataError, RequestError

TRAIN_IMAGES, VALIDATION_IMAGES = 800, 200  # of each of VTAB's tasks
TESTED_SHARE = {"eurosat": 0.2, "resisc45": 0.2, "sun397": 0.2, "dsprites": 0.1}  # of sets without a test part

# How a set is read from a folder that holds all of its files: the parts that its source has, by the reader that a row
# of catalog/image_tasks.toml names.
READERS: Mapping[str, Callable[[ImageTask, Path], ImageCollection]] = {
    "imagenet": open_imagenet,
    "imagenet21k": open_imagenet21k,
    "cifar10": torchvision_sets.open_arrays,
    "cifar100": torchvision_sets.open_arrays,
    "svhn": torchvision_sets.open_arrays,
    "idx": idx_sets.open_idx_set,
    "pets": torchvision_sets.open_files,
    "flowers102": torchvision_sets.open_files,
    "dtd": torchvision_sets.open_files,
    "clevr_count": torchvision_sets.open_clevr_count,
    "sun397": torchvision_sets.open_sun397,
    "caltech101": torchvision_sets.open_caltech101,
    "pcam": torchvision_sets.open_pcam,
    "eurosat": lambda task, place: class_folders(task.name, place / "eurosat" / "2750"),
    "resisc45": lambda task, place: class_folders(task.name, place / "NWPU-RESISC45"),
    "dmlab": lambda task, place: _from_list(task, place / "labels.csv"),
    "retinopathy": original_files.open_retinopathy,
    "clevr_distance": original_files.open_clevr_distance,
    "dsprites_location": original_files.open_dsprites,
    "dsprites_orientation": original_files.open_dsprites,
    "kitti_distance": original_files.open_kitti_distance,
    "snorb_azimuth": lambda task, place: halve_test(original_files.open_smallnorb(task, place)),
    "snorb_elevation": lambda task, place: halve_test(original_files.open_smallnorb(task, place)),
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
    if hub := _hub_place(spec):
        return _finished(task, _from_hub(task, *hub, download), None)
    place = _place(task, root, spec)
    if spec is not None and not place.exists():
        raise RequestError(f"--data {task.name}: '{spec}' does not exist. {task.how_to_get}")
    if spec is not None and place.is_file():
        return _finished(task, _from_list(task, place), subset_reason(place.parent))
    reason = subset_reason(place)
    if task.is_vtab and is_dump(place):
        return _checked(task, open_dump(task, place), reason)
    if spec is None and task.hub_repo and missing_files(task, place):
        if download or is_fetched(task.hub_repo, task.hub_revision):
            return _finished(task, _from_hub(task, task.hub_repo, task.hub_revision, download), None)
    elif download and missing_files(task, place):
        torchvision_sets.fetch(task, place)
        place = _place(task, root, spec)
    check_present(task, place)
    return _finished(task, READERS[task.reader](task, place), reason)


def is_here(name: str, *, root: Path, spec: str | None = None) -> bool:
    """Whether the set can be opened without a download, as far as the presence of its files tells."""
    task = find_image_task(name)
    if hub := _hub_place(spec):
        return is_fetched(*hub)
    place = _place(task, root, spec)
    here = place.is_file() or not missing_files(task, place) or (task.is_vtab and is_dump(place))
    return here or (spec is None and is_fetched(task.hub_repo, task.hub_revision))


def paper_parts(task: ImageTask, source: ImageCollection) -> ImageCollection:
    """train without what is held out for the sweep, that, and test; an official validation part is not used."""
    images = source.part("train")
    share = task.validation_images / (task.train_images + task.validation_images)
    train, validation = hold_out(images, round(len(images) * share))
    return replace(source, parts={"train": train, "validation": validation, "test": source.part("test")})


def vtab_parts(task: ImageTask, source: ImageCollection) -> ImageCollection:
    """The 800, the 200 and the test part, from the parts that the source has.

    Without a test part, the source's share of test images (as of the whole set) is taken from train; without a
    validation part, the 200 too. Nothing is in two parts. A source of fewer images than VTAB needs gives four fifths
    and one fifth of them. Source of the order: `hash_order` over the keys.
    """
    images = source.part("train")
    order = hash_order(images.keys)  # positions in train; only those that are needed are taken, for sets are large
    if "test" in source.parts:
        test = source.part("test")
    else:
        count = round(len(order) * TESTED_SHARE[task.folder])
        order, tested = order[: len(order) - count], order[len(order) - count :]
        test = images.take(tested)
    if "validation" in source.parts:
        held = source.part("validation")
        validation = held.take(hash_order(held.keys)[:VALIDATION_IMAGES])
    else:
        count = min(VALIDATION_IMAGES, len(order) // 5)
        order, validated = order[: len(order) - count], order[len(order) - count :]
        validation = images.take(validated)
    parts: dict[PartName, LabelledImages] = {
        "train": images.take(order[:TRAIN_IMAGES]),
        "validation": validation,
        "test": test,
    }
    return replace(source, parts=parts)


def halve_test(source: ImageCollection) -> ImageCollection:
    """smallNORB has no validation part: half of its test images, by hash order, are one, as VTAB has it."""
    images = source.part("test")
    validation, test = np.array_split(hash_order(images.keys), [len(images) // 2])
    return replace(
        source,
        parts={"train": source.part("train"), "validation": images.take(validation), "test": images.take(test)},
    )


def _hub_place(spec: str | None) -> tuple[str, str] | None:
    """`hf:owner/name@revision` -> (owner/name, revision)."""
    if spec is None or not spec.startswith(HUB_PREFIX):
        return None
    repo_id, _, revision = spec.removeprefix(HUB_PREFIX).partition("@")
    return repo_id, revision


def _place(task: ImageTask, root: Path, spec: str | None) -> Path:
    place = root / task.folder if spec is None else Path(spec.removeprefix(IDX_PREFIX)).expanduser()
    if spec is not None and place.name in _INNER:
        return place.parent
    folders = [place, *(place / other for other in task.also_at if spec is None or not Path(other).is_absolute())]
    return next((folder for folder in folders if not missing_files(task, folder)), place)


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
    return halve_test(found) if task.folder == "smallnorb" and "validation" not in found.parts else found


def _from_list(task: ImageTask, file: Path) -> ImageCollection:
    return open_user(task.name, str(file), download=False)


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
