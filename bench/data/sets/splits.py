"""The parts that a source does not have, split off `train`: stratified, whole groups, always the same way.

The order in which images are taken is that of the SHA-256 of their keys, so it depends neither on the order of the
files nor on the version of a random number generator. A split is saved, and read back on the next call: results stay
comparable even if the rule here changes.
"""

from __future__ import annotations

import csv
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.generated.randomness import Stream, random_order
from bench.data.sets.class_labels import few
from bench.data.sets.collection import (
    FINGERPRINT_DIGITS,
    PART_NAMES,
    Dataset,
    ImageCollection,
    LabelledImages,
    PartName,
)
from bench.errors import DataError, RequestError
from bench.places import CACHE_VARIABLE, cache_root
from bench.whole_files import replacing

SPLIT_MADE_HERE = "Split made here"  # how the note about it begins

_HEADER = ["key", "part"]
# Of each class, in the order in which they are taken: for test, of all its images; for validation, of those that test
# leaves.
SHARES: dict[PartName, float] = {"test": 0.2, "validation": 0.1}


def with_all_parts(collection: ImageCollection) -> ImageCollection:
    """The collection with train, validation and test; missing ones are split off train, saved, and noted.

    A second call with the same keys, labels and groups gives the split that was saved under cache_root()/splits.
    Raises DataError without `train` images, for a class that only other parts have, for a class with too few images (or
    groups) to be in every part, and for a saved split that is damaged or cannot be written.
    """
    missing = _missing_parts(collection)
    if not missing:
        return collection
    file = _saved_file(collection, missing)
    if file.exists():
        chosen = _read(file, collection, missing)
    else:
        chosen = _choose(collection, missing)
        _save(file, collection.part("train"), chosen)
    return _applied(collection, chosen).noted(_note(collection, missing, chosen, file.name))


def split_parts(collection: ImageCollection) -> ImageCollection:
    """Like `with_all_parts`, from the rule alone: nothing is read or saved, and nothing noted."""
    missing = _missing_parts(collection)
    return _applied(collection, _choose(collection, missing)) if missing else collection


def was_split_here(collection: ImageCollection) -> bool:
    """Whether some part was made by `with_all_parts`."""
    return any(note.startswith(SPLIT_MADE_HERE) for note in collection.notes)


def _missing_parts(collection: ImageCollection) -> list[PartName]:
    """In the order in which they are taken."""
    train = collection.part("train")
    present = set(np.unique(train.labels).tolist())
    for name in PART_NAMES:
        if name in collection.parts and (absent := set(collection.parts[name].labels.tolist()) - present):
            raise DataError(
                f"Data set {collection.name!r}: class {collection.class_names[min(absent)]!r} is in '{name}' and not "
                "in 'train'."
            )
    return [name for name in SHARES if name not in collection.parts]


def _choose(collection: ImageCollection, missing: Sequence[PartName]) -> list[PartName]:
    """The part of each image of train."""
    train = collection.part("train")
    if not len(train):
        raise DataError(f"Data set {collection.name!r} has no 'train' images that could be split. Add some.")
    members: dict[str, list[int]] = {}  # a group, or an image that is a group of its own -> its images
    for index, group in enumerate(train.groups or train.keys):
        members.setdefault(group, []).append(index)
    groups = sorted(members, key=lambda group: (_digest(group), group))
    held = {group: Counter(train.labels[members[group]].tolist()) for group in groups}  # class -> images
    left = Counter(label for group in groups for label in held[group])  # class -> groups still in train
    _check_enough(collection, left, needed=len(missing) + 1)

    chosen: list[PartName] = ["train"] * len(train)
    free = groups
    for step, part in enumerate(missing):
        images = Counter(label for group in free for label in held[group].elements())
        wanted = {label: max(1, round(count * SHARES[part])) for label, count in images.items()}
        taken = _take(free, held, wanted, left, keep=len(missing) - step)
        for label in wanted:
            if not any(label in held[group] for group in taken):
                raise DataError(
                    f"Data set {collection.name!r}: class {collection.class_names[label]!r} cannot be given to "
                    f"'{part}' without taking another class out of another part, as groups are kept whole. "
                    "Give the images a split of your own."
                )
        for group in taken:
            for index in members[group]:
                chosen[index] = part
        free = [group for group in free if group not in taken]
    return chosen


