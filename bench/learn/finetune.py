"""Adapting pretrained weights to a data set, in one process or several, and scoring the result once.

Between two steps the training is its weights, its momentum and the step's number: batches, learning rates and random
numbers follow from that number, so a checkpoint needs nothing else.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import broadcast
from numpy.typing import NDArray
from scipy.special import betaincinv
from torch import Tensor, nn
from torch.nn import functional as F

from bench import units
from bench.data.collection import ImageCollection, PartName
from bench.data.decoded import SquareImages, stored_images
from bench.data.randomness import Stream, uniform_of_words
from bench.errors import CellFailedError, RequestError, StoppedError, StoreError, UnsupportedError
from bench.learn.checkpoint import Checkpoint, Found, Progress, find, tensors_sha256, write
from bench.learn.micro_batch import even_share, find_micro_batch, model_rate
from bench.learn.pipeline import AHEAD, Batch, ScoringBatches, TrainingBatches, images_per_second
from bench.learn.team import Team
from bench.measure.accuracy import Predictions, columns_of, score
from bench.measure.clock import Clock, clock_for
from bench.measure.images import make_images
from bench.measure.oom import memory_limit_named
from bench.measure.settings import require_supported, tf32_allowed
from bench.measure.weights import LoadedModel, zero_head
from bench.suite.cell import FinetuneCell
from bench.suite.recipes import learning_rate_at

MOMENTUM = 0.9  # both papers
LOSSES_KEPT = 50  # points of the loss curve in a record
STOP_LOOK_SECONDS = 1.0  # between two looks at whether to stop while images are decoded
LOOK_EVERY = 10  # steps between two readings of the loss, each of which waits for the device
PROBE_BATCH, PROBE_BATCHES = 64, 16 + AHEAD + 1  # for the pipeline alone; those made ahead are not counted
SCORING_BATCH = 250  # images, or the micro-batch if that is less
DIGITS = 16  # of a hash, as for the weights that a cell starts from
PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "accelerate", "pillow")  # that can move a number


@dataclass(frozen=True)
class Finetuning:
    """What one fine-tuning gave: values and samples as records hold them, and the scored part's predictions."""

    values: dict[str, Any]
    samples: dict[str, list[float]]
    predictions: Predictions


@dataclass(frozen=True)
class _Images:
    """What is trained on and what is scored, as squares of their sizes."""

    train: SquareImages
    train_labels: NDArray[np.int64]
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

    A trial (scored_part `validation`) trains on `train`; a final run trains on `train` and `validation` together.
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
    _require_trainable(cell, team, len(collection.class_names))
    with contextlib.ExitStack() as held:
        accelerator = held.enter_context(_accelerated(cell, team))
        if cell.device == "cuda":
            held.enter_context(tf32_allowed(cell.settings.precision == "tf32"))
        held.enter_context(memory_limit_named(f"Fine-tuning {cell.model!r} at {cell.resolution_px} px"))
        images = _load_images(cell, collection, team, stop)
        course = _Course(cell, loaded, images, team, accelerator, workers, beside)
        course.start(checkpoints, machine, micro_batch_size)
        course.run(checkpoint_every_s, stop)
        started = time.perf_counter()
        predictions = course.score()
        eval_seconds = time.perf_counter() - started
    return Finetuning(
        values=_scores(predictions) | course.values(macs) | {"eval_seconds": eval_seconds},
        samples={"loss": course.progress.losses},
        predictions=predictions,
    )


