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

from bench.catalog.models import find_model
from bench.catalog.papers import cnn_published, timm_published
from bench.errors import CellFailedError

TIMM_TOLERANCE_PP = 0.1  # same weights, same code: what other Pillow and cuDNN versions change
PAPER_TOLERANCE_PP = 0.3  # a port: another resize and another framework as well
IMAGENET = "imagenet"
VALIDATION_IMAGES = 50_000
PAPER_WEIGHTS = ("tf_in1k", "tv_in1k")  # tags of weights that are ports of the ones a paper or its authors reported
_NO_PRETRAINING = {"ImageNet-1k": "none (ImageNet-1k)"}  # how the two tables say the same
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
    """Compare a measured top-1, in percent, with what timm or else a paper publishes for the same weights.

    `no reference`, with the reason, wherever the two would not be of the same weights, images and resolution.
    """
    reason = _not_comparable(weights, dataset, images)
    if reason is not None:
        return _without(reason)
    published = timm_published().get((model, resolution_px))
    if published is not None and published.imagenet_top1_pct is not None:
        return _compared(top1_pct, published.imagenet_top1_pct, published.source, TIMM_TOLERANCE_PP, precision)
    paper = _paper_top1(model, resolution_px)
    if paper is not None:
        return _compared(top1_pct, *paper, PAPER_TOLERANCE_PP, precision)
    sizes = sorted(px for (name, px), row in timm_published().items() if name == model and row.imagenet_top1_pct)
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


def _compared(measured: float, published: float, source: str, tolerance_pp: float, precision: str) -> SelfCheck:
    delta = measured - published
    if round(abs(delta), 6) <= tolerance_pp:  # 0.1 points exactly is within 0.1, whatever the last bit says
        return SelfCheck("ok", published, source, delta, f"Within {tolerance_pp} points of the published top-1.")
    note = f"{delta:+.3f} points from the published top-1, more than {tolerance_pp}; run in {precision}. {CAUSES}"
    return SelfCheck("differs", published, source, delta, note)


def _paper_top1(model: str, resolution_px: int) -> tuple[float, str] | None:
    """Top-1 in percent and its source, where a paper reports this model and timm's tag is a port of its weights."""
    row = find_model(model)
    if row is None or model.rpartition(".")[2] not in PAPER_WEIGHTS:
        return None
    pretraining = _NO_PRETRAINING.get(row.pretraining, row.pretraining)
    wanted = row.paper_system, pretraining, resolution_px
    for paper in cnn_published():
        is_same = (paper.model, paper.pretraining, paper.resolution_px) == wanted
        if is_same and paper.status == "verified" and paper.top1_pct is not None:
            return paper.top1_pct, paper.source
    return None


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
