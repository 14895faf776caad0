"""Folders that look like the parts of a data set, or like copies of one another, and so are no classes.

training_set/{cats,dogs}  test_set/{cats,dogs}      by their names
studio/{cats,dogs}        outdoors/{cats,dogs}      by what they hold
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.data.class_labels import few, name_split
from bench.data.collection import PartName
from bench.errors import RequestError

CALLED = "Split folders are called train, validation (or val) and test"

_WORDS: dict[str, PartName | None] = {
    "train": "train", "training": "train", "trn": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test", "tst": "test",
    "eval": None, "evaluation": None, "holdout": None, "heldout": None, "fold": None,
}  # fmt: skip
_ADDED = "sets?|data|datasets?|images?|imgs?|pictures?|photos?|splits?|parts?|folders?|files?|samples?"
_ADDED_WORD = re.compile(_ADDED)
_GLUED = re.compile(f"({'|'.join(sorted(_WORDS, key=len, reverse=True))})(?:{_ADDED})?")
_BETWEEN_WORDS = re.compile(r"[\W\d_]+|(?<=[a-z])(?=[A-Z])")
_NUMBERED = re.compile(r"\d")
_ACCOMPANYING = frozenset(("images", "imgs", "masks", "labels", "annotations", "annots", "bboxes", "trimaps"))


@dataclass(frozen=True)
class SplitName:
    """A name with a split's word in it. part: None where the word does not say which. rest: its other words."""

    part: PartName | None
    rest: tuple[str, ...]


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


def read_split_name(name: str) -> SplitName | None:
    """`Training`, `trainset`, `train_images_2`, `seg_train` (rest: seg); None without such a word, or with two."""
    words = [word.casefold() for word in _BETWEEN_WORDS.split(name) if word]
    found = [match[1] for word in words if (match := _GLUED.fullmatch(word))]
    if len(found) != 1:
        return None
    rest = tuple(word for word in words if not _GLUED.fullmatch(word) and not _ADDED_WORD.fullmatch(word))
    return SplitName(_WORDS[found[0]], rest)


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
            f"rename them: {CALLED[0].lower()}{CALLED[1:]}."
        )
    if members:
        if all(read_split_name(folder) for folder in shared):
            advice = f"Turn it around: {shared[0]}/{members[0].name}/*.jpg"
        else:
            advice = (
                f"If they are the splits, rename them: {CALLED[0].lower()}{CALLED[1:]}. If they are sources, put the "
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
        return f"{CALLED}: rename them."
    renamed = [f"'{top}' to '{part}'" for top, part in parts.items() if name_split(top) is None]
    moved = [f"'{top.inner}' up into '{top.folder}'" for top in members if top.inner != top.folder]
    advice = [f"rename {', '.join(renamed)}"] if renamed else []
    advice += [f"move the folders of {', '.join(moved)}"] if moved else []
    return f"{CALLED}: {', and '.join(advice) or 'move them up to where the data set begins'}."


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