class _Course:
    """One training as it goes: the model and its momentum on the device, and how far it has come."""

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
        self.cell, self.recipe, self.images, self.team = cell, cell.recipe, images, team
        self.progress = Progress()
        self._beside = beside * team.size
        self._accelerator, self._workers, self._device = accelerator, workers, accelerator.device
        self._clock: Clock = clock_for(cell.device)
        self._initial_sha256 = loaded.sha256
        self._mean = torch.tensor(loaded.config["mean"], device=self._device).view(1, 3, 1, 1)
        self._std = torch.tensor(loaded.config["std"], device=self._device).view(1, 3, 1, 1)
        self._model = loaded.model
        if not zero_head(self._model, cell.num_classes or 0):
            self._note("The head starts as it was loaded: the model does not say which layer is its classifier.")
        self._model.to(self._device)
        self._parameters = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        self._made = torch.empty(0)

    def start(self, folder: Path, machine: str, micro_batch_size: int | None) -> None:
        """Take up the folder's checkpoint, or begin: choose the micro-batch, measure the parts, and set momentum to 0.

        The measurements leave the model as it was, and every step sets its own random state.
        """
        self._folder = folder
        self._description = self._describe(machine)
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
        if progress is not None and description is not None:
            self.progress = progress.model_copy(update={"resumed": progress.resumed + 1})
            self.micro_batch_size = int(description["micro_batch_size"] or 1)
        for note in found.notes:
            self._note(note)
        self._share_state(self._model.state_dict())
        self._model.to(memory_format=self._memory_format)
        # Before the probe, which must find the memory that momentum leaves.
        self._optimizer = self._momentum_sgd({} if checkpoint is None else checkpoint.momentum)
        if progress is None:
            self._measure_parts(given)
        self._description |= {"micro_batch_size": self.micro_batch_size}

    def run(self, checkpoint_every_s: float, stop: threading.Event) -> None:
        """All steps that are left. Raises StoppedError and CellFailedError as `finetune` says."""
        steps, progress = self.recipe.steps, self.progress
        pending: list[Tensor] = []
        waited_before, written = progress.waited_s, time.monotonic()
        with self._batches(steps, progress.step, self.recipe.batch_size, self.micro_batch_size) as batches:
            started = self._clock.now()
            while progress.step < steps:
                pending.append(self._step(batches, progress.step))
                progress.step += 1
                is_last = progress.step == steps
                is_due = time.monotonic() - written >= checkpoint_every_s
                is_stopped, is_due = self._any(stop.is_set(), is_due)
                if not (is_last or is_stopped or is_due or progress.step % LOOK_EVERY == 0):
                    continue
                self._look(pending)
                pending.clear()
                now = self._clock.now()
                progress.train_seconds += now - started
                progress.waited_s = waited_before + batches.waited_s
                if (is_stopped or is_due) and not is_last:
                    problem = self._write()
                    written = time.monotonic()
                    if is_stopped:
                        raise StoppedError(
                            f"Fine-tuning {self.cell.model!r} was stopped after step {progress.step} of {steps}. "
                            + (problem or "The same command goes on from there.")
                        )
                started = self._clock.now()

    def score(self) -> Predictions:
        """The scored part's predictions, each image once, in every process. Raises CellFailedError for no numbers."""
        self._share_state(dict(self._model.named_buffers()))  # BatchNorm's statistics are the first process's
        self._model.eval()
        columns: list[tuple[Tensor, Tensor, Tensor]] = []
        batches = ScoringBatches(
            self.images.scored,
            self.images.scored_labels,
            batch_size=min(SCORING_BATCH, self.micro_batch_size),
            resolution_px=self.cell.resolution_px,
            device=self._device,
            workers=self._workers,
            rank=self.team.rank,
            size=self.team.size,
        )
        with torch.inference_mode(), batches:
            for batch in batches:
                logits = self._logits(batch.images).cpu()
                if not bool(torch.isfinite(logits).all()):
                    raise CellFailedError(
                        f"The fine-tuned model gives scores that are no numbers, after {self.recipe.steps} steps at a "
                        f"peak learning rate of {self.recipe.learning_rate:g}. Try a lower one."
                    )
                columns.append(columns_of(logits, batch.labels.cpu()))
        mine = tuple(torch.cat(parts).numpy() for parts in zip(*columns, strict=True)) if columns else None
        shares = [share for share in self.team.gather([mine]) if share is not None]
        predictions, probability, rank = (np.concatenate(parts) for parts in zip(*shares, strict=True))
        classes = self.cell.num_classes or 0
        return Predictions(self.images.scored_keys, self.images.scored_labels, predictions, probability, rank, classes)

    def values(self, macs: int) -> dict[str, Any]:
        """What a record holds of the training; of the accuracy see `_scores`."""
        progress, images_seen = self.progress, self.recipe.steps * self.recipe.batch_size
        return {
            "train_images": len(self.images.train_labels),
            "steps": self.recipe.steps,
            "images_seen": images_seen,
            "macs": macs,
            "params": sum(parameter.numel() for parameter in self._model.parameters()),
            "train_flop": units.training_flops(macs, images_seen),
            "train_img_per_s": images_seen / progress.train_seconds,
            **progress.rates,
            "wait_share": progress.waited_s / progress.train_seconds,
            "train_seconds": progress.train_seconds,
            "weights_sha256": tensors_sha256(self._model.state_dict())[:DIGITS],
            "initial_weights_sha256": self._initial_sha256,
            "resumed": progress.resumed,
            "micro_batch_size": self.micro_batch_size,
            "processes": self.team.size,
            "final_loss": progress.losses[-1],
            "num_classes": self.cell.num_classes,
            "notes": [*progress.notes, *self._notes_on_batches()],
        }

    def _step(self, batches: TrainingBatches, step: int) -> Tensor:
        """One optimiser step; this process's part of the batch's mean loss, still on the device."""
        torch.manual_seed(_word("finetune", self.cell.seed, step, self.team.rank))
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate_at(self.recipe, step)
        mix = mixing_share(self.recipe.mixup_alpha, self.cell.seed, step)
        self._model.train()
        total = torch.zeros((), device=self._device)
        is_over = False
        while not is_over:
            batch: Batch = next(batches)
            loss = self._loss(batch.images, batch.labels, mix) * batch.share
            self._accelerator.backward(loss)
            total += loss.detach()
            is_over = batch.ends_step
        if self.team.size > 1:
            for parameter in self._parameters.values():
                if parameter.grad is not None:
                    parameter.grad = self._accelerator.reduce(parameter.grad, reduction="sum")
        if self.recipe.grad_clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters.values(), self.recipe.grad_clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return total

    def _loss(self, images: Tensor, labels: Tensor, mix: float) -> Tensor:
        """Mean cross-entropy of a micro-batch, of pairs of neighbours mixed in the share `mix` : 1 - mix."""
        if mix == 1.0:
            return F.cross_entropy(self._logits(images), labels)
        other = neighbours(len(labels), labels.device)
        logits = self._logits(images * mix + images[other] * (1 - mix))
        return F.cross_entropy(logits, labels) * mix + F.cross_entropy(logits, labels[other]) * (1 - mix)

    def _logits(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) in [0, 1] to (B, C), float32."""
        normal = ((images - self._mean) / self._std).contiguous(memory_format=self._memory_format)
        with self._accelerator.autocast():
            logits: Tensor = self._model(normal)
        return logits.float()

    def _look(self, pending: list[Tensor]) -> None:
        """Read the losses of the steps since the last look, keep those that a record keeps.

        Raises CellFailedError with the first step whose loss is not a number, in all processes.
        """
        steps = self.recipe.steps
        losses: list[float] = self._summed(torch.stack(pending)).tolist()
        for step, loss in enumerate(losses, self.progress.step - len(pending) + 1):
            if not math.isfinite(loss):
                raise CellFailedError(
                    f"The fine-tuning loss is {loss} at step {step} of {steps}, at a peak learning rate of "
                    f"{self.recipe.learning_rate:g}. Try a lower one."
                )
            if step % max(1, steps // LOSSES_KEPT) == 0 or step == steps:
                self.progress.losses.append(loss)

    def _write(self) -> str | None:
        """Write a checkpoint; what went wrong, or None. A full disk must not end a training that could finish."""
        if not self.team.is_first:
            return None
        momentum = {name: self._optimizer.state[p]["momentum_buffer"] for name, p in self._parameters.items()}
        try:
            write(self._folder, Checkpoint(self._description, self.progress, self._model.state_dict(), momentum))
        except StoreError as error:
            self._note("A checkpoint could not be written; the training went on without it.")
            return str(error)
        return None

    def _note(self, note: str) -> None:
        if note not in self.progress.notes:
            self.progress.notes.append(note)

    def _batches(self, steps: int, start_step: int, batch_size: int, micro_batch_size: int) -> TrainingBatches:
        recipe = self.recipe
        return TrainingBatches(
            self.images.train,
            self.images.train_labels,
            batch_size=batch_size,
            micro_batch_size=micro_batch_size,
            steps=steps,
            start_step=start_step,
            seed=self.cell.seed,
            resolution_px=self.cell.resolution_px,
            crop=recipe.crop,
            flip=recipe.flip,
            device=self._device,
            workers=self._workers,
            rank=self.team.rank,
            size=self.team.size,
        )

    def _measure_parts(self, micro_batch_size: int | None) -> None:
        """Choose the micro-batch if it is not given, and measure the rates of the model and of the pipeline alone."""
        most = -(-self.recipe.batch_size // self.team.size)  # the largest slice of any process
        if micro_batch_size is None:
            # Gradients are summed in copies of their own, which the probe must leave room for.
            room = torch.empty(self._momentum_elements() if self.team.size > 1 else 0, device=self._device)
            found = find_micro_batch(self._model, self._pass, most, self._device, self._clock, self._beside)
            del room
            self.micro_batch_size = min(self.team.gather([self._allowed(found.size)]))
            rate = found.img_per_s
            if found.tried:
                self._note(
                    f"Memory was short for {found.tried[-1]} images at once: batches of {self.recipe.batch_size} were "
                    f"made of {self.micro_batch_size} at a time."
                )
        else:
            self.micro_batch_size = micro_batch_size
            rate = model_rate(self._model, self._pass, micro_batch_size, self._clock)
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
        self._accelerator.backward(self._loss(self._made, labels, 0.5 if self.recipe.mixup_alpha else 1.0))

    def _pipeline_rate(self) -> float:
        """Images per second of the pipeline when nothing else is done, in small batches: it goes by the image."""
        batch_size = min(PROBE_BATCH, self.recipe.batch_size)
        return images_per_second(self._batches(PROBE_BATCHES, 0, batch_size * self.team.size, batch_size))

    def _momentum_sgd(self, momentum: dict[str, Tensor]) -> torch.optim.SGD:
        """SGD with its momentum there from the start, so that memory does not grow at the first step."""
        optimizer = torch.optim.SGD(
            self._parameters.values(),
            lr=self.recipe.learning_rate,
            momentum=MOMENTUM,
            weight_decay=self.recipe.weight_decay,
        )
        buffers = {
            name: momentum[name].to(self._device) if name in momentum else torch.zeros(p.shape, device=self._device)
            for name, p in self._parameters.items()
        }
        self._share_state(buffers)
        for name, parameter in self._parameters.items():
            buffer = torch.zeros_like(parameter)  # laid out as the parameter is
            optimizer.state[parameter]["momentum_buffer"] = buffer.copy_(buffers[name])
        return optimizer

    def _momentum_elements(self) -> int:
        return sum(parameter.numel() for parameter in self._parameters.values())

    def _share_state(self, tensors: dict[str, Tensor]) -> None:
        """Give all processes the first one's numbers."""
        if self.team.size > 1:
            with torch.no_grad():
                for tensor in tensors.values():
                    tensor.copy_(broadcast(tensor.detach().contiguous()))

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
        largest_slice = -(-self.recipe.batch_size // self.team.size)
        even = even_share(largest_slice, min(micro_batch_size, largest_slice))
        return even + even % 2 if self.recipe.mixup_alpha else even

    def _describe(self, machine: str) -> dict[str, str | int | None]:
        """All that must be the same for a checkpoint to be continued bit for bit, but the micro-batch."""
        shapes = " ".join(f"{name}{tuple(tensor.shape)}" for name, tensor in self._model.state_dict().items())
        return {
            "cell": self.cell.cell_id,
            "initial_weights": self._initial_sha256,
            "tensors": f"{_word(shapes):016x}",
            "train_images": len(self.images.train_labels),
            "processes": self.team.size,
            "device": _device_name(self._device),
            "machine": machine,
            "threads": torch.get_num_threads(),
            "deterministic": int(torch.are_deterministic_algorithms_enabled()),
            **{package: version(package) for package in PACKAGES},
        }

    def _notes_on_batches(self) -> list[str]:
        """Where the result depends on how a batch was divided."""
        modules, notes = list(self._model.modules()), []
        is_divided = self.micro_batch_size < self.recipe.batch_size
        if is_divided and any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in modules):
            notes.append(
                f"BatchNorm took its statistics from {self.micro_batch_size} images at a time, not from the whole "
                f"batch of {self.recipe.batch_size}"
                + (", and its running ones from the first process's images." if self.team.size > 1 else ".")
            )
        if is_divided and any(_drops(module) for module in modules):
            notes.append(f"Dropout was drawn for {self.micro_batch_size} images at a time.")
        if self.recipe.mixup_alpha and self.recipe.batch_size % (2 * self.team.size):
            notes.append("Mixup paired images within each process's part of a batch, of which some have an odd number.")
        return notes

    @property
    def _memory_format(self) -> torch.memory_format:
        is_last = self.cell.settings.memory_format == "channels_last"
        return torch.channels_last if is_last else torch.contiguous_format


