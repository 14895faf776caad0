"""What timm's weight tags say that the weights have seen: the one table from the words of a tag to pre-training data.

Names are those of the `pretraining` column of models.csv, in the order of training: `ImageNet-21k then ImageNet-1k`.
A tag that says nothing of data (`fb`, `pt`, a language model's name) is unknown: its weights are compared with none.
"""

from __future__ import annotations

from functools import cache

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
