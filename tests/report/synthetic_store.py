"""A made-up store that looks like a real one: models, sets, seeds, sizes, timings, memory, counts and failures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.store.record import Record, Status
from bench.suite.cell import cell_id_of

SMALL = [f"{series}_32px_{size}" for series in ("vit", "hybrid", "resnet", "mbconv") for size in "sml"]
SETS = ("textures", "shapes", "digits")
TEST_IMAGES = {"textures": 2000, "shapes": 2000, "digits": 899}
TRAIN_IMAGES = {"textures": 8190, "shapes": 8190, "digits": 798}
MACS = {"s": 1.6e6, "m": 3.7e6, "l": 8.0e6}
BUDGET = {"s": 250.0, "m": 450.0, "l": 900.0}
_SKILL = {"vit": 88.0, "hybrid": 92.0, "resnet": 94.0, "mbconv": 93.0}
_SPEED = {"vit": 9000.0, "hybrid": 7000.0, "resnet": 5200.0, "mbconv": 3100.0}


def conditions(machine: str = "0badcafe", **more: Any) -> dict[str, Any]:
    """What every record says of its surroundings."""
    return {
        "device": "cpu",
        "cpu_model": "Example CPU 1 GHz",
        "isa": "avx512",
        "gpu_model": None,
        "cores": 2,
        "memory_gib": 7.75,
        "threads": 1,
        "side_by_side": 2,
        "os": "Linux 6.1 x86_64",
        "python": "3.11.7",
        "torch": "2.15.0",
        "timm": "1.0.31",
        "torchvision": "0.30.0",
        "fvcore": "0.1.5",
        "numpy": "2.4.6",
        "driver": None,
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "git_dirty": False,
        "backend_flags": {},
        "machine": machine,
        "package": "0.1.0",
        **more,
    }


def make_record(
    cell: dict[str, Any],
    values: dict[str, Any] | None = None,
    *,
    status: Status = "ok",
    reason: str | None = None,
    started_at: str = "2026-01-02T03:04:05Z",
    machine: str = "0badcafe",
    **more: Any,
) -> Record:
    """A record of this cell; its id is the cell's own."""
    return Record(
        suite="made-up",
        cell_id=cell_id_of(cell),
        cell=cell,
        status=status,
        reason=reason,
        values=values or {},
        conditions=conditions(machine, **more),
        started_at=started_at,
        wall_s=1.0,
    )


def train_cell(model: str, dataset: str = "textures", seed: int = 0, **more: Any) -> dict[str, Any]:
    """A training cell; `more` overrides its fields, `learning_rate` its recipe's."""
    learning_rate = more.pop("learning_rate", 0.002)
    return {
        "task": "train",
        "metric_version": 1,
        "model": model,
        "num_classes": 10,
        "resolution_px": 32,
        "dataset": dataset,
        "fingerprint": f"print-{dataset}",
        "train_images": TRAIN_IMAGES.get(dataset, 1000),
        "seed": seed,
        "budget_gflop": 250.0,
        "recipe": {"optimizer": "adamw", "learning_rate": learning_rate, "weight_decay": 0.05, "batch_size": 64},
        "scored_part": "test",
        "device": "cpu",
        "settings": {"precision": "fp32", "memory_format": "channels_last", "compile": False},
        **more,
    }


def train_values(top1: float, validation: float | None = None, macs: float = 2e6, gflop: float = 250.0,
                 test_images: int = 2000) -> dict[str, Any]:  # fmt: skip
    """What a finished training tells."""
    return {
        "top1_pct": top1,
        "top5_pct": min(100.0, top1 + 5),
        "mean_per_class_pct": top1,
        "validation_top1_pct": top1 if validation is None else validation,
        "test_images": test_images,
        "validation_images": 1000,
        "steps": 500,
        "images_seen": 320_000,
        "macs": macs,
        "params": macs / 10,
        "train_flop": gflop * 1e9,
        "train_img_per_s": 4e9 / macs,
        "train_seconds": 20.0,
        "eval_seconds": 1.0,
        "best_validation_step": 400,
        "final_loss": 0.6,
    }


def pixels_record(top1: float, dataset: str = "textures", seed: int = 0, train_images: int = 8190) -> Record:
    """One logistic regression on pixels."""
    cell = {
        "task": "pixels",
        "metric_version": 1,
        "dataset": dataset,
        "fingerprint": "f",
        "resolution_px": 32,
        "num_classes": 10,
        "train_images": train_images,
        "seed": seed,
    }
    return make_record(cell, {"top1_pct": top1, "scored_images": 2000, "train_images": train_images, "num_classes": 10})


def speed_record(model: str, repeat: int, rate: float, machine: str = "0badcafe", **more: Any) -> Record:
    """One timed process."""
    cell = {
        "task": "speed",
        "metric_version": 1,
        "model": model,
        "num_classes": 10,
        "resolution_px": 32,
        "batch_size": 64,
        "metrics": ["throughput", "latency"],
        "repeat": repeat,
        "device": "cpu",
        "settings": {"precision": "fp32", "memory_format": "channels_last", "compile": False},
        **more,
    }
    values = {
        "throughput_img_per_s": rate,
        "throughput_blocks": 20,
        "warmup_iters": 30,
        "warmup_settled": True,
        "latency_p50_ms": 2500 / rate,
        "latency_p90_ms": 2700 / rate,
        "latency_p99_ms": 3300 / rate,
        "latency_samples": 1000,
        "compile_s": None,
    }
    return make_record(cell, values, machine=machine)


