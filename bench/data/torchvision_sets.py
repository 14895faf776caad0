"""Public sets in the layout that torchvision fetches and reads: torchvision checks, unpacks and parses, we keep bytes.

Each reader takes the folder that torchvision calls `root` and returns the parts that the source has; splits of our own
are made by the caller. Images stay encoded, in the files they came in, wherever the source keeps files.
"""

from __future__ import annotations

import functools
import importlib
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.catalog.image_tasks import ImageTask
from bench.data.collection import ImageCollection, LabelledImages, PartName
from bench.data.fingerprints import file_stamp
from bench.data.local_files import check_present, class_folders, files_part, missing_files
from bench.data.subsets import held_out
from bench.errors import DataError, UnsupportedError

ArrayKind = Literal["CIFAR10", "CIFAR100", "SVHN"]

CALTECH_TRAIN_PER_CLASS = 30  # of the set's authors, kept by TFDS
CLEVR_FEWEST_OBJECTS = 3  # scenes hold 3 to 10, the label is the number less this


@dataclass(frozen=True)
class StoredArrays:
    """A reader of the images of a set that is one array: loaded once in each process that reads from it."""

    kind: ArrayKind
    root: str
    split: str
    count: int

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> NDArray[np.uint8]:
        return np.ascontiguousarray(_arrays(self.kind, self.root, self.split)[0][index])


@dataclass(frozen=True)
class H5Images:
    """A reader of the images of an HDF5 file, array `x`: (N, H, W, 3), uint8."""

    file: str
    count: int

    def __len__(self) -> int:
        return self.count

    def stamp(self) -> str:
        """What changes when the file does; see `bench.data.fingerprints`."""
        return f"{self.file} {file_stamp(os.stat(self.file))}"

    def read(self, index: int) -> NDArray[np.uint8]:
        with _h5py().File(self.file) as stored:
            return np.asarray(stored["x"][index], dtype=np.uint8)


