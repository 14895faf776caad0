"""Whether weights have met the images, or the very labels, that they are about to be tested on. No torch.

Only ImageNet is judged: its classes are what most public weights were trained on. What is known comes from the
`pretraining` column of models.csv, and for models without a row from timm's weight tag (bench.catalog.tags).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.catalog.models import find_model
from bench.catalog.tags import pretraining_of_tag

IMAGENET_NAMES = ("imagenet", "ilsvrc", "imagewoof")  # how the names of ImageNet and its subsets begin

# Sets that hold images of ImageNet, by their names in bench.catalog.tags and the `pretraining` column of models.csv.
_HOLDERS = {
    "ImageNet-21k": "ImageNet-21k",
    "ImageNet-12k": "ImageNet-12k",  # timm's part of ImageNet-21k; both hold the 1,000 classes
    "Merged-30M": "a merged set that holds ImageNet-21k",
    "Merged-38M": "a merged set that holds ImageNet-21k",
    "LVD-142M": "LVD-142M, gathered around ImageNet-21k",
    "LVD-1689M": "LVD-1689M, which holds ImageNet-1k",
}
_LABELLED = re.compile(r"ImageNet-1k(?! without labels)")
_UNLABELLED = "ImageNet-1k without labels"


@dataclass(frozen=True)
class Overlap:
    """What weights have in common with a test set.

    refused: they were trained on its labels, so a few-shot result would not be one. overlap: they have met its
    training images, perhaps under other labels. note: a sentence for the report; empty where nothing is in common.
    """

    refused: bool
    overlap: bool
    note: str


def check_overlap(model_name: str, weights: str, dataset: str) -> Overlap:
    """What these weights have in common with that data set.

    model_name: a catalog row, or timm's `arch.tag`; without the tag nothing is known of it. weights: `public`,
    `random` or `sha256 <16 digits>`, as in a cell. A refusal concerns few-shot; fine-tuning on ImageNet what was
    trained on ImageNet is legitimate (the ViT paper does so for its Figure 3), and its note says so in a report.
    """
    if weights == "random" or not dataset.lower().startswith(IMAGENET_NAMES):
        return Overlap(refused=False, overlap=False, note="")
    if weights != "public":
        return _unknown(f"weights {weights}, from a file")
    row = find_model(model_name)
    if row is not None and row.pretraining != "none":
        return _of_pretraining(row.pretraining, row.pretraining)
    architecture, _, tag = model_name.partition(".")
    if not tag or model_name.rpartition(":")[0].endswith(".py"):
        return _unknown(f"{architecture!r} has no tag")
    pretraining = pretraining_of_tag(tag)
    return _unknown(f"tag {tag!r}") if pretraining is None else _of_pretraining(pretraining, f"tag {tag!r}")


def _of_pretraining(pretraining: str, what: str) -> Overlap:
    if _LABELLED.search(pretraining):
        return _refused(what)
    if _UNLABELLED in pretraining:
        return Overlap(False, True, f"Pretrained on ImageNet's images without labels ({what}).")
    held = [words for name, words in _HOLDERS.items() if name in pretraining]
    return _overlapping(held[0]) if held else _elsewhere(what)


def _refused(what: str) -> Overlap:
    return Overlap(True, True, f"Trained on ImageNet-1k labels ({what}).")


def _overlapping(held: str) -> Overlap:
    return Overlap(False, True, f"Pretrained on {held}: it holds ImageNet-1k's classes and training images.")


def _elsewhere(what: str) -> Overlap:
    return Overlap(
        False, False, f"Pretrained on other images ({what}); copies of ImageNet's among them were not looked for."
    )


def _unknown(what: str) -> Overlap:
    return Overlap(False, False, f"Whether these weights were trained on ImageNet is not known ({what}).")