def _take(
    free: Sequence[str],
    held: Mapping[str, Mapping[int, int]],
    wanted: Mapping[int, int],
    left: Counter[int],
    keep: int,
) -> set[str]:
    """Groups for one part: in their order, each that brings the part nearer to the wanted number of every class.

    keep: groups with a class that have to remain for the other parts; `left` is brought up to date. Where no group is
    a group of several images, this takes exactly the first `wanted` images of each class.
    """
    have = Counter[int]()
    taken: set[str] = set()

    def gain(group: str) -> int:
        before = sum(abs(have[label] - wanted[label]) for label in held[group])
        return before - sum(abs(have[label] + count - wanted[label]) for label, count in held[group].items())

    def take(group: str) -> None:
        taken.add(group)
        have.update(held[group])
        left.subtract(held[group].keys())

    def spare(group: str) -> bool:
        return all(left[label] > keep for label in held[group])

    for group in free:
        if gain(group) > 0 and spare(group):
            take(group)
    for label in sorted(wanted):  # classes whose groups are all larger than what is wanted of them
        if not have[label] and (able := [group for group in free if label in held[group] and spare(group)]):
            take(max(able, key=gain))
    return taken


def _check_enough(collection: ImageCollection, found: Mapping[int, int], needed: int) -> None:
    of = "groups of images" if collection.part("train").groups is not None else "images"
    for label in sorted(found):
        if found[label] < needed:
            raise DataError(
                f"Data set {collection.name!r}: class {collection.class_names[label]!r} has too few {of} to split "
                f"({found[label]}; each of {needed} parts needs one). Add images, or leave the class out."
            )


def _applied(collection: ImageCollection, chosen: Sequence[PartName]) -> ImageCollection:
    train = collection.part("train")
    made: dict[PartName, LabelledImages] = {
        part: train.take([index for index, name in enumerate(chosen) if name == part])
        for part in PART_NAMES
        if part in chosen
    }
    parts = {**collection.parts, **made}
    return replace(collection, parts={part: parts[part] for part in PART_NAMES})


def _note(collection: ImageCollection, missing: Sequence[PartName], chosen: Sequence[PartName], file: str) -> str:
    count = Counter(chosen)
    taken = " and ".join(f"'{part}' ({count[part]:,} images)" for part in missing)
    of = {"test": "each class", "validation": "the rest" if "test" in missing else "each class"}
    shares = ", ".join(f"{100 * SHARES[part]:g} % of {of[part]} for {part}" for part in missing)
    groups = ", groups kept whole" if collection.part("train").groups is not None else ""
    return (
        f"{SPLIT_MADE_HERE}: {taken} taken out of 'train' ({count['train']:,} images left), stratified by class in "
        f"the order of the keys' SHA-256, {shares}{groups}; "
        f"saved as splits/{file} in the cache."
    )


# --- the saved split ---


def _saved_file(collection: ImageCollection, missing: Sequence[PartName]) -> Path:
    train = collection.part("train")
    groups = train.groups or ("",) * len(train)
    digest = hashlib.sha256(repr((list(missing), (SHARES["validation"], SHARES["test"]))).encode())
    for line in sorted(zip(train.keys, train.labels.tolist(), groups, strict=True)):
        digest.update(repr((line[0], collection.class_names[line[1]], line[2])).encode(errors="backslashreplace"))
    name = re.sub(r"[^\w.-]", "_", collection.name)
    return cache_root() / "splits" / f"{name}-{digest.hexdigest()[:FINGERPRINT_DIGITS]}.csv"


