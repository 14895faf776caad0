"""Published accuracies by a key such as `table5:JFT-300M:ViT-B/16:ImageNet`, each with the noise that is known of it.

Where a paper prints no spread, the noise is that of drawing the test images: it holds nothing of training, and is
too wide for two models tested on the same images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from statistics import fmean

import numpy as np
from scipy import stats

from bench.catalog.claims import PAPER
from bench.catalog.image_tasks import find_image_task
from bench.catalog.papers import (
    cnn_published,
    deit_published,
    paper_scaling,
    paper_sota,
    paper_transfer,
    timm_published,
)
from bench.catalog.tables import read_csv
from bench.errors import UnknownNameError

MEAN_SETS = ("imagenet", "cifar10", "cifar100", "pets", "flowers")  # the paper's mean of five, without ReaL
RUNS = 3  # fine-tuning runs behind a spread that Table 2 prints
_TEST_IMAGES = {name: find_image_task({"flowers": "flowers102"}.get(name, name)).test_images for name in MEAN_SETS} | {
    "imagenet_real": 46_837
}  # labelled by ReaL (arXiv 2006.07159); from memory
_SETS_OF_TABLE_2 = {"ImageNet": "imagenet", "ImageNet ReaL": "imagenet_real"}


@dataclass(frozen=True)
class Quoted:
    """A published accuracy in percent, with the variance of its noise in squared points; None where it is not known."""

    title: str
    value_pct: float
    source: str
    image_variance: float | None  # of drawing the test images
    run_variance: float | None = None  # of the mean of RUNS fine-tuning runs


def quoted(key: str) -> Quoted:
    """The number of this key. Raises UnknownNameError for one that is not here.

    `table2:PRETRAINING:SYSTEM:SET`, `table5:PRETRAINING:MODEL` (ImageNet), `table6:MODEL:EPOCHS` and
    `vits6:EXAFLOPS` (means of five sets, the latter along Table 6's ViTs), `text:ABLATION:MODEL:SETTING` (ImageNet),
    `cnn:` and `deit:PRETRAINING:MODEL:RESOLUTION`, `timm:NAME:RESOLUTION`.
    """
    table, _, rest = key.partition(":")
    if table == "vits6":
        return _vits_at(float(rest))
    found = _published()
    if key not in found:
        raise UnknownNameError("published number", key, found)
    return found[key]


def difference(first: Quoted, second: Quoted, level: float) -> tuple[float, float]:
    """Ends of the interval of first minus second, in points; infinite where either noise is not known.

    By the printed spreads of runs where both have one (Welch), else by the test images of both.
    """
    delta = round(first.value_pct - second.value_pct, 6)
    runs, images = (first.run_variance, second.run_variance), (first.image_variance, second.image_variance)
    one, other = images if None in runs else runs
    if one is None or other is None:
        return -math.inf, math.inf
    df = 1e9 if None in runs else (RUNS - 1) * (one + other) ** 2 / (one**2 + other**2)
    half = float(stats.t.ppf((1 + level) / 2, df)) * math.sqrt(one + other)
    return delta - half, delta + half


@cache
def _published() -> dict[str, Quoted]:
    """The first number of each key: papers stand before repositories."""
    found: dict[str, Quoted] = {}
    for key, one in _numbers():
        found.setdefault(key, one)
    return found


def _numbers() -> Iterator[tuple[str, Quoted]]:
    for run in paper_sota():
        if run.accuracy_pct is not None:
            name = _SETS_OF_TABLE_2.get(run.dataset)
            images = None if name is None else _image_variance({name: run.accuracy_pct})
            runs = None if run.std_pp is None else run.std_pp**2 / RUNS
            one = Quoted(run.system, run.accuracy_pct, f"{PAPER}, Table 2", images, runs)
            yield f"table2:{run.pretraining}:{run.system}:{run.dataset}", one
    for row in paper_transfer():
        if row.dataset == "ImageNet" and row.top1_pct is not None:
            yield f"table5:{row.pretraining}:{row.model}", _of_imagenet(row.model, row.top1_pct, f"{PAPER}, Table 5")
    for scaled in paper_scaling():
        yield f"table6:{scaled.name}:{scaled.epochs}", _mean_of_five(scaled.name, scaled.top1_pct)
    for cells in read_csv("paper_ablations"):
        if cells["dataset"].startswith("ImageNet"):
            value = float(cells["value"]) * (100 if cells["unit"] == "fraction" else 1)
            key = f"text:{cells['ablation']}:{cells['model']}:{cells['setting']}"
            yield key, _of_imagenet(cells["setting"], value, cells["source"])
    for table, rows in (("cnn", cnn_published()), ("deit", deit_published())):
        for cnn in rows:
            if cnn.top1_pct is not None:
                key = f"{table}:{cnn.pretraining}:{cnn.model}:{cnn.resolution_px}"
                yield key, _of_imagenet(cnn.model, cnn.top1_pct, cnn.source)
    for (name, px), weights in timm_published().items():
        if weights.imagenet_top1_pct is not None:
            yield f"timm:{name}:{px}", _of_imagenet(weights.system, weights.imagenet_top1_pct, weights.source)


def _vits_at(exaflops: float) -> Quoted:
    """What Table 6's ViTs reach at this compute, in its logarithm, along those that no cheaper one beats."""
    rows = sorted((row for row in paper_scaling() if row.family == "vit"), key=lambda row: row.exaflops)
    rows = [row for i, row in enumerate(rows) if all(row.average5_pct > other.average5_pct for other in rows[:i])]
    logs = [math.log(row.exaflops) for row in rows]
    top1 = {s: float(np.interp(math.log(exaflops), logs, [row.top1_pct[s] for row in rows])) for s in MEAN_SETS}
    return _mean_of_five("ViTs", top1)


def _mean_of_five(title: str, top1_pct: Mapping[str, float]) -> Quoted:
    five = {name: top1_pct[name] for name in MEAN_SETS}
    return Quoted(title, fmean(five.values()), f"{PAPER}, Table 6", _image_variance(five))


def _of_imagenet(title: str, top1_pct: float, source: str) -> Quoted:
    return Quoted(title, top1_pct, source, _image_variance({"imagenet": top1_pct}))


def _image_variance(top1_pct: Mapping[str, float]) -> float:
    """What drawing the test images adds to the variance of the mean over these sets, in squared points."""
    return sum(value * (100 - value) / _TEST_IMAGES[name] for name, value in top1_pct.items()) / len(top1_pct) ** 2
