"""Making weights on a large set, to a budget of its own, for others to start from.

The ViT paper's recipe (arXiv 2010.11929v2, section 4.1 and Table 3): Adam with decoupled weight decay or SGD with
momentum, a warm-up and a linear or cosine decay to zero at the end of just this budget, dropout, clipped gradients.
"""

from __future__ import annotations

import contextlib
import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from timm.optim._param_groups import param_groups_weight_decay
from torch import Tensor, nn
from torch.nn import functional as F

from bench import units
from bench.data.decoded import SquareImages
from bench.data.randomness import Stream
from bench.errors import UnsupportedError
from bench.learn.augment import Crop
from bench.learn.conditions import accelerated, require_trainable
from bench.learn.course import Course
from bench.learn.heads import shrink_head
from bench.learn.mixup import mixing_share
from bench.learn.pipeline import TrainingBatches
from bench.learn.train import steps_for_budget
from bench.measure.accuracy import score
from bench.measure.complexity import count_training_flops
from bench.measure.devices import memory_limit_named
from bench.measure.settings import tf32_allowed
from bench.measure.weights import data_config
from bench.process_group import Team
from bench.suite.cell import PretrainCell, PretrainRecipe
from bench.suite.model_source import is_user_model

MOMENTUM = 0.9
BETAS = (0.9, 0.999)  # section 4.1
RATE_SHARE = 0.05  # of a budget in seconds that finding this machine's pace may take, besides
NOT_DENSE = ("attn_drop", "head_drop")  # dropouts that are not after a dense layer of a block


@dataclass(frozen=True)
class ImageRecipe:
    """What happens to the images of a training. jitter: brightness and contrast change by up to this share."""

    crop: Crop
    flip: bool
    mixup_alpha: float
    jitter: float


# `strong`: crops of 5 to 100 % of the area as in the paper's released code, mixup as in its follow-up on
# augmentation (arXiv 2106.10270).
RECIPES: dict[str, ImageRecipe] = {
    "none": ImageRecipe("none", False, 0.0, 0.0),
    "light": ImageRecipe("shift", True, 0.0, 0.0),
    "strong": ImageRecipe("inception", True, 0.2, 0.4),
}


@dataclass(frozen=True)
class PretrainImages:
    """What is trained on, and the part that scores the looks. labels: (N,), int64, each for its images.

    Stored squares have the side that the model sees, or a larger one that crops are cut from.
    """

    train: SquareImages
    train_labels: NDArray[Any]
    validation: SquareImages
    validation_labels: NDArray[Any]
    validation_keys: tuple[str, ...]


@dataclass(frozen=True)
class Pretraining:
    """What one pretraining gave: values and samples as records hold them. The weights are in the model."""

    values: dict[str, Any]
    samples: dict[str, list[float]]


def pretrain(
    cell: PretrainCell,
    model: nn.Module,
    images: PretrainImages,
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
) -> Pretraining:
    """Train `model` to the cell's budget; afterwards it holds the weights of the best look at the validation part.

    model: freshly drawn from the cell's seed, on the CPU. macs: per image at the cell's resolution. The other arguments
    are those of `bench.learn.finetune.finetune`, and so are stopping, going on, and several processes.

    Raises StoppedError when `stop` is set, once a checkpoint is written; CellFailedError with the step when the loss
    stops being a number; UnsupportedError for settings that cannot train; OutOfMemoryError; DataError.
    """
    classes = max(cell.num_classes or 0, int(images.train_labels.max()) + 1)  # some may have no image of their own
    require_trainable(cell, team, classes, _Pretraining.word)
    set_dropout(model, cell.recipe.dropout)
    shrink_head(model, cell.seed)
    with contextlib.ExitStack() as held:
        accelerator = held.enter_context(accelerated(cell, team))
        if cell.device == "cuda":
            held.enter_context(tf32_allowed(cell.settings.precision == "tf32"))
        held.enter_context(memory_limit_named(f"Pretraining {cell.model!r} at {cell.resolution_px} px"))
        course = _Pretraining(cell, model, images, macs, team, accelerator, workers, beside)
        course.start(checkpoints, machine, micro_batch_size)
        course.run(checkpoint_every_s, stop)
        model.load_state_dict(course.kept)
    progress = course.progress
    samples = {
        "loss": progress.losses,
        "validation_step": [float(step) for step in progress.look_steps],
        "validation_top1_pct": progress.look_top1_pct,
    }
    return Pretraining(course.values(), samples)


def learning_rate_at(recipe: PretrainRecipe, step: int, steps: int) -> float:
    """The learning rate of one step of `steps`, the first being 0, from its number alone.

    It rises in equal parts to the peak, which the last step of the warm-up has, and falls to zero after the last step,
    along a line or half a cosine.
    """
    warmup = round(steps * recipe.warmup_fraction)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / (steps - warmup)
    if recipe.schedule == "linear":
        return recipe.learning_rate * (1 - progress)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def set_dropout(model: nn.Module, share: float) -> None:
    """Drop a share of the outputs of every dense layer but those of queries, keys and values, and of the embeddings.

    A CNN has its one dropout before the classifier. Source: arXiv 2010.11929v2, section B.1.
    Raises UnsupportedError for a model that has no place for it.
    """
    if not share:
        return
    found = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Dropout) and name.rpartition(".")[2] not in NOT_DENSE
    ]
    for module in found:
        module.p = share
    if found:
        return
    if not hasattr(model, "drop_rate"):
        raise UnsupportedError(f"{type(model).__name__} has no place for dropout. Set dropout = 0.")
    setattr(model, "drop_rate", share)  # noqa: B010 - an nn.Module's attributes have no types


