"""Training from scratch to a compute budget, and scoring it once. Nothing here knows of files or processes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from timm.loss.cross_entropy import LabelSmoothingCrossEntropy
from timm.optim._optim_factory import create_optimizer_v2
from timm.scheduler.cosine_lr import CosineLRScheduler
from timm.scheduler.poly_lr import PolyLRScheduler
from timm.scheduler.scheduler import Scheduler
from torch import Tensor, nn

from bench import units
from bench.data.collection import Dataset, ImageSet
from bench.data.randomness import Stream
from bench.data.subsets import training_subset
from bench.errors import CellFailedError, UnsupportedError
from bench.learn.augment import shift
from bench.learn.heads import shrink_head
from bench.learn.order import batches
from bench.measure.accuracy import Predictions, predict, score
from bench.measure.devices import require_supported
from bench.measure.settings import tf32_allowed
from bench.measure.steps import class_scores
from bench.suite.cell import Recipe, Settings, TrainCell

LOSSES_KEPT = 50  # points of the loss curve in a record; enough to see divergence, 1 KB
SHIFT_FRACTION = 16  # images move by up to resolution / 16 pixels either way; see docs/decisions.md


@dataclass(frozen=True)
class Training:
    """What one training gave: values and samples as records hold them, and the scored part's predictions."""

    values: dict[str, Any]
    samples: dict[str, list[float]]
    predictions: Predictions


@dataclass
class _Fit:
    """A training as it goes: its losses, its looks at validation, and the best weights so far."""

    losses: list[float] = field(default_factory=list)
    look_steps: list[int] = field(default_factory=list)
    look_top1_pct: list[float] = field(default_factory=list)
    best_step: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)
    train_seconds: float = 0.0
    eval_seconds: float = 0.0

    def look(self, step: int, top1_pct: float, model: nn.Module) -> None:
        """Remember a look; keep the weights if none was better. A tie goes to the later one."""
        if not self.look_top1_pct or top1_pct >= max(self.look_top1_pct):
            self.best_step = step
            self.weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        self.look_steps.append(step)
        self.look_top1_pct.append(top1_pct)


def steps_for_budget(budget_gflop: float, macs: int, batch_size: int) -> int:
    """Optimiser steps that a training budget pays for, at least one.

    budget_gflop: 3 x FLOPs x images seen, in 1e9 FLOPs. macs: multiply-adds of one image's forward pass.
    """
    return max(1, round(budget_gflop * units.GIGA / units.training_flops(macs, batch_size)))


def train_from_scratch(cell: TrainCell, model: nn.Module, dataset: Dataset, macs: int) -> Training:
    """Train `model` to the cell's budget, keep the best weights on validation, score the cell's part once.

    model: freshly initialised from the cell's seed, on the CPU. macs: per image at the cell's resolution.
    Raises CellFailedError when the loss stops being a number, UnsupportedError for settings that cannot train here.
    """
    _require_trainable(cell)
    if cell.recipe.head_init == "small":
        shrink_head(model, cell.seed)
    steps = steps_for_budget(cell.budget_gflop, macs, cell.recipe.batch_size)
    with tf32_allowed(cell.settings.precision == "tf32") if cell.device == "cuda" else nullcontext():
        model = model.to(cell.device).to(memory_format=_memory_format(cell.settings))
        fit = _fit(cell, model, dataset, steps)
        started = time.perf_counter()
        model.load_state_dict(fit.weights)
        scored = dataset.test if cell.scored_part == "test" else dataset.validation
        predictions = _predict(model, scored, cell, f"{fit.best_step} of {steps}")
        fit.eval_seconds += time.perf_counter() - started
    values = _values(fit, predictions, steps * cell.recipe.batch_size) | {
        "test_images": len(dataset.test.labels) if cell.scored_part == "test" else 0,
        "validation_images": len(dataset.validation.labels),
        "steps": steps,
        "macs": macs,
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "train_flop": units.training_flops(macs, steps * cell.recipe.batch_size),
    }
    samples = {
        "loss": fit.losses,
        "validation_step": [float(step) for step in fit.look_steps],
        "validation_top1_pct": fit.look_top1_pct,
    }
    return Training(values, samples, predictions)


