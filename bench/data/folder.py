"""A folder of images with a sub-folder for each class, with or without split folders above them.

    PATH/<class>/**/*.jpg                      one part, `train`
    PATH/{train,validation,test}/<class>/**/*  `val` is another name of `validation`

Hidden files are skipped; files that are no images are counted in a note.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.data.class_labels import SPLIT_NAMES, few, name_split, number_classes
from bench.data.collection import PART_NAMES, ImageCollection, LabelledImages, PartName
from bench.data.safe_paths import FileReader, printable, real_root, resolve_inside, unreadable
from bench.errors import DataError, RequestError

EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
)
MAX_DEPTH = 100  # folders inside one another
MAX_LINKED_FOLDERS = 100_000  # folders that link to each other can be walked in very many ways

_LIKE_A_SPLIT = frozenset((*SPLIT_NAMES, "training", "valid", "dev", "eval", "evaluation", "testing", "holdout"))


def open_folder(name: str, path: Path) -> ImageCollection:
    """The images under `path`, by the folders that they lie in. Keys are paths relative to `path`.

    Raises RequestError for a folder that is not laid out so, DataError for parts that do not hold the same classes
    and for links that leave the folder.
    """
    walk = _Walk(real_root(path))
    found = _read_layout(name, walk)
    parts: dict[PartName, list[tuple[str, str]]] = {}  # part -> (class, file)
    for part, folder in found.items():
        files = [(label, file) for label, below in _class_folders(walk, folder) for file in walk.images(below)]
        if not files and folder:
            raise DataError(
                f"Data set {name!r}: '{folder}' holds no images in class folders. Expected {folder}/<class>/*.jpg, or "
                f"no folder '{folder}'."
            )
        parts[part] = files
    held = Counter(label for files in parts.values() for label, _ in files)
    if len(held) < 2:
        raise RequestError(
            f"Data set {name!r}: {len(held)} class folders with images. Expected at least two, as "
            f"PATH/<class>/*.jpg or PATH/train/<class>/*.jpg.{_hint(walk)}"
        )
    classes = number_classes(
        name,
        {part: [printable(label) for label, _ in files] for part, files in parts.items()},
        lambda part, index: f"'{printable(parts[part][index][1])}'",
    )
    return ImageCollection(
        name=name,
        class_names=classes.names,
        parts={
            part: LabelledImages(
                reader=FileReader(walk.root, tuple(file for _, file in files)),
                labels=classes.labels[part],
                keys=tuple(printable(file) for _, file in files),
            )
            for part, files in parts.items()
        },
        notes=(*walk.notes(), *classes.notes),
    )


@dataclass
class _Walk:
    """Goes through folders below a root, and remembers what it passed by."""

    root: str
    ignored: Counter[str] = field(default_factory=Counter)  # extension -> files
    loose: int = 0
    without_images: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    linked: int = 0

    def images(self, folder: str) -> list[str]:
        """Paths, relative to the root, of the images anywhere below a folder, in order of their names."""
        files = sorted(self._below(folder, (resolve_inside(self.root, folder),)))
        if not files:
            self.without_images.append(folder)
        return files

    def entries(self, folder: str) -> list[os.DirEntry[str]]:
        """What lies in a folder and is not hidden, in order of the names."""
        try:
            with os.scandir(resolve_inside(self.root, folder) if folder else self.root) as found:
                return sorted((entry for entry in found if entry.name[0] != "."), key=lambda entry: entry.name)
        except OSError as error:
            raise unreadable(folder, error) from None

    def is_folder(self, entry: os.DirEntry[str], relative: str) -> bool:
        """Whether it is a folder or a link to one. Raises DataError for a link that leaves the root."""
        if not entry.is_symlink():
            return entry.is_dir(follow_symlinks=False)
        return os.path.isdir(resolve_inside(self.root, relative))

    def notes(self) -> Iterator[str]:
        if self.ignored:
            kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.ignored.most_common(5))
            yield f"{self.ignored.total():,} files that are no images were ignored ({kinds})."
        if self.loose:
            yield f"{self.loose:,} images that lie in no class folder were ignored."
        if self.without_images:
            yield f"Class folders without images: {few(self.without_images)}."
        if self.beside:
            yield f"Folders beside the split folders (train, validation or val, test) were ignored: {few(self.beside)}."

    def _below(self, folder: str, above: tuple[str, ...]) -> Iterator[str]:
        """above: real paths of the folders that lead here; a link to one of them would never end."""
        if len(above) > MAX_DEPTH:
            raise DataError(
                f"'{printable(folder)[:60]}...' lies under {MAX_DEPTH} folders. Take it out, or move it up."
            )
        folders = []
        try:
            with os.scandir(above[-1]) as found:
                for entry in found:
                    if entry.name[0] == ".":
                        continue
                    relative = f"{folder}/{entry.name}"
                    if self.is_folder(entry, relative):
                        folders.append((relative, self._real(entry, relative, above)))
                    elif self._is_image(entry):
                        yield relative
        except OSError as error:
            raise unreadable(folder, error) from None
        for relative, real in folders:
            yield from self._below(relative, (*above, real))

    def _real(self, entry: os.DirEntry[str], relative: str, above: tuple[str, ...]) -> str:
        if not entry.is_symlink():
            return f"{above[-1]}/{entry.name}"
        real = resolve_inside(self.root, relative)
        self.linked += 1
        if real in above or self.linked > MAX_LINKED_FOLDERS:
            raise DataError(f"'{printable(relative)}' is a link back to a folder that it lies in. Take it out.")
        return real

    def _is_image(self, entry: os.DirEntry[str]) -> bool:
        extension = os.path.splitext(entry.name)[1].lower()
        if extension not in EXTENSIONS:
            self.ignored[extension or "no extension"] += 1
            return False
        # A link to nothing stays: it is an image that is gone, and the preflight names it.
        if not entry.is_file(follow_symlinks=False) and not entry.is_symlink():
            self.ignored["pipes and devices"] += 1
            return False
        return True


def _read_layout(name: str, walk: _Walk) -> dict[PartName, str]:
    """Part -> its folder, relative to the root; {"train": ""} where the root itself holds the classes."""
    folders = [entry.name for entry in walk.entries("") if walk.is_folder(entry, entry.name)]
    splits = [folder for folder in folders if name_split(folder)]
    others = [folder for folder in folders if not name_split(folder)]
    if folders and all(folder.casefold() in _LIKE_A_SPLIT for folder in folders) and others:
        raise RequestError(
            f"Data set {name!r}: {few(others)} looks like a split folder, and those are called train, validation "
            "(or val) and test. Rename it."
        )
    # A class may be called like a split, too: then it holds images and not classes.
    holds_classes = any(
        walk.is_folder(entry, f"{split}/{entry.name}") for split in splits for entry in walk.entries(split)
    )
    if not splits or (others and not holds_classes):
        return {"train": ""}
    walk.beside = others
    found: dict[PartName, str] = {}
    for split in splits:
        part = SPLIT_NAMES[split.casefold()]
        if part in found:
            raise RequestError(f"Data set {name!r} has two '{part}' folders, {found[part]!r} and {split!r}. Keep one.")
        found[part] = split
    return {part: found[part] for part in PART_NAMES if part in found}


def _hint(walk: _Walk) -> str:
    """What else a folder without classes could have been meant as."""
    if walk.ignored[".tar"]:
        return " For tar shards give shards:PATH."
    lists = [entry.name for entry in walk.entries("") if entry.name.lower().endswith((".csv", ".parquet"))]
    return f" For a list give PATH/{printable(lists[0])}." if lists else ""


def _class_folders(walk: _Walk, folder: str) -> Iterable[tuple[str, str]]:
    """(class, its folder relative to the root), in order."""
    for entry in walk.entries(folder):
        relative = f"{folder}/{entry.name}" if folder else entry.name
        if relative in walk.beside:
            continue
        if walk.is_folder(entry, relative):
            yield entry.name, relative
        elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
            walk.loose += 1
        else:
            walk.ignored[os.path.splitext(entry.name)[1].lower() or "no extension"] += 1
