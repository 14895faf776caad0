"""Into which stratum of pretraining data public weights fall, read from timm's tags and names by the tables below.

Accuracies are compared within a stratum alone: more images, or a teacher, raise them whatever the architecture.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from bench.catalog.tags import pretraining_of_tag

Stratum = Literal["in1k", "in21k", "larger", "unknown"]
STRATA: tuple[Stratum, ...] = get_args(Stratum)
STRATUM_TITLES: dict[Stratum, str] = {
    "in1k": "ImageNet-1k alone",
    "in21k": "ImageNet-21k or 12k",
    "larger": "larger or weakly labelled data",
    "unknown": "unknown data",
}
# Data sets of bench.catalog.tags by the smallest stratum that holds them; every other set of that table is `larger`.
_HELD: tuple[tuple[Stratum, frozenset[str]], ...] = (
    ("in1k", frozenset({"ImageNet-1k"})),
    ("in21k", frozenset({"ImageNet-1k", "ImageNet-12k", "ImageNet-21k"})),
)
# Words of a name that say more than the data that it names, with the data. What SSLD adds is from memory.
_WORDS: tuple[tuple[str, Stratum, str], ...] = (
    ("ssld_6m", "unknown", "ImageNet-1k and 6 million images"),
    ("ssld_in1k", "in21k", "ImageNet-1k and ImageNet-21k without labels"),
    ("ssld_paddle", "in21k", "ImageNet-1k and ImageNet-21k without labels"),
    ("ssld_stage2", "in21k", "ImageNet-1k and ImageNet-21k without labels"),
    ("ssld_stage1", "in21k", "ImageNet-21k then ImageNet-1k"),
    ("clip_ft_in1k", "larger", "image-text pairs then ImageNet-1k"),
)
# Words of a tag, and how names begin: first trained on images without labels; or taught by another network, by its
# pseudo-labels (semi-supervised and Noisy Student weights) or its token labels (VOLO). Names are from memory of papers.
_SELF_SUPERVISED_WORDS = frozenset({"mae", "fcmae", "dino", "ijepa", "mim", "seer"})
_SELF_SUPERVISED_NAMES = re.compile("beit|eva")
_DISTILLED_WORDS = frozenset({"dist", "distilled", "ssld", "usi", "ns", "ssl", "swsl", "mclip"})
_DISTILLED_NAMES = re.compile(r"\w*_(distilled|ssld)|flexivit|volo")


@dataclass(frozen=True)
class Training:
    """What public weights were trained on, as far as their name says."""

    stratum: Stratum
    pretraining: str  # the data in order, "ImageNet-21k then ImageNet-1k"; "unknown" where the tag does not say
    self_supervised: bool  # first trained on images without labels
    distilled: bool  # a teacher network had a part in it

    @property
    def by_labels_alone(self) -> bool:
        """Neither self-supervised first nor distilled: what a comparison of architectures wants."""
        return not (self.self_supervised or self.distilled)

    @property
    def marks(self) -> str:
        """What sets it apart within its stratum, in words; empty for training by labels alone."""
        marks = {"self-supervised first": self.self_supervised, "distilled": self.distilled}
        return ", ".join(mark for mark, holds in marks.items() if holds)


@cache
def training_of(name: str) -> Training:
    """What the weights of this name, timm's `arch.tag`, were trained on."""
    architecture, _, tag = name.partition(".")
    words = set(tag.split("_"))
    stratum, pretraining = _data_of(name)
    return Training(
        stratum=stratum,
        pretraining=pretraining,
        self_supervised=bool(words & _SELF_SUPERVISED_WORDS) or bool(_SELF_SUPERVISED_NAMES.match(architecture)),
        distilled=bool(words & _DISTILLED_WORDS) or bool(_DISTILLED_NAMES.match(architecture)),
    )


def _data_of(name: str) -> tuple[Stratum, str]:
    for words, stratum, data in _WORDS:
        if f"_{words}_" in f"_{name.replace('.', '_')}_":
            return stratum, data
    pretraining = pretraining_of_tag(name.partition(".")[2])
    if pretraining is None:
        return "unknown", "unknown"
    seen = {name.removesuffix(" without labels") for name in pretraining.split(" then ")}
    return next((stratum for stratum, held in _HELD if seen <= held), "larger"), pretraining
