"""All records as one tidy frame, a row each: `bench.load_records` and `vitbench export`. Nothing is averaged here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import StoreError
from bench.store.files import read_records
from bench.store.record import Record

# Columns in their order: dtype, and what they hold. Missing where a task, or a device, has no such thing.
COLUMNS: Mapping[str, tuple[str, str]] = {
    "suite": ("string", "suite that the cell ran for"),
    "cell_id": ("string", "16 hexadecimal digits of what was asked; the same cell of two runs has the same"),
    "task": ("string", "what was done: `train`, `speed`, `complexity`, `finetune`, ..."),
    "status": ("string", "`ok`, `failed`, `oom` (out of memory) or `skipped`"),
    "reason": ("string", "why the status is not `ok`"),
    "started_at": ("datetime64[us, UTC]", "when the cell began"),
    "wall_s": ("float64", "seconds inside the cell, without the start of its process"),
    "metric_version": ("Int64", "version of the task's measuring; values of two versions do not compare"),
    "model": ("string", "name of the model, timm's `arch.tag` or one of this project's"),
    "definition": ("string", "what the name stands for, where timm does not say it"),
    "num_classes": ("Int64", "classes of the head"),
    "resolution_px": ("Int64", "height = width of what the model sees, in pixels"),
    "dataset": ("string", "data set"),
    "fingerprint": ("string", "hash of the images that were asked for"),
    "weights": ("string", "what the model started from: `public`, `random` or `sha256 <16 digits>`"),
    "weights_sha256": ("string", "the weights that were loaded, or that a training ended with"),
    "train_images": ("Int64", "images trained on"),
    "seed": ("Int64", "of initial weights, subset and order of images"),
    "scored_part": ("string", "part that was scored: `test`, or `validation` for a trial of a sweep"),
    "budget_gflop": ("float64", "training compute that was given, in 1e9 FLOPs"),
    "budget_images": ("float64", "images seen that were given"),
    "budget_device_s": ("float64", "seconds of optimiser steps that were given"),
    "learning_rate": ("float64", "peak of the recipe"),
    "batch_size": ("Int64", "images per forward pass, or per optimiser step of a training"),
    "recipe_json": ("string", "the whole recipe"),
    "device": ("string", "`cpu`, `cuda` or `mps`"),
    "precision": ("string", "`fp32`, `tf32`, `fp16` or `bf16`"),
    "memory_format": ("string", "`contiguous` or `channels_last`"),
    "compile": ("boolean", "whether torch.compile was used"),
    "fold": ("boolean", "whether BatchNorm was folded into the convolutions"),
    "role": ("string", "of a timing: `fixed` settings, a `trial` of others, or the `best` of them"),
    "repeat": ("Int64", "number of the fresh process that timed the model; intervals are over these"),
    "params": ("Int64", "learnable scalars"),
    "macs": ("Int64", "multiply-adds for one image"),
    "activations": ("Int64", "output elements of convolutions and matrix products for one image"),
    "train_flop": ("float64", "FLOPs of the training"),
    "images_seen": ("Int64", "images in all steps of the training"),
    "steps": ("Int64", "optimiser steps"),
    "train_seconds": ("float64", "seconds of training, without evaluations"),
    "train_img_per_s": ("float64", "images per second of the training"),
    "top1_pct": ("float64", "percent of images whose label has the largest logit"),
    "top5_pct": ("float64", "percent of images whose label is among the five largest logits"),
    "mean_per_class_pct": ("float64", "mean over classes of the percent right"),
    "validation_top1_pct": ("float64", "top-1 on the validation part, of the weights that were kept"),
    "real_top1_pct": ("float64", "top-1 by ImageNet's reassessed labels"),
    "scored_images": ("Int64", "images behind top-1"),
    "throughput_img_per_s": ("float64", "images per second of inference"),
    "latency_p50_ms": ("float64", "median time of one forward pass, in milliseconds"),
    "latency_p90_ms": ("float64", "90th percentile of the same"),
    "latency_p99_ms": ("float64", "99th percentile of the same"),
    "latency_samples": ("Int64", "forward passes behind the percentiles"),
    "warmup_settled": ("boolean", "whether warm-up ended with steady times"),
    "training_img_per_s": ("float64", "images per second of an optimiser step"),
    "peak_allocated_mib": ("float64", "highest allocated device memory, in MiB"),
    "peak_rss_delta_mib": ("float64", "how much the process grew on a CPU, in MiB"),
    "largest_batch": ("Int64", "largest batch that fits"),
    "machine": ("string", "8 hexadecimal digits: the same machine, the same digits"),
    "cpu_model": ("string", "processor"),
    "gpu_model": ("string", "GPU"),
    "cores": ("Int64", "cores of the machine"),
    "threads": ("Int64", "that one cell computed with"),
    "side_by_side": ("Int64", "cells that ran at once"),
    "os": ("string", "operating system and its version"),
    "python": ("string", "version"),
    "torch": ("string", "version"),
    "timm": ("string", "version"),
    "package": ("string", "version of vitbench"),
    "git_commit": ("string", "commit of vitbench"),
    "values_json": ("string", "all values of the record, also those that are lists or have no column"),
}


def load_records(*folders: str | Path) -> pd.DataFrame:
    """Every record of every run in and under the folders, a row each, in the order of files and lines.

    folders: results folders, or the folders of suites in one. Columns and their dtypes are those of COLUMNS.
    Raises StoreError for a folder without results, and for a file that holds something else.
    """
    records: list[Record] = []
    for folder in map(Path, folders):
        places = sorted({path.parent for path in folder.rglob("*.jsonl")})
        if not places:
            raise StoreError(f"'{folder}' holds no results: there is no run file (*.jsonl) in it or below.")
        records += [record for place in places for record in read_records(place).records]
    return tidy_frame(records)


def tidy_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row for each record, with the columns of COLUMNS."""
    rows = [flattened(record) for record in records]
    columns = {}
    for name, (dtype, _) in COLUMNS.items():
        found = pd.Series([row.get(name) for row in rows], dtype="object")
        columns[name] = pd.to_datetime(found, format="ISO8601", utc=True) if "datetime" in dtype else found
    return pd.DataFrame(columns).astype({name: dtype for name, (dtype, _) in COLUMNS.items()})


def flattened(record: Record) -> dict[str, Any]:
    """The fields of a record by the names of columns; what a table has no column for is among them too."""
    cell, settings = record.cell, record.cell.get("settings") or {}
    recipe, budget = record.cell.get("recipe") or {}, record.cell.get("budget") or {}
    values = {"scored_images": record.values.get("images", record.values.get("test_images")), **record.values}
    return {
        **record.conditions,
        **recipe,
        **cell,
        **values,
        **settings,
        "recipe_json": json.dumps(recipe) if recipe else None,
        "role": cell.get("role", "fixed") if cell.get("task") == "speed" else None,
        "weights": cell.get("weights"),
        **({f"budget_{budget['unit']}": budget["amount"]} if budget else {}),
        **({"fold": settings.get("fold", False)} if settings else {}),
        "suite": record.suite,
        "cell_id": record.cell_id,
        "status": record.status,
        "reason": record.reason,
        "started_at": record.started_at,
        "wall_s": record.wall_s,
        "values_json": json.dumps(record.values),
    }
