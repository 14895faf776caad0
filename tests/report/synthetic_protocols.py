"""Made-up records of the protocols that start from stored images: evaluate, few-shot, fine-tune, preflight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from synthetic_store import complexity_record, make_record

from bench.store.record import Record

SETTINGS = {"precision": "fp32", "memory_format": "contiguous", "compile": False}
VIT, VIT_LARGE = "vit_base_patch16_224.augreg_in21k", "vit_large_patch16_224.augreg_in21k"
HYBRID, BIT = "vit_large_r50_s32_224.augreg_in21k", "resnetv2_50x1_bit.goog_in21k"
BIT_LARGE = "resnetv2_152x4_bit.goog_in21k"
MACS = {VIT: 55.5e9, VIT_LARGE: 191e9, HYBRID: 57.4e9, BIT: 12.4e9, BIT_LARGE: 549e9}
GROUND = {VIT: 92.0, VIT_LARGE: 93.5, HYBRID: 93.0, BIT: 88.0, BIT_LARGE: 92.5}
TEST = {"imagenet": 50000, "cifar10": 10000, "cifar100": 10000, "pets": 3669, "flowers102": 6149}
FIVE = ("cifar10", "cifar100", "pets", "flowers102", "imagenet")


def evaluate_record(
    model: str = "vit_base_patch16_224.augreg_in21k_ft_in1k", correct: int = 42_267, images: int = 50_000, **more: Any
) -> Record:
    """One evaluated checkpoint. `more` overrides the cell's fields, `values` and `record` the others."""
    values, record = more.pop("values", {}), more.pop("record", {})
    cell = {
        "task": "evaluate",
        "metric_version": 1,
        "model": model,
        "definition": None,
        "num_classes": None,
        "resolution_px": 224,
        "weights": "public",
        "dataset": "imagenet",
        "fingerprint": "print-test",
        "device": "cuda",
        "settings": SETTINGS,
        **more,
    }
    top1 = 100 * correct / images
    counted = {
        "top1_pct": top1,
        "top5_pct": 97.294,
        "mean_per_class_pct": top1,
        "real_top1_pct": None,
        "real_images": None,
        "images": images,
        "correct_top1": correct,
        "img_per_s": 800.0,
        "weights_sha256": "ab" * 32,
        "params": 86_567_656,
        "macs": 17_564_123_136,
        "published_top1_pct": None,
        "published_source": None,
        "delta_pp": None,
        "self_check": "no reference",
        "self_check_note": "",
        "preprocessing": {"resized_px": 248, "crop_px": 224, "crop_pct": 0.9, "interpolation": "bicubic",
                          "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        "processes": 1,
        "notes": [],
        **values,
    }  # fmt: skip
    return make_record(cell, counted, **record)


def fewshot_record(model: str = VIT, top1: float = 70.0, dataset: str = "cifar100", **more: Any) -> Record:
    """Frozen features with 1, 5, 10 and 25 images a class, three draws, both rules."""
    values, draws, spread = more.pop("values", {}), more.pop("draws", 3), more.pop("spread", 1.0)
    shots = more.pop("shots", (1, 5, 10, 25))
    cell = {
        "task": "fewshot",
        "metric_version": 1,
        "model": model,
        "definition": None,
        "num_classes": None,
        "resolution_px": 224,
        "weights": "public",
        "dataset": dataset,
        "fingerprint": f"print-{dataset}",
        "shots": list(shots),
        "draws": draws,
        "l2": 1024.0,
        "resized_px": 256,
        "device": "cuda",
        "settings": SETTINGS,
        **more,
    }
    results = [
        {
            "shots": k,
            "rule": rule,
            "draw": draw,
            "l2": 1024.0 if rule == "fixed" else 64.0,
            "top1_pct": top1 + 5 * np.log2(k / 5) + (1.0 if rule == "loo" else 0.0) + spread * (draw - (draws - 1) / 2),
            "train_images": 100 * k,
        }
        for k in shots
        for rule in ("fixed", "loo")
        for draw in range(draws)
    ]
    known = {
        "results": results,
        "feature_width": 768,
        "layer": "pre_logits",
        "test_images": TEST.get(dataset, 1000),
        "overlap": False,
        "overlap_note": "",
        "weights_sha256": "ab" * 32,
        "params": 86e6,
        "macs": 17.6e9,
        "notes": [],
        **values,
    }
    return make_record(cell, known)


def finetune_record(
    model: str = VIT, top1: float = 90.0, dataset: str = "cifar10", seed: int = 0, rate: float = 0.01, **more: Any
) -> Record:
    """One fine-tuning. `name` is the recipe's; `part` what was scored."""
    values, record = more.pop("values", {}), more.pop("record", {})
    name, part = more.pop("name", "vit"), more.pop("part", "test")
    cell = {
        "task": "finetune",
        "metric_version": 1,
        "model": model,
        "definition": None,
        "num_classes": 10,
        "resolution_px": 384,
        "weights": "public",
        "dataset": dataset,
        "fingerprint": f"print-{dataset}",
        "seed": seed,
        "recipe": {"name": name, "learning_rate": rate, "steps": 500, "batch_size": 512, "stored_px": 384},
        "scored_part": part,
        "device": "cuda",
        "settings": {**SETTINGS, "precision": "bf16"},
        **more,
    }
    macs = MACS.get(model, 1e9)
    known = {
        "top1_pct": top1,
        "top5_pct": min(100.0, top1 + 5),
        "mean_per_class_pct": top1 - 0.5,
        "scored_images": TEST.get(dataset, 1000),
        "train_images": 50_000,
        "steps": 500,
        "images_seen": 256_000,
        "macs": macs,
        "params": macs / 600,
        "train_flop": 6 * macs * 256_000,
        "train_img_per_s": 9e12 / macs,
        "pipeline_img_per_s": 5000.0,
        "model_img_per_s": 9.2e12 / macs,
        "wait_share": 0.0213,
        "train_seconds": 100.0,
        "eval_seconds": 10.0,
        "weights_sha256": "cd" * 32,
        "initial_weights_sha256": "ab" * 32,
        "resumed": 0,
        "micro_batch_size": 64,
        "processes": 1,
        "final_loss": 0.1,
        "num_classes": 10,
        "notes": [],
        **values,
    }
    return make_record(cell, known, **record)


def preflight_record(dataset: str = "birds", **values: Any) -> Record:
    """A checked data set of 1 000 images with one bad file; `values` overrides what was found."""
    none = {"count": 0, "images": 0, "across_parts": 0, "labels_differ": 0, "twins_in_other_parts": {}, "groups": [],
            "complete": True}  # fmt: skip
    found = {
        "images": 1000,
        "parts": {"train": 800, "test": 200},
        "missing_parts": ["validation"],
        "split_made_here": True,
        "class_names": 5,
        "bad": [{"key": "train/wren/7.jpg", "part": "train", "reason": "truncated file"}],
        "bad_share": 0.001,
        "converted": {"grey": 12, "CMYK": 1},
        "formats": {"JPEG": 1000},
        "wrong_extension": {"count": 1, "keys": ["train/wren/9.png"]},
        "tiny_classes": [{"class_name": "dodo", "part": "test", "images": 2}],
        "classes_missing": {"test": ["auk"]},
        "exact_duplicates": none,
        "near_duplicates": none,
        "width_px": {"min": 32, "p50": 500, "max": 900},
        "height_px": {"min": 30, "p50": 375, "max": 800},
        "processes": 2,
        "seconds": 3.0,
        "img_per_s": 420.0,
        "notes": [],
        **values,
    }
    cell = {"task": "preflight", "metric_version": 1, "dataset": dataset, "fingerprint": "0123456789abcdef"}
    return make_record(cell, found)


def crossing(groups: int = 1, test: int = 3) -> dict[str, Any]:
    """Duplicates of which the given number reach from train to test."""
    return {
        "count": groups,
        "images": 2 * groups,
        "across_parts": groups,
        "labels_differ": 0,
        "twins_in_other_parts": {"test": test, "train": test},
        "groups": [{"keys": ["train/a.jpg", "test/b.jpg"], "across_parts": True, "labels_differ": False}],
        "complete": True,
    }


def predictions_of(right: Sequence[bool]) -> pd.DataFrame:
    """Per-image predictions that are right where this says so."""
    label = np.zeros(len(right), dtype=int)
    return pd.DataFrame(
        {
            "key": [f"{i:05d}" for i in range(len(right))],
            "label": label,
            "prediction": np.where(right, label, 1),
            "label_probability": 0.5,
        }
    )


def transfer_like(models: Sequence[str] = tuple(GROUND), sets: Sequence[str] = FIVE, seeds: int = 3) -> list[Record]:
    """Public ImageNet-21k weights fine-tuned on the five sets with sweeps, one model from scratch, MACs counted."""
    records = []
    rng = np.random.default_rng(3)
    for model in models:
        arch = model.split(".")[0]
        records.append(complexity_record(f"{arch}.in1k", MACS[model] / 3, 224))
        for dataset in sets:
            base = GROUND[model] + {"cifar10": 6.0, "cifar100": 0.0, "pets": 1.5, "flowers102": 6.2}.get(dataset, -7.5)
            records += [finetune_record(model, float(np.clip(base + rng.normal(0, 0.15), 0, 99.9)), dataset, seed)
                        for seed in range(seeds)]  # fmt: skip
            for rate in (0.003, 0.01, 0.03):
                trial = base - 8 * abs(np.log10(rate / 0.01))
                records.append(finetune_record(model, trial, dataset, 100, rate, part="validation"))
    for seed in range(seeds):
        records.append(finetune_record(VIT, 61.0 + seed, "cifar10", seed, 0.03, weights="random"))
    return records
