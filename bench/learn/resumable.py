"""Trainings that can be stopped, continued bit for bit, divided among processes and into micro-batches."""

from __future__ import annotations

import contextlib
import threading
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from bench.data.decoding.square_cache import SquareImages
from bench.errors import RequestError, StoreError, UnsupportedError
from bench.learn.augment import Crop, mixing_share, swapped
from bench.learn.checkpoint import Checkpoint, Found, conditions, find, restore_state, state_tensors, write, zero_state
from bench.learn.micro_batch import even_share, find_micro_batch, model_rate, notes_on_batches
from bench.learn.pipeline import AHEAD, Batch, ScoringBatches, TrainingBatches, images_per_second
from bench.learn.trainer import Trainer, require_trainable
from bench.measure.devices import memory_limit_named
from bench.measure.scoring.accuracy import UNSTABLE, Columns, Predictions, require_finite
from bench.measure.settings import tf32_allowed
from bench.measure.timing.steps import make_images
from bench.process_group import ProcessGroup
from bench.suite.cell import FinetuneCell, PretrainCell

PROBE_BATCH, PROBE_BATCHES = 64, 16 + AHEAD + 1  # for the pipeline alone; those made ahead are not counted
SCORING_BATCH = 250  # images, or the micro-batch if that is less


@dataclass(frozen=True)
class Session:
    """How a training is carried out; of the numbers that it gives nothing but rounding depends on it.

    group: the processes that share it. Each takes its slice of every batch, and gradients are summed, so that the step
    is that of one process. (Summed here and not by DistributedDataParallel, whose buckets change after the first step,
    so that resuming would round differently.)
    checkpoints: a folder of this cell alone; one in it that was written under the same conditions is continued. The
    caller discards it (bench.learn.checkpoint) once the record is safe.
    micro_batch_size: images that go through the model at once in each process; None finds what fits. The result
    depends on it in rounding alone, except for BatchNorm and dropout, which a note then names.
    workers: processes that decode, for images that are not stored. machine: what else tells this machine from another
    on which a training cannot be continued bit for bit. beside: cells that train at once on this machine.
    """

    group: ProcessGroup
    checkpoints: Path
    checkpoint_every_s: float
    stop: threading.Event
    micro_batch_size: int | None = None
    workers: int = 0
    machine: str = ""
    beside: int = 1


@dataclass(frozen=True)
class LabelledSquares:
    """Images as squares of the side that the model sees, or a larger one that crops are cut from.

    labels: (N,), int64. keys: (N,), a name for each image, where they are scored.
    """

    squares: SquareImages
    labels: NDArray[Any]
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingImages:
    """What is trained on, and what happens to it. pool: (M,), the positions that are drawn from.

    mean, std: of the model's inputs, a number for each channel.
    """

    images: LabelledSquares
    pool: NDArray[np.int64]
    crop: Crop
    flip: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mixup_alpha: float = 0.0
    label_smoothing: float = 0.0


