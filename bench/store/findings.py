"""What a look at every image of a data set found, as it is stored and shown: broken, odd, doubled, missing images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from bench.errors import DataError

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