def mixing_share(alpha: float, seed: int, step: int) -> float:
    """The share of its own in each mixed image of a step, drawn from Beta(alpha, alpha); 1 without mixup.

    One number for a whole batch, as in BiT's released code. Source: Zhang et al. 2017, arXiv 1710.09412.
    """
    if not alpha:
        return 1.0
    unit = uniform_of_words(Stream("mixup", seed, step).words(1))[0]
    return float(betaincinv(alpha, alpha, float(unit)))


def neighbours(count: int, device: torch.device | str = "cpu") -> Tensor:
    """(count,), int64: 1, 0, 3, 2, ...; the last of an odd number is its own.

    The batch's order is random already, so neighbours are as good as random pairs, and a micro-batch of an even size
    holds whole pairs: how a batch is divided does not change what is mixed.
    """
    index = torch.arange(count, device=device) ^ 1
    return index.clamp(max=count - 1)


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
    return _Images(train, labels, scored, scored_part.labels, scored_part.keys)


def _scores(predictions: Predictions) -> dict[str, Any]:
    accuracy = score(predictions)
    return {
        "top1_pct": accuracy.top1_pct,
        "top5_pct": accuracy.top5_pct,
        "mean_per_class_pct": accuracy.mean_per_class_pct,
        "scored_images": len(predictions.labels),
    }


