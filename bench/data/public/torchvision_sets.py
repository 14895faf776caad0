"""Public sets in the layout that torchvision fetches and reads: torchvision checks, unpacks and parses, we keep bytes.

Each reader takes the folder that torchvision calls `root`, with all files in it, and returns the parts that the source
has; splits of our own are made by the caller. Images stay encoded, in their files, wherever the source keeps files.
"""

from __future__ import annotations

import functools
import importlib
import os
import pickle
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.catalog.image_tasks import ImageTask
from bench.data.public.local_files import class_folders, files_part
from bench.data.sets.collection import ImageCollection, LabelledImages, PartName
from bench.data.sets.fingerprints import file_stamp
from bench.data.sets.splits import held_out
from bench.errors import DataError, UnsupportedError

CALTECH_TRAIN_PER_CLASS = 30  # of the set's authors, kept by TFDS
CLEVR_FEWEST_OBJECTS = 3  # scenes hold 3 to 10, the label is the number less this
# What torchvision and the archive modules raise on bad files.
_READING_ERRORS = (
    RuntimeError, OSError, LookupError, ValueError, TypeError, EOFError, NotImplementedError, pickle.UnpicklingError,
    tarfile.TarError, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class StoredArrays:
    """A reader of the images of a set that is one array: loaded once in each process that reads from it."""

    reader: str
    root: str
    split: str
    count: int

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> NDArray[np.uint8]:
        return np.ascontiguousarray(_arrays(self.reader, self.root, self.split)[0][index])


@dataclass(frozen=True)
class H5Images:
    """A reader of the images of an HDF5 file, array `x`: (N, H, W, 3), uint8."""

    file: str
    count: int

    def __len__(self) -> int:
        return self.count

    def stamp(self) -> str:
        """What changes when the file does; see `bench.data.sets.fingerprints`."""
        return f"{self.file} {file_stamp(os.stat(self.file))}"

    def read(self, index: int) -> NDArray[np.uint8]:
        with _h5py().File(self.file) as stored:
            return np.asarray(stored["x"][index], dtype=np.uint8)


@dataclass(frozen=True)
class FileSet:
    """A set of image files that a class of torchvision lists. folder: what paths are relative to; files: the attribute
    that lists them; splits: what the class calls the parts."""

    folder: str
    files: str
    splits: Mapping[PartName, str]


_FILE_SETS: Mapping[str, FileSet] = {  # by reader
    "pets": FileSet("oxford-iiit-pet", "_images", {"train": "trainval", "test": "test"}),
    "flowers102": FileSet("flowers-102", "_image_files", {"train": "train", "validation": "val", "test": "test"}),
    "dtd": FileSet("dtd/dtd", "_image_files", {"train": "train", "validation": "val", "test": "test"}),
    # CLEVR's own test part has no labels
    "clevr_count": FileSet("clevr/CLEVR_v1.0", "_image_files", {"train": "train", "test": "val"}),
}
# The class of torchvision that fetches a set, by its reader or its name, and its arguments, once for each archive that
# it fetches apart.
_FETCHED: Mapping[str, tuple[str, Sequence[Mapping[str, Any]]]] = {
    "cifar10": ("CIFAR10", [{"train": True}, {"train": False}]),
    "cifar100": ("CIFAR100", [{"train": True}, {"train": False}]),
    "pets": ("OxfordIIITPet", [{"split": "trainval"}, {"split": "test"}]),
    "flowers102": ("Flowers102", [{"split": "train"}, {"split": "val"}, {"split": "test"}]),
    "caltech101": ("Caltech101", [{}]),
    "dtd": ("DTD", [{"split": "train"}, {"split": "val"}, {"split": "test"}]),
    "svhn": ("SVHN", [{"split": "train"}, {"split": "test"}]),
    "sun397": ("SUN397", [{}]),
    "eurosat": ("EuroSAT", [{}]),
    "clevr_count": ("CLEVRClassification", [{"split": "train"}, {"split": "val"}]),
    "clevr_distance": ("CLEVRClassification", [{"split": "train"}]),
    "fashion_mnist": ("FashionMNIST", [{}]),
    "mnist": ("MNIST", [{}]),
    "kmnist": ("KMNIST", [{}]),
    "emnist_balanced": ("EMNIST", [{"split": "balanced"}]),
}


def fetch(task: ImageTask, place: Path) -> None:
    """Fetches what torchvision can fetch of a set. Raises DataError, with its reason, for a download that fails."""
    if key := next((key for key in (task.reader, task.name) if key in _FETCHED), None):
        place.mkdir(parents=True, exist_ok=True)
        with _explained(task, place, doing="downloading"):
            for arguments in _FETCHED[key][1]:
                _dataset(key)(place, download=True, **arguments)


def open_arrays(task: ImageTask, place: Path) -> ImageCollection:
    """CIFAR-10, CIFAR-100, or SVHN's cropped digits (not `extra`; the label of digit 0 is 0): parts train and test.

    The files are pickles and matrices, opened only after their MD5 has been checked.
    """
    _check_md5(task, place)
    parts: dict[PartName, LabelledImages] = {}
    classes: tuple[str, ...] = ()
    named: tuple[PartName, ...] = ("train", "test")
    with _explained(task, place):
        for part in named:
            images, labels, classes = _arrays(task.reader, str(place), part)
            keys = tuple(f"{part}/{i:05d}" for i in range(len(images)))
            parts[part] = LabelledImages(StoredArrays(task.reader, str(place), part, len(images)), labels, keys)
    return ImageCollection(task.name, classes, parts)


def open_files(task: ImageTask, place: Path) -> ImageCollection:
    """The parts that the authors of a set of files made, one for each split."""
    layout = _FILE_SETS[task.reader]
    root = place / layout.folder
    parts: dict[PartName, LabelledImages] = {}
    classes: tuple[str, ...] = ()
    for part, split in layout.splits.items():
        with _explained(task, place):
            made = _dataset(task.reader)(place, split=split)
            paths = [Path(file).relative_to(root).as_posix() for file in getattr(made, layout.files)]
            found = tuple(str(name) for name in getattr(made, "classes", ()))
            labels = list(made._labels)
        if classes and found != classes:
            only = sorted(set(classes) ^ set(found))
            raise DataError(f"Data set {task.name!r}: class {only[0]!r} is not in every part of '{place}'.")
        classes = found
        parts[part] = files_part(task.name, root, paths, labels)
    return ImageCollection(task.name, classes, parts)


def open_clevr_count(task: ImageTask, place: Path) -> ImageCollection:
    """CLEVR, number of objects: parts train and test, which is CLEVR's validation part."""
    found = open_files(task, place)
    parts = {part: replace(held, labels=held.labels - CLEVR_FEWEST_OBJECTS) for part, held in found.parts.items()}
    return ImageCollection(task.name, tuple(str(CLEVR_FEWEST_OBJECTS + i) for i in range(task.num_classes)), parts)


def open_sun397(task: ImageTask, place: Path) -> ImageCollection:
    """SUN397: one part, train. Classes in the order of ClassName.txt, images in the order of their names."""
    with _explained(task, place):
        made = _dataset(task.reader)(place)
        root = place / "SUN397"
        pairs = sorted(
            (file.relative_to(root).as_posix(), label)
            for file, label in zip(made._image_files, made._labels, strict=True)
        )
        images = files_part(task.name, root, [path for path, _ in pairs], [label for _, label in pairs])
        return ImageCollection(task.name, tuple(made.classes), {"train": images})


def open_caltech101(task: ImageTask, place: Path) -> ImageCollection:
    """Caltech101 with its background class: train is 30 images a class, test all others."""
    whole = class_folders(task.name, place / "caltech101" / "101_ObjectCategories")
    images = whole.part("train")
    chosen = np.zeros(len(images), dtype=np.bool_)
    for label in range(len(whole.class_names)):
        of_class = np.flatnonzero(images.labels == label)
        keys = [images.keys[i] for i in of_class]
        chosen[of_class] = held_out(keys, np.zeros(len(keys), dtype=np.int64), CALTECH_TRAIN_PER_CLASS)
    return replace(whole, parts={"train": images.where(chosen), "test": images.where(~chosen)})


def open_pcam(task: ImageTask, place: Path) -> ImageCollection:
    """Patch Camelyon from its original HDF5 files: parts train, validation and test.

    Raises UnsupportedError without h5py.
    """
    parts: dict[PartName, LabelledImages] = {}
    named: dict[PartName, str] = {"train": "train", "validation": "valid", "test": "test"}
    for part, split in named.items():
        stem = f"pcam/camelyonpatch_level_2_split_{split}"
        with _explained(task, place):
            with _h5py().File(place / f"{stem}_y.h5") as stored:
                labels = np.asarray(stored["y"], dtype=np.int64).reshape(-1)
            with _h5py().File(place / f"{stem}_x.h5") as stored:
                count = len(stored["x"])
        if count != len(labels):
            raise DataError(f"Data set {task.name!r}: '{stem}' has {count:,} images and {len(labels):,} labels.")
        keys = tuple(f"{split}/{i:06d}" for i in range(count))
        parts[part] = LabelledImages(H5Images(str(place / f"{stem}_x.h5"), count), labels, keys)
    return ImageCollection(task.name, ("no tumour", "tumour"), parts)


def _dataset(reader: str) -> Any:
    from torchvision import datasets

    return getattr(datasets, _FETCHED[reader][0])


@functools.lru_cache(maxsize=6)
def _arrays(reader: str, root: str, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
    """Images (N, H, W, 3), uint8, labels (N,) and class names."""
    if reader == "svhn":
        made = _dataset(reader)(root, split=split)
        return made.data.transpose(0, 2, 3, 1), np.asarray(made.labels, np.int64), tuple("0123456789")
    made = _dataset(reader)(root, train=split == "train")
    return made.data, np.asarray(made.targets, np.int64), tuple(made.classes)


def _check_md5(task: ImageTask, place: Path) -> None:
    """Raises DataError naming the file whose MD5 is not the published one, before anything in it is parsed."""
    from torchvision.datasets.utils import check_integrity

    made = _dataset(task.reader)
    if task.reader == "svhn":
        files = [(name, md5) for split, (_, name, md5) in made.split_list.items() if split != "extra"]
    else:
        files = [(f"{made.base_folder}/{name}", md5) for name, md5 in [*made.train_list, *made.test_list]]
        files.append((f"{made.base_folder}/{made.meta['filename']}", made.meta["md5"]))
    for name, md5 in files:
        if not check_integrity(place / name, md5):
            why = "has a wrong MD5 checksum" if (place / name).is_file() else "is missing"
            raise DataError(
                f"Data set {task.name!r}: '{place / name}' {why}. Delete it and unpack the archive again, or use "
                "--download."
            )


@contextmanager
def _explained(task: ImageTask, place: Path, doing: str = "reading") -> Iterator[None]:
    """Turns what torchvision, scipy and the archive modules raise on bad files into a DataError."""
    from scipy.io.matlab import MatReadError

    try:
        yield
    except (*_READING_ERRORS, MatReadError) as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise DataError(
            f"Data set {task.name!r}: {doing} '{place}' failed: {reason[:300]}. Delete what is damaged and get it "
            f"again. {task.how_to_get}"
        ) from None


def _h5py() -> Any:
    try:
        return importlib.import_module("h5py")  # an optional library
    except ImportError:
        raise UnsupportedError(
            "Patch Camelyon's .h5 files need h5py, which is not installed. Run `pip install h5py`, or take the "
            "Hugging Face copy: --data vtab_camelyon=hf:owner/name@revision."
        ) from None
