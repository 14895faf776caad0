"""Adapting pretrained weights to a data set, in one process or several, and scoring the result once."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from bench import units
from bench.data.collection import ImageCollection, PartName
from bench.data.decoded import SquareImages, stored_images
from bench.data.subsets import balanced_subset
from bench.errors import StoppedError
from bench.learn.checkpoint import tensors_sha256
from bench.learn.conditions import accelerated, require_trainable
from bench.learn.course import Course
from bench.learn.mixup import mixing_share
from bench.learn.pipeline import TrainingBatches
from bench.measure.accuracy import Predictions, score
from bench.measure.devices import memory_limit_named
from bench.measure.settings import tf32_allowed
from bench.measure.weights import LoadedModel, zero_head
from bench.process_group import Team
from bench.suite.cell import FinetuneCell
from bench.suite.recipes import learning_rate_at

MOMENTUM = 0.9  # both papers
STOP_LOOK_SECONDS = 1.0  # between two looks at whether to stop while images are decoded
DIGITS = 16  # of a hash, as for the weights that a cell starts from
TRIAL_SHARE = 0.8  # of a subset's images that a trial trains on, as VTAB's 800 of 1,000


@dataclass(frozen=True)
class Finetuning:
    """What one fine-tuning gave: values and samples as records hold them, and the scored part's predictions."""

    values: dict[str, Any]
    samples: dict[str, list[float]]
    predictions: Predictions


@dataclass(frozen=True)
class _Images:
    """What is trained on and what is scored, as squares of their sizes. pool: (M,), the images that are trained on."""

    train: SquareImages
    train_labels: NDArray[np.int64]
    pool: NDArray[np.int64]
    scored: SquareImages
    scored_labels: NDArray[np.int64]
    scored_keys: tuple[str, ...]


def finetune(
    cell: FinetuneCell,
    loaded: LoadedModel,
    collection: ImageCollection,
    macs: int,
    *,
    team: Team,
    checkpoints: Path,
    checkpoint_every_s: float,
    stop: threading.Event,
    micro_batch_size: int | None = None,
    workers: int = 0,
    machine: str = "",
    beside: int = 1,
) -> Finetuning:
    """Train the loaded weights by the cell's recipe and score the cell's part once.

    A trial (scored_part `validation`) trains on `train`; a final run trains on `train` and `validation` together. With
    cell.train_images a final run has a balanced subset of so many, a trial four fifths as many, of its part.
    Every process of the team calls this with the same arguments and gets the same answer; each takes its slice of
    every batch, and gradients are summed, so that the step is that of one process. (Summed here and not by
    DistributedDataParallel, whose buckets change after the first step, so that resuming would round differently.)

    macs: per image at the cell's resolution. checkpoints: a folder of this cell alone; one in it that was written
    under the same conditions is continued. The caller discards it (bench.learn.checkpoint) once the record is safe.
    micro_batch_size: images that go through the model at once in each process; None finds what fits. The result
    depends on it in rounding alone, except for BatchNorm and dropout, which a note then names.
    workers: processes that decode, for images that are not stored. machine: what else tells this machine from another
    on which a training cannot be continued bit for bit. beside: fine-tunings that run at once on this machine.

    Raises StoppedError when `stop` is set, once a checkpoint is written; CellFailedError with the step when the loss
    stops being a number; UnsupportedError for settings that cannot train; OutOfMemoryError; DataError.
    """
    require_trainable(cell, team, len(collection.class_names), _Tuning.word)
    with contextlib.ExitStack() as held:
        accelerator = held.enter_context(accelerated(cell, team))
        if cell.device == "cuda":
            held.enter_context(tf32_allowed(cell.settings.precision == "tf32"))
        held.enter_context(memory_limit_named(f"Fine-tuning {cell.model!r} at {cell.resolution_px} px"))
        images = _load_images(cell, collection, team, stop)
        course = _Tuning(cell, loaded, images, team, accelerator, workers, beside)
        course.start(checkpoints, machine, micro_batch_size)
        course.run(checkpoint_every_s, stop)
        started = time.perf_counter()
        predictions = course.predictions(images.scored, images.scored_labels, images.scored_keys)
        eval_seconds = time.perf_counter() - started
    return Finetuning(
        values=_scores(predictions) | course.values(macs) | {"eval_seconds": eval_seconds},
        samples={"loss": course.progress.losses},
        predictions=predictions,
    )


