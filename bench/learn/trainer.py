"""The loop of every training: steps, their losses, evaluations on the validation part, stopping and going on.

Between two steps a training is its weights, what its optimiser remembers and the step's number: batches, learning rates
and random numbers follow from that number. What is trained, on what and by which recipe is the business of the
subclasses: training from scratch (bench.learn.train), and by way of bench.learn.resumable fine-tuning and pretraining.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bench import units
from bench.data.generated.randomness import random_word
from bench.errors import CellFailedError, StoppedError, UnsupportedError
from bench.learn.checkpoint import Progress
from bench.learn.pipeline import Batch
from bench.measure.devices import Clock, clock_for, require_supported
from bench.measure.scoring.accuracy import Predictions, score
from bench.measure.timing.steps import class_scores
from bench.process_group import ProcessGroup
from bench.suite.cell import FinetuneCell, FinetuneRecipe, PretrainCell, PretrainRecipe, Recipe, TrainCell

LOSSES_KEPT = 50  # points of the loss curve in a record; enough to see divergence, 1 KB
READ_EVERY = 10  # steps between two readings of the loss, each of which waits for the device
HEAD_SPREAD = 0.02  # timm's own for ViTs
MOMENTUM = 0.9  # of SGD, in all papers that recipes follow


class BatchSource(Protocol):
    """Batches to train on, one after another. waited_s: seconds that were spent in waiting for them."""

    waited_s: float

    def __next__(self) -> Batch: ...

    def close(self) -> None: ...


class Trainer(ABC):
    """One training as it goes: the model and its optimiser on the device, and how far it has come.

    word: `Training`, `Fine-tuning` or `Pretraining`, for messages. evaluations: on the validation part, evenly
    spread over the steps. kept: the weights of the best evaluation so far.
    """

    word: str
    evaluations = 0

    def __init__(
        self, cell: TrainCell | FinetuneCell | PretrainCell, model: nn.Module, *, steps: int, group: ProcessGroup
    ) -> None:
        self.cell, self.group, self.steps = cell, group, steps
        self.progress = Progress()
        self.kept: dict[str, Tensor] = {}
        self._device = torch.device(group.device)
        self._clock: Clock = clock_for(cell.device)
        is_last = cell.settings.memory_format == "channels_last"
        self._memory_format = torch.channels_last if is_last else torch.contiguous_format
        self._model = model.to(self._device)
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._optimiser: torch.optim.Optimizer

    @property
    def batch_size(self) -> int:
        """Images of one optimiser step in all processes."""
        return self.cell.recipe.batch_size

    @abstractmethod
    def batches(self, start_step: int) -> BatchSource:
        """The training's batches from a step on."""

    @abstractmethod
    def loss_of(self, batch: Batch, step: int) -> Tensor:
        """Mean loss of a batch's images."""

    def validation_predictions(self) -> Predictions:
        """The model's predictions on the validation part, for the evaluations."""
        raise NotImplementedError  # a training without evaluations needs none

    def seed_step(self, step: int) -> None:
        """Set the random state of one step, so that a continued training draws what an uninterrupted one does."""
        torch.manual_seed(random_word(self.cell.task, self.cell.seed, step, self.group.rank))

    def write_checkpoint(self) -> str | None:
        """Write down how far the training has come, where it can be taken up; what went wrong, or None."""
        return None

    @property
    def advice(self) -> str:
        """How the message ends that names a loss that is no number."""
        return f", at a peak learning rate of {self.cell.recipe.learning_rate:g}. Try a lower one."

    def run(self, checkpoint_every_s: float = math.inf, stop: threading.Event | None = None) -> None:
        """All steps that are left. Raises StoppedError with a checkpoint written, CellFailedError for a loss that is
        no number."""
        steps, progress = self.steps, self.progress
        look_steps = {max(1, round(steps * (i + 1) / self.evaluations)) for i in range(self.evaluations)}
        pending: list[Tensor] = []
        waited_before, written = progress.waited_s, time.monotonic()
        with contextlib.closing(self.batches(progress.step)) as batches:
            started = self._clock.now()
            while progress.step < steps:
                pending.append(self._step(batches, progress.step))
                progress.step += 1
                is_last, is_evaluated = progress.step == steps, progress.step in look_steps
                is_due = time.monotonic() - written >= checkpoint_every_s
                is_stopped, is_due = self.group.any(stop is not None and stop.is_set(), is_due)
                if not (is_last or is_evaluated or is_stopped or is_due or progress.step % READ_EVERY == 0):
                    continue
                self._read_losses(pending)
                pending.clear()
                now = self._clock.now()
                progress.train_seconds += now - started
                progress.waited_s = waited_before + batches.waited_s
                if is_evaluated:
                    self._evaluate()
                    progress.eval_seconds += self._clock.now() - now
                if (is_stopped or is_due) and not is_last:
                    problem = self.write_checkpoint()
                    written = time.monotonic()
                    if is_stopped:
                        raise StoppedError(
                            f"{self.word} {self.cell.model!r} was stopped after step {progress.step} of {steps}. "
                            + (problem or "The same command goes on from there.")
                        )
                started = self._clock.now()

    def training_values(self, macs: int) -> dict[str, Any]:
        """What a record holds of any training. macs: of one image at the cell's resolution."""
        progress, images_seen = self.progress, self.steps * self.batch_size
        return {
            "steps": self.steps,
            "images_seen": images_seen,
            "params": sum(parameter.numel() for parameter in self._model.parameters()),
            "macs": macs,
            "train_flop": units.training_flops(macs, images_seen),
            "train_img_per_s": images_seen / progress.train_seconds,
            "train_seconds": progress.train_seconds,
            "final_loss": progress.losses[-1],
        }

    def evaluation_values(self) -> dict[str, Any]:
        """What a record holds of the evaluations on the validation part."""
        evaluations = dict(zip(self.progress.look_steps, self.progress.look_top1_pct, strict=True))
        best = max(evaluations.values())
        return {
            "validation_top1_pct": best,
            "best_validation_step": max(step for step, top1_pct in evaluations.items() if top1_pct == best),
            "eval_seconds": self.progress.eval_seconds,
        }

    def evaluation_samples(self) -> dict[str, list[float]]:
        """The curves of the training loss and of the evaluations, as a record holds them."""
        progress = self.progress
        return {
            "loss": progress.losses,
            "validation_step": [float(step) for step in progress.look_steps],
            "validation_top1_pct": progress.look_top1_pct,
        }

    def _step(self, batches: BatchSource, step: int) -> Tensor:
        """One optimiser step; this process's part of the batch's mean loss, still on the device."""
        self.seed_step(step)
        rate = learning_rate_at(self.cell.recipe, step, self.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        if not self._model.training:  # walking through all modules at every step is 3 % of a small model's
            self._model.train()
        total = torch.zeros((), device=self._device)
        is_over = False
        while not is_over:
            batch = next(batches)
            loss = self.loss_of(batch, step) * batch.share
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            is_over = batch.ends_step
        if self.group.size > 1:
            for parameter in self._parameters.values():
                if parameter.grad is not None:
                    parameter.grad = self.group.summed(parameter.grad)
        if self.cell.recipe.grad_clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters.values(), self.cell.recipe.grad_clip_norm)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return total

    def _logits(self, normal: Tensor) -> Tensor:
        """(B, 3, R, R), normalised, to (B, C)."""
        images = normal.contiguous(memory_format=self._memory_format)
        return class_scores(self._model, images, self.cell.model, self.cell.num_classes)

    def _autocast(self) -> AbstractContextManager[object]:
        """Mixed precision for bf16; nothing for fp32 and tf32."""
        if self.cell.settings.precision == "bf16":
            return torch.autocast(self._device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _read_losses(self, pending: list[Tensor]) -> None:
        """Read the losses of the steps since the last time, keep those that a record keeps.

        Raises CellFailedError with the first step whose loss is not a number, in all processes.
        """
        losses: list[float] = self.group.summed(torch.stack(pending)).tolist()
        for step, loss in enumerate(losses, self.progress.step - len(pending) + 1):
            if not math.isfinite(loss):
                raise CellFailedError(
                    f"The {self.word.lower()} loss is {loss} at step {step} of {self.steps}{self.advice}"
                )
            if step % max(1, self.steps // LOSSES_KEPT) == 0 or step == self.steps:
                self.progress.losses.append(loss)

    def _evaluate(self) -> None:
        """Score the validation part, and keep the weights if none were better. Of equals, the later ones count."""
        progress, accuracy = self.progress, score(self.validation_predictions())
        if not progress.look_top1_pct or accuracy.top1_pct >= max(progress.look_top1_pct):
            progress.tied_scores = accuracy.tied_scores
            self.kept = {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}
        progress.look_steps.append(progress.step)
        progress.look_top1_pct.append(accuracy.top1_pct)


def learning_rate_at(recipe: Recipe | FinetuneRecipe | PretrainRecipe, step: int, steps: int) -> float:
    """The learning rate of one step of `steps`, the first being 0, from its number alone.

    It rises in equal parts to the peak, which the last step of the warm-up has; in training from scratch, as timm
    counts, the step after it. Then it falls to zero after the last step, along a line or half a cosine, or in `stairs`
    to a tenth at 30, 60 and 90 % of all steps.
    """
    peak = recipe.learning_rate
    warmup = recipe.warmup_steps if isinstance(recipe, FinetuneRecipe) else round(steps * recipe.warmup_fraction)
    if step < warmup and isinstance(recipe, Recipe):
        return peak / warmup + step * ((peak - peak / warmup) / warmup)
    if step < warmup:
        return peak * (step + 1) / warmup
    if recipe.schedule == "stairs":
        falls = sum(10 * step >= tenths * steps for tenths in (3, 6, 9))
        return peak / 10.0**falls
    progress = (step - warmup) / (steps - warmup)
    if recipe.schedule == "linear":
        return peak * (1 - progress)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))


