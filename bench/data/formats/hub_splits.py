"""Which part the files of a hub's data set belong to, by the names of its splits.

A split is named by its files (`data/train-00000-of-00002.parquet`, `test.parquet`) or by their folder
(`default/train/0000.parquet`). For each part, the first of these that the set has is taken:

1. the split called exactly as the part: `train`, `validation`, `test`;
2. one called by another word for it: `training`, `val`, `dev`, `eval`;
3. one whose name holds such a word, of no other part: `train800`, `validation_matched`, `partial-train`; it is noted;
4. for train alone, one that is train and validation joined (`trainval`), where the set has neither.

Two of the same rank could hold the same images, so the user has to choose. What is not taken is noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.data.sets.class_labels import HUB_SPLIT_WORDS, few
from bench.data.sets.collection import PART_NAMES, PartName
from bench.errors import DataError, RequestError

FILLERS = ("set", "split", "data", "images", "image", "part", "shard")  # say nothing beside such a word

_WORD = "|".join(sorted((*HUB_SPLIT_WORDS, *FILLERS), key=len, reverse=True))
_TOKEN = re.compile(rf"(?:{_WORD}|\d+)+")
_SHARD = re.compile(r"[-_.](?P<number>\d+)-of-(?P<total>\d+)([-_.]\w+)?$")
_NUMBER = re.compile(r"[-_.]\d+$")  # `train-0001`: a shard; `train800` is a name


class Shard(NamedTuple):
    """`train-00001-of-00002`: number 1 of 2."""

    number: int
    total: int


@dataclass
class Split:
    """Files of one split. parts: those that its name has words of; rank: which of the four ways it is named."""

    name: str
    configuration: str
    parts: frozenset[PartName]
    rank: int
    paths: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Chosen:
    """Paths of each part, and what to note."""

    paths: Mapping[PartName, Sequence[str]]
    notes: tuple[str, ...]


def choose_splits(name: str, paths: Iterable[str], wanted: Sequence[str] = ()) -> Chosen:
    """The files of each part, in the order of their paths; all are train if no path names a split.

    wanted: names of splits, where the user has chosen.
    Raises DataError for several configurations, splits among which nothing decides and shards that are not all there,
    RequestError for a wanted split that is not there or names no part.
    """
    paths = sorted(paths)
    splits, others = _splits_of(paths)
    if len(found := sorted({split.configuration for split in splits})) > 1:
        raise DataError(
            f"Data set {name!r} has several configurations: {few(found)}. Name one: "
            "hf:owner/name@REVISION:CONFIGURATION."
        )
    if wanted:
        taken = _wanted(name, splits, wanted)
    elif not splits:
        taken = {"train": [Split("", "", frozenset(), 0, list(others))]}
    else:
        taken = {part: [split] for part in PART_NAMES if (split := _of_part(name, splits, part)) is not None}
    for split in (split for held in taken.values() for split in held):
        _check_shards(name, split)
    return Chosen(
        {part: [path for split in held for path in split.paths] for part, held in taken.items()},
        () if wanted else tuple(_notes(splits, others, taken)),
    )


def split_of_path(path: str) -> Split | None:
    """The split that a file's path names, in its last step that does; None for a path that names none."""
    steps = path.split("/")
    steps[-1] = steps[-1].removesuffix(".parquet")
    for at in reversed(range(len(steps))):
        name = _NUMBER.sub("", _SHARD.sub("", steps[at]))
        tokens = re.findall(r"[^\W_]+", name.casefold())
        words = [word for token in tokens if _TOKEN.fullmatch(token) for word in re.findall(_WORD, token)]
        if parts := frozenset(HUB_SPLIT_WORDS[word] for word in words if word in HUB_SPLIT_WORDS):
            is_plain = (
                len(parts) == 1 and all(_TOKEN.fullmatch(token) for token in tokens) and not re.search(r"\d", name)
            )
            rank = 1 if name in PART_NAMES else 2 if is_plain else 3 if len(parts) == 1 else 4
            return Split(name, "/".join(steps[:at]), parts, rank)
    return None


