"""Table 6 of the ViT paper as points: pre-training compute against accuracy, on one set or the mean of several."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from bench.analyse.claims.interpolate import Point
from bench.catalog.papers import paper_scaling, paper_transfer

TABLE_6 = "arXiv 2010.11929v2, Table 6"
INTERPOLATED = f"{TABLE_6}, interpolated in log exaFLOPs along each front"
MEAN_SETS = ("imagenet", "cifar10", "cifar100", "pets", "flowers")  # of Figure 5; ReaL has the images of ImageNet
SET_TITLES = {
    "imagenet": "ImageNet",
    "imagenet_real": "ImageNet ReaL",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "pets": "Pets",
    "flowers": "Flowers",
}
TABLE_6_TITLES = {"vit": "ViT", "cnn": "ResNet", "hybrid": "hybrid"}


def jft_epochs(model: str) -> int | None:
    """Epochs behind Table 5's row of a model on JFT-300M: those of the row of Table 6 that prints the same accuracies.

    None where Table 6 has no such row.
    """
    printed = {
        row.dataset: row.top1_pct for row in paper_transfer() if (row.pretraining, row.model) == ("JFT-300M", model)
    }
    same = (
        row.epochs
        for row in paper_scaling()
        if row.name == model and row.top1_pct["imagenet"] == printed.get(SET_TITLES["imagenet"])
    )
    return next(same, None)


def table_six(family: str, sets: Sequence[str]) -> list[Point]:
    """The rows of one family; cost in exaFLOPs, gain the mean top-1 over these sets in percent."""
    return [
        Point(f"{row.name} {row.epochs} ep.", row.exaflops, fmean(row.top1_pct[name] for name in sets))
        for row in paper_scaling()
        if row.family == family
    ]
