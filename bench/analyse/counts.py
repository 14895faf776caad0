"""Counts of the public architectures from the records of `vitbench run public --counts`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields

from bench.catalog.public_counts import PublicCount
from bench.catalog.public_results import public_results
from bench.errors import RequestError
from bench.store.record import Record
from bench.suite.cell import ComplexityCell

CLASSES = 1000
_FOUND = tuple(field.name for field in fields(PublicCount) if field.name not in ("model", "img_size"))


def counts_of(records: Iterable[Record], versions: Mapping[str, str]) -> list[PublicCount]:
    """The latest count with these versions of every public architecture and size, sorted.

    Raises RequestError if some have none.
    """
    latest: dict[tuple[str, int], Record] = {}
    for record in sorted(records, key=lambda record: record.started_at):
        asked = record.asked
        is_current = all(record.conditions.get(package) == version for package, version in versions.items())
        if is_current and isinstance(asked, ComplexityCell) and asked.num_classes == CLASSES:
            latest[asked.model, asked.resolution_px] = record
    places = sorted({row.place for row in public_results()})
    missing = sum(place not in latest for place in places)
    if missing:
        made_with = ", ".join(f"{package} {version}" for package, version in versions.items())
        raise RequestError(
            f"{missing} of {len(places)} architectures and sizes have no count with {made_with}. "
            "`vitbench run public --counts` makes them."
        )
    return [_count(*place, latest[place]) for place in places]


def _count(model: str, img_size: int, record: Record) -> PublicCount:
    if record.status != "ok":
        return PublicCount(model=model, img_size=img_size, certificate="failed", certificate_note=record.reason or "")
    return PublicCount(model=model, img_size=img_size, **{name: record.values[name] for name in _FOUND})
