"""What the preflight found in each user's data set, read from its record; nothing is worded here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.store.findings import Duplicates, Preflight
from bench.store.record import Record
from bench.store.rows import task_rows

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