class _Pretraining(Course):
    """One pretraining as it goes, with looks at the validation part."""

    word = "Pretraining"

    def __init__(
        self,
        cell: PretrainCell,
        model: nn.Module,
        images: PretrainImages,
        macs: int,
        team: Team,
        accelerator: Accelerator,
        workers: int,
        beside: int,
    ) -> None:
        self._images, self._macs, self._budget, self._recipe = images, macs, cell.budget, cell.recipe
        self._of_images = RECIPES[cell.recipe.augmentation]
        config = data_config(cell.model, model, cell.resolution_px)  # as transfers will normalise their images
        super().__init__(
            cell,
            model,
            initial_sha256=None,
            normalisation=(tuple(config["mean"]), tuple(config["std"])),
            steps=_steps(cell, macs),
            train_images=len(images.train_labels),
            team=team,
            accelerator=accelerator,
            workers=workers,
            beside=beside,
        )
        self._ratios = self._counted_ratios()  # before hours of training, not after them

    @property
    def mixes(self) -> bool:
        return bool(self._of_images.mixup_alpha)

    def learning_rate_at(self, step: int) -> float:
        return learning_rate_at(self._recipe, step, self.steps)

    def mixing_share_at(self, step: int) -> float:
        return mixing_share(self._of_images.mixup_alpha, self.cell.seed, step)

    def make_optimiser(self) -> torch.optim.Optimizer:
        recipe = self._recipe
        # without decay: norms, biases and everything else of one dimension
        groups = param_groups_weight_decay(self._model, recipe.weight_decay)
        if recipe.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=MOMENTUM)
        is_fused = self._device.type in ("cpu", "cuda")
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=BETAS, fused=is_fused)

    def batches(self, steps: int, start_step: int, batch_size: int, micro_batch_size: int) -> TrainingBatches:
        return TrainingBatches(
            self._images.train,
            self._images.train_labels,
            batch_size=batch_size,
            micro_batch_size=micro_batch_size,
            steps=steps,
            start_step=start_step,
            seed=self.cell.seed,
            resolution_px=self.cell.resolution_px,
            crop=self._of_images.crop,
            flip=self._of_images.flip,
            device=self._device,
            workers=self._workers,
            rank=self.team.rank,
            size=self.team.size,
        )

    def changed_images(self, images: Tensor, step: int, first: int) -> Tensor:
        jitter = self._of_images.jitter
        if not jitter:
            return images
        drawn = Stream("jitter", self.cell.seed, step).uniform(self.batch_size, 2, low=1 - jitter, high=1 + jitter)
        contrast, brightness = drawn[first : first + len(images)].T
        scale, rest = (
            torch.from_numpy(np.ascontiguousarray(part)).to(images.device)[:, None, None, None]
            for part in (contrast * brightness, (1 - contrast) * brightness)
        )
        # ((x - grey) contrast + grey) brightness, in one pass over the images
        return torch.addcmul(images.mean(dim=(1, 2, 3), keepdim=True) * rest, images, scale)

    def loss_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=self._recipe.label_smoothing)

    def is_look_due(self, step: int) -> bool:
        looks = self._recipe.looks
        return step in {max(1, round(self.steps * (i + 1) / looks)) for i in range(looks)}

    def look_at_validation(self) -> None:
        images, progress = self._images, self.progress
        predictions = self.predictions(images.validation, images.validation_labels, images.validation_keys)
        accuracy = score(predictions)
        top1_pct = accuracy.top1_pct
        if not progress.look_top1_pct or top1_pct >= max(progress.look_top1_pct):  # of equals, the later one
            progress.tied_scores = accuracy.tied_scores
            self.kept = {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}
        progress.look_steps.append(progress.step)
        progress.look_top1_pct.append(top1_pct)

    def steps_here(self) -> int:
        if self._budget.unit != "device_s":
            return self.steps
        rate = self.step_rate(RATE_SHARE * self._budget.amount)
        return max(1, round(self._budget.amount * rate / self.batch_size))

    def values(self) -> dict[str, Any]:
        """What a record holds of the pretraining."""
        progress = self.progress
        best = max(progress.look_top1_pct)
        return {
            **self.rates_and_costs(),
            "macs": self._macs,
            "train_flop": units.training_flops(self._macs, self.steps * self.batch_size),
            "validation_top1_pct": best,
            "validation_images": len(self._images.validation_labels),
            "best_validation_step": max(
                step for step, top1 in zip(progress.look_steps, progress.look_top1_pct, strict=True) if top1 == best
            ),
            "eval_seconds": progress.eval_seconds,
            **({"tied_scores": progress.tied_scores} if progress.tied_scores else {}),
            **self._ratios,
        }

    def _counted_ratios(self) -> dict[str, float]:
        """What torch counts of a forward and a backward pass over 3 x FLOPs; nothing, with a note, where it cannot."""
        cell = self.cell
        if is_user_model(cell.model):
            self.note("Training FLOPs were not counted beside 3 x FLOPs: the model is a function of the user's own.")
            return {}
        try:
            counted = count_training_flops(cell.model, cell.resolution_px, cell.num_classes)
        except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:  # other people's code, on meta
            self.note(f"Training FLOPs could not be counted beside 3 x FLOPs: {str(error).splitlines()[0][:160]}")
            return {}
        return {"train_flop_ratio": counted.ratio, "step_flop_ratio": counted.step_ratio}


def _steps(cell: PretrainCell, macs: int) -> int:
    """Optimiser steps that the budget pays for, at least one; 1 for a budget in seconds, whose steps come later."""
    match cell.budget.unit:
        case "gflop":
            return steps_for_budget(cell.budget.amount, macs, cell.recipe.batch_size)
        case "images":
            return max(1, round(cell.budget.amount / cell.recipe.batch_size))
        case "device_s":
            return 1