def _splits_of(paths: Sequence[str]) -> tuple[list[Split], list[str]]:
    """Every split with its files, and the files that are of none."""
    splits: dict[tuple[str, str], Split] = {}
    others = []
    for path in paths:
        if (split := split_of_path(path)) is None:
            others.append(path)
        else:
            splits.setdefault((split.configuration, split.name), split).paths.append(path)
    return list(splits.values()), others


def _of_part(name: str, splits: Sequence[Split], part: PartName) -> Split | None:
    able = [split for split in splits if split.parts == {part}]
    if not able and part == "train" and not any(split.parts == {"validation"} for split in splits):
        able = [split for split in splits if split.parts == {"train", "validation"}]
    best = [split for split in able if split.rank == min(split.rank for split in able)]
    if len(best) > 1:
        names = [split.name for split in splits]
        raise DataError(
            f"Data set {name!r}: {few([split.name for split in best])} could each be its {part} part; its splits are "
            f"{few(names, 12)}. Choose: hf:owner/name@REVISION#{'+'.join(names[:3])} takes those that are named."
        )
    return best[0] if best else None


def _wanted(name: str, splits: Sequence[Split], wanted: Sequence[str]) -> dict[PartName, list[Split]]:
    known = {split.name: split for split in splits}
    taken: dict[PartName, list[Split]] = {}
    for one in wanted:
        if one not in known:
            raise RequestError(f"Data set {name!r} has no split {one!r}; its splits are {few(list(known), 12)}.")
        parts = known[one].parts
        taken.setdefault("train" if "train" in parts else min(parts), []).append(known[one])
    return {part: taken[part] for part in PART_NAMES if part in taken}


def _notes(splits: Sequence[Split], others: Sequence[str], taken: Mapping[PartName, Sequence[Split]]) -> Iterable[str]:
    kept = {split.name for held in taken.values() for split in held}
    for part, (split, *_) in taken.items():
        if split.rank > 2:
            yield f"Split {split.name!r} was taken as {part}: no split is called so alone."
    if left := [split.name for split in splits if split.name not in kept]:
        yield f"Splits beside those taken as {', '.join(taken)} were left out, as they may hold the same: {few(left)}."
    if others and splits:
        yield f"Files that are of no part were left out: {few(others)}."
    elif len({re.sub(r"\d+", "", path) for path in others}) > 1:
        yield f"No file names a split, so all are train: {few(others)}."


def _check_shards(name: str, split: Split) -> None:
    """Raises DataError unless the files that say `-00001-of-00003` are all there, once."""
    shards = [Shard(int(found["number"]), int(found["total"])) for found in map(_shard, split.paths) if found]
    if not shards:
        return
    what = f"Data set {name!r}: split {split.name!r}"
    if len(counts := sorted({shard.total for shard in shards})) > 1 or len(shards) < len(split.paths):
        found = f"in {counts[0]} and in {counts[1]} shards" if len(counts) > 1 else "in shards and without"
        raise DataError(f"{what} is there {found}: {few(split.paths)}. One of them is of another upload.")
    numbers, first = sorted(shard.number for shard in shards), 1 if all(shard.number for shard in shards) else 0
    expected = list(range(first, first + counts[0]))
    if twice := [number for number in expected if numbers.count(number) > 1]:
        raise DataError(f"{what} has shard {twice[0]} of {counts[0]} twice: {few(split.paths)}.")
    if lost := [number for number in expected if number not in numbers]:
        raise DataError(
            f"{what} comes in {counts[0]} shards, and shard {lost[0]} is not there: {few(split.paths)}. Take a "
            "revision that has it."
        )


def _shard(path: str) -> re.Match[str] | None:
    return _SHARD.search(path.removesuffix(".parquet"))
