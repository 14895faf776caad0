"""How far two published accuracies may differ by the choice of test images alone.

Papers print no image-by-image results, so two models are taken as if tested on different images: too wide for models
tested on the same, and it holds nothing of the noise of training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scipy import stats

from bench.analyse.claims.contrasts import bonferroni
from bench.analyse.claims.verdicts import Bearing, Evidence
from bench.catalog.image_tasks import find_image_task

REAL_IMAGES = 46_837  # validation images of ImageNet that ReaL (arXiv 2006.07159) gives a label; from memory
NOTE = "by the images' noise, for all together"
_TASKS = {  # by the paper's names for its sets, and those of its Table 6 here
    "ImageNet": "imagenet",
    "CIFAR-10": "cifar10",
    "CIFAR-100": "cifar100",
    "Oxford-IIIT Pets": "pets",
    "Pets": "pets",
    "Oxford Flowers-102": "flowers102",
    "Flowers": "flowers102",
}


@dataclass(frozen=True)
class Printed:
    """Two printed accuracies of one test set in percent. test_images: None where their number is not known."""

    label: str
    ours_pct: float
    theirs_pct: float
    test_images: int | None
    source: str


def images_tested(dataset: str) -> int | None:
    """Test images of a set by the name that a table prints; None where it is no single set or is not known."""
    if dataset == "ImageNet ReaL":
        return REAL_IMAGES
    return find_image_task(_TASKS[dataset]).test_images if dataset in _TASKS else None


def printed_difference(one: Printed, level: float) -> Evidence:
    """Ours minus theirs with its interval (normal approximation), bearing not yet said: undecided."""
    delta = round(one.ours_pct - one.theirs_pct, 6)
    low = high = None
    if one.test_images is not None:
        squares = sum(p * (100.0 - p) / one.test_images for p in (one.ours_pct, one.theirs_pct))
        half = float(stats.norm.ppf((1 + level) / 2)) * math.sqrt(squares)
        low, high = delta - half, delta + half
    return Evidence(one.label, delta, "points", low, high, "undecided", "published", one.source)


def judge_signs(found: Sequence[Printed], *, positive: Bearing, negative: Bearing) -> list[Evidence]:
    """The differences at 95 % for all together (Bonferroni); undecided where they hold zero or have none."""
    level = bonferroni(len(found))
    rows = []
    for row in (printed_difference(one, level) for one in found):
        bearing: Bearing = "undecided"
        if row.low is not None and row.high is not None:
            bearing = positive if row.low > 0 else negative if row.high < 0 else "undecided"
        rows.append(replace(row, bearing=bearing))
    return rows
