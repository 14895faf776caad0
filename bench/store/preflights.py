"""What a look at every image of a data set found: broken, odd, doubled, missing images; and the newest of each set.

Nothing is worded here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from bench.errors import DataError
from bench.store.record import Record
from bench.store.rows import task_rows

MOST_BAD_SHARE = 0.01  # more, and what is left may no longer be the data set that its name says
TINY_CLASS = 5  # images; with fewer, a class's accuracy moves by more than 20 points with one image
LISTED = 50  # examples kept of each finding that may be long; its count is always whole


@dataclass(frozen=True)
class BadImage:
    """An image that cannot be decoded, and why."""

    key: str
    part: str
    reason: str


@dataclass(frozen=True)
class Listed:
    """A finding that may be long: how many images, and the first of them."""

    count: int
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Duplicates:
    """Groups of images that are the same picture.

    Parts are those that are trained and scored on: what the source lacks counts as split off. count: groups. images: in
    all of them. across_parts: groups that reach over two parts or more. labels_differ: groups whose images do not all
    have the same label. twins_in_other_parts: part -> its images that another part has too.
    groups: the first LISTED, those across parts first, as {keys, across_parts, labels_differ}, each with at most LISTED
    keys.
    complete: False where too many pictures look alike to compare all pairs; the counts are then lower bounds.
    """

    count: int
    images: int
    across_parts: int
    labels_differ: int
    twins_in_other_parts: Mapping[str, int]
    groups: tuple[Mapping[str, Any], ...]
    complete: bool = True


@dataclass(frozen=True)
class Preflight:
    """What was found. Everything is counted over the images that can be decoded, but `images`, `bad` and `parts`.

    images: all. parts: part -> images, as the source has them. missing_parts: those of train, validation and test that
    it lacks; split_made_here: whether they are split off here, or were. bad_share: in [0, 1]. converted: conversion ->
    images (decode.CONVERSIONS). formats: content format -> images. tiny_classes: {class_name, part, images}
    with 1 to TINY_CLASS - 1 images. classes_missing: part -> class names without an image in it. width_px, height_px:
    quantiles after turning upright. img_per_s: decoding alone, from when all processes are ready; seconds: all.
    """

    images: int
    parts: Mapping[str, int]
    missing_parts: tuple[str, ...]
    split_made_here: bool
    class_names: int
    bad: tuple[BadImage, ...]
    bad_share: float
    converted: Mapping[str, int]
    formats: Mapping[str, int]
    wrong_extension: Listed
    tiny_classes: tuple[Mapping[str, Any], ...]
    classes_missing: Mapping[str, Sequence[str]]
    exact_duplicates: Duplicates
    near_duplicates: Duplicates
    width_px: Mapping[str, float]
    height_px: Mapping[str, float]
    processes: int
    seconds: float
    img_per_s: float
    notes: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether at most MOST_BAD_SHARE of the images are bad."""
        return self.bad_share <= MOST_BAD_SHARE

    def as_values(self) -> dict[str, Any]:
        """As one JSON object."""
        values: dict[str, Any] = TypeAdapter(Preflight).dump_python(self, mode="json")
        return values

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """What `as_values` gave. Raises DataError for anything else."""
        try:
            return TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            wrong = ".".join(str(step) for step in error.errors()[0]["loc"])
            raise DataError(f"Stored preflight values cannot be read: {wrong!r}. Check the data set again.") from None


_NO_TWINS = {"count": 0, "images": 0, "across_parts": 0, "labels_differ": 0, "twins_in_other_parts": {}, "groups": []}
_NOTHING: dict[str, Any] = {  # what stands for what a record leaves out
    **dict.fromkeys(("images", "class_names", "bad_share", "processes", "seconds", "img_per_s"), 0),
    **dict.fromkeys(("missing_parts", "bad", "tiny_classes", "notes"), ()),
    **{name: {} for name in ("parts", "converted", "formats", "classes_missing", "width_px", "height_px")},
    "fingerprint": "",
    "split_made_here": False,
    "wrong_extension": {"count": 0, "keys": ()},
    "exact_duplicates": {},
    "near_duplicates": {},
}


@dataclass(frozen=True, kw_only=True)
class Checked(Preflight):
    """One data set's preflight."""

    dataset: str
    fingerprint: str
    cell_id: str

    @property
    def duplicates(self) -> tuple[Duplicates, Duplicates]:
        """The exact and the near ones."""
        return self.exact_duplicates, self.near_duplicates

    @property
    def crosses_parts(self) -> bool:
        """Whether an image of one part stands in another too: a test score may then be of images seen in training."""
        return any(twins.across_parts for twins in self.duplicates)


def preflights(records: Iterable[Record]) -> list[Checked]:
    """The newest preflight of each data set, by name."""
    rows = sorted(task_rows(records, "preflight"), key=lambda row: (row["started_at"], row["cell_id"]))
    newest = {str(row["dataset"]): row for row in rows}
    return [_checked(newest[name]) for name in sorted(newest)]


def _checked(row: Mapping[str, Any]) -> Checked:
    values = _NOTHING | {name: value for name, value in row.items() if value is not None}
    for name in ("exact_duplicates", "near_duplicates"):
        values[name] = _NO_TWINS | values[name]
    for name in ("converted", "classes_missing"):
        values[name] = {key: held for key, held in values[name].items() if held}
    return Checked.from_values(values)
