"""A fine-tuning small enough to be run, stopped and killed in tests."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.sets.collection import ImageCollection, LabelledImages
from bench.execute.environment import set_determinism
from bench.learn.finetune import finetune
from bench.learn.resumable import Session
from bench.measure.outcome import Outcome
from bench.measure.weights import LoadedModel, load_weights
from bench.process_group import ProcessGroup, alone, joined_group
from bench.suite.cell import FinetuneCell, FinetuneRecipe, Settings

CLASSES = 4
MACS = 1000


@dataclass(frozen=True)
class Pixels:
    """Images of an array."""

    images: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> NDArray[np.uint8]:
        return self.images[index]


def make_part(count: int, name: str, px: int = 32) -> LabelledImages:
    """Noise that is brighter in one quarter of the picture; the class is which."""
    random = np.random.default_rng(len(name))
    labels = np.arange(count, dtype=np.int64) % CLASSES
    images = random.integers(0, 120, (count, px, px, 3)).astype(np.uint8)
    half = px // 2
    for image, label in zip(images, labels, strict=True):
        image[label // 2 * half :, label % 2 * half :][:half, :half] += 100
    return LabelledImages(Pixels(images), labels, tuple(f"{name}/{i}" for i in range(count)))


def make_collection(px: int = 32) -> ImageCollection:
    """160 images to train on, 40 to validate, 50 to test."""
    return ImageCollection(
        name="quarters",
        class_names=tuple("abcd"),
        parts={
            "train": make_part(160, "train", px),
            "validation": make_part(40, "validation", px),
            "test": make_part(50, "test", px),
        },
    )


def make_cell(
    model: str = "tiny", *, steps: int = 12, recipe: dict[str, Any] | None = None, **fields: Any
) -> FinetuneCell:
    """A cell of a short training with a batch of 16, without crops and flips unless the recipe says so."""
    given = {"learning_rate": 0.1, "batch_size": 16, "warmup_steps": 2, "stored_px": 32, "crop": "none", "flip": False}
    common = {
        "model": model,
        "num_classes": CLASSES,
        "resolution_px": 32,
        "weights": "random",
        "dataset": "quarters",
        "fingerprint": "f" * 16,
        "seed": 0,
        "scored_part": "test",
        "device": "cpu",
        "settings": Settings(),
    }
    return FinetuneCell(**(common | {"recipe": FinetuneRecipe(**(given | {"steps": steps} | (recipe or {})))} | fields))


def perform(
    cell: FinetuneCell,
    loaded: LoadedModel,
    checkpoints: Path,
    *,
    collection: ImageCollection | None = None,
    group: ProcessGroup | None = None,
    every_s: float = 1000.0,
    stop: threading.Event | None = None,
    micro_batch_size: int | None = 16,
) -> Outcome:
    """The fine-tuning of a cell, with what most tests do not care about filled in."""
    return finetune(
        cell,
        loaded,
        collection or make_collection(),
        MACS,
        Session(
            group=group or alone("cpu"),
            checkpoints=checkpoints,
            checkpoint_every_s=every_s,
            stop=stop or threading.Event(),
            micro_batch_size=micro_batch_size,
        ),
    )


def catalogue_model(name: str) -> LoadedModel:
    """A freshly drawn model of the catalogue, the same each time."""
    return load_weights(name, "random", num_classes=CLASSES, resolution_px=32, seed=0)


def augmented_cell(model: str, steps: int) -> FinetuneCell:
    """Crops, flips and mixup: everything that a training draws at random."""
    recipe = {"stored_px": 40, "crop": "inception", "flip": True, "mixup_alpha": 0.1}
    return make_cell(model, steps=steps, recipe=recipe)


def run_alone_or_in_group(model: str, checkpoints: Path, result: Path, steps: int, environment: dict[str, str]) -> None:
    """What a process of a test does: a fine-tuning with a checkpoint after every step, its result written to a file."""
    os.environ.update(environment)
    torch.set_num_threads(1)
    set_determinism()
    with joined_group("cpu") as group:
        done = perform(
            augmented_cell(model, steps),
            catalogue_model(model),
            checkpoints,
            group=group,
            every_s=0.0,
            micro_batch_size=8,
        )
        if group.is_first:
            content = {"values": done.values, "loss": done.samples["loss"]}
            content["probability"] = done.predictions.label_probability.tolist()
            result.write_text(json.dumps(content))