def open_cifar(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """CIFAR-10 or -100: parts train and test. The files are pickles, opened only after torchvision's MD5 check."""
    kind: ArrayKind = "CIFAR10" if task.reader == "cifar10" else "CIFAR100"
    check_or_fetch(task, place, download, {"train": True}, {"train": False})
    _check_md5(task, place, kind)
    with _explained(task, place):
        return _from_arrays(task, place, kind)


def open_svhn(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """SVHN's cropped digits: parts train and test (not `extra`); the label of digit 0 is 0."""
    check_or_fetch(task, place, download, {"split": "train"}, {"split": "test"})
    _check_md5(task, place, "SVHN")
    with _explained(task, place):
        return _from_arrays(task, place, "SVHN")


def open_pets(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """Oxford-IIIT Pets: parts train (the official trainval) and test."""
    splits: dict[PartName, str] = {"train": "trainval", "test": "test"}
    return _from_files(task, place, download, splits, "_images", place / "oxford-iiit-pet")


def open_flowers(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """Oxford Flowers-102: parts train, validation and test, each as its authors made it."""
    splits: dict[PartName, str] = {"train": "train", "validation": "val", "test": "test"}
    return _from_files(task, place, download, splits, "_image_files", place / "flowers-102")


def open_dtd(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """Describable Textures, partition 1: parts train, validation and test."""
    splits: dict[PartName, str] = {"train": "train", "validation": "val", "test": "test"}
    return _from_files(task, place, download, splits, "_image_files", place / "dtd" / "dtd")


def open_clevr_count(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """CLEVR, number of objects: parts train and test, which is CLEVR's validation part (its own test has no labels)."""
    splits: dict[PartName, str] = {"train": "train", "test": "val"}
    found = _from_files(task, place, download, splits, "_image_files", place / "clevr" / "CLEVR_v1.0")
    parts = {
        part: LabelledImages(held.reader, held.labels - CLEVR_FEWEST_OBJECTS, held.keys)
        for part, held in found.parts.items()
    }
    names = tuple(str(CLEVR_FEWEST_OBJECTS + i) for i in range(task.num_classes))
    return ImageCollection(task.name, names, parts)


def open_sun397(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """SUN397: one part, train. Classes in the order of ClassName.txt, images in the order of their names."""
    check_or_fetch(task, place, download, {})
    with _explained(task, place):
        made = _dataset(task)(place)
        root = place / "SUN397"
        pairs = sorted(
            (file.relative_to(root).as_posix(), label)
            for file, label in zip(made._image_files, made._labels, strict=True)
        )
        images = files_part(task.name, root, [path for path, _ in pairs], [label for _, label in pairs])
        return ImageCollection(task.name, tuple(made.classes), {"train": images})


def open_eurosat(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """EuroSAT, RGB: one part, train."""
    check_or_fetch(task, place, download, {})
    return class_folders(task.name, place / "eurosat" / "2750")


def open_caltech101(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """Caltech101 with its background class: train is 30 images a class, test all others."""
    check_or_fetch(task, place, download, {})
    whole = class_folders(task.name, place / "caltech101" / "101_ObjectCategories")
    images = whole.part("train")
    chosen = np.zeros(len(images), dtype=np.bool_)
    for label in range(len(whole.class_names)):
        of_class = np.flatnonzero(images.labels == label)
        keys = [images.keys[i] for i in of_class]
        chosen[of_class] = held_out(keys, np.zeros(len(keys), dtype=np.int64), CALTECH_TRAIN_PER_CLASS)
    parts: dict[PartName, LabelledImages] = {
        "train": images.take(np.flatnonzero(chosen)),
        "test": images.take(np.flatnonzero(~chosen)),
    }
    return ImageCollection(task.name, whole.class_names, parts)


def open_pcam(task: ImageTask, place: Path, download: bool) -> ImageCollection:
    """Patch Camelyon from its original HDF5 files: parts train, validation and test. Never fetched this way.

    Raises UnsupportedError without h5py.
    """
    check_present(task, place)
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


_CLASSES: Mapping[str, str] = {
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "pets": "OxfordIIITPet",
    "flowers102": "Flowers102",
    "caltech101": "Caltech101",
    "dtd": "DTD",
    "svhn": "SVHN",
    "sun397": "SUN397",
    "eurosat": "EuroSAT",
    "clevr_count": "CLEVRClassification",
    "clevr_distance": "CLEVRClassification",
}


def check_or_fetch(task: ImageTask, place: Path, download: bool, *arguments: Mapping[str, Any]) -> None:
    """Raises AbsentDataError unless the files are there, or are fetched now because `download` says so.

    arguments: those of torchvision's class, once for each archive that it fetches apart. Raises DataError for a
    download that fails, with torchvision's reason.
    """
    if missing_files(task, place) and download:
        place.mkdir(parents=True, exist_ok=True)
        with _explained(task, place, doing="downloading"):
            for given in arguments:
                _dataset(task)(place, download=True, **given)
    check_present(task, place)


def _dataset(task: ImageTask) -> Callable[..., Any]:
    from torchvision import datasets

    made: Callable[..., Any] = getattr(datasets, _CLASSES[task.reader])
    return made


def _from_files(
    task: ImageTask, place: Path, download: bool, splits: Mapping[PartName, str], files: str, root: Path
) -> ImageCollection:
    """The parts of a torchvision set whose attribute `files` lists its image files."""
    check_or_fetch(task, place, download, *({"split": split} for split in splits.values()))
    parts: dict[PartName, LabelledImages] = {}
    classes: tuple[str, ...] = ()
    for part, split in splits.items():
        with _explained(task, place):
            made = _dataset(task)(place, split=split)
            paths = [Path(file).relative_to(root).as_posix() for file in getattr(made, files)]
            found = tuple(str(name) for name in getattr(made, "classes", ()))
            labels = list(made._labels)
        if classes and found != classes:
            only = sorted(set(classes) ^ set(found))
            raise DataError(f"Data set {task.name!r}: class {only[0]!r} is not in every part of '{place}'.")
        classes = found
        parts[part] = files_part(task.name, root, paths, labels)
    return ImageCollection(task.name, classes, parts)


def _from_arrays(task: ImageTask, place: Path, kind: ArrayKind) -> ImageCollection:
    parts: dict[PartName, LabelledImages] = {}
    classes: tuple[str, ...] = ()
    named: tuple[PartName, ...] = ("train", "test")
    for part in named:
        images, labels, classes = _arrays(kind, str(place), part)
        keys = tuple(f"{part}/{i:05d}" for i in range(len(images)))
        parts[part] = LabelledImages(StoredArrays(kind, str(place), part, len(images)), labels, keys)
    return ImageCollection(task.name, classes, parts)


@functools.lru_cache(maxsize=6)
def _arrays(kind: ArrayKind, root: str, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
    """Images (N, H, W, 3), uint8, labels (N,) and class names."""
    from torchvision import datasets

    if kind == "SVHN":
        made = datasets.SVHN(root, split=split)
        return made.data.transpose(0, 2, 3, 1), np.asarray(made.labels, np.int64), tuple("0123456789")
    made = getattr(datasets, kind)(root, train=split == "train")
    return made.data, np.asarray(made.targets, np.int64), tuple(made.classes)


def _check_md5(task: ImageTask, place: Path, kind: ArrayKind) -> None:
    """Raises DataError naming the file whose MD5 is not the published one, before anything in it is parsed."""
    from torchvision import datasets
    from torchvision.datasets.utils import check_integrity

    made = getattr(datasets, kind)
    if kind == "SVHN":
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
    except (
        RuntimeError,
        OSError,
        LookupError,
        ValueError,
        TypeError,
        EOFError,
        NotImplementedError,
        MatReadError,
        pickle.UnpicklingError,
        tarfile.TarError,
        zipfile.BadZipFile,
    ) as error:
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
