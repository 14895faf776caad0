"""A folder of images with a sub-folder for each class, with or without split folders above them.

    PATH/<class>/**/*.jpg                      one part, `train`
    PATH/{train,validation,test}/<class>/**/*  `val` is another name of `validation`

What is hidden, or made by a system for itself, is skipped; files that are no images are counted in a note.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.formats.safe_paths import (
    MAX_DEPTH,
    FileReader,
    FolderWalk,
    has_image_name,
    joined,
    printable,
    real_root,
)
from bench.data.sets.class_labels import SPLITS_CALLED, few, name_split, number_classes, read_split_name, spelled
from bench.data.sets.collection import PART_NAMES, ImageCollection, LabelledImages, PartName
from bench.errors import DataError, RequestError

_CALLED = SPLITS_CALLED[0].lower() + SPLITS_CALLED[1:]
_NUMBERED = re.compile(r"\d")
_ACCOMPANYING = frozenset(("images", "imgs", "masks", "labels", "annotations", "annots", "bboxes", "trimaps"))

Files = list[tuple[str, str]]  # (class, file relative to the root)


@dataclass(frozen=True)
class Layout:
    """parts: part -> its folder, relative to the root; {"train": ""} where the root itself holds the classes.

    beside: folders beside those. warning: whether the classes are classes.
    """

    parts: Mapping[PartName, str]
    beside: Sequence[str]
    warning: str | None


@dataclass(frozen=True)
class Top:
    """A folder that may be a class. inner: the folder in it, or in that one, that holds more than one folder.

    folder, inner: relative to the root. below: the folders that `inner` holds. has_images: whether images lie directly
    in it.
    """

    folder: str
    inner: str
    below: tuple[str, ...]
    has_images: bool

    @property
    def name(self) -> str:
        """What the class would be called."""
        return self.folder.rpartition("/")[2]


def open_folder(name: str, path: Path) -> ImageCollection:
    """The images under `path`, by the folders that they lie in. Keys are paths relative to `path`.

    Raises RequestError for a folder that is not laid out so, DataError for parts that do not hold the same classes
    and for links that leave the folder.
    """
    walk = FolderWalk(real_root(path))
    layout = _read_layout(name, walk)
    parts: dict[PartName, Files] = {}
    for part, folder in layout.parts.items():
        files = list(_files_of_classes(walk, folder, layout.beside))
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
    _check_shared(name, layout.parts, parts)
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
        notes=(*_notes(walk, layout), *classes.notes),
    )


def _read_layout(name: str, walk: FolderWalk) -> Layout:
    folders = walk.folders("")
    splits = [folder for folder in folders if name_split(folder)]
    others = [folder for folder in folders if not name_split(folder)]
    # A class may be called like a split, too: then it holds images and not classes.
    if not splits or (others and not any(walk.folders(split) for split in splits)):
        return Layout({"train": ""}, (), check_classes(name, [look_into(walk, folder) for folder in folders]))
    _check_beside(name, walk, splits, others)
    found: dict[PartName | None, str] = {}
    for split in splits:
        part = name_split(split)
        if part in found:
            raise RequestError(f"Data set {name!r} has two '{part}' folders, {found[part]!r} and {split!r}. Keep one.")
        found[part] = split
    warnings = [
        check_classes(name, [look_into(walk, f"{split}/{folder}") for folder in walk.folders(split)])
        for split in splits
    ]
    return Layout(
        {part: found[part] for part in PART_NAMES if part in found}, others, next(filter(None, warnings), None)
    )


def _notes(walk: FolderWalk, layout: Layout) -> Iterator[str]:
    if layout.warning:
        yield layout.warning
    yield from walk.passed_by.notes()
    if layout.beside:
        yield f"Folders beside the split folders (train, validation or val, test) were ignored: {few(layout.beside)}."


def _check_beside(name: str, walk: FolderWalk, splits: Sequence[str], others: Sequence[str]) -> None:
    """Raises RequestError for a folder beside the split folders that may be a split as well, or a class beside one."""
    for other in others:
        split, top = read_split_name(other), look_into(walk, other)
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


def _hint(walk: FolderWalk) -> str:
    """What else a folder without classes could have been meant as."""
    holders = [top for folder in walk.folders("") if (top := look_into(walk, folder)).below]
    if len(holders) == 1:
        inner = printable(holders[0].inner)
        return f" Does it begin further in, at '{inner}' ({few(holders[0].below)})? Then give PATH/{inner}."
    if walk.passed_by.kinds[".tar"]:
        return " For tar shards give shards:PATH."
    lists = [entry.name for entry in walk.entries("") if entry.name.lower().endswith((".csv", ".parquet"))]
    return f" For a list give PATH/{printable(lists[0])}." if lists else ""


def _files_of_classes(walk: FolderWalk, folder: str, beside: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The images in the class folders of a folder, in order."""
    for entry in walk.entries(folder):
        relative = joined(folder, entry.name)
        if relative in beside:
            continue
        if walk.is_folder(entry, relative):
            files = walk.images(relative)
            if not files:
                walk.passed_by.without_images.append(relative)
            yield from ((entry.name, file) for file in files)
        elif has_image_name(entry.name):
            walk.passed_by.loose += 1
        else:
            walk.passed_by.add(entry.name)


