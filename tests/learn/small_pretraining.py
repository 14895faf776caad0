"""A pretraining small enough to be run, stopped and killed in tests."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from small_finetuning import CLASSES, make_part
from torch import nn

from bench.data.decoding.square_cache import StoredImages
from bench.execute.environment import set_determinism
from bench.learn.checkpoint import tensors_sha256
from bench.learn.pretrain import pretrain
from bench.learn.resumable import LabelledSquares, Session
from bench.measure.build import build_model
from bench.measure.outcome import Outcome
from bench.process_group import ProcessGroup, alone, joined_group
from bench.suite.cell import Budget, PretrainCell, PretrainRecipe, Settings

MACS = 1000


def make_squares(train: int = 160, validation: int = 40, px: int = 32) -> tuple[LabelledSquares, LabelledSquares]:
    """Noise that is brighter in one quarter of the picture; the class is which."""

    def stored(count: int, name: str) -> LabelledSquares:
        part = make_part(count, name, px)
        pixels = np.stack([part.reader.read(i) for i in range(count)])
        squares = StoredImages((pixels,), np.full((count, 2), px, dtype=np.int32))
        return LabelledSquares(squares, part.labels, part.keys)

    return stored(train, "train"), stored(validation, "validation")


def make_cell(
    model: str = "vit_32px_s",
    *,
    images_seen: float = 12 * 16,
    unit: Literal["gflop", "images", "device_s"] = "images",
    recipe: dict[str, Any] | None = None,
    **fields: Any,
) -> PretrainCell:
    """A cell of a short pretraining with a batch of 16 and two looks, unless the recipe says otherwise."""
    given: dict[str, Any] = {"learning_rate": 0.003, "batch_size": 16, "augmentation": "none", "looks": 2}
    common: dict[str, Any] = {
        "model": model,
        "num_classes": CLASSES,
        "resolution_px": 32,
        "dataset": "quarters",
        "fingerprint": "f" * 16,
        "train_images": 160,
        "seed": 0,
        "budget": Budget(unit=unit, amount=images_seen),
        "device": "cpu",
        "settings": Settings(),
    }
    return PretrainCell(**(common | {"recipe": PretrainRecipe(**(given | (recipe or {})))} | fields))


def perform(
    cell: PretrainCell,
    checkpoints: Path,
    *,
    model: nn.Module | None = None,
    images: tuple[LabelledSquares, LabelledSquares] | None = None,
    group: ProcessGroup | None = None,
    every_s: float = 1000.0,
    stop: threading.Event | None = None,
    micro_batch_size: int | None = 16,
) -> tuple[Outcome, str]:
    """The pretraining of a cell, with what most tests do not care about filled in, and a hash of its weights."""
    model = model or build_model(cell.model, num_classes=CLASSES, resolution_px=cell.resolution_px, seed=cell.seed)
    done = pretrain(
        cell,
        model,
        *(images or make_squares()),
        MACS,
        Session(
            group=group or alone("cpu"),
            checkpoints=checkpoints,
            checkpoint_every_s=every_s,
            stop=stop or threading.Event(),
            micro_batch_size=micro_batch_size,
        ),
    )
    return done, tensors_sha256(model.state_dict())


def everything_at_random(model: str, steps: int) -> PretrainCell:
    """Crops, mirrors, jitter, mixup and, where the model has a place for it, dropout."""
    recipe = {"augmentation": "strong", "dropout": 0.1, "grad_clip_norm": 1.0, "label_smoothing": 0.1, "looks": 4}
    return make_cell(model, images_seen=steps * 16, recipe=recipe)


def run_alone_or_in_group(model: str, checkpoints: Path, result: Path, steps: int, environment: dict[str, str]) -> None:
    """What a process of a test does: a pretraining with a checkpoint after every step, its result written to a file."""
    os.environ.update(environment)
    torch.set_num_threads(1)
    set_determinism()
    with joined_group("cpu") as group:
        done, weights = perform(
            everything_at_random(model, steps), checkpoints, group=group, every_s=0.0, micro_batch_size=8
        )
        if group.is_first:
            content = {"values": done.values, "samples": done.samples, "weights": weights}
            result.write_text(json.dumps(content))
