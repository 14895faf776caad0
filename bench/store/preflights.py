"""What the preflight found in each user's data set, read from its record; nothing is worded here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.store.frame import notes_of, number, rows_of


@dataclass(frozen=True)
class BadImage:
    """An image that could not be used, and why."""

    key: str
    part: str
    reason: str


@dataclass(frozen=True)
class Duplicates:
    """Groups of images that are the same picture (or nearly). `groups` may list fewer than `count`."""

    count: int
    groups: tuple[tuple[tuple[str, ...], bool], ...]  # keys, and whether they lie in different parts
    across_parts: int  # groups that cross parts
    labels_differ: int  # groups whose images do not all have the same label
    twins_in_other_parts: Mapping[str, int]  # part -> its images that another part has too
    is_complete: bool  # False: too many look-alikes to compare all pairs, so the counts are lower bounds


@dataclass(frozen=True)
class Checked:
    """One data set's preflight."""

    dataset: str
    fingerprint: str
    images: int
    parts: Mapping[str, int]
    bad: tuple[BadImage, ...]
    bad_share: float
    converted: Mapping[str, int]
    wrong_extensions: int
    wrong_extension_keys: tuple[str, ...]
    tiny_classes: tuple[tuple[str, str, int], ...]  # class, part, images
    classes_missing: Mapping[str, tuple[str, ...]]  # part -> classes without an image in it
    exact: Duplicates
    near: Duplicates
    split_made_here: bool
    missing_parts: tuple[str, ...]  # that the source lacks
    width_px: Mapping[str, float]  # quantile -> pixels
    height_px: Mapping[str, float]
    img_per_s: float | None
    notes: tuple[str, ...]
    cell_ids: tuple[str, ...]

    @property
    def crosses_parts(self) -> bool:
        """Whether an image of one part stands in another too: a test score may then be of images seen in training."""
        return self.exact.across_parts > 0 or self.near.across_parts > 0


def preflights(frame: pd.DataFrame) -> list[Checked]:
    """The newest preflight of each data set, by name."""
    newest = {str(row["dataset"]): row for row in rows_of(frame.sort_values(["started_at", "cell_id"], kind="stable"))}
    return [_checked(newest[name]) for name in sorted(newest)]


def _checked(row: Mapping[str, Any]) -> Checked:
    wrong, missing = _mapping(row["wrong_extension"]), _mapping(row["classes_missing"])
    return Checked(
        dataset=str(row["dataset"]),
        fingerprint=str(row["fingerprint"] or ""),
        images=int(number(row, "images") or 0),
        parts={str(name): int(count) for name, count in _mapping(row["parts"]).items()},
        bad=tuple(
            BadImage(str(one.get("key", "?")), str(one.get("part", "?")), str(one.get("reason", "no reason given")))
            for one in _list(row["bad"])
        ),
        bad_share=number(row, "bad_share") or 0.0,
        converted={str(name): int(count) for name, count in _mapping(row["converted"]).items() if count},
        wrong_extensions=int(wrong.get("count", 0)),
        wrong_extension_keys=tuple(str(key) for key in wrong.get("keys", ())),
        tiny_classes=tuple(
            (str(t["class_name"]), str(t["part"]), int(t["images"])) for t in _list(row["tiny_classes"])
        ),
        classes_missing={str(part): tuple(map(str, names)) for part, names in missing.items() if names},
        exact=_duplicates(_mapping(row["exact_duplicates"])),
        near=_duplicates(_mapping(row["near_duplicates"])),
        split_made_here=row["split_made_here"] is True,
        missing_parts=tuple(str(name) for name in _list(row["missing_parts"])),
        width_px=_mapping(row["width_px"]),
        height_px=_mapping(row["height_px"]),
        img_per_s=number(row, "img_per_s"),
        notes=notes_of([row]),
        cell_ids=(str(row["cell_id"]),),
    )


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _duplicates(found: Mapping[str, Any]) -> Duplicates:
    return Duplicates(
        count=int(found.get("count", 0)),
        groups=tuple(
            (tuple(str(key) for key in one["keys"]), one.get("across_parts") is True)
            for one in _list(found.get("groups"))
        ),
        across_parts=int(found.get("across_parts", 0)),
        labels_differ=int(found.get("labels_differ", 0)),
        twins_in_other_parts={str(k): int(v) for k, v in _mapping(found.get("twins_in_other_parts")).items() if v},
        is_complete=found.get("complete") is not False,
    )
