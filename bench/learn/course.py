"""A training as it goes, in one process or several: stopped and taken up again, it ends with the same weights.

Between two steps a training is its weights, what its optimiser remembers and the step's number: batches, learning rates
and random numbers follow from that number, so a checkpoint needs nothing else. What is trained, on what and by which
recipe is the business of the subclasses, fine-tuning and pretraining.
"""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn
from torch.nn import functional as F

from bench.data.decoded import SquareImages
from bench.errors import CellFailedError, RequestError, StoppedError, StoreError
from bench.learn.checkpoint import Checkpoint, Found, Progress, find, write
from bench.learn.conditions import conditions, notes_on_batches, random_word
from bench.learn.micro_batch import even_share, find_micro_batch, model_rate
from bench.learn.mixup import swapped
from bench.learn.optimiser import restore_state, state_tensors, zero_state
from bench.learn.pipeline import AHEAD, Batch, ScoringBatches, TrainingBatches, images_per_second
from bench.measure.accuracy import UNSTABLE, Columns, Predictions, require_finite
from bench.measure.devices import Clock, clock_for
from bench.measure.steps import class_scores, make_images
from bench.process_group import Team
from bench.suite.cell import FinetuneCell, PretrainCell

LOSSES_KEPT = 50  # points of the loss curve in a record
LOOK_EVERY = 10  # steps between two readings of the loss, each of which waits for the device
PROBE_BATCH, PROBE_BATCHES = 64, 16 + AHEAD + 1  # for the pipeline alone; those made ahead are not counted
SCORING_BATCH = 250  # images, or the micro-batch if that is less