def _read(file: Path, collection: ImageCollection, missing: Sequence[PartName]) -> list[PartName]:
    """The part of each image of train, as saved. Raises DataError for a file that does not say it of each."""
    parts: dict[str, PartName] = {name: name for name in ("train", *missing)}
    found: dict[str, PartName] = {}
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream, strict=True)
            if next(rows, None) != _HEADER:
                raise _damaged(file, "line 1 is not 'key,part'")
            for row in rows:
                if len(row) != 2 or row[1] not in parts or row[0] in found:
                    raise _damaged(file, f"line {rows.line_num} is not a new key and one of {few(list(parts))}")
                found[row[0]] = parts[row[1]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _damaged(file, str(error)) from None
    keys = collection.part("train").keys
    if set(keys) != found.keys():
        raise _damaged(file, f"it has {len(found):,} keys, and not those of the {len(keys):,} images")
    return [found[key] for key in keys]


def _damaged(file: Path, reason: str) -> DataError:
    return DataError(
        f"The saved split '{file}' is damaged: {reason}. Put back a good copy; or delete it, to have the split made "
        "anew, and repeat what was measured with it."
    )


def _save(file: Path, train: LabelledImages, chosen: Iterable[PartName]) -> None:
    """Whole or not at all: under a temporary name, then renamed. Two at once write the same."""
    try:
        with replacing(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(_HEADER)
            rows.writerows(sorted(zip(train.keys, chosen, strict=True)))
    except OSError as error:
        raise DataError(
            f"The split cannot be saved as '{file}': {error.strerror}. Set {CACHE_VARIABLE} to a folder that can be "
            "written."
        ) from None


def _digest(text: str) -> bytes:
    """Of a key, in Unicode's composed form: macOS and Linux write the same name in different ones."""
    return hashlib.sha256(unicodedata.normalize("NFC", text).encode(errors="backslashreplace")).digest()


# --- parts and subsets that papers and suites ask for; nothing is saved ---


def hash_order(keys: Sequence[str]) -> NDArray[np.int64]:
    """(N,) positions, in the order of the first 8 bytes of SHA-256 over each key: random, yet always the same."""
    return np.argsort(_hashes_of(keys), kind="stable").astype(np.int64)


def held_out(keys: Sequence[str], labels: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """(N,) which images to hold out: exactly `count`, from each class in proportion to its size.

    The rank of an image in its class, by hash, divided by the size of the class says how early it is taken.
    """
    hashes = _hashes_of(keys)
    order = np.lexsort((hashes, labels))
    sizes = np.bincount(labels)
    starts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    rank = np.empty(len(keys), dtype=np.int64)
    rank[order] = np.arange(len(keys)) - starts[labels[order]]
    taken = np.lexsort((hashes, (rank + 0.5) / sizes[labels]))[:count]
    chosen = np.zeros(len(keys), dtype=np.bool_)
    chosen[taken] = True
    return chosen


def hold_out(images: LabelledImages, count: int) -> tuple[LabelledImages, LabelledImages]:
    """Images in two: the others, and those that are held out, one at least; see `held_out`."""
    held = held_out(images.keys, images.labels, max(1, count))
    return images.where(~held), images.where(held)


def _hashes_of(keys: Sequence[str]) -> NDArray[np.uint64]:
    digests = b"".join(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8] for key in keys)
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64)


def training_subset(dataset: Dataset, train_images: int, seed: int) -> NDArray[np.int64]:
    """Positions in `dataset.train` of a class-balanced subset: (train_images,), int64, in the order drawn.

    The seed draws it anew. With one seed, a smaller subset is the beginning of a larger one. Class counts differ
    by at most one until the smallest class is used up.

    Raises RequestError for fewer images than classes or more than there are.
    """
    return balanced_subset(dataset.train.labels, dataset.name, len(dataset.class_names), train_images, seed)


def balanced_subset(
    labels: NDArray[np.int64], name: str, classes: int, train_images: int, seed: int
) -> NDArray[np.int64]:
    """Positions in `labels` (N,) of a class-balanced subset: (train_images,), int64; see `training_subset`."""
    available = len(labels)
    if not classes <= train_images <= available:
        raise RequestError(
            f"{train_images} training images of data set {name!r} were asked for; "
            f"it can give {classes} (one per class) to {available}."
        )
    order = random_order(available, name, "subset", seed)
    turn = np.empty(available, dtype=np.int64)  # 0 for the first of its class in this order, 1 for the second, ...
    for label in range(classes):
        members = order[labels[order] == label]
        turn[members] = np.arange(len(members))
    tie_break = Stream(name, "subset within a turn", seed).words(available)
    return np.lexsort((tie_break, turn))[:train_images].astype(np.int64)