def complexity_record(model: str, macs: float, resolution: int = 32, certificate: str = "ok", note: str = "",
                      **values: Any) -> Record:  # fmt: skip
    """One counted model."""
    cell = {
        "task": "complexity",
        "metric_version": 1,
        "model": model,
        "num_classes": None,
        "resolution_px": resolution,
    }
    counted = {
        "params": int(macs / 10),
        "macs": int(macs),
        "norm_macs": 0,
        "flops": int(2 * macs),
        "activations": int(macs / 100),
        "attention_macs": int(macs / 50) if model.startswith("vit") else 0,
        "torch_macs": int(macs),
        "closed_form_macs": None,
        "certificate": certificate,
        "certificate_note": note,
        "macs_by_operator": {"conv": int(macs)},
        "uncounted": {},
        "family": "vit" if model.startswith("vit") else "cnn",
        "input_px": resolution,
    }
    return make_record(cell, {**counted, **values})


def memory_record(model: str, mib: float, **more: Any) -> Record:
    """One memory cell on the CPU."""
    cell = {
        "task": "memory",
        "metric_version": 1,
        "model": model,
        "num_classes": 10,
        "resolution_px": 32,
        "batch_size": 64,
        "device": "cpu",
        "settings": {"precision": "fp32", "memory_format": "channels_last", "compile": False},
        **more,
    }
    return make_record(cell, {"peak_rss_delta_mib": mib})


def _series_size(model: str) -> tuple[str, str]:
    series, _, size = model.split("_")
    return series, size


def _top1(model: str, dataset: str, images: int, seed: int, rng: np.random.Generator) -> float:
    series, size = _series_size(model)
    base = _SKILL[series] + {"s": -3.0, "m": 0.0, "l": 1.5}[size]
    base += {"textures": -4.0, "shapes": 0.0, "digits": 4.5}[dataset]
    if series == "vit" and dataset == "digits":
        base += 3.0
    base -= 6.0 * math.log2(TRAIN_IMAGES[dataset] / images) * (1.6 if series == "vit" else 1.0) / 2
    return float(np.clip(base + rng.normal(0, 0.5), 5, 99.8))


def desk_like(seeds: Sequence[int] = (0, 1, 2), processes: int = 5) -> list[Record]:
    """12 small models on 3 sets, smaller training sets for the middle size, timings, memory, counts, failures."""
    rng = np.random.default_rng(7)
    records = []
    for model in SMALL:
        series, size = _series_size(model)
        macs = MACS[size] * {"vit": 1.0, "hybrid": 1.05, "resnet": 0.93, "mbconv": 0.9}[series]
        records.append(complexity_record(model, macs))
        records.append(memory_record(model, 20 + macs / 1e6))
        for dataset in SETS:
            for seed in seeds:
                sizes = [TRAIN_IMAGES[dataset]]
                if size == "m" and dataset != "digits":
                    sizes += [512, 2048]
                for images in sizes:
                    cell = train_cell(model, dataset, seed, train_images=images, budget_gflop=BUDGET[size])
                    top1 = _top1(model, dataset, images, seed, rng)
                    values = train_values(top1, top1 - 0.5, macs, BUDGET[size], TEST_IMAGES[dataset])
                    records.append(make_record(cell, values))
        for repeat in range(processes):
            rate = _SPEED[series] * 1.6e6 / MACS[size] * float(rng.normal(1, 0.01))
            records.append(speed_record(model, repeat, rate))
    failing = train_cell("vit_32px_l", "textures", 9)
    records.append(make_record(failing, status="failed", reason="Loss became NaN at step 40. Lower the learning rate."))
    skipped = {**train_cell("vit_32px_l"), "task": "speed", "settings": {"precision": "bf16"}}
    records.append(make_record(skipped, status="skipped", reason="bf16 is not supported here."))
    return records


def with_predictions(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Per-image predictions whose accuracy is (to one image) each training record's, images of shared difficulty."""
    found = {}
    for record in records:
        if record.cell["task"] != "train" or record.status != "ok":
            continue
        count = record.values["test_images"]
        difficulty = np.random.default_rng(11).normal(size=count)
        own = np.random.default_rng(int(record.cell_id[:8], 16)).normal(size=count)
        order = np.argsort(difficulty + 0.7 * own)
        right = np.zeros(count, dtype=bool)
        right[order[: round(record.values["top1_pct"] / 100 * count)]] = True
        label = np.arange(count) % 10
        found[record.cell_id] = pd.DataFrame(
            {
                "key": [f"test/{i:05d}" for i in range(count)],
                "label": label.astype("int16"),
                "prediction": np.where(right, label, (label + 1) % 10).astype("int16"),
                "label_probability": np.float32(0.5),
            }
        )
    return found


def tune_like() -> list[Record]:
    """A learning-rate sweep on the validation part."""
    records = []
    for model in SMALL:
        series, size = _series_size(model)
        best = {"vit": -2.6, "hybrid": -2.5, "resnet": -2.1, "mbconv": -2.0}[series]
        for rate in (0.001, 0.003, 0.009, 0.0052 if series != "mbconv" else 0.027, 0.0017):
            top1 = 90 - 14 * (math.log10(rate) - best) ** 2 + {"s": -2, "m": 0, "l": 1}[size]
            cell = train_cell(model, "textures", 100, scored_part="validation", budget_gflop=2 * BUDGET[size],
                              learning_rate=rate)  # fmt: skip
            records.append(make_record(cell, train_values(top1, top1, MACS[size], 2 * BUDGET[size], 1000)))
    return records
