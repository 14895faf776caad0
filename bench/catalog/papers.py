"""Published numbers, each with its source: the ViT paper's tables, CNN papers, timm's result files.

Rows come from the CSV files beside this module. Nothing here was measured by this project, and nothing here needs
torch. "FLOPs" in the CNN papers are multiply-adds; `compute_unit` says for each row what its compute column counts.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from bench.units import EXA, TERA, training_flops

JFT_IMAGES = 303e6  # JFT-300M as arXiv 2010.11929v2, section 4.1, counts it
IMAGENET21K_IMAGES = 14e6  # the same section
IMAGENET_IMAGES = 1.3e6  # the same section
SECONDS_PER_DAY = 86_400

ComputeUnit = Literal["MACs", "FLOPs"]


@dataclass(frozen=True)
class ScalingRow:
    """One model of Table 6 (the data of Figure 5): pre-trained on JFT-300M at 224 px, then fine-tuned."""

    name: str
    family: str  # vit, cnn or hybrid
    epochs: int
    resolution_px: int
    top1_pct: dict[str, float]  # by data set
    average5_pct: float  # mean of ImageNet, CIFAR-10, CIFAR-100, Pets, Flowers; computed from the row
    exaflops: float  # the whole pre-training
    compute_unit: ComputeUnit
    timm_arch: str | None  # the same architecture in timm, without weights; None where timm has none
    source: str
    status: str
    note: str


@dataclass(frozen=True)
class SotaRow:
    """One accuracy of Table 2, mean of three fine-tuning runs. accuracy_pct is None where the table has none."""

    system: str
    pretraining: str
    dataset: str
    accuracy_pct: float | None
    std_pp: float | None
    tpuv3_core_days: float
    source: str
    status: str
    note: str


@dataclass(frozen=True)
class PretrainingRow:
    """What one system of Table 2 was pre-trained with. epochs and images are None where no count exists."""

    system: str
    pretraining: str
    timm_arch: str
    resolution_px: int
    epochs: int | None
    images: float | None  # in one epoch
    tpuv3_core_days: float
    source: str
    status: str
    note: str

    @property
    def images_seen(self) -> float | None:
        """Images in all pre-training steps, or None where the papers give no count."""
        return None if self.epochs is None or self.images is None else self.epochs * self.images


@dataclass(frozen=True)
class TimmRow:
    """What timm publishes for one set of weights at one resolution; compute with norm layers, 1000 classes."""

    name: str
    resolution_px: int
    system: str
    pretraining: str
    params_m: float
    gmacs: float
    compute_unit: ComputeUnit
    activations_m: float
    imagenet_top1_pct: float | None
    imagenet_top5_pct: float | None
    real_top1_pct: float | None
    real_top5_pct: float | None
    rtx5090_amp_img_per_s: float | None
    rtx5090_batch_size: int | None
    has_imagenet_head: bool
    source: str
    status: str


@dataclass(frozen=True)
class CnnRow:
    """One published ImageNet result of a CNN or of DeiT; a model has several rows where sources disagree."""

    family: str  # as papers group them: ResNet, BiT, EfficientNet, ...
    model: str
    pretraining: str
    resolution_px: int
    top1_pct: float | None
    top5_pct: float | None
    params_m: float | None
    gmacs: float | None
    compute_unit: ComputeUnit | None  # None where the row has no compute
    source: str
    status: str
    note: str


@dataclass(frozen=True)
class TransferRow:
    """Top-1 after fine-tuning one ViT (384 px, no weight averaging), by pre-training data: Table 5, Figure 3."""

    pretraining: str
    model: str
    dataset: str
    top1_pct: float | None
    source: str
    status: str


@dataclass(frozen=True)
class VtabRow:
    """Top-1 on one of the 19 VTAB-1k tasks, or a mean over a group (task in parentheses)."""

    system: str
    pretraining: str
    group: str
    task: str
    accuracy_pct: float
    source: str
    status: str


def training_exaflops(macs: float, images_seen: float) -> float:
    """Training compute in 1e18 FLOPs: 3 x FLOPs x images seen.

    macs: multiply-adds of one forward pass of one image. images_seen: images in all optimiser steps.
    """
    return training_flops(macs, images_seen) / EXA


def implied_tflops_per_core(macs: float, images_seen: float, core_days: float) -> float:
    """Speed in 1e12 FLOPs per second and core that a published training cost implies. Raises ValueError for no days."""
    if core_days <= 0:
        raise ValueError(f"core_days must be positive, not {core_days}")
    return training_flops(macs, images_seen) / (core_days * SECONDS_PER_DAY) / TERA


def paper_scaling() -> list[ScalingRow]:
    """Table 6 of the ViT paper: 18 models on JFT-300M, in the paper's order."""
    datasets = ("imagenet", "imagenet_real", "cifar10", "cifar100", "pets", "flowers")
    return [
        ScalingRow(
            name=row["name"],
            family=row["family"],
            epochs=int(row["epochs"]),
            resolution_px=int(row["resolution_px"]),
            top1_pct={dataset: float(row[dataset]) for dataset in datasets},
            average5_pct=float(row["avg5_derived"]),
            exaflops=float(row["exaflops"]),
            compute_unit=_unit(row["compute_unit"]),
            timm_arch=row["timm_arch"] or None,
            source=row["source"],
            status=row["status"],
            note=row["note"],
        )
        for row in read_table("paper_scaling")
    ]