def _fit(cell: TrainCell, model: nn.Module, dataset: Dataset, steps: int) -> _Fit:
    """All optimiser steps and all looks at the validation part."""
    fit = _Fit()
    validations = cell.recipe.validations
    look_steps = {round(steps * (i + 1) / validations) for i in range(validations)}
    training = _steps(cell, model, dataset.train, training_subset(dataset, cell.train_images, cell.seed), steps)
    pending: list[Tensor] = []
    for step in range(1, steps + 1):
        started = time.perf_counter()
        pending.append(next(training))
        is_kept = step % max(1, steps // LOSSES_KEPT) == 0 or step == steps
        if is_kept or step in look_steps:
            losses: list[float] = torch.stack(pending).tolist()  # waits for the device, so not at every step
            _require_finite_losses(losses, step, steps)
            pending.clear()
            fit.losses += losses[-1:] if is_kept else []
        fit.train_seconds += time.perf_counter() - started
        if step in look_steps:
            started = time.perf_counter()
            seen = _predict(model, dataset.validation, cell, f"{step} of {steps}")
            fit.look(step, score(seen).top1_pct, model)
            fit.eval_seconds += time.perf_counter() - started
    return fit


def _require_finite_losses(losses: Sequence[float], step: int, steps: int) -> None:
    """Raise CellFailedError with the first step whose loss is no number. losses: up to this step, the last of them."""
    for at, loss in enumerate(losses, step - len(losses) + 1):
        if not math.isfinite(loss):
            raise CellFailedError(f"The training loss is {loss} at step {at} of {steps}.")


def _values(fit: _Fit, predictions: Predictions, images_seen: int) -> dict[str, Any]:
    return {
        **score(predictions).as_values(),
        "validation_top1_pct": max(fit.look_top1_pct),
        "images_seen": images_seen,
        "train_img_per_s": images_seen / fit.train_seconds,
        "train_seconds": fit.train_seconds,
        "eval_seconds": fit.eval_seconds,
        "best_validation_step": fit.best_step,
        "final_loss": fit.losses[-1],
    }


def _require_trainable(cell: TrainCell) -> None:
    """Raise UnsupportedError for settings that would otherwise be ignored or go wrong."""
    require_supported(cell.settings, cell.device)
    if cell.settings.precision == "fp16":
        raise UnsupportedError("Training in fp16 needs loss scaling, which is not implemented. Use bf16, tf32 or fp32.")
    if cell.settings.compile:
        raise UnsupportedError("Training with torch.compile is not implemented. Set compile = false.")
    if cell.settings.fold:
        raise UnsupportedError("A folded BatchNorm cannot be trained. Set fold = false.")


def _steps(cell: TrainCell, model: nn.Module, part: ImageSet, pool: NDArray[np.int64], steps: int) -> Iterator[Tensor]:
    """One optimiser step at each `next`; yields its loss, still on the device."""
    recipe, device = cell.recipe, torch.device(cell.device)
    images = torch.from_numpy(part.images).to(device)  # (N, H, W, 3), uint8
    labels = torch.from_numpy(part.labels).to(device)
    optimizer = create_optimizer_v2(
        model, opt=recipe.optimizer, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, momentum=0.9
    )
    scheduler = _scheduler(recipe, optimizer, steps)
    criterion: nn.Module = LabelSmoothingCrossEntropy(recipe.label_smoothing)  # type: ignore[no-untyped-call]
    shifts = torch.from_numpy(_shift_words(cell, steps)).to(device) if recipe.augmentation == "shift" else None
    for step, chosen in enumerate(batches(pool, recipe.batch_size, steps, cell.seed)):
        index = torch.from_numpy(chosen).to(device)
        batch = _normalise(images[index], cell.settings)
        if shifts is not None:
            batch = shift(batch, max(1, cell.resolution_px // SHIFT_FRACTION), shifts[step])
        batch = batch.contiguous(memory_format=_memory_format(cell.settings))
        model.train()
        with _autocast(cell):
            loss = criterion(class_scores(model, batch, cell.model, cell.num_classes), labels[index])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if recipe.grad_clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip_norm)
        optimizer.step()
        scheduler.step_update(step + 1)
        yield loss.detach()


def _scheduler(recipe: Recipe, optimizer: torch.optim.Optimizer, steps: int) -> Scheduler:
    """timm's warm-up and decay, counted in steps; the learning rate reaches zero after the last step."""
    warmup = round(steps * recipe.warmup_fraction)
    common: dict[str, Any] = {
        "t_initial": max(1, steps - warmup),
        "warmup_t": warmup,
        "warmup_lr_init": recipe.learning_rate / max(1, warmup),
        "warmup_prefix": True,
        "t_in_epochs": False,
    }
    if recipe.schedule == "cosine":
        return CosineLRScheduler(optimizer, lr_min=0.0, **common)
    return PolyLRScheduler(optimizer, power=1.0, lr_min=0.0, **common)


def _shift_words(cell: TrainCell, steps: int) -> NDArray[np.int64]:
    """(steps, B, 2) random words for the shifts; the same for every model at the same seed."""
    words = Stream("shift", cell.seed).words(steps, cell.recipe.batch_size, 2)
    return (words >> np.uint64(2)).astype(np.int64)  # non-negative


def _normalise(images: Tensor, settings: Settings) -> Tensor:
    """(B, H, W, 3) uint8 in [0, 255] to (B, 3, H, W) float in [-1, 1], as the ViT paper scales its inputs."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def _predict(model: nn.Module, part: ImageSet, cell: TrainCell, steps: str) -> Predictions:
    """steps: how many the model has been trained for, of how many."""

    def prepare(images: Tensor) -> Tensor:
        batch = _normalise(images.to(cell.device), cell.settings)
        return batch.contiguous(memory_format=_memory_format(cell.settings))

    model.eval()
    with _autocast(cell):
        what = f"{cell.model!r}, trained for {steps} steps, gives"
        return predict(lambda images: class_scores(model, images, cell.model, cell.num_classes), part, prepare, what)


def _autocast(cell: TrainCell) -> AbstractContextManager[object]:
    """Mixed precision for bf16; nothing for fp32 and tf32."""
    if cell.settings.precision == "bf16":
        return torch.autocast(cell.device, dtype=torch.bfloat16)
    return nullcontext()


def _memory_format(settings: Settings) -> torch.memory_format:
    return torch.channels_last if settings.memory_format == "channels_last" else torch.contiguous_format
