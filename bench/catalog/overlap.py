"""Whether weights have met the images, or the very labels, that they are about to be tested on. No torch.

Only ImageNet is judged: its classes are what most public weights were trained on. What is known comes from the
`pretraining` column of models.csv, and for models without a row from the words of timm's weight tag.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.catalog.models import find_model

IMAGENET_NAMES = ("imagenet", "ilsvrc", "imagewoof")  # how the names of ImageNet and its subsets begin

# Words of a timm tag: what it says the weights have seen. ImageNet-22k is some authors' name for ImageNet-21k; timm's
# ImageNet-12k is a part of it; both hold the 1,000 classes.
_SUPERSETS = {
    "in21k": "ImageNet-21k",
    "inw21k": "ImageNet-21k",
    "in22k": "ImageNet-21k",
    "in12k": "ImageNet-12k",
    "m30m": "a merged set that holds ImageNet-21k",
    "m38m": "a merged set that holds ImageNet-21k",
    "lvd142m": "LVD-142M, gathered around ImageNet-21k",
    "lvd1689m": "LVD-1689M, which holds ImageNet-1k",
}
# Trained on ImageNet's images without labels; a later ft_in1k is found by its own word.
_UNLABELLED = {"in1k_ijepa", "mae", "fcmae", "dino", "fb_dino"}
_ELSEWHERE = ("laion", "webli", "openai", "metaclip", "datacomp", "dfn", "yfcc", "cc12m", "merged2b", "ig1b", "jft",
              "mclip", "sa1b", "sat493m", "seer", "swag")  # fmt: skip


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
        return _of_catalog(row.pretraining)
    architecture, _, tag = model_name.partition(".")
    if not tag or model_name.rpartition(":")[0].endswith(".py"):
        return _unknown(f"{architecture!r} has no tag")
    return _of_tag(tag)


def _of_catalog(pretraining: str) -> Overlap:
    if "ImageNet-1k" in pretraining:
        return _refused(pretraining)
    held = [name for name in ("ImageNet-21k", "ImageNet-12k") if name in pretraining]
    return _overlapping(held[0]) if held else _elsewhere(pretraining)


def _of_tag(tag: str) -> Overlap:
    words = tag.split("_")
    if tag not in _UNLABELLED and "in1k" in words:
        return _refused(f"tag {tag!r}")
    if tag in _UNLABELLED:
        return Overlap(False, True, f"Pretrained on ImageNet's images without labels (tag {tag!r}).")
    held = [_SUPERSETS[word] for word in words if word in _SUPERSETS]
    if held:
        return _overlapping(held[0])
    return _elsewhere(f"tag {tag!r}") if any(word in tag for word in _ELSEWHERE) else _unknown(f"tag {tag!r}")


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
