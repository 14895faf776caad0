"""A folder of images with a sub-folder for each class, with or without split folders above them.

    PATH/<class>/**/*.jpg                      one part, `train`
    PATH/{train,validation,test}/<class>/**/*  `val` is another name of `validation`

What is hidden, or made by a system for itself, is skipped; files that are no images are counted in a note.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.data.class_labels import SPLIT_NAMES, few, name_split, number_classes, spelled
from bench.data.collection import PART_NAMES, ImageCollection, LabelledImages, PartName
from bench.data.safe_paths import (
    FileReader,
    is_litter,
    is_not_fetched,
    printable,
    real_root,
    resolve_inside,
    unreadable,
)
from bench.data.split_folders import Top, check_classes, read_split_name, split_advice
from bench.errors import DataError, RequestError

EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
)
MAX_DEPTH = 100  # folders inside one another
MAX_LINKED_FOLDERS = 100_000  # folders that link to each other can be walked in very many ways

Files = list[tuple[str, str]]  # (class, file relative to the root)


def open_folder(name: str, path: Path) -> ImageCollection:
    """The images under `path`, by the folders that they lie in. Keys are paths relative to `path`.

    Raises RequestError for a folder that is not laid out so, DataError for parts that do not hold the same classes
    and for links that leave the folder.
    """
    walk = _Walk(real_root(path))
    found = _read_layout(name, walk)
    parts: dict[PartName, Files] = {}
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
    _check_shared(name, found, parts)
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
    litter: set[str] = field(default_factory=set)  # folders and images that were skipped, relative to the root
    doubt: str | None = None  # whether the classes are classes
    linked: int = 0

    def images(self, folder: str) -> list[str]:
        """Paths, relative to the root, of the images anywhere below a folder, in order of their names."""
        files = sorted(self._below(folder, (resolve_inside(self.root, folder),)))
        if not files:
            self.without_images.append(folder)
        return files

    def entries(self, folder: str) -> list[os.DirEntry[str]]:
        """What lies in a folder and is no litter, in order of the names."""
        try:
            with os.scandir(resolve_inside(self.root, folder) if folder else self.root) as found:
                kept = [entry for entry in found if not self._skips(entry, folder)]
        except OSError as error:
            raise unreadable(folder, error) from None
        return sorted(kept, key=lambda entry: entry.name)

    def folders(self, folder: str) -> list[str]:
        """Names of the folders that lie in a folder, in order."""
        return [entry.name for entry in self.entries(folder) if self.is_folder(entry, _joined(folder, entry.name))]

    def look_into(self, folder: str) -> Top:
        """What a folder that may be a class holds, past folders that hold nothing but one other."""
        inner = folder
        while True:
            entries = self.entries(inner)
            has_images = any(_has_image_name(entry.name) and not entry.is_dir() for entry in entries)
            if has_images and read_split_name(os.path.basename(folder)) is None:
                return Top(folder, inner, (), True)  # it is a class, whatever else is in it
            below = [entry.name for entry in entries if self.is_folder(entry, f"{inner}/{entry.name}")]
            if has_images or len(below) != 1 or inner.count("/") > MAX_DEPTH:
                return Top(folder, inner, tuple(below) if len(below) > 1 else (), has_images)
            inner = f"{inner}/{below[0]}"

    def is_folder(self, entry: os.DirEntry[str], relative: str) -> bool:
        """Whether it is a folder or a link to one. Raises DataError for a link that leaves the root."""
        if not entry.is_symlink():
            return entry.is_dir(follow_symlinks=False)
        return os.path.isdir(resolve_inside(self.root, relative))

    def holds_an_image(self, folder: str) -> bool:
        """Whether there is an image anywhere below a folder."""
        apart = _Walk(self.root)  # what it passes by is of no matter
        return next(apart._below(folder, (resolve_inside(self.root, folder),)), None) is not None

    def notes(self) -> Iterator[str]:
        if self.doubt:
            yield self.doubt
        if unfetched := sorted(path for path in self.litter if is_not_fetched(os.path.basename(path))):
            yield (
                f"{len(unfetched):,} files are in iCloud and not on this machine, so they are missing here: "
                f"{few([printable(path) for path in unfetched])}. Download them first."
            )
        if others := self.litter.difference(unfetched):
            names = few(sorted({printable(os.path.basename(path)) for path in others}))
            yield f"{len(others):,} folders and images that are hidden or a system's own were skipped ({names})."
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
                    if self._skips(entry, folder):
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

    def _skips(self, entry: os.DirEntry[str], folder: str) -> bool:
        if not is_litter(entry.name):
            return False
        if entry.is_dir(follow_symlinks=False) or _has_image_name(entry.name) or is_not_fetched(entry.name):
            self.litter.add(_joined(folder, entry.name))
        return True

    def _real(self, entry: os.DirEntry[str], relative: str, above: tuple[str, ...]) -> str:
        if not entry.is_symlink():
            return f"{above[-1]}/{entry.name}"
        real = resolve_inside(self.root, relative)
        self.linked += 1
        if real in above or self.linked > MAX_LINKED_FOLDERS:
            raise DataError(f"'{printable(relative)}' is a link back to a folder that it lies in. Take it out.")
        return real

    def _is_image(self, entry: os.DirEntry[str]) -> bool:
        if not _has_image_name(entry.name):
            self.ignored[os.path.splitext(entry.name)[1].lower() or "no extension"] += 1
            return False
        # A link to nothing stays: it is an image that is gone, and the preflight names it.
        if not entry.is_file(follow_symlinks=False) and not entry.is_symlink():
            self.ignored["pipes and devices"] += 1
            return False
        return True


def _read_layout(name: str, walk: _Walk) -> dict[PartName, str]:
    """Part -> its folder, relative to the root; {"train": ""} where the root itself holds the classes."""
    folders = walk.folders("")
    splits = [folder for folder in folders if name_split(folder)]
    others = [folder for folder in folders if not name_split(folder)]
    # A class may be called like a split, too: then it holds images and not classes.
    if not splits or (others and not any(walk.folders(split) for split in splits)):
        walk.doubt = check_classes(name, [walk.look_into(folder) for folder in folders])
        return {"train": ""}
    _check_beside(name, walk, splits, others)
    walk.beside = others
    found: dict[PartName, str] = {}
    for split in splits:
        part = SPLIT_NAMES[split.casefold()]
        if part in found:
            raise RequestError(f"Data set {name!r} has two '{part}' folders, {found[part]!r} and {split!r}. Keep one.")
        found[part] = split
    for split in splits:
        doubt = check_classes(name, [walk.look_into(f"{split}/{folder}") for folder in walk.folders(split)])
        walk.doubt = walk.doubt or doubt
    return {part: found[part] for part in PART_NAMES if part in found}


def _check_beside(name: str, walk: _Walk, splits: Sequence[str], others: Sequence[str]) -> None:
    """Raises RequestError for a folder beside the split folders that may be a split as well, or a class beside one."""
    for other in others:
        split, top = read_split_name(other), walk.look_into(other)
        if split is not None and not split.rest and (top.below or top.has_images):
            raise RequestError(
                f"Data set {name!r}: {other!r} looks like a split folder beside {few(splits)}. {split_advice([top])}"
            )
        if len(splits) == 1 and len(top.below) > 1 and walk.holds_an_image(other):
            raise RequestError(
                f"Data set {name!r}: {splits[0]!r} may be a split or a class, as {other!r} beside it holds folders of "
                f"images, too. If it is a class, put all classes into a folder 'train'; if not, take {other!r} out."
            )


def _check_shared(name: str, folders: Mapping[PartName, str], parts: Mapping[PartName, Files]) -> None:
    """Raises DataError for a part that has not one of the classes of train: its folders are something else."""
    known = {spelled(label).casefold() for label, _ in parts.get("train", ())}
    for part, files in parts.items():
        held = {spelled(label).casefold() for label, _ in files}
        if known and not known & held:
            raise DataError(
                f"Data set {name!r}: '{folders[part]}' holds {few(sorted(held))}, and none of the classes of "
                f"'{folders['train']}' ({few(sorted(known))}). Put its images into folders called like these; or take "
                f"'{folders[part]}' out, to have such a part split off."
            )


def _hint(walk: _Walk) -> str:
    """What else a folder without classes could have been meant as."""
    holders = [top for top in map(walk.look_into, walk.folders("")) if top.below]
    if len(holders) == 1:
        inner = printable(holders[0].inner)
        return f" Does it begin further in, at '{inner}' ({few(holders[0].below)})? Then give PATH/{inner}."
    if walk.ignored[".tar"]:
        return " For tar shards give shards:PATH."
    lists = [entry.name for entry in walk.entries("") if entry.name.lower().endswith((".csv", ".parquet"))]
    return f" For a list give PATH/{printable(lists[0])}." if lists else ""


def _class_folders(walk: _Walk, folder: str) -> Iterable[tuple[str, str]]:
    """(class, its folder relative to the root), in order."""
    for entry in walk.entries(folder):
        relative = _joined(folder, entry.name)
        if relative in walk.beside:
            continue
        if walk.is_folder(entry, relative):
            yield entry.name, relative
        elif _has_image_name(entry.name):
            walk.loose += 1
        else:
            walk.ignored[os.path.splitext(entry.name)[1].lower() or "no extension"] += 1


def _has_image_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