@contextlib.contextmanager
def _accelerated(cell: FinetuneCell, team: Team) -> Iterator[Accelerator]:
    """accelerate's view of this process: its device and precision. Nothing of it is left for the next cell."""
    AcceleratorState._reset_state()  # it refuses another precision than that of the cell before
    mixed = "bf16" if cell.settings.precision == "bf16" else "no"
    try:
        yield Accelerator(cpu=cell.device == "cpu", mixed_precision=mixed)
    finally:
        AcceleratorState._reset_state()
        if team.size == 1:  # a team of several made its own state and ends it
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            PartialState._reset_state()


def _require_trainable(cell: FinetuneCell, team: Team, classes: int) -> None:
    """Raise for what would otherwise be ignored or go wrong."""
    require_supported(cell.settings, cell.device)
    if cell.settings.precision == "fp16":
        raise UnsupportedError(
            "Fine-tuning in fp16 needs loss scaling, which is not implemented. Use bf16, tf32 or fp32."
        )
    if cell.settings.compile:
        raise UnsupportedError("Fine-tuning with torch.compile is not implemented. Set compile = false.")
    if cell.settings.fold:
        raise UnsupportedError("A folded BatchNorm cannot be fine-tuned. Set fold = false.")
    if cell.recipe.batch_size < team.size:
        raise UnsupportedError(
            f"A batch of {cell.recipe.batch_size} images cannot be divided among {team.size} processes. Use fewer."
        )
    if cell.num_classes != classes:
        raise RequestError(
            f"Fine-tuning {cell.model!r} with {cell.num_classes} classes was asked for; data set {cell.dataset!r} has "
            f"{classes}."
        )


def _drops(module: nn.Module) -> bool:
    """Whether a layer leaves something out at random in training: dropout, or stochastic depth."""
    return bool(getattr(module, "p", 0.0) if isinstance(module, nn.modules.dropout._DropoutNd) else 0.0) or bool(
        getattr(module, "drop_prob", 0.0)
    )


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()}"


def _word(*names: str | int) -> int:
    """A number in [0, 2**63) that belongs to these names."""
    return int(Stream(*names).words(1)[0] >> np.uint64(1))
