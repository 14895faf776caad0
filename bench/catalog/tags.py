"""What public weights have seen: the one table from the words of timm's tags to pre-training data. No torch.

Names are those of the `pretraining` column of models.csv, in the order of training: `ImageNet-21k then ImageNet-1k`.
A tag that says nothing of data (`fb`, `pt`, a language model's name) is unknown: its weights are compared with none.

What it has in common with a test set is judged for ImageNet alone, whose classes most public weights were trained on:
by the `pretraining` column of models.csv, and for models without a row by the tag.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from bench.catalog.models import find_model

# Words of a tag, those of several words first. ImageNet-22k is some authors' name for ImageNet-21k.
_DATA = {
    "ns_jft_in1k": "unlabelled JFT-300M + ImageNet-1k",
    "metaclip_400m": "MetaCLIP-400M",
    "metaclip_2pt5b": "MetaCLIP-2.5B",
    "metaclip_altogether": "MetaCLIP-Altogether",
    "metaclip2_worldwide": "MetaCLIP-2 Worldwide",
    "apple_mclip2_dfndr2b": "DFNDR-2B",
    "apple_mclip": "DataCompDR-1B",
    "laion2b_plus": "LAION-2B and COYO",
    "webli_i18n": "WebLI, all languages",
    "in1k": "ImageNet-1k",
    "in12k": "ImageNet-12k",
    "in21k": "ImageNet-21k",
    "in22k": "ImageNet-21k",
    "inw21k": "ImageNet-21k",  # its winter release
    "laion2b": "LAION-2B",
    "laion400m": "LAION-400M",
    "laiona": "LAION-Aesthetic",
    "openai": "OpenAI's WIT-400M",
    "datacomp1b": "DataComp-1B",
    "datacompxl": "DataComp-1B",
    "dfn2b": "DFN-2B",
    "dfn5b": "DFN-5B",
    "webli": "WebLI",
    "merged2b": "Merged-2B",
    "yfcc15m": "YFCC-15M",
    "yfcc100m": "YFCC-100M",
    "cc12m": "CC-12M",
    "ig1b": "IG-1B hashtags",
    "swag": "IG-3.6B hashtags",
    "seer": "IG-1B without labels",
    "lvd142m": "LVD-142M without labels",
    "lvd1689m": "LVD-1689M without labels",
    "sat493m": "SAT-493M without labels",
    "sa1b": "SA-1B",
    "m30m": "Merged-30M",
    "m38m": "Merged-38M",
}
# Methods that look at images alone; on ImageNet-1k where the tag names no data.
_SELF_SUPERVISED = frozenset({"mae", "fcmae", "dino", "ijepa", "mim", "ssl"})
_ALONE = "ImageNet-1k"
_WITHOUT_LABELS = " without labels"
_UNSAID = frozenset({"indomain"})  # BEiT-3's, with image-text pairs that the tag does not name


IMAGENET_NAMES = ("imagenet", "ilsvrc", "imagewoof")  # how the names of ImageNet and its subsets begin

# Sets that hold images of ImageNet.
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


@cache
def pretraining_of_tag(tag: str) -> str | None:
    """What weights with this timm tag have seen, in order; None where the tag does not say."""
    before, *after = tag.split("_ft_")
    if _UNSAID & set(before.split("_")):
        return None
    first = _data_in(before)
    if _SELF_SUPERVISED & set(before.split("_")):
        first = [f"{name.removesuffix(_WITHOUT_LABELS)}{_WITHOUT_LABELS}" for name in first or [_ALONE]]
    seen = first + [name for part in after for name in _data_in(part)]
    steps = [name for index, name in enumerate(seen) if index == 0 or name != seen[index - 1]]
    return " then ".join(steps) or None


def known_pretraining(words: str) -> str | None:
    """The same steps of training in the table's spelling; None where one of them is no data set of the table."""
    known = {name.casefold(): name for name in _DATA.values()}
    known |= {f"{name}{_WITHOUT_LABELS}".casefold(): f"{name}{_WITHOUT_LABELS}" for name in _DATA.values()}
    steps = [known.get(step.strip().casefold()) for step in words.split(" then ")]
    return None if None in steps else " then ".join(step for step in steps if step is not None)


def _data_in(words: str) -> list[str]:
    """The data that a part of a tag names, in its order."""
    found, rest = [], f"_{words}_"
    while rest:
        name = next((word for word in _DATA if rest.startswith(f"_{word}_")), None)
        if name is not None:
            found.append(_DATA[name])
        skipped = len(name) + 1 if name is not None else rest.find("_", 1)
        rest = rest[skipped:] if 0 < skipped < len(rest) - 1 else ""
    return found


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
        return Overlap(True, True, f"Trained on ImageNet-1k labels ({what}).")
    if _UNLABELLED in pretraining:
        return Overlap(False, True, f"Pretrained on ImageNet's images without labels ({what}).")
    for name, held in _HOLDERS.items():
        if name in pretraining:
            return Overlap(False, True, f"Pretrained on {held}: it holds ImageNet-1k's classes and training images.")
    return Overlap(
        False, False, f"Pretrained on other images ({what}); copies of ImageNet's among them were not looked for."
    )


def _unknown(what: str) -> Overlap:
    return Overlap(False, False, f"Whether these weights were trained on ImageNet is not known ({what}).")