def steps_for_budget(budget_gflop: float, macs: int, batch_size: int) -> int:
    """Optimiser steps that a training budget pays for, at least one.

    budget_gflop: 3 x FLOPs x images seen, in 1e9 FLOPs. macs: multiply-adds of one image's forward pass.
    """
    return max(1, round(budget_gflop * units.GIGA / units.training_flops(macs, batch_size)))


def require_trainable(cell: TrainCell | FinetuneCell | PretrainCell, word: str) -> None:
    """Raise UnsupportedError for settings that would otherwise be ignored or go wrong."""
    require_supported(cell.settings, cell.device)
    if cell.settings.precision == "fp16":
        raise UnsupportedError(f"{word} in fp16 needs loss scaling, which is not implemented. Use bf16, tf32 or fp32.")
    if cell.settings.compile:
        raise UnsupportedError(f"{word} with torch.compile is not implemented. Set compile = false.")
    if cell.settings.fold:
        raise UnsupportedError(f"{word} needs BatchNorm as it is: a folded one cannot be trained. Set fold = false.")


def shrink_head(model: nn.Module, seed: int) -> None:
    """Draw the classifier's weights anew with a spread of 0.02, if the model says which layer that is.

    timm draws an EfficientNet's head with a spread of 1 / sqrt(classes): with 10 classes its first loss is 4.2 instead
    of 2.3, and a short training is spent on unlearning it. A head of zeros keeps a ViT on its plateau for longer.
    See docs/decisions.md.
    """
    head = model.get_classifier() if hasattr(model, "get_classifier") else None  # type: ignore[operator]
    if isinstance(head, nn.Linear):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            nn.init.trunc_normal_(head.weight, std=HEAD_SPREAD)
        if head.bias is not None:
            nn.init.zeros_(head.bias)
