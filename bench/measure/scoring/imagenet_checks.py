"""On ImageNet: the accuracy by the ReaL labels, and whether public weights score here what was published for them.

The latter checks the whole path from file to logits. ReaL: the classes that people see in each validation image;
timm's copy of the authors' `real.json`, read without importing timm. Source: Beyer et al. 2020, arXiv 2006.07159.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.catalog.public_results import SOURCE, published_top1
from bench.errors import CellFailedError

TOLERANCE_PP = 0.1  # same weights, same code: what other Pillow and cuDNN versions change
IMAGENET = "imagenet"
VALIDATION_IMAGES = 50_000
CAUSES = (
    "Usual causes: another interpolation or crop than the weights' own, class folders in another order than "
    "ImageNet's synsets, images missing or changed, a precision below fp32, another resolution than the published one."
)
_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
_FILE = Path("data", "_info", "imagenet_real_labels.json")  # under timm's folder

Verdict = Literal["ok", "differs", "no reference"]


@dataclass(frozen=True)
class SelfCheck:
    """A measured top-1 beside the published one. delta_pp: measured minus published, in percentage points."""

    verdict: Verdict
    published_top1_pct: float | None
    source: str | None
    delta_pp: float | None
    note: str


def check_against_published(
    model: str, weights: str, *, resolution_px: int, dataset: str, images: int, top1_pct: float, precision: str = "fp32"
) -> SelfCheck:
    """Compare a measured top-1, in percent, with what timm publishes for the same weights.

    `no reference`, with the reason, wherever the two would not be of the same weights, images and resolution.
    """
    reason = _not_comparable(weights, dataset, images)
    if reason is not None:
        return _without(reason)
    published = published_top1().get((model, resolution_px))
    if published is not None:
        return _compared(top1_pct, published, precision)
    sizes = sorted(px for name, px in published_top1() if name == model)
    if sizes:
        known = " and ".join(f"{px} px" for px in sizes)
        return _without(f"the published top-1 of '{model}' is at {known}, this one is at {resolution_px} px")
    return _without(f"no published top-1 of '{model}' is in the catalog")


def _not_comparable(weights: str, dataset: str, images: int) -> str | None:
    if weights != "public":
        return f"the weights are '{weights}', not the public ones"
    if dataset != IMAGENET:
        return f"published figures are for '{IMAGENET}', the images are '{dataset}'"
    if images != VALIDATION_IMAGES:
        return f"published figures are for {VALIDATION_IMAGES} images, these are {images}"
    return None


def _compared(measured: float, published: float, precision: str) -> SelfCheck:
    delta = measured - published
    if round(abs(delta), 6) <= TOLERANCE_PP:  # 0.1 points exactly is within 0.1, whatever the last bit says
        return SelfCheck("ok", published, SOURCE, delta, f"Within {TOLERANCE_PP} points of the published top-1.")
    note = f"{delta:+.3f} points from the published top-1, more than {TOLERANCE_PP}; run in {precision}. {CAUSES}"
    return SelfCheck("differs", published, SOURCE, delta, note)


def _without(reason: str) -> SelfCheck:
    return SelfCheck("no reference", None, None, None, f"Not compared: {reason}.")


@dataclass(frozen=True)
class RealScore:
    """correct: images whose prediction is one of their classes. images: those with at least one class."""

    correct: int
    images: int

    @property
    def top1_pct(self) -> float:
        """Percent of the images that have labels."""
        return self.correct / self.images * 100


@cache
def real_labels() -> tuple[frozenset[int], ...]:
    """Classes of each validation image, in the order of their file names: (50 000,). 3 163 sets are empty."""
    found = find_spec("timm")
    file = Path(found.origin).parent / _FILE if found is not None and found.origin else _FILE
    try:
        sets = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CellFailedError(
            f"timm's ReaL labels '{file}' cannot be read: {error.strerror}. Reinstall timm."
        ) from None
    return tuple(frozenset(classes) for classes in sets)


def real_score(keys: Sequence[str], predictions: NDArray[np.int64]) -> RealScore | str:
    """Hits among the ReaL labels, or a sentence that says why there is no such score.

    keys: (N,), a file name each, with or without folders. predictions: (N,), classes in ImageNet's order.
    Images without ReaL labels are passed over.
    """
    names = [_NAME.fullmatch(key.replace("\\", "/").rpartition("/")[2]) for key in keys]
    numbers = [int(name[1]) for name in names if name is not None and 1 <= int(name[1]) <= VALIDATION_IMAGES]
    if len(numbers) != len(keys):
        return (
            f"No ReaL accuracy: {len(keys) - len(numbers)} of {len(keys)} images are not named "
            "ILSVRC2012_val_<8 digits>.JPEG, and the labels go by that name."
        )
    if len(set(numbers)) != len(numbers):
        return f"No ReaL accuracy: {len(numbers) - len(set(numbers))} image names occur twice."
    labels = [real_labels()[number - 1] for number in numbers]
    hits = [int(guess) in classes for guess, classes in zip(predictions, labels, strict=True) if classes]
    if not hits:
        return f"No ReaL accuracy: none of the {len(keys)} images has ReaL labels."
    return RealScore(correct=sum(hits), images=len(hits))
