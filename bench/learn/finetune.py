"""Adapting pretrained weights to a data set, in one process or several, and scoring the result once."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch

from bench.data.decoding.square_cache import stored_images
from bench.data.sets.collection import ImageCollection, PartName
from bench.data.sets.splits import balanced_subset
from bench.errors import StoppedError
from bench.learn.checkpoint import tensors_sha256
from bench.learn.resumable import LabelledSquares, ResumableTrainer, Session, TrainingImages, allowed_to_train
from bench.learn.trainer import MOMENTUM
from bench.measure.outcome import Outcome
from bench.measure.scoring.accuracy import score
from bench.measure.weights import LoadedModel, zero_head
from bench.suite.cell import FinetuneCell

STOP_LOOK_SECONDS = 1.0  # between two looks at whether to stop while images are decoded
DIGITS = 16  # of a hash, as for the weights that a cell starts from
TRIAL_SHARE = 0.8  # of a subset's images that a trial trains on, as VTAB's 800 of 1,000


def finetune(
    cell: FinetuneCell, loaded: LoadedModel, collection: ImageCollection, macs: int, session: Session
) -> Outcome:
    """Train the loaded weights by the cell's recipe and score the cell's part once.

    A trial (scored_part `validation`) trains on `train`; a final run trains on `train` and `validation` together. With
    cell.train_images a final run has a balanced subset of so many, a trial four fifths as many, of its part.
    Every process of the session's group calls this with the same arguments and gets the same answer.
    macs: per image at the cell's resolution.

    Raises StoppedError when the session is stopped, once a checkpoint is written; CellFailedError with the step when
    the loss stops being a number; UnsupportedError for settings that cannot train; OutOfMemoryError; DataError.
    """
    with allowed_to_train(cell, session.group, len(collection.class_names), FinetuneTrainer.word):
        images, scored = _load_images(cell, loaded, collection, session)
        trainer = FinetuneTrainer(cell, loaded, images, session)
        trainer.start()
        trainer.run(session.checkpoint_every_s, session.stop)
        started = time.perf_counter()
        predictions = trainer.predictions(scored)
        eval_seconds = time.perf_counter() - started
    values = {
        **score(predictions).as_values(),
        "scored_images": len(predictions.labels),
        **trainer.values(macs),
        "weights_sha256": tensors_sha256(loaded.model.state_dict())[:DIGITS],
        "initial_weights_sha256": loaded.sha256,
        "eval_seconds": eval_seconds,
    }
    return Outcome(values, {"loss": trainer.progress.losses}, predictions)


class FinetuneTrainer(ResumableTrainer):
    """SGD with momentum on the cross-entropy, the head starting at zero."""

    word = "Fine-tuning"

    def __init__(self, cell: FinetuneCell, loaded: LoadedModel, images: TrainingImages, session: Session) -> None:
        has_head = zero_head(loaded.model, cell.num_classes or 0)
        super().__init__(cell, loaded.model, images, session, steps=cell.recipe.steps, initial_sha256=loaded.sha256)
        if not has_head:
            self.note("The head starts as it was loaded: the model does not say which layer is its classifier.")

    def make_optimiser(self) -> torch.optim.Optimizer:
        rate, decay = self.cell.recipe.learning_rate, self.cell.recipe.weight_decay
        return torch.optim.SGD(self._parameters.values(), lr=rate, momentum=MOMENTUM, weight_decay=decay)


def _load_images(
    cell: FinetuneCell, loaded: LoadedModel, collection: ImageCollection, session: Session
) -> tuple[TrainingImages, LabelledSquares]:
    """What is trained on and what is scored, as squares of their sizes.

    The first process makes squares that are not there yet, the others find them.
    Raises StoppedError when the session is stopped meanwhile: decoding a large set takes longer than a stop is waited
    for.
    """
    looked = time.monotonic()

    def progress(done: int, images: int) -> None:
        nonlocal looked
        if time.monotonic() - looked >= STOP_LOOK_SECONDS:
            looked = time.monotonic()
            if session.stop.is_set():
                raise StoppedError(
                    f"Fine-tuning {cell.model!r} was stopped while the images of {cell.dataset!r} were decoded, at "
                    f"{done} of {images}. The same command begins again."
                )

    parts: tuple[PartName, ...] = ("train",) if cell.scored_part == "validation" else ("train", "validation")
    for part in (*parts, cell.scored_part):
        collection.part(part)  # an absent one is said at once
    load = partial(stored_images, collection, resize="square", progress=progress)
    train, scored = session.group.first_before_others(
        lambda: (load(parts, cell.recipe.stored_px), load((cell.scored_part,), cell.resolution_px))
    )
    scored_part = collection.part(cell.scored_part)
    labels = np.concatenate([collection.part(part).labels for part in parts])
    pool = np.arange(len(labels))
    if cell.train_images is not None:
        count = cell.train_images if cell.scored_part == "test" else round(TRIAL_SHARE * cell.train_images)
        pool = balanced_subset(labels, cell.dataset, len(collection.class_names), count, cell.seed)
    images = TrainingImages(
        LabelledSquares(train, labels),
        pool,
        crop=cell.recipe.crop,
        flip=cell.recipe.flip,
        mean=tuple(loaded.config["mean"]),
        std=tuple(loaded.config["std"]),
        mixup_alpha=cell.recipe.mixup_alpha,
    )
    return images, LabelledSquares(scored, scored_part.labels, scored_part.keys)