class ResumableTrainer(Trainer):
    """A training with checkpoints, in one process or several. initial_sha256: of the weights that it starts from."""

    cell: FinetuneCell | PretrainCell

    def __init__(
        self,
        cell: FinetuneCell | PretrainCell,
        model: nn.Module,
        trained_on: TrainingImages,
        session: Session,
        *,
        steps: int,
        initial_sha256: str | None,
    ) -> None:
        super().__init__(cell, model, steps=steps, group=session.group)
        self._trained_on, self._session, self._initial_sha256 = trained_on, session, initial_sha256
        self._mean, self._std = (
            torch.tensor(part, device=self._device).view(1, 3, 1, 1) for part in (trained_on.mean, trained_on.std)
        )
        self._made = torch.empty(0)

    @property
    def mixes(self) -> bool:
        """Whether pairs of images are mixed, so that a micro-batch has to hold whole pairs."""
        return bool(self._trained_on.mixup_alpha)

    @abstractmethod
    def make_optimiser(self) -> torch.optim.Optimizer:
        """The optimiser of the model's parameters, with nothing remembered yet."""

    def changed_images(self, batch: Batch) -> Tensor:
        """What else happens to a micro-batch's images, (B, 3, R, R) in [0, 1]."""
        return batch.images

    def steps_here(self) -> int:
        """Steps of the whole training, asked for once before its first step; they may depend on this machine's pace."""
        return self.steps

    def batches(self, start_step: int) -> TrainingBatches:
        return self._batches(self.steps, start_step, self.batch_size, self.micro_batch_size)

    def loss_of(self, batch: Batch, step: int) -> Tensor:
        mix = mixing_share(self._trained_on.mixup_alpha, self.cell.seed, step)
        return self._mixed_loss(self.changed_images(batch), batch.labels, mix)

    def start(self) -> None:
        """Take up the folder's checkpoint, or begin: choose the micro-batch, measure the parts, forget the rest.

        The measurements leave the model as it was, and every step sets its own random state.
        """
        asked_for = self._session.micro_batch_size
        self._description = {
            "cell": self.cell.cell_id,
            "initial_weights": self._initial_sha256,
            "train_images": len(self._trained_on.pool),
            "processes": self.group.size,
            **conditions(self._model, self._device, self._session.machine),
        }
        given = None if asked_for is None else self._allowed(asked_for)
        asked = self._description if given is None else {**self._description, "micro_batch_size": given}
        found = find(self._session.checkpoints, asked) if self.group.is_first else Found()
        checkpoint = found.checkpoint
        # What the first process found counts for all of them; its tensors reach the others below.
        progress, description = self.group.gather(
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
        self.group.share(self._model.state_dict().values())
        self._model.to(memory_format=self._memory_format)
        # Before the probe, which must find the memory that the optimiser leaves.
        self._optimiser = self.make_optimiser()
        zero_state(self._optimiser)
        if checkpoint is not None:
            restore_state(self._optimiser, self._parameters, checkpoint.optimiser)
        self.group.share(state_tensors(self._optimiser, self._parameters).values())
        if progress is None:
            self._measure_parts(given)
            self.steps = self.progress.steps = self.steps_here()
        else:
            self.steps = self.progress.steps
        self._description |= {"micro_batch_size": self.micro_batch_size}

    def write_checkpoint(self) -> str | None:
        """A full disk must not end a training that could finish."""
        if not self.group.is_first:
            return None
        remembered = state_tensors(self._optimiser, self._parameters)
        state = self._model.state_dict()
        try:
            checkpoint = Checkpoint(self._description, self.progress, state, remembered, self.kept)
            write(self._session.checkpoints, checkpoint)
        except StoreError as error:
            self.note("A checkpoint could not be written; the training went on without it.")
            return str(error)
        return None

    def predictions(self, scored: LabelledSquares) -> Predictions:
        """The model's predictions, each image once, in every process. Raises CellFailedError for no numbers."""
        peak = f"a peak learning rate of {self.cell.recipe.learning_rate:g}"
        what = f"{self.word} {self.cell.model!r}, after {self.progress.step} of {self.steps} steps at {peak}, gives"
        self.group.share(dict(self._model.named_buffers()).values())  # BatchNorm's statistics are the first process's
        self._model.eval()
        columns: list[Columns] = []
        batches = ScoringBatches(
            scored.squares,
            scored.labels,
            batch_size=min(SCORING_BATCH, self.micro_batch_size),
            resolution_px=self.cell.resolution_px,
            device=self._device,
            workers=self._session.workers,
            rank=self.group.rank,
            size=self.group.size,
        )
        done = self.group.rank * len(scored.squares) // self.group.size  # this process's share begins there
        with torch.inference_mode(), batches:
            for batch in batches:
                logits = self._scores(batch.images).cpu()
                require_finite(logits, scored.keys[done:], what, UNSTABLE)
                done += len(logits)
                columns.append(Columns.of(logits, batch.labels.cpu()))
        shares = self.group.gather([Columns.joined(columns)])
        return Predictions(scored.keys, scored.labels, Columns.joined(shares), self.cell.num_classes or 0)

    def values(self, macs: int) -> dict[str, Any]:
        """What a record holds of the training: how much was seen, how fast, with what interruptions."""
        progress = self.progress
        batch_notes = notes_on_batches(
            self._model, self.micro_batch_size, self.batch_size, self.group.size, mixes=self.mixes
        )
        return self.training_values(macs) | {
            "train_images": len(self._trained_on.pool),
            **progress.rates,
            "wait_share": progress.waited_s / progress.train_seconds,
            "resumed": progress.resumed,
            "micro_batch_size": self.micro_batch_size,
            "processes": self.group.size,
            "num_classes": self.cell.num_classes,
            "notes": [*progress.notes, *batch_notes],
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
        with self._batches(10**6, 0, self.batch_size, self.micro_batch_size) as batches:
            # all processes make the same number of steps, or they would wait for one another
            while self.group.any(steps < counted_from + 3 or self._clock.now() - started < seconds)[0]:
                if steps == counted_from:
                    started = self._clock.now()
                self._step(batches, 0)
                steps += 1
            rate = (steps - counted_from) * self.batch_size / (self._clock.now() - started)
        self._model.load_state_dict(before)
        zero_state(self._optimiser)
        return self.group.gather([rate])[0]

    def _batches(self, steps: int, start_step: int, batch_size: int, micro_batch_size: int) -> TrainingBatches:
        trained_on = self._trained_on
        return TrainingBatches(
            trained_on.images.squares,
            trained_on.images.labels,
            pool=trained_on.pool,
            batch_size=batch_size,
            micro_batch_size=micro_batch_size,
            steps=steps,
            start_step=start_step,
            seed=self.cell.seed,
            resolution_px=self.cell.resolution_px,
            crop=trained_on.crop,
            flip=trained_on.flip,
            device=self._device,
            workers=self._session.workers,
            rank=self.group.rank,
            size=self.group.size,
        )

    def _mixed_loss(self, images: Tensor, labels: Tensor, mix: float) -> Tensor:
        """Mean loss of a micro-batch, of pairs of neighbours mixed in the share `mix` : 1 - mix."""
        smoothing = self._trained_on.label_smoothing
        if mix == 1.0:
            return F.cross_entropy(self._scores(images), labels, label_smoothing=smoothing)
        logits = self._scores(images * mix + swapped(images) * (1 - mix))
        own, other = (F.cross_entropy(logits, mixed, label_smoothing=smoothing) for mixed in (labels, swapped(labels)))
        return own * mix + other * (1 - mix)

    def _scores(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) in [0, 1] to (B, C), float32."""
        with self._autocast():
            logits = self._logits((images - self._mean) / self._std)
        return logits.float()

    def _measure_parts(self, micro_batch_size: int | None) -> None:
        """Choose the micro-batch if it is not given, and measure the rates of the model and of the pipeline alone."""
        most = -(-self.batch_size // self.group.size)  # the largest slice of any process
        passes = self.steps * -(-most // (micro_batch_size or most))
        if micro_batch_size is None:
            # Gradients are summed in copies of their own, which the probe must leave room for.
            elements = sum(parameter.numel() for parameter in self._parameters.values())
            room = torch.empty(elements if self.group.size > 1 else 0, device=self._device)
            beside = self._session.beside * self.group.size
            found = find_micro_batch(self._model, self._pass, most, self._device, self._clock, beside, passes)
            del room
            self.micro_batch_size = min(self.group.gather([self._allowed(found.size)]))
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
        # The pipeline alone, when nothing else is done, in small batches: it goes by the image.
        batch_size = min(PROBE_BATCH, self.batch_size)
        pipeline = images_per_second(self._batches(PROBE_BATCHES, 0, batch_size * self.group.size, batch_size))
        of_models, of_pipelines = zip(*self.group.gather([(rate, pipeline)]), strict=True)
        self.progress.rates = {"model_img_per_s": sum(of_models), "pipeline_img_per_s": sum(of_pipelines)}

    def _pass(self, images: int) -> None:
        """Forward and backward of so many made-up images."""
        if len(self._made) != images:  # once for each size: drawing them takes longer than a GPU's pass
            self._made = torch.empty(0)  # no room for two sizes at once
            self._made = make_images(
                images, self.cell.resolution_px, dtype=torch.float32, channels_last=False, device=str(self._device)
            )
        labels = torch.zeros(images, dtype=torch.int64, device=self._device)
        self._model.train()
        self._mixed_loss(self._made, labels, 0.5 if self.mixes else 1.0).backward()  # type: ignore[no-untyped-call]

    def _allowed(self, micro_batch_size: int) -> int:
        """The micro-batch that is used where this many images are allowed: parts of one size, and pairs for mixup."""
        if micro_batch_size < 1:
            raise RequestError(f"A micro-batch of {micro_batch_size} images was asked for; the smallest is 1.")
        largest_slice = -(-self.batch_size // self.group.size)
        even = even_share(largest_slice, min(micro_batch_size, largest_slice))
        return even + even % 2 if self.mixes else even


@contextlib.contextmanager
def allowed_to_train(cell: FinetuneCell | PretrainCell, group: ProcessGroup, classes: int, word: str) -> Iterator[None]:
    """Within it the cell's precision holds and memory that runs out is named. classes: of the data set.

    Raises UnsupportedError or RequestError for what would otherwise be ignored or go wrong.
    """
    require_trainable(cell, word)
    if cell.recipe.batch_size < group.size:
        raise UnsupportedError(
            f"A batch of {cell.recipe.batch_size} images cannot be divided among {group.size} processes. Use fewer."
        )
    if cell.num_classes != classes:
        raise RequestError(
            f"{word} {cell.model!r} with {cell.num_classes} classes was asked for; data set {cell.dataset!r} has "
            f"{classes}."
        )
    is_tf32 = cell.settings.precision == "tf32"
    with (
        tf32_allowed(is_tf32) if cell.device == "cuda" else contextlib.nullcontext(),
        memory_limit_named(f"{word} {cell.model!r} at {cell.resolution_px} px"),
    ):
        yield