class Course(ABC):
    """One training as it goes: the model and its optimiser on the device, and how far it has come.

    word: `Fine-tuning` or `Pretraining`, for messages. steps: of the whole training. batch_size: images of one step in
    all processes. train_images: that can be drawn. mean, std: of the inputs, a number for each channel. beside: cells
    that train at once on this machine.
    """

    word: str

    def __init__(
        self,
        cell: FinetuneCell | PretrainCell,
        model: nn.Module,
        *,
        initial_sha256: str | None,
        normalisation: tuple[tuple[float, ...], tuple[float, ...]],
        steps: int,
        train_images: int,
        team: Team,
        accelerator: Accelerator,
        workers: int,
        beside: int,
    ) -> None:
        self.cell, self.team, self.steps, self.train_images = cell, team, steps, train_images
        self.progress = Progress()
        self.kept: dict[str, Tensor] = {}  # weights beside those that are trained on
        self._beside = beside * team.size
        self._accelerator, self._workers, self._device = accelerator, workers, accelerator.device
        self._clock: Clock = clock_for(cell.device)
        self._initial_sha256 = initial_sha256
        self._mean, self._std = (torch.tensor(part, device=self._device).view(1, 3, 1, 1) for part in normalisation)
        self._model = model
        self._model.to(self._device)
        self._parameters = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        self._made = torch.empty(0)

    @property
    def batch_size(self) -> int:
        """Images of one optimiser step in all processes."""
        return self.cell.recipe.batch_size

    @property
    def mixes(self) -> bool:
        """Whether pairs of images are mixed, so that a micro-batch has to hold whole pairs."""
        return False

    @abstractmethod
    def learning_rate_at(self, step: int) -> float:
        """The learning rate of one step, the first being 0, from its number alone."""

    @abstractmethod
    def make_optimiser(self) -> torch.optim.Optimizer:
        """The optimiser of the model's parameters, with nothing remembered yet."""

    @abstractmethod
    def batches(self, steps: int, start_step: int, batch_size: int, micro_batch_size: int) -> TrainingBatches:
        """The training's batches from a step on."""

    @abstractmethod
    def mixing_share_at(self, step: int) -> float:
        """The share of its own in each mixed image of a step; 1 without mixing."""

    def changed_images(self, images: Tensor, step: int, first: int) -> Tensor:
        """What else happens to a micro-batch's images, (B, 3, R, R) in [0, 1], of which `first` is the first's place in
        the step's batch."""
        return images

    def loss_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of a micro-batch. logits: (B, C). labels: (B,)."""
        return F.cross_entropy(logits, labels)

    def is_look_due(self, step: int) -> bool:
        """Whether `look_at_validation` is called after this many steps."""
        return False

    def look_at_validation(self) -> None:  # noqa: B027 - not every training looks
        """Score the validation part, and set `kept` to the weights if they are the best so far."""

    def steps_here(self) -> int:
        """Steps of the whole training, asked for once before its first step; they may depend on this machine's pace."""
        return self.steps

    def start(self, folder: Path, machine: str, micro_batch_size: int | None) -> None:
        """Take up the folder's checkpoint, or begin: choose the micro-batch, measure the parts, forget the rest.

        The measurements leave the model as it was, and every step sets its own random state.
        """
        self._folder = folder
        self._description = {
            "cell": self.cell.cell_id,
            "initial_weights": self._initial_sha256,
            "train_images": self.train_images,
            "processes": self.team.size,
            **conditions(self._model, self._device, machine),
        }
        given = None if micro_batch_size is None else self._allowed(micro_batch_size)
        asked = self._description if given is None else {**self._description, "micro_batch_size": given}
        found = find(folder, asked) if self.team.is_first else Found()
        checkpoint = found.checkpoint
        # What the first process found counts for all of them; its tensors reach the others below.
        progress, description = self.team.gather(
            [(None, None) if checkpoint is None else (checkpoint.progress, checkpoint.description)]
        )[0]
        if checkpoint is not None:
            self._model.load_state_dict(checkpoint.model)
            self.kept = checkpoint.kept
        if progress is not None and description is not None:
            self.progress = progress.model_copy(update={"resumed": progress.resumed + 1})
            self.micro_batch_size = int(description["micro_batch_size"] or 1)
        for note in found.notes:
            self.note(note)
        self._share_state(self._model.state_dict())
        self._model.to(memory_format=self._memory_format)
        # Before the probe, which must find the memory that the optimiser leaves.
        self._optimiser = self.make_optimiser()
        zero_state(self._optimiser)
        if checkpoint is not None:
            restore_state(self._optimiser, self._parameters, checkpoint.optimiser)
        self._share_state(state_tensors(self._optimiser, self._parameters))
        if progress is None:
            self._measure_parts(given)
            self.steps = self.progress.steps = self.steps_here()
        else:
            self.steps = self.progress.steps
        self._description |= {"micro_batch_size": self.micro_batch_size}

    def run(self, checkpoint_every_s: float, stop: threading.Event) -> None:
        """All steps that are left. Raises StoppedError with a checkpoint written, CellFailedError for a loss that is
        no number."""
        steps, progress = self.steps, self.progress
        pending: list[Tensor] = []
        waited_before, written = progress.waited_s, time.monotonic()
        with self.batches(steps, progress.step, self.batch_size, self.micro_batch_size) as batches:
            started = self._clock.now()
            while progress.step < steps:
                pending.append(self._step(batches, progress.step))
                progress.step += 1
                is_last, is_look = progress.step == steps, self.is_look_due(progress.step)
                is_due = time.monotonic() - written >= checkpoint_every_s
                is_stopped, is_due = self._any(stop.is_set(), is_due)
                if not (is_last or is_look or is_stopped or is_due or progress.step % LOOK_EVERY == 0):
                    continue
                self._read_losses(pending)
                pending.clear()
                now = self._clock.now()
                progress.train_seconds += now - started
                progress.waited_s = waited_before + batches.waited_s
                if is_look:
                    self.look_at_validation()
                    progress.eval_seconds += self._clock.now() - now
                if (is_stopped or is_due) and not is_last:
                    problem = self._write()
                    written = time.monotonic()
                    if is_stopped:
                        raise StoppedError(
                            f"{self.word} {self.cell.model!r} was stopped after step {progress.step} of {steps}. "
                            + (problem or "The same command goes on from there.")
                        )
                started = self._clock.now()

    def predictions(self, scored: SquareImages, labels: np.ndarray[Any, Any], keys: tuple[str, ...]) -> Predictions:
        """The model's predictions, each image once, in every process. Raises CellFailedError for no numbers."""
        peak = f"a peak learning rate of {self.cell.recipe.learning_rate:g}"
        what = f"{self.word} {self.cell.model!r}, after {self.progress.step} of {self.steps} steps at {peak}, gives"
        self._share_state(dict(self._model.named_buffers()))  # BatchNorm's statistics are the first process's
        self._model.eval()
        columns: list[Columns] = []
        batches = ScoringBatches(
            scored,
            labels,
            batch_size=min(SCORING_BATCH, self.micro_batch_size),
            resolution_px=self.cell.resolution_px,
            device=self._device,
            workers=self._workers,
            rank=self.team.rank,
            size=self.team.size,
        )
        done = self.team.rank * len(scored) // self.team.size  # this process's share begins there
        with torch.inference_mode(), batches:
            for batch in batches:
                logits = self._logits(batch.images).cpu()
                require_finite(logits, keys[done:], what, UNSTABLE)
                done += len(logits)
                columns.append(Columns.of(logits, batch.labels.cpu()))
        shares = self.team.gather([Columns.joined(columns)])
        return Predictions(keys, labels, Columns.joined(shares), self.cell.num_classes or 0)

    def rates_and_costs(self) -> dict[str, Any]:
        """What a record holds of any training: how much was seen, how fast, with what interruptions."""
        progress, images_seen = self.progress, self.steps * self.batch_size
        return {
            "train_images": self.train_images,
            "steps": self.steps,
            "images_seen": images_seen,
            "params": sum(parameter.numel() for parameter in self._model.parameters()),
            "train_img_per_s": images_seen / progress.train_seconds,
            **progress.rates,
            "wait_share": progress.waited_s / progress.train_seconds,
            "train_seconds": progress.train_seconds,
            "resumed": progress.resumed,
            "micro_batch_size": self.micro_batch_size,
            "processes": self.team.size,
            "final_loss": progress.losses[-1],
            "num_classes": self.cell.num_classes,
            "notes": [
                *progress.notes,
                *notes_on_batches(self._model, self.micro_batch_size, self.batch_size, self.team.size, self.mixes),
            ],
        }

    def note(self, note: str) -> None:
        """Remember what a reader of the result must know, once."""
        if note not in self.progress.notes:
            self.progress.notes.append(note)

    def step_rate(self, seconds: float) -> float:
        """Images per second of whole optimiser steps with the pipeline, over about so many seconds.

        Weights, buffers and the optimiser's state are afterwards as they were before.
        """
        before = {name: tensor.clone() for name, tensor in self._model.state_dict().items()}
        steps, started, counted_from = 0, 0.0, 2  # the first steps allocate memory
        with self.batches(10**6, 0, self.batch_size, self.micro_batch_size) as batches:
            # all processes make the same number of steps, or they would wait for one another
            while self._any(steps < counted_from + 3 or self._clock.now() - started < seconds)[0]:
                if steps == counted_from:
                    started = self._clock.now()
                self._step(batches, 0)
                steps += 1
            rate = (steps - counted_from) * self.batch_size / (self._clock.now() - started)
        self._model.load_state_dict(before)
        zero_state(self._optimiser)
        return self.team.gather([rate])[0]

    def _step(self, batches: TrainingBatches, step: int) -> Tensor:
        """One optimiser step; this process's part of the batch's mean loss, still on the device."""
        torch.manual_seed(random_word(self.cell.task, self.cell.seed, step, self.team.rank))
        for group in self._optimiser.param_groups:
            group["lr"] = self.learning_rate_at(step)
        mix = self.mixing_share_at(step)
        first = self.team.rank * self.batch_size // self.team.size
        if not self._model.training:  # walking through all modules at every step is 3 % of a small model's
            self._model.train()
        total = torch.zeros((), device=self._device)
        is_over = False
        while not is_over:
            batch: Batch = next(batches)
            images = self.changed_images(batch.images, step, first)
            first += len(batch.labels)
            loss = self._loss(images, batch.labels, mix) * batch.share
            self._accelerator.backward(loss)
            total += loss.detach()
            is_over = batch.ends_step
        if self.team.size > 1:
            for parameter in self._parameters.values():
                if parameter.grad is not None:
                    parameter.grad = self._accelerator.reduce(parameter.grad, reduction="sum")
        if self.cell.recipe.grad_clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters.values(), self.cell.recipe.grad_clip_norm)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return total

    def _loss(self, images: Tensor, labels: Tensor, mix: float) -> Tensor:
        """Mean loss of a micro-batch, of pairs of neighbours mixed in the share `mix` : 1 - mix."""
        if mix == 1.0:
            return self.loss_of(self._logits(images), labels)
        logits = self._logits(images * mix + swapped(images) * (1 - mix))
        return self.loss_of(logits, labels) * mix + self.loss_of(logits, swapped(labels)) * (1 - mix)

    def _logits(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) in [0, 1] to (B, C), float32."""
        normal = ((images - self._mean) / self._std).contiguous(memory_format=self._memory_format)
        with self._accelerator.autocast():
            logits = class_scores(self._model, normal, self.cell.model, self.cell.num_classes)
        return logits.float()

    def _read_losses(self, pending: list[Tensor]) -> None:
        """Read the losses of the steps since the last time, keep those that a record keeps.

        Raises CellFailedError with the first step whose loss is not a number, in all processes.
        """
        steps = self.steps
        losses: list[float] = self._summed(torch.stack(pending)).tolist()
        for step, loss in enumerate(losses, self.progress.step - len(pending) + 1):
            if not math.isfinite(loss):
                raise CellFailedError(
                    f"The {self.word.lower()} loss is {loss} at step {step} of {steps}, at a peak learning rate of "
                    f"{self.cell.recipe.learning_rate:g}. Try a lower one."
                )
            if step % max(1, steps // LOSSES_KEPT) == 0 or step == steps:
                self.progress.losses.append(loss)

    def _write(self) -> str | None:
        """Write a checkpoint; what went wrong, or None. A full disk must not end a training that could finish."""
        if not self.team.is_first:
            return None
        remembered = state_tensors(self._optimiser, self._parameters)
        state = self._model.state_dict()
        try:
            write(self._folder, Checkpoint(self._description, self.progress, state, remembered, self.kept))
        except StoreError as error:
            self.note("A checkpoint could not be written; the training went on without it.")
            return str(error)
        return None

    def _measure_parts(self, micro_batch_size: int | None) -> None:
        """Choose the micro-batch if it is not given, and measure the rates of the model and of the pipeline alone."""
        most = -(-self.batch_size // self.team.size)  # the largest slice of any process
        passes = self.steps * -(-most // (micro_batch_size or most))
        if micro_batch_size is None:
            # Gradients are summed in copies of their own, which the probe must leave room for.
            elements = sum(parameter.numel() for parameter in self._parameters.values())
            room = torch.empty(elements if self.team.size > 1 else 0, device=self._device)
            found = find_micro_batch(self._model, self._pass, most, self._device, self._clock, self._beside, passes)
            del room
            self.micro_batch_size = min(self.team.gather([self._allowed(found.size)]))
            rate = found.img_per_s
            if found.tried:
                self.note(
                    f"Memory was short for {found.tried[-1]} images at once: batches of {self.batch_size} were "
                    f"made of {self.micro_batch_size} at a time."
                )
        else:
            self.micro_batch_size = micro_batch_size
            rate = model_rate(self._model, self._pass, micro_batch_size, self._clock, passes)
        self._made = torch.empty(0)
        rates = self.team.gather([(rate, self._pipeline_rate())])
        self.progress.rates = {
            "model_img_per_s": sum(model for model, _ in rates),
            "pipeline_img_per_s": sum(pipeline for _, pipeline in rates),
        }

    def _pass(self, images: int) -> None:
        """Forward and backward of so many made-up images."""
        if len(self._made) != images:  # once for each size: drawing them takes longer than a GPU's pass
            self._made = torch.empty(0)  # no room for two sizes at once
            self._made = make_images(
                images, self.cell.resolution_px, dtype=torch.float32, channels_last=False, device=str(self._device)
            )
        labels = torch.zeros(images, dtype=torch.int64, device=self._device)
        self._model.train()
        self._accelerator.backward(self._loss(self._made, labels, 0.5 if self.mixes else 1.0))

    def _pipeline_rate(self) -> float:
        """Images per second of the pipeline when nothing else is done, in small batches: it goes by the image."""
        batch_size = min(PROBE_BATCH, self.batch_size)
        return images_per_second(self.batches(PROBE_BATCHES, 0, batch_size * self.team.size, batch_size))

    def _share_state(self, tensors: dict[str, Tensor]) -> None:
        """Give all processes the first one's numbers."""
        if self.team.size > 1:
            with torch.no_grad():
                for tensor in tensors.values():
                    tensor.copy_(broadcast(tensor.detach().to(self._device).contiguous()))

    def _summed(self, tensor: Tensor) -> Tensor:
        summed: Tensor = self._accelerator.reduce(tensor, reduction="sum") if self.team.size > 1 else tensor
        return summed

    def _any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag whether any process has it set: all must write and stop at the same step."""
        if self.team.size == 1:
            return flags
        votes = self._summed(torch.tensor(flags, dtype=torch.float32, device=self._device))
        return tuple(bool(vote) for vote in votes.tolist())

    def _allowed(self, micro_batch_size: int) -> int:
        """The micro-batch that is used where this many images are allowed: parts of one size, and pairs for mixup."""
        if micro_batch_size < 1:
            raise RequestError(f"A micro-batch of {micro_batch_size} images was asked for; the smallest is 1.")
        largest_slice = -(-self.batch_size // self.team.size)
        even = even_share(largest_slice, min(micro_batch_size, largest_slice))
        return even + even % 2 if self.mixes else even

    @property
    def _memory_format(self) -> torch.memory_format:
        is_last = self.cell.settings.memory_format == "channels_last"
        return torch.channels_last if is_last else torch.contiguous_format
