"""Published numbers, each with its source: the ViT paper's tables, CNN papers, timm's result files.

Nothing here was measured by this project, and nothing here needs torch. "FLOPs" in the CNN papers are multiply-adds;
`compute_unit` says for each row what its compute column counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from bench.catalog.identity import ModelFamily, family_rank
from bench.catalog.tables import read_csv, typed
from bench.units import EXA, TERA, training_flops

JFT_IMAGES = 303e6  # JFT-300M as arXiv 2010.11929v2, section 4.1, counts it
SECONDS_PER_DAY = 86_400

ComputeUnit = Literal["MACs", "FLOPs"]


@dataclass(frozen=True, kw_only=True)
class _Published:
    source: str
    status: str  # how sure the numbers are
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ScalingRow(_Published):
    """One model of Table 6 (the data of Figure 5): pre-trained on JFT-300M at 224 px, then fine-tuned."""

    name: str
    family: str  # vit, cnn or hybrid
    epochs: int
    resolution_px: int
    top1_pct: dict[str, float]  # by data set
    average5_pct: float  # mean of ImageNet, CIFAR-10, CIFAR-100, Pets, Flowers; computed from the row
    exaflops: float  # the whole pre-training
    compute_unit: ComputeUnit
    timm_arch: str | None = None  # the same architecture in timm, without weights; None where timm has none


@dataclass(frozen=True, kw_only=True)
class SotaRow(_Published):
    """One accuracy of Table 2, mean of three fine-tuning runs. accuracy_pct is None where the table has none."""

    system: str
    pretraining: str
    dataset: str
    accuracy_pct: float | None = None
    std_pp: float | None = None
    tpuv3_core_days: float


@dataclass(frozen=True, kw_only=True)
class PretrainingRow(_Published):
    """What one system of Table 2 was pre-trained with. epochs and images are None where no count exists."""

    system: str
    pretraining: str
    timm_arch: str
    resolution_px: int
    epochs: int | None = None
    images: float | None = None  # in one epoch
    tpuv3_core_days: float

    @property
    def images_seen(self) -> float | None:
        """Images in all pre-training steps, or None where the papers give no count."""
        return None if self.epochs is None or self.images is None else self.epochs * self.images


@dataclass(frozen=True, kw_only=True)
class TimmRow(_Published):
    """What timm publishes for one set of weights at one resolution; compute with norm layers, 1000 classes."""

    name: str
    resolution_px: int
    system: str
    pretraining: str
    params_m: float
    gmacs: float
    compute_unit: ComputeUnit
    activations_m: float
    imagenet_top1_pct: float | None = None
    imagenet_top5_pct: float | None = None
    real_top1_pct: float | None = None
    real_top5_pct: float | None = None
    rtx5090_amp_img_per_s: float | None = None
    rtx5090_batch_size: int | None = None
    has_imagenet_head: bool


@dataclass(frozen=True, kw_only=True)
class CnnRow(_Published):
    """One published ImageNet result of a CNN or of DeiT; a model has several rows where sources disagree."""

    family: str  # as papers group them: ResNet, BiT, EfficientNet, ...
    model: str
    pretraining: str
    resolution_px: int
    top1_pct: float | None = None
    top5_pct: float | None = None
    params_m: float | None = None
    gmacs: float | None = None
    compute_unit: ComputeUnit | None = None  # None where the row has no compute


@dataclass(frozen=True, kw_only=True)
class TransferRow(_Published):
    """Top-1 after fine-tuning one ViT (384 px, no weight averaging), by pre-training data: Table 5, Figure 3."""

    pretraining: str
    model: str
    dataset: str
    top1_pct: float | None = None


@dataclass(frozen=True, kw_only=True)
class VtabRow(_Published):
    """Top-1 on one of the 19 VTAB-1k tasks, or a mean over a group (task in parentheses)."""

    system: str
    pretraining: str
    group: str
    task: str
    accuracy_pct: float


@dataclass(frozen=True, kw_only=True)
class TrainedRow(_Published):
    """Test accuracy of a model trained from scratch on one data set; most are submitted or reported by their author."""

    dataset: str
    model: str
    family: ModelFamily
    params_m: float | None = None
    augmentation: str
    top1_pct: float


def training_exaflops(macs: float, images_seen: float) -> float:
    """Training compute in 1e18 FLOPs. macs: of one image's forward pass. images_seen: images in all optimiser steps."""
    return training_flops(macs, images_seen) / EXA


def implied_tflops_per_core(macs: float, images_seen: float, core_days: float) -> float:
    """Speed in 1e12 FLOPs per second and core that a published training cost implies. Raises ValueError for no days."""
    if core_days <= 0:
        raise ValueError(f"core_days must be positive, not {core_days}")
    return training_flops(macs, images_seen) / (core_days * SECONDS_PER_DAY) / TERA


@cache
def paper_scaling() -> tuple[ScalingRow, ...]:
    """Table 6 of the ViT paper: 18 models on JFT-300M, in the paper's order."""
    sets = ("imagenet", "imagenet_real", "cifar10", "cifar100", "pets", "flowers")
    rows = read_csv("paper_scaling")
    return typed(ScalingRow, [{**row, "top1_pct": {name: row[name] for name in sets}} for row in rows])


@cache
def paper_sota() -> tuple[SotaRow, ...]:
    """Table 2 of the ViT paper, one row per system and data set."""
    return typed(SotaRow, read_csv("paper_sota"))


@cache
def paper_pretraining() -> tuple[PretrainingRow, ...]:
    """Epochs, images and core-days of the five systems of Table 2."""
    return typed(PretrainingRow, read_csv("paper_pretraining"))


@cache
def paper_transfer() -> tuple[TransferRow, ...]:
    """Table 5 of the ViT paper: pre-training on ImageNet, ImageNet-21k and JFT-300M."""
    return typed(TransferRow, read_csv("paper_i21k_i1k"))


@cache
def paper_vtab() -> tuple[VtabRow, ...]:
    """Table 9 of the ViT paper, per task and with group means, and BiT's figures beside it."""
    return typed(VtabRow, read_csv("paper_vtab"))


@cache
def timm_published() -> dict[tuple[str, int], TimmRow]:
    """timm's own result files for the systems of the papers, by (name, resolution in pixels)."""
    return {(row.name, row.resolution_px): row for row in typed(TimmRow, read_csv("timm_published"))}


@cache
def cnn_published() -> tuple[CnnRow, ...]:
    """ImageNet results of CNNs as their papers and repositories print them."""
    return typed(CnnRow, read_csv("cnn_published"))


@cache
def trained_published(dataset: str) -> tuple[TrainedRow, ...]:
    """Results of models trained from scratch on this data set, families grouped, the best first."""
    rows = (row for row in typed(TrainedRow, read_csv("trained_published")) if row.dataset == dataset)
    return tuple(sorted(rows, key=lambda row: (family_rank(row.family), -row.top1_pct)))


@cache
def deit_published() -> tuple[CnnRow, ...]:
    """ImageNet results of DeiT, ViTs without other images, as its repository prints them; columns as of the CNNs."""
    return typed(CnnRow, read_csv("deit_published"))
