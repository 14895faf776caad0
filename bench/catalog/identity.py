"""What a name stands for: title, family and size of a model, title and kind of a data set. Never imports timm.

The rule for families: `vit` computes with attention (or another token mixer of the same block) after a patch embedding,
windows and pooled hierarchies included; `cnn` has convolutions alone, squeeze-and-excite and other gates and an
attention pool at the end included; `hybrid` runs convolution blocks and attention blocks one after the other. `other`
is what fits none: MLP-Mixer, state space, focal modulation, LSTM, plain pooling.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from bench.catalog.datasets import dataset_rows
from bench.catalog.image_tasks import image_tasks
from bench.catalog.models import find_model

FAMILY_ORDER = ("vit", "hierarchical", "hybrid", "cnn")  # the order of tables and legends; others follow by name
OTHER_FAMILY = "other"

ModelFamily = Literal["vit", "cnn", "hybrid", "other"]
PublicFamily = Literal["vit", "hierarchical", "hybrid", "cnn", "other", "unknown"]

# How names begin, once `tf_`, `test_` and `legacy_` are gone; the first line that has a beginning of the name decides.
_BEGINNINGS: tuple[tuple[ModelFamily, str], ...] = (
    ("hybrid", r"vit_\w+_r(\d|_|esnet) vit_base_mci mobilenetv4_hybrid"),
    ("cnn", r"fastvit_[ts]\d"),  # without attention, unlike the larger ones
    ("other", "efficientvim focalnet gmixer gmlp mixer_ poolformer resmlp sequencer"),
    (
        "hybrid",
        """botnet caformer coatnet coatnext cpubone csatv2 eca_botnext eca_halonext edgenext
        efficientformer efficientvit fastvit gcvit halo iformer lambda_ lamhalo levit lowformer maxvit
        maxxvit mobilenetv5 mobilevit nextvit sebotnet sehalonet shvit swiftformer tiny_vit visformer
        vitamin""",
    ),
    (
        "vit",
        """aimv2 beit cait coat_ convit crossvit davit deepseek deit eva flexivit gemma hiera mvitv2 naflexvit nest pit_
        pvt qwen sam2 samvit swin tnt twins vit volo xcit""",
    ),
    (
        "cnn",
        """bat_resnext byobnet convformer convmixer convnext cs3 csp darknet densenet dla dm_nfnet dpn eca_nfnet
        eca_resne eca_vovnet ecaresne efficientnet ese_vovnet fasternet fbnet gc_efficientnet gcresne gernet
        ghostnet hardcorenas hgnet hrnet inception lcnet mambaout mixnet mnasnet mobilenet mobileone nasnet
        nf_ nfnet pnasnet rdnet regnet repghost repvgg repvit res2ne resne rexnet sedarknet selecsls
        semnasnet senet seresne sk spnasnet starnet tinynet tresnet vgg vovnet wide_resnet xception""",
    ),
)
_PATTERNS = tuple((family, re.compile("|".join(text.split()))) for family, text in _BEGINNINGS)
# Of the `vit` line, those that merge tokens or pool between stages; the others keep one grid throughout.
_HIERARCHICAL = re.compile("coat_|davit|hiera|mvitv2|nest|pit_|pvt|sam2|swin|twins|volo")
_MARKS = re.compile(r"(tf_|test_|legacy_)*")


@dataclass(frozen=True)
class ModelIdentity:
    """A model as the catalog knows it; for a name without a row, the name is its title and the rest is a guess."""

    name: str
    title: str
    family: str
    size_class: str  # empty when unknown


@dataclass(frozen=True)
class DatasetIdentity:
    """A data set as the catalog knows it. `caution` is empty unless results on it need a warning."""

    name: str
    title: str
    kind: str  # generated, real (embedded), public (of image_tasks.toml), or given (a user's own)
    caution: str

    @property
    def carries_findings(self) -> bool:
        """Whether a finding may rest on this set alone: not on a real one with a flaw, such as shared writers."""
        return not (self.kind == "real" and self.caution)


def known_family(model: str) -> ModelFamily | None:
    """The family of a timm model, by its name with or without tag; None for a user's own and for unknown names."""
    if ".py:" in model:  # a user's own, whatever its file is called
        return None
    name = _MARKS.sub("", model.partition(".")[0], count=1)
    return next((family for family, pattern in _PATTERNS if pattern.match(name)), None)


@cache
def public_family(model: str) -> PublicFamily:
    """The family of a timm model with hierarchical transformers apart from plain ones; `unknown` where no rule fits."""
    family = known_family(model)
    if family == "vit" and _HIERARCHICAL.match(_MARKS.sub("", model, count=1)):
        return "hierarchical"
    return family or "unknown"


def identify_model(name: str, counted_family: str | None = None) -> ModelIdentity:
    """The model of this name; counted_family is what the counter took it for, used where the catalog says nothing."""
    row = find_model(name)
    if row is not None:
        return ModelIdentity(name, row.title, row.family, row.size_class)
    return ModelIdentity(name, name, known_family(name) or counted_family or OTHER_FAMILY, "")


def identify_dataset(name: str) -> DatasetIdentity:
    """The data set of this name."""
    row = dataset_rows().get(name)
    if row is not None:
        return DatasetIdentity(name, row.title, row.kind, row.caution)
    task = image_tasks().get(name)
    if task is not None:
        return DatasetIdentity(name, task.title, "public", task.caution)
    return DatasetIdentity(name, name, "given", "")


_CORPORA = {"fractals": "generated fractals", "rings": "generated rings", "mix": "generated fractals and rings"}


def corpus_title(name: str) -> str:
    """`mix-64` as a reader would say it: what is in the images, and how many classes; empty for any other set."""
    family, _, classes = name.partition("-")
    if family not in _CORPORA or not classes.isdecimal():
        return ""
    return f"{_CORPORA[family]} ({int(classes):,} classes)".replace(",", " ")


def is_generated(name: str) -> bool:
    """Whether a formula draws the images of the set."""
    return bool(corpus_title(name)) or identify_dataset(name).kind == "generated"


def family_rank(family: str) -> tuple[int, str]:
    """Sort key that puts families in the order of FAMILY_ORDER."""
    known = FAMILY_ORDER.index(family) if family in FAMILY_ORDER else len(FAMILY_ORDER)
    return known, family


def dataset_rank(dataset: DatasetIdentity) -> tuple[bool, int, str]:
    """Sort key: sets that carry findings first, generated before real ones, then by name."""
    kinds = ("generated", "real", "public", "given")
    return (
        not dataset.carries_findings,
        kinds.index(dataset.kind) if dataset.kind in kinds else len(kinds),
        dataset.name,
    )