def paper_sota() -> list[SotaRow]:
    """Table 2 of the ViT paper, one row per system and data set."""
    return [
        SotaRow(
            system=row["system"],
            pretraining=row["pretrain"],
            dataset=row["dataset"],
            accuracy_pct=_number(row["accuracy"]),
            std_pp=_number(row["std"]),
            tpuv3_core_days=float(row["tpuv3_core_days"]),
            source=row["source"],
            status=row["status"],
            note=row["note"],
        )
        for row in read_table("paper_sota")
    ]


def paper_pretraining() -> list[PretrainingRow]:
    """Epochs, images and core-days of the five systems of Table 2."""
    return [
        PretrainingRow(
            system=row["system"],
            pretraining=row["pretrain"],
            timm_arch=row["timm_arch"],
            resolution_px=int(row["resolution_px"]),
            epochs=_integer(row["epochs"]),
            images=_number(row["images"]),
            tpuv3_core_days=float(row["tpuv3_core_days"]),
            source=row["source"],
            status=row["status"],
            note=row["note"],
        )
        for row in read_table("paper_pretraining")
    ]


def paper_transfer() -> list[TransferRow]:
    """Table 5 of the ViT paper: pre-training on ImageNet, ImageNet-21k and JFT-300M."""
    return [
        TransferRow(row["pretrain"], row["model"], row["dataset"], _number(row["top1"]), row["source"], row["status"])
        for row in read_table("paper_i21k_i1k")
    ]


def paper_vtab() -> list[VtabRow]:
    """Table 9 of the ViT paper, per task and with group means, and BiT's figures beside it."""
    return [
        VtabRow(
            row["system"],
            row["pretrain"],
            row["group"],
            row["task"],
            float(row["accuracy"]),
            row["source"],
            row["status"],
        )
        for row in read_table("paper_vtab")
    ]


def timm_published() -> dict[tuple[str, int], TimmRow]:
    """timm's own result files for the systems of the papers, by (name, resolution in pixels)."""
    return {
        (row["name"], int(row["resolution_px"])): TimmRow(
            name=row["name"],
            resolution_px=int(row["resolution_px"]),
            system=row["system"],
            pretraining=row["pretrain"],
            params_m=float(row["param_count_m"]),
            gmacs=float(row["infer_gmacs"]),
            compute_unit=_unit(row["compute_unit"]),
            activations_m=float(row["infer_macts_m"]),
            imagenet_top1_pct=_number(row["imagenet_top1"]),
            imagenet_top5_pct=_number(row["imagenet_top5"]),
            real_top1_pct=_number(row["real_top1"]),
            real_top5_pct=_number(row["real_top5"]),
            rtx5090_amp_img_per_s=_number(row["rtx5090_amp_img_per_s"]),
            rtx5090_batch_size=_integer(row["rtx5090_batch"]),
            has_imagenet_head=row["has_imagenet_head"] == "yes",
            source=row["source"],
            status=row["status"],
        )
        for row in read_table("timm_published")
    }


def cnn_published() -> list[CnnRow]:
    """ImageNet results of CNNs as their papers and repositories print them."""
    return _imagenet_rows("cnn_published")


def deit_published() -> list[CnnRow]:
    """ImageNet results of DeiT, ViTs without other images, as its repository prints them; columns as of the CNNs."""
    return _imagenet_rows("deit_published")


def _imagenet_rows(table: str) -> list[CnnRow]:
    return [
        CnnRow(
            family=row["family"],
            model=row["model"],
            pretraining=row["pretrain"],
            resolution_px=int(row["resolution_px"]),
            top1_pct=_number(row["top1"]),
            top5_pct=_number(row["top5"]),
            params_m=_number(row["params_m"]),
            gmacs=_number(row["macs_g"]),
            compute_unit=_unit(row["compute_unit"]) if row["compute_unit"] else None,
            source=row["source"],
            status=row["status"],
            note=row["note"],
        )
        for row in read_table(table)
    ]


@cache
def read_table(name: str) -> tuple[dict[str, str], ...]:
    """Rows of `bench/catalog/<name>.csv` as text, for tables that have no type of their own.

    paper_models (Table 1), paper_pretrain_hparams (Table 3), paper_finetune_hparams (Table 4),
    paper_ablations (Tables 7, 8), vtab_tasks.
    """
    text = resources.files("bench.catalog").joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def _number(text: str) -> float | None:
    return float(text) if text else None


def _integer(text: str) -> int | None:
    return int(text) if text else None


def _unit(text: str) -> ComputeUnit:
    if text == "MACs":
        return "MACs"
    if text == "FLOPs":
        return "FLOPs"
    raise ValueError(f"compute_unit must be MACs or FLOPs, not {text!r}")
