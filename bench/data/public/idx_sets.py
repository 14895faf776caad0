"""MNIST and its successors in their four IDX files: official parts, held against what the catalog knows of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from bench.catalog.image_tasks import ImageTask
from bench.data.formats.idx import IdxImages, IdxPair, idx_part, read_labels
from bench.data.public.local_files import subset_reason
from bench.data.sets.collection import ImageCollection, LabelledImages, PartName
from bench.errors import DataError

CONTENT_DIGITS = 16


def open_idx_set(task: ImageTask, place: Path) -> ImageCollection:
    """Parts train and test. The sets look alike and their files have the same names, so their content is compared.

    Raises DataError for damaged files, labels that are none of the classes, and the content of another set.
    """
    named: tuple[PartName, ...] = ("train", "test")
    parts: dict[PartName, LabelledImages] = {}
    for i, part in enumerate(named):
        images, labels = (sorted(place.glob(pattern))[0].name for pattern in task.files[2 * i : 2 * i + 2])
        found = read_labels(task.name, place, IdxPair(images, labels))
        if (top := int(found.max(initial=0))) >= task.num_classes:
            raise DataError(
                f"Data set {task.name!r}: '{place / labels}' has label {top}, but the classes are 0 to "
                f"{task.num_classes - 1}. It is damaged or of another set; get it again."
            )
        parts[part] = idx_part(task.name, place, IdxPair(images, labels), part, found)
    whole = ImageCollection(task.name, task.class_names, parts)
    if not task.content:
        return whole.noted("The content of this set is not checked: other sets have files of the same names and sizes.")
    if subset_reason(place) is None and (content := content_of(whole)) != task.content:
        raise DataError(
            f"Data set {task.name!r}: '{place}' holds other images or labels than {task.title} (content {content}, "
            f"expected {task.content}). Other sets have files of the same names; get it again. {task.how_to_get}"
        )
    return whole


def content_of(collection: ImageCollection) -> str:
    """The first 16 hexadecimal digits of SHA-256 over the images, (N, H, W), and labels, (N,), of train, then test."""
    digest = hashlib.sha256()
    for part in ("train", "test"):
        held = collection.part(part)
        assert isinstance(held.reader, IdxImages)
        digest.update(held.reader.all().data)
        digest.update(held.labels.astype(np.uint8).tobytes())
    return digest.hexdigest()[:CONTENT_DIGITS]
