"""ImageNet as a folder: val/<synset>/*.JPEG and train/<synset>/*.JPEG, classes in the order that public weights use.

A flat val/ is read too, with a list of its classes beside it: `imagenet_2012_validation_synset_labels.txt` (a synset a
line, in the order of the file names) or Kaggle's `LOC_val_solution.csv`.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bench.catalog.image_tasks import ImageTask
from bench.data.formats.safe_paths import FileReader, real_root
from bench.data.public.local_files import SUBSET_FILE, files_part, folders_in, image_files, subset_reason
from bench.data.sets.collection import ImageCollection, LabelledImages, PartName
from bench.data.sets.splits import hold_out
from bench.errors import DataError

SYNSET_LIST = "imagenet_2012_validation_synset_labels.txt"
KAGGLE_LIST = "LOC_val_solution.csv"

_SYNSETS_FILE = Path("data", "_info", "imagenet_synsets.txt")  # under timm's folder
_LEMMAS_FILE = Path("data", "_info", "imagenet_synset_to_lemma.txt")


class LazyParts(Mapping[PartName, LabelledImages]):
    """Parts that are listed when they are asked for: evaluation needs no list of 1.28 million training images."""

    def __init__(self, makers: Mapping[PartName, Callable[[], LabelledImages]]) -> None:
        self._makers = dict(makers)
        self._made: dict[PartName, LabelledImages] = {}

    def __getitem__(self, name: PartName) -> LabelledImages:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[PartName]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __contains__(self, name: object) -> bool:  # Mapping's own would list the part
        return name in self._makers


def open_imagenet(task: ImageTask, place: Path) -> ImageCollection:
    """Part test (the official validation part) and, where train/ is there, train and validation (1 % held out).

    Reading a part raises DataError for a missing class or a number of images that is not the whole set's, unless the
    folder says that it is a subset.
    """
    whole = subset_reason(place) is None
    makers: dict[PartName, Callable[[], LabelledImages]] = {"test": lambda: _validation_images(task, place, whole)}
    if (place / "train").is_dir():
        expected = task.train_images + task.validation_images
        makers |= _split_when_asked(
            lambda: _train_images(task, place, whole),
            lambda images: round(len(images) * task.validation_images / expected),
        )
    return ImageCollection(task.name, class_names(), LazyParts(makers))


def open_imagenet21k(task: ImageTask, place: Path) -> ImageCollection:
    """Parts train and validation (1 % held out) of train/<synset>/*.JPEG, whichever synsets these are, in their order.

    Raises DataError for a folder without two classes. A number of classes that is not the whole set's is noted:
    releases differ.
    """
    names = folders_in(place / "train")
    if len(names) < 2:
        raise DataError(
            f"Data set {task.name!r}: '{place / 'train'}' has {len(names)} class folders, expected one for each "
            f"synset. {task.how_to_get}"
        )
    share = task.validation_images / (task.train_images + task.validation_images)
    makers = _split_when_asked(
        lambda: _folders_of(task, place, "train", {name: label for label, name in enumerate(names)}),
        lambda images: round(len(images) * share),
    )
    found = ImageCollection(task.name, names, LazyParts(makers))
    if len(names) == task.num_classes:
        return found
    return found.noted(f"This copy has {len(names):,} classes, the release of autumn 2011 has {task.num_classes:,}.")


def _split_when_asked(
    listed: Callable[[], LabelledImages], held_out: Callable[[LabelledImages], int]
) -> dict[PartName, Callable[[], LabelledImages]]:
    """Makers of train and of validation, which is held out of what is listed when one of them is asked for."""

    @functools.cache
    def split() -> tuple[LabelledImages, LabelledImages]:
        images = listed()
        return hold_out(images, held_out(images))

    return {"train": lambda: split()[0], "validation": lambda: split()[1]}


@functools.cache
def synsets() -> tuple[str, ...]:
    """The 1,000 synsets (`n01440764`) in the order of the classes of public weights."""
    return tuple(_timm_file(_SYNSETS_FILE).split())


@functools.cache
def class_names() -> tuple[str, ...]:
    """`n01440764 tench, Tinca tinca` and so on, in the order of `synsets`."""
    lemmas = dict(line.split("\t", 1) for line in _timm_file(_LEMMAS_FILE).splitlines() if "\t" in line)
    return tuple(f"{synset} {lemmas[synset]}" if synset in lemmas else synset for synset in synsets())


def _validation_images(task: ImageTask, place: Path, whole: bool) -> LabelledImages:
    folder = place / "val"
    flat = image_files(folder)
    if not flat:
        images = _class_folders(task, place, "val", whole)
    else:
        labels = _flat_labels(task, place, flat)
        images = files_part(task.name, place, [f"val/{file}" for file in flat], labels)
    if whole and len(images) != task.test_images:
        raise DataError(
            f"Data set {task.name!r}: '{folder}' has {len(images):,} images, expected {task.test_images:,}, so top-1 "
            f"would not be comparable. Unpack it again; for a subset on purpose, say why in '{place / SUBSET_FILE}'."
        )
    return images


def _train_images(task: ImageTask, place: Path, whole: bool) -> LabelledImages:
    """What is trained on and what is held out of it."""
    images = _class_folders(task, place, "train", whole)
    expected = task.train_images + task.validation_images
    if whole and len(images) != expected:
        raise DataError(
            f"Data set {task.name!r}: '{place / 'train'}' has {len(images):,} images, expected {expected:,}. Unpack it "
            f"again; for a subset on purpose, say why in '{place / SUBSET_FILE}'."
        )
    return images


def _class_folders(task: ImageTask, place: Path, part: str, whole: bool) -> LabelledImages:
    """Images of synset folders; keys are `val/n01440764/ILSVRC2012_val_00000293.JPEG`."""
    index = {synset: label for label, synset in enumerate(synsets())}
    found = set(folders_in(place / part))
    if unknown := sorted(name for name in found if name not in index):
        raise DataError(
            f"Data set {task.name!r}: folder '{place / part / unknown[0]}' is no class of ImageNet-1k. Expected "
            f"{part}/<synset>/*.JPEG with synsets such as '{synsets()[0]}'."
        )
    if whole and len(found) != len(index):
        lacking = next(synset for synset in synsets() if synset not in found)
        raise DataError(
            f"Data set {task.name!r}: '{place / part}' has {len(found):,} class folders, expected {len(index):,}; "
            f"'{lacking}' is missing. Unpack it again; for a subset on purpose, say why in '{place / SUBSET_FILE}'."
        )
    return _folders_of(task, place, part, {synset: index[synset] for synset in found})


def _folders_of(task: ImageTask, place: Path, part: str, index: Mapping[str, int]) -> LabelledImages:
    """Images of the class folders that `index` names, sorted by class folder and file. index: folder -> label."""
    paths: list[str] = []
    labels: list[int] = []
    for synset in sorted(index):
        files = image_files(place / part / synset)
        paths += [f"{part}/{synset}/{file}" for file in files]
        labels += [index[synset]] * len(files)
    if not paths:
        raise DataError(f"Data set {task.name!r}: '{place / part}' has no images.")
    return LabelledImages(FileReader(real_root(place), tuple(paths)), np.array(labels, np.int64), tuple(paths))


def _flat_labels(task: ImageTask, place: Path, files: list[str]) -> list[int]:
    """Class indices of the images of a flat val/, by the list beside it."""
    index = {synset: label for label, synset in enumerate(synsets())}
    if (place / SYNSET_LIST).is_file():
        listed = (place / SYNSET_LIST).read_text(encoding="utf-8").split()
        if len(listed) != len(files):
            raise DataError(
                f"Data set {task.name!r}: '{place / SYNSET_LIST}' has {len(listed):,} lines for {len(files):,} images."
            )
        named = dict(zip(files, listed, strict=True))
    elif (place / KAGGLE_LIST).is_file():
        with open(place / KAGGLE_LIST, newline="", encoding="utf-8") as text:
            named = {row[0] + ".JPEG": row[1].split(" ", 1)[0] for row in csv.reader(text) if len(row) >= 2}
    else:
        raise DataError(
            f"Data set {task.name!r}: '{place / 'val'}' is flat and nothing says which class an image is of. Put "
            f"'{SYNSET_LIST}' or '{KAGGLE_LIST}' into '{place}', or sort the images into val/<synset>/."
        )
    for file in files:
        synset = named.get(file)
        if synset not in index:
            why = "is not listed" if synset is None else f"has the class {synset[:40]!r}, which is no synset of it"
            raise DataError(f"Data set {task.name!r}: image 'val/{file}' {why}. See '{place}'.")
    return [index[named[file]] for file in files]


def _timm_file(path: Path) -> str:
    found = find_spec("timm")
    file = Path(found.origin).parent / path if found is not None and found.origin else path
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"timm's list of classes '{file}' cannot be read: {error.strerror}. Reinstall timm.") from None
