"""Training from scratch to a compute budget, and scoring it once. Nothing here knows of files or processes."""

from __future__ import annotations

import time
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from timm.loss.cross_entropy import LabelSmoothingCrossEntropy
from timm.optim._optim_factory import create_optimizer_v2
from torch import Tensor, nn

from bench.data.generated.randomness import Stream
from bench.data.sets.collection import Dataset, ImageSet
from bench.data.sets.splits import training_subset
from bench.learn.augment import shift
from bench.learn.pipeline import Batch, keyed_batches
from bench.learn.trainer import MOMENTUM, Trainer, require_trainable, shrink_head, steps_for_budget
from bench.measure.outcome import Outcome
from bench.measure.scoring.accuracy import Predictions, predict, score
from bench.measure.settings import tf32_allowed
from bench.process_group import alone
from bench.suite.cell import TrainCell

SHIFT_FRACTION = 16  # images move by up to resolution / 16 pixels either way; see docs/decisions.md


def train_from_scratch(cell: TrainCell, model: nn.Module, dataset: Dataset, macs: int) -> Outcome:
    """Train `model` to the cell's budget, keep the best weights on validation, score the cell's part once.

    model: freshly initialised from the cell's seed, on the CPU. macs: per image at the cell's resolution.
    Raises CellFailedError when the loss stops being a number, UnsupportedError for settings that cannot train here.
    """
    require_trainable(cell, ScratchTrainer.word)
    if cell.recipe.head_init == "small":
        shrink_head(model, cell.seed)
    steps = steps_for_budget(cell.budget_gflop, macs, cell.recipe.batch_size)
    with tf32_allowed(cell.settings.precision == "tf32") if cell.device == "cuda" else nullcontext():
        trainer = ScratchTrainer(cell, model, dataset, steps)
        trainer.run()
        values = trainer.evaluation_values()
        started = time.perf_counter()
        model.load_state_dict(trainer.kept)
        scored = dataset.test if cell.scored_part == "test" else dataset.validation
        predictions = trainer.predictions(scored, values["best_validation_step"])
        eval_seconds = values["eval_seconds"] + time.perf_counter() - started
    values |= score(predictions).as_values() | trainer.training_values(macs)
    values |= {
        "eval_seconds": eval_seconds,
        "test_images": len(dataset.test.labels) if cell.scored_part == "test" else 0,
        "validation_images": len(dataset.validation.labels),
    }
    return Outcome(values, trainer.evaluation_samples(), predictions)


class ScratchTrainer(Trainer):
    """A training on images that are on the device whole; the model draws from the random state that it was built in."""

    word = "Training"
    advice = "."
    cell: TrainCell

    def __init__(self, cell: TrainCell, model: nn.Module, dataset: Dataset, steps: int) -> None:
        super().__init__(cell, model, steps=steps, group=alone(cell.device))
        self.evaluations, self._dataset = cell.recipe.validations, dataset
        self._model.to(memory_format=self._memory_format).train()
        recipe = cell.recipe
        self._optimiser = create_optimizer_v2(
            model, opt=recipe.optimizer, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, momentum=MOMENTUM
        )
        self._criterion: nn.Module = LabelSmoothingCrossEntropy(recipe.label_smoothing)  # type: ignore[no-untyped-call]

    def seed_step(self, step: int) -> None:
        return

    def batches(self, start_step: int) -> ResidentBatches:
        chosen = training_subset(self._dataset, self.cell.train_images, self.cell.seed)
        return ResidentBatches(self.cell, self._dataset.train, chosen, self.steps, self.cell.device)

    def loss_of(self, batch: Batch, step: int) -> Tensor:
        with self._autocast():
            loss: Tensor = self._criterion(self._logits(batch.images), batch.labels)
        return loss

    def validation_predictions(self) -> Predictions:
        return self.predictions(self._dataset.validation, self.progress.step)

    def predictions(self, part: ImageSet, step: int) -> Predictions:
        """The model's predictions, each image once. step: how many it has been trained for."""
        what = f"{self.cell.model!r}, trained for {step} of {self.steps} steps, gives"
        self._model.eval()
        with self._autocast():
            return predict(self._logits, part, lambda images: _normalised(images.to(self._device)), what)


class ResidentBatches:
    """Batches of a training from scratch, out of images that are on the device whole, so that nobody waits for them."""

    waited_s = 0.0

    def __init__(self, cell: TrainCell, part: ImageSet, pool: NDArray[np.int64], steps: int, device: str) -> None:
        self._cell, self._device = cell, device
        self._images = torch.from_numpy(part.images).to(device)  # (N, H, W, 3), uint8
        self._labels = torch.from_numpy(part.labels).to(device)
        self._drawn = enumerate(keyed_batches(pool, cell.recipe.batch_size, steps, cell.seed))
        # random words, the same for every model at the same seed
        self._shifts: Tensor | None = None  # (steps, B, 2), non-negative
        self._flips: Tensor | None = None  # (steps, B), bool
        if "shift" in cell.recipe.augmentation:
            words = Stream("shift", cell.seed).words(steps, cell.recipe.batch_size, 2) >> np.uint64(2)
            self._shifts = torch.from_numpy(words.astype(np.int64)).to(device)
        if "flip" in cell.recipe.augmentation:
            halves = Stream("flip", cell.seed).words(steps, cell.recipe.batch_size) >> np.uint64(63)
            self._flips = torch.from_numpy(halves.astype(np.bool_)).to(device)

    def __next__(self) -> Batch:
        step, (chosen, _) = next(self._drawn)
        index = torch.from_numpy(chosen).to(self._device)
        images = _normalised(self._images[index])
        if self._shifts is not None:
            images = shift(images, max(1, self._cell.resolution_px // SHIFT_FRACTION), self._shifts[step])
        if self._flips is not None:
            images = torch.where(self._flips[step][:, None, None, None], images.flip(3), images)
        return Batch(images, self._labels[index], chosen, step, first=0, ends_step=True, share=1.0)

    def close(self) -> None:
        """Let the images go."""
        del self._images, self._labels


def _normalised(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 in [0, 255] to (B, 3, H, W) float in [-1, 1], as the ViT paper scales its inputs."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
