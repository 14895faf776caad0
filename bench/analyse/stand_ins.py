"""The paper's Table 2 beside public stand-ins: what others published of them, and what was measured here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.analyse.evaluated import Evaluation
from bench.analyse.finetuned import FinetuneScore
from bench.analyse.intervals import Interval
from bench.analyse.means import Vtab
from bench.analyse.weights import PUBLIC
from bench.catalog.papers import SotaRow, paper_sota, paper_transfer, paper_vtab, timm_published

OneSet = TypeVar("OneSet", Evaluation, FinetuneScore)

# The paper's name of a data set -> ours; ReaL and VTAB are measured in their own ways.
_OUR_SETS = {
    "ImageNet": "imagenet",
    "CIFAR-10": "cifar10",
    "CIFAR-100": "cifar100",
    "Oxford-IIIT Pets": "pets",
    "Oxford Flowers-102": "flowers102",
}
_REAL, _VTAB = "ImageNet ReaL", "VTAB (19 tasks)"


@dataclass(frozen=True)
class StandIn:
    """Which released weights may stand for a system of Table 2, best first, and how they differ from it."""

    models: tuple[str, ...]
    what: str  # Markdown-free; becomes a footnote
    transfer_model: str | None = None  # its row of the paper's Table 5 with ImageNet-21k weights
    vtab_system: str | None = None  # its row of paper_vtab.csv


STAND_INS = {
    ("ViT-H/14", "JFT-300M"): StandIn(
        ("vit_huge_patch14_224.orig_in21k",),
        "the same architecture pre-trained on ImageNet-21k; no JFT weights were released",
        transfer_model="ViT-H/14",
    ),
    ("ViT-L/16", "JFT-300M"): StandIn(
        (
            "vit_large_patch16_384.augreg_in21k_ft_in1k",
            "vit_large_patch16_224.augreg_in21k_ft_in1k",
            "vit_large_patch16_224.orig_in21k",
            "vit_large_patch16_224.augreg_in21k",
        ),
        "the same architecture pre-trained on ImageNet-21k; no JFT weights were released",
        transfer_model="ViT-L/16",
    ),
    ("ViT-L/16", "ImageNet-21k"): StandIn(
        (
            "vit_large_patch16_384.augreg_in21k_ft_in1k",
            "vit_large_patch16_224.augreg_in21k_ft_in1k",
            "vit_large_patch16_224.orig_in21k",
            "vit_large_patch16_224.augreg_in21k",
        ),
        "AugReg weights (another recipe) where an ImageNet head is needed, the paper's own weights elsewhere",
        transfer_model="ViT-L/16",
    ),
    ("BiT-L ResNet152x4", "JFT-300M"): StandIn(
        ("resnetv2_152x4_bit.goog_in21k_ft_in1k", "resnetv2_152x4_bit.goog_in21k"),
        "BiT-M, the same architecture pre-trained on ImageNet-21k; no BiT-L weights were released",
        vtab_system="BiT-M R152x4",
    ),
    ("Noisy Student EfficientNet-L2", "ImageNet + unlabelled JFT-300M"): StandIn(
        ("tf_efficientnet_l2.ns_jft_in1k", "tf_efficientnet_l2.ns_jft_in1k_475"),
        "the released weights of the system itself",
    ),
}


@dataclass(frozen=True)
class Quoted:
    """A published accuracy of a stand-in."""

    top1_pct: float
    model: str
    source: str


@dataclass(frozen=True)
class Measured:
    """An accuracy of a stand-in that was measured here. interval: None where no spread over seeds is known."""

    top1_pct: float
    interval: Interval | None
    model: str
    resolution_px: int
    protocol: str  # evaluated or fine-tuned
    cell_ids: tuple[str, ...]


@dataclass(frozen=True)
class TableTwoRow:
    """One system on one data set: as published, a public stand-in, measured here; None for what there is not."""

    published: SotaRow
    stand_in: StandIn | None
    quoted: Quoted | None
    measured: Measured | None


def table_two(
    evaluated: Sequence[Evaluation], finetuned: Sequence[FinetuneScore], vtab: Vtab[FinetuneScore] | None
) -> list[TableTwoRow]:
    """Every system and data set of Table 2 in the paper's order."""
    rows = []
    for published in paper_sota():
        stand_in = STAND_INS.get((published.system, published.pretraining))
        quoted = measured = None
        if stand_in is not None:
            quoted = _quoted(stand_in, published.dataset)
            measured = _measured(stand_in, published.dataset, evaluated, finetuned, vtab)
        rows.append(TableTwoRow(published, stand_in, quoted, measured))
    return rows


def _quoted(stand_in: StandIn, dataset: str) -> Quoted | None:
    if dataset in ("ImageNet", _REAL):
        for model in stand_in.models:
            rows = sorted((key for key in timm_published() if key[0] == model), key=lambda key: -key[1])
            for key in rows:
                row = timm_published()[key]
                value = row.imagenet_top1_pct if dataset == "ImageNet" else row.real_top1_pct
                if value is not None:
                    return Quoted(value, f"{model} at {row.resolution_px} px", f"timm's result files, {row.source}")
    if dataset == _VTAB:
        for vtab in paper_vtab():
            if vtab.system == stand_in.vtab_system and vtab.task == "(mean of 19, paper)":
                return Quoted(vtab.accuracy_pct, vtab.system, vtab.source)
    for theirs in paper_transfer():
        place = theirs.pretraining, theirs.model, theirs.dataset
        if place == ("ImageNet-21k", stand_in.transfer_model, dataset) and theirs.top1_pct is not None:
            return Quoted(theirs.top1_pct, f"{theirs.model}, ImageNet-21k", theirs.source)
    return None


def _measured(
    stand_in: StandIn,
    dataset: str,
    evaluated: Sequence[Evaluation],
    finetuned: Sequence[FinetuneScore],
    vtab: Vtab[FinetuneScore] | None,
) -> Measured | None:
    ours = _OUR_SETS.get(dataset, "imagenet" if dataset == _REAL else "")
    for model in stand_in.models:
        for one in _largest_first(evaluated, model, ours):
            interval = one.real if dataset == _REAL else one.top1
            if interval is not None:
                px = one.subject.key.resolution_px
                return Measured(interval.estimate, interval, model, px, "evaluated", one.cell_ids)
        if dataset == _REAL:
            continue
        for score in _largest_first(finetuned, model, ours):
            px = score.subject.key.resolution_px
            return Measured(score.interval.estimate, score.interval, model, px, "fine-tuned", score.cell_ids)
        if dataset == _VTAB and vtab is not None and (found := _vtab_score(vtab, model)) is not None:
            return found
    return None


def _vtab_score(vtab: Vtab[FinetuneScore], model: str) -> Measured | None:
    for subject in vtab.subjects:
        mean = vtab.score(subject)
        if mean is not None and _is_public(subject.weights, subject.key.model, model):
            px = subject.key.resolution_px
            return Measured(mean.mean_pct, mean.interval, model, px, "fine-tuned", mean.cell_ids)
    return None


def _is_public(weights: str, name: str, model: str) -> bool:
    return weights == PUBLIC and name == model


def _largest_first(scores: Sequence[OneSet], model: str, dataset: str) -> list[OneSet]:
    """Results of these public weights on this set, the largest resolution first."""
    found = [s for s in scores if _is_public(s.subject.weights, s.subject.key.model, model) and s.dataset == dataset]
    return sorted(found, key=lambda score: (-score.subject.key.resolution_px, score.subject))
