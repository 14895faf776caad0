"""A look at every image of a data set before anything is trained or scored on it: what `findings` lists.

The looking itself, in processes, is in looking.py.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from bench.data.decoding.decode import FORMATS
from bench.data.preflight.duplicates import Twins, exact_twins, near_twins, repeated
from bench.data.preflight.looking import NO_FORMAT, Looked, look_at_all
from bench.data.sets.collection import PART_NAMES, ImageCollection, LabelledImages, PartName
from bench.data.sets.splits import split_parts, was_split_here
from bench.errors import DataError
from bench.store.preflights import LISTED, MOST_BAD_SHARE, TINY_CLASS, BadImage, Duplicates, Listed, Preflight

MOST_REPEATED_SHARE = 0.1  # of a part; more are no accident of collecting
NAMED = 5  # bad files named in an error or a note
_SUFFIXES = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".apng": "PNG", ".webp": "WEBP",
    ".gif": "GIF", ".bmp": "BMP", ".dib": "BMP", ".tif": "TIFF", ".tiff": "TIFF", ".ppm": "PPM", ".pgm": "PPM",
    ".pbm": "PPM", ".pnm": "PPM",
}  # fmt: skip
_QUANTILES = {"min": 0.0, "p05": 0.05, "p50": 0.5, "p95": 0.95, "max": 1.0}


def check_images(
    collection: ImageCollection, *, processes: int, progress: Callable[[int, int], None] | None = None
) -> Preflight:
    """Decode every image once, in this many processes, and say what was found.

    progress: called with (images done, images in all), in this process.
    Raises DataError for a set without images, and when a decoding process dies, naming the image it was at.
    """
    started = time.perf_counter()
    parts = {name: collection.parts[name] for name in PART_NAMES if name in collection.parts}
    total = sum(len(part) for part in parts.values())
    if not total:
        raise DataError(f"Data set {collection.name!r} has no images to check.")
    looked, decoding_s, used = look_at_all(collection.name, parts, processes, progress)
    bad = tuple(
        BadImage(part.keys[index], name, " ".join(reason.split()))
        for name, part in parts.items()
        for index, reason in sorted(looked[name].bad.items())
    )
    missing = tuple(name for name in PART_NAMES if name not in parts)
    wide = _Wide.of(parts, looked).split(collection)
    class_names = collection.class_names
    class_counts = {
        part: np.bincount(wide.labels[wide.part_index == index], minlength=len(class_names))
        for index, part in enumerate(wide.part_names)
    }
    return Preflight(
        images=total,
        parts={name: len(part) for name, part in parts.items()},
        missing_parts=missing,
        split_made_here=(bool(missing) and "train" in parts) or was_split_here(collection),
        class_names=len(class_names),
        bad=bad,
        bad_share=len(bad) / total,
        converted=dict(sum((looked[name].conversions for name in parts), Counter[str]()).most_common()),
        formats=dict(Counter(FORMATS[code] for code in wide.formats if code != NO_FORMAT).most_common()),
        wrong_extension=_wrong_extensions(wide),
        tiny_classes=tuple(
            {"class_name": class_names[label], "part": part, "images": int(counts[label])}
            for part, counts in class_counts.items()
            for label in np.flatnonzero((counts > 0) & (counts < TINY_CLASS))
        ),
        classes_missing={
            part: [class_names[label] for label in np.flatnonzero(counts == 0)]
            for part, counts in class_counts.items()
            if (counts == 0).any()
        },
        exact_duplicates=wide.duplicates(exact_twins(wide.digests)),
        near_duplicates=wide.duplicates(near_twins(wide.digests, wide.thumbnails, wide.compared_parts())),
        width_px=_quantiles(wide.sizes[:, 0]),
        height_px=_quantiles(wide.sizes[:, 1]),
        processes=used,
        seconds=time.perf_counter() - started,
        img_per_s=total / decoding_s,
        notes=(*collection.notes, *_repeat_notes(wide)),
    )


def without_bad(collection: ImageCollection, preflight: Preflight) -> ImageCollection:
    """The collection without the images that cannot be decoded, and a note that says how many those were.

    Raises DataError when they are more than MOST_BAD_SHARE of all.
    """
    if not preflight.bad:
        return collection
    listed = "; ".join(f"{bad.key!r} ({bad.reason})" for bad in preflight.bad[:NAMED])
    more = f" and {len(preflight.bad) - NAMED} more" if len(preflight.bad) > NAMED else ""
    percent = float(f"{100 * preflight.bad_share:.2g}")  # 100, where `.2g` alone gives 1e+02
    share = f"{len(preflight.bad)} of {preflight.images} images ({percent:g} %)"
    if not preflight.is_usable:
        raise DataError(
            f"Data set {collection.name!r}: {share} cannot be decoded, more than {100 * MOST_BAD_SHARE:g} %: "
            f"{listed}{more}. Repair them or take them out; `vitbench data check` lists all."
        )
    bad = {image.key for image in preflight.bad}
    parts: dict[PartName, LabelledImages] = {}
    for name, part in collection.parts.items():
        kept = [index for index, key in enumerate(part.keys) if key not in bad]
        parts[name] = part if len(kept) == len(part) else part.take(kept)
    note = f"{share} cannot be decoded and were left out: {listed}{more}."
    return replace(collection, parts=parts).noted(note)


@dataclass(frozen=True)
class _Wide:
    """All images that can be decoded, of all parts, side by side: M of them.

    part_index: (M,), the part of the source, in part_names. used_index: (M,), the part that an image is used in, in
    PART_NAMES: another one where the source lacks parts.
    """

    keys: Sequence[str]
    part_names: Sequence[PartName]
    part_index: NDArray[np.int8]
    used_index: NDArray[np.int8]
    labels: NDArray[np.int64]
    digests: NDArray[np.void]
    thumbnails: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    formats: NDArray[np.int8]

    @classmethod
    def of(cls, parts: Mapping[PartName, LabelledImages], looked: Mapping[PartName, Looked]) -> _Wide:
        good = {name: np.setdiff1d(np.arange(len(part)), list(looked[name].bad)) for name, part in parts.items()}
        counts = [len(good[name]) for name in parts]
        return cls(
            keys=[part.keys[i] for name, part in parts.items() for i in good[name]],
            part_names=tuple(parts),
            part_index=np.repeat(np.arange(len(parts), dtype=np.int8), counts),
            used_index=np.repeat(np.array([PART_NAMES.index(name) for name in parts], dtype=np.int8), counts),
            labels=np.concatenate([part.labels[good[name]] for name, part in parts.items()]),
            digests=np.concatenate([looked[name].digests[good[name]] for name in parts]),
            thumbnails=np.concatenate([looked[name].thumbnails[good[name]] for name in parts]),
            sizes=np.concatenate([looked[name].sizes[good[name]] for name in parts]),
            formats=np.concatenate([looked[name].formats[good[name]] for name in parts]),
        )

    def split(self, collection: ImageCollection) -> _Wide:
        """The same images, those in the parts that the source lacks which will be split off for them."""
        if "train" not in self.part_names or len(self.part_names) == len(PART_NAMES):
            return self
        good = set(self.keys)
        kept = {
            name: collection.parts[name].take([i for i, key in enumerate(collection.parts[name].keys) if key in good])
            for name in self.part_names
        }
        try:
            made = split_parts(replace(collection, parts=kept))
        except DataError:  # it cannot be split, which is said when it is to be used
            return self
        used = {key: PART_NAMES.index(name) for name, part in made.parts.items() for key in part.keys}
        return replace(self, used_index=np.array([used[key] for key in self.keys], dtype=np.int8))

    def compared_parts(self) -> NDArray[np.int8]:
        """The parts between which near twins are looked for: in a source of one part, all images are compared."""
        return self.part_index if len(self.part_names) == 1 else self.used_index

    def duplicates(self, twins: Twins) -> Duplicates:
        across = [len(np.unique(self.used_index[group])) > 1 for group in twins.groups]
        differ = [len(np.unique(self.labels[group])) > 1 for group in twins.groups]
        crossing = [group for group, is_across in zip(twins.groups, across, strict=True) if is_across]
        shared = np.bincount(self.used_index[np.concatenate(crossing)] if crossing else [], minlength=len(PART_NAMES))
        named = {PART_NAMES[index] for index in np.unique(self.used_index)} | {*self.part_names}
        first = sorted(range(len(across)), key=lambda i: not across[i])[:LISTED]
        return Duplicates(
            count=len(across),
            images=sum(len(group) for group in twins.groups),
            across_parts=sum(across),
            labels_differ=sum(differ),
            twins_in_other_parts={
                name: int(count) for name, count in zip(PART_NAMES, shared, strict=True) if name in named
            },
            groups=tuple(
                {
                    "keys": [self.keys[k] for k in twins.groups[i][:LISTED]],
                    "across_parts": across[i],
                    "labels_differ": differ[i],
                }
                for i in first
            ),
            complete=twins.complete,
        )


def _repeat_notes(wide: _Wide) -> Iterator[str]:
    """Of parts that count many images more than once, as splits that were joined and copied folders do."""
    again = repeated(wide.digests, wide.part_index)
    for index, part in enumerate(wide.part_names):
        held = again[wide.part_index == index]
        if held.sum() > MOST_REPEATED_SHARE * len(held):
            yield (
                f"{int(held.sum()):,} of the {len(held):,} images of '{part}' are there already, the same file in the "
                "same part. Was a split or a folder added to itself?"
            )


def _wrong_extensions(wide: _Wide) -> Listed:
    keys = []
    for key, code in zip(wide.keys, wide.formats, strict=True):
        content = None if code == NO_FORMAT else FORMATS[code]
        if content and _SUFFIXES.get(PurePosixPath(key).suffix.lower(), content) != content:
            keys.append(f"{key} ({content})")
    return Listed(len(keys), tuple(keys[:LISTED]))


def _quantiles(sides: NDArray[np.int32]) -> dict[str, float]:
    """Of side lengths, in pixels; nothing where no image could be decoded."""
    return {name: float(np.quantile(sides, q)) for name, q in _QUANTILES.items()} if len(sides) else {}