class _Tuning(Course):
    """SGD with momentum on the cross-entropy, the head starting at zero."""

    word = "Fine-tuning"

    def __init__(
        self,
        cell: FinetuneCell,
        loaded: LoadedModel,
        images: _Images,
        team: Team,
        accelerator: Accelerator,
        workers: int,
        beside: int,
    ) -> None:
        self._images, self._recipe = images, cell.recipe
        has_head = zero_head(loaded.model, cell.num_classes or 0)
        super().__init__(
            cell,
            loaded.model,
            initial_sha256=loaded.sha256,
            normalisation=(tuple(loaded.config["mean"]), tuple(loaded.config["std"])),
            steps=cell.recipe.steps,
            train_images=len(images.pool),
            team=team,
            accelerator=accelerator,
            workers=workers,
            beside=beside,
        )
        if not has_head:
            self.note("The head starts as it was loaded: the model does not say which layer is its classifier.")

    @property
    def mixes(self) -> bool:
        return bool(self._recipe.mixup_alpha)

    def learning_rate_at(self, step: int) -> float:
        return learning_rate_at(self._recipe, step)

    def mixing_share_at(self, step: int) -> float:
        return mixing_share(self._recipe.mixup_alpha, self.cell.seed, step)

    def make_optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            self._parameters.values(),
            lr=self._recipe.learning_rate,
            momentum=MOMENTUM,
            weight_decay=self._recipe.weight_decay,
        )

    def batches(self, steps: int, start_step: int, batch_size: int, micro_batch_size: int) -> TrainingBatches:
        return TrainingBatches(
            self._images.train,
            self._images.train_labels,
            pool=self._images.pool,
            batch_size=batch_size,
            micro_batch_size=micro_batch_size,
            steps=steps,
            start_step=start_step,
            seed=self.cell.seed,
            resolution_px=self.cell.resolution_px,
            crop=self._recipe.crop,
            flip=self._recipe.flip,
            device=self._device,
            workers=self._workers,
            rank=self.team.rank,
            size=self.team.size,
        )

    def values(self, macs: int) -> dict[str, Any]:
        """What a record holds of the training; of the accuracy see `_scores`."""
        return self.rates_and_costs() | {
            "macs": macs,
            "train_flop": units.training_flops(macs, self.steps * self.batch_size),
            "weights_sha256": tensors_sha256(self._model.state_dict())[:DIGITS],
            "initial_weights_sha256": self._initial_sha256,
        }


def _load_images(cell: FinetuneCell, collection: ImageCollection, team: Team, stop: threading.Event) -> _Images:
    """Squares of both sizes; the first process makes what is not there yet, the others find it.

    Raises StoppedError when `stop` is set meanwhile: decoding a large set takes longer than a stop is waited for.
    """
    looked = time.monotonic()

    def look(done: int, images: int) -> None:
        nonlocal looked
        if time.monotonic() - looked >= STOP_LOOK_SECONDS:
            looked = time.monotonic()
            if stop.is_set():
                raise StoppedError(
                    f"Fine-tuning {cell.model!r} was stopped while the images of {cell.dataset!r} were decoded, at "
                    f"{done} of {images}. The same command begins again."
                )

    parts: tuple[PartName, ...] = ("train",) if cell.scored_part == "validation" else ("train", "validation")
    for part in (*parts, cell.scored_part):
        collection.part(part)  # an absent one is said at once
    load = partial(stored_images, collection, resize="square", progress=look)
    load_train = partial(load, parts, cell.recipe.stored_px)
    load_scored = partial(load, (cell.scored_part,), cell.resolution_px)
    if team.is_first:
        train, scored = load_train(), load_scored()
    team.barrier()
    if not team.is_first:
        train, scored = load_train(), load_scored()
    scored_part = collection.part(cell.scored_part)
    labels = np.concatenate([collection.part(part).labels for part in parts])
    pool = np.arange(len(labels))
    if cell.train_images is not None:
        count = cell.train_images if cell.scored_part == "test" else round(TRIAL_SHARE * cell.train_images)
        pool = balanced_subset(labels, cell.dataset, len(collection.class_names), count, cell.seed)
    return _Images(train, labels, pool, scored, scored_part.labels, scored_part.keys)


def _scores(predictions: Predictions) -> dict[str, Any]:
    return score(predictions).as_values() | {"scored_images": len(predictions.labels)}