def look_into(walk: FolderWalk, folder: str) -> Top:
    """What a folder that may be a class holds, past folders that hold nothing but one other."""
    inner = folder
    while True:
        entries = walk.entries(inner)
        has_images = any(has_image_name(entry.name) and not entry.is_dir() for entry in entries)
        if has_images and read_split_name(os.path.basename(folder)) is None:
            return Top(folder, inner, (), True)  # it is a class, whatever else is in it
        below = [entry.name for entry in entries if walk.is_folder(entry, f"{inner}/{entry.name}")]
        if has_images or len(below) != 1 or inner.count("/") > MAX_DEPTH:
            return Top(folder, inner, tuple(below) if len(below) > 1 else (), has_images)
        inner = f"{inner}/{below[0]}"


# --- folders that look like parts, or like copies of one another, and so are no classes ---


def check_classes(name: str, tops: Sequence[Top]) -> str | None:
    """What to note of folders that are taken as the classes of the data set `name`.

    Raises RequestError, with what to rename, for folders that cannot be.
    """
    holding = [top for top in tops if top.below or top.has_images]
    if members := _named_like_splits(holding):
        raise RequestError(f"Data set {name!r}: {_few(members)} look like split folders. {split_advice(members)}")
    members, shared = _holding_the_same(holding)
    if members and all(_NUMBERED.search(folder) for folder in shared):  # persons, series, years; or classes 0 to 9
        return (
            f"{_few(members)} hold the same folders ({few(shared)}) and are taken as classes. If they are splits, "
            f"rename them: {_CALLED}."
        )
    if members:
        if all(read_split_name(folder) for folder in shared):
            advice = f"Turn it around: {shared[0]}/{members[0].name}/*.jpg"
        else:
            advice = (
                f"If they are the splits, rename them: {_CALLED}. If they are sources, put the "
                "images of a class into one folder. If they are the classes, move the images up, or give a list "
                "(.csv) with the columns path,label"
            )
        raise RequestError(
            f"Data set {name!r}: {_few(members)} hold the same folders ({few(shared)}), so they do not look like "
            f"classes. {advice}."
        )
    if wrapping := [top for top in holding if not top.has_images and _are_splits(top.below)]:
        raise RequestError(
            f"Data set {name!r}: '{wrapping[0].inner}' holds {few(wrapping[0].below)}, which look like split folders, "
            f"so it does not look like a class. If the data set begins there, give PATH/{wrapping[0].inner}."
        )
    if len(holding) > 1 and all(top.name.casefold() in _ACCOMPANYING for top in holding):
        raise RequestError(
            f"Data set {name!r}: {_few(holding)} look like images and what belongs to them, not like classes. Put the "
            "images into class folders, or give a list (.csv) with the columns path,label."
        )
    return None


def split_advice(members: Sequence[Top]) -> str:
    """What to do about folders that look like splits: which is to be called what, if that is plain."""
    if not any(top.below for top in members):
        return (
            "They hold no class folders, so nothing says what their images show. Make them, as train/<class>/*.jpg, or "
            "give a list (.csv) with the columns path,label,split."
        )
    parts = {top.name: split.part for top in members if (split := read_split_name(top.name))}
    if None in parts.values() or len(set(parts.values())) < len(parts):
        return f"{SPLITS_CALLED}: rename them."
    renamed = [f"'{top}' to '{part}'" for top, part in parts.items() if name_split(top) is None]
    moved = [f"'{top.inner}' up into '{top.folder}'" for top in members if top.inner != top.folder]
    advice = [f"rename {', '.join(renamed)}"] if renamed else []
    advice += [f"move the folders of {', '.join(moved)}"] if moved else []
    return f"{SPLITS_CALLED}: {', and '.join(advice) or 'move them up to where the data set begins'}."


def _named_like_splits(tops: Sequence[Top]) -> list[Top]:
    """Folders whose names differ by a split's word alone; those without class folders only if there are no others."""
    alike: dict[tuple[str, ...], list[tuple[Top, str]]] = {}
    for top in tops:
        if split := read_split_name(top.name):
            alike.setdefault(split.rest, []).append((top, split.part or top.name.casefold()))
    for rest, found in alike.items():
        members = [top for top, _ in found]
        if len({meant for _, meant in found}) > 1 and (
            rest or any(top.below for top in members) or len(members) == len(tops)
        ):
            return members
    return []


def _are_splits(folders: Sequence[str]) -> bool:
    found = [split for folder in folders if (split := read_split_name(folder))]
    return len(found) == len(folders) and len({split.part for split in found}) > 1


def _holding_the_same(tops: Sequence[Top]) -> tuple[list[Top], list[str]]:
    """Most of the folders, and what they hold, if that is no image but the same two folders or more."""
    held = Counter(folder for top in tops for folder in top.below if not top.has_images)
    common = {folder for folder, count in held.items() if count > len(tops) / 2}
    members = [
        top
        for top in tops
        if not top.has_images
        and len(common & set(top.below)) >= 2
        and 2 * len(common & set(top.below)) >= len(common | set(top.below))
    ]
    return (members, sorted(common)) if len(members) > max(1, len(tops) / 2) else ([], [])


def _few(tops: Sequence[Top]) -> str:
    return few([top.folder for top in tops])
