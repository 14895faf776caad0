"""Accuracy of weights with their own head on labelled images, prepared as the weights were made to see them.

Every image is scored exactly once, however many processes share the work; the result does not depend on their number.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from timm.data.transforms_factory import create_transform
from torch import Tensor

from bench.data.sets.collection import LabelledImages
from bench.errors import BenchError, CellFailedError, DataError, OutOfMemoryError, UnsupportedError, first_line
from bench.measure.complexity import measure_complexity
from bench.measure.devices import is_out_of_memory
from bench.measure.outcome import Outcome
from bench.measure.scoring.accuracy import Columns, Predictions, require_finite, score
from bench.measure.scoring.class_order import head_order, note_on_order
from bench.measure.scoring.imagenet_checks import IMAGENET, check_against_published, real_score
from bench.measure.scoring.loading import load_batches
from bench.measure.settings import Applied, apply_settings
from bench.measure.timing.steps import class_scores
from bench.measure.weights import LoadedModel
from bench.process_group import ProcessGroup
from bench.suite.cell import EvaluateCell

BATCH = {"cpu": 32, "mps": 32, "cuda": 64}  # images; halved where memory is short, which changes no prediction


class _Share(NamedTuple):
    """What one process scored. positions: (n,), in the part, and in the same order the columns' rows."""

    positions: NDArray[np.int64]
    columns: Columns
    batch_size: int


def evaluate(
    cell: EvaluateCell,
    loaded: LoadedModel,
    part: LabelledImages,
    class_names: Sequence[str],
    *,
    workers: int,
    group: ProcessGroup,
) -> Outcome:
    """Score every image of `part` once, with the loaded weights' own preprocessing. All processes get the same answer.

    class_names: of the labels, in their order. workers: loader processes of each process; 0 decodes in the process.

    Raises UnsupportedError if the weights have no head of their own, or one for other classes; CellFailedError,
    with its name, for an image that cannot be read, and for scores that are not numbers; OutOfMemoryError.
    """
    if len(part) == 0:
        raise DataError(f"Data set '{cell.dataset}' has no images to score.")
    scoring = _Scoring(cell, loaded, part, len(class_names), head_order(cell, loaded, class_names), workers)
    notes: list[str] = []
    # Counted before apply_settings, which may wrap the model.
    params = sum(parameter.numel() for parameter in loaded.model.parameters())
    counted = measure_complexity(cell.model, cell.resolution_px, cell.num_classes)
    group.barrier()
    started = time.perf_counter()
    shares = _gathered(group, lambda: scoring.share(group))
    seconds = time.perf_counter() - started
    predictions = _joined(part, shares, len(class_names))
    if scoring.order is None:
        notes.append(note_on_order(cell, class_names, predictions))
    batch_size = min(share.batch_size for share in shares)
    if batch_size < min(BATCH[cell.device], len(part)):
        notes.append(f"Memory was short: images were scored {batch_size} at a time.")
    values = _scores(cell, predictions, notes) | {
        "img_per_s": len(part) / seconds,
        "weights_sha256": loaded.sha256,
        "params": params,
        "macs": counted.macs,
        "preprocessing": preprocessing_values(loaded.config),
        "processes": group.size,
        "notes": notes,
    }
    return Outcome(counted.marked(values), predictions=predictions)


def preprocessing_values(config: dict[str, Any]) -> dict[str, Any]:
    """timm's data configuration as records hold it. resized_px: of the shorter side before the crop."""
    crop_px = int(config["input_size"][-1])
    return {
        "resized_px": math.floor(crop_px / config["crop_pct"]),
        "crop_px": crop_px,
        "crop_pct": config["crop_pct"],
        "crop_mode": config["crop_mode"],
        "interpolation": config["interpolation"],
        "mean": list(config["mean"]),
        "std": list(config["std"]),
    }


def _gathered(group: ProcessGroup, perform: Callable[[], _Share]) -> list[_Share]:
    """Every process's share; where one fails, all of them raise its error instead of waiting for it."""
    mine: _Share | BenchError
    try:
        mine = perform()
    except BenchError as error:
        mine = error
    shares = group.gather([mine])
    for failure in (share for share in shares if isinstance(share, BenchError)):
        raise failure
    return [share for share in shares if isinstance(share, _Share)]


@dataclass(frozen=True)
class _Scoring:
    """What is scored with what. order: the output for each class, (C,); None for as they are."""

    cell: EvaluateCell
    loaded: LoadedModel
    part: LabelledImages
    num_classes: int
    order: NDArray[np.int64] | None
    workers: int

    def share(self, group: ProcessGroup) -> _Share:
        """This process's images: those whose position is its rank modulo the number of processes."""
        index = np.arange(group.rank, len(self.part), group.size)
        # The same in every process and for every number of them, so that each image meets the same arithmetic.
        batch_size = min(BATCH[self.cell.device], len(self.part))
        model, cell = self.loaded.model.eval(), self.cell
        applied = apply_settings(model, cell.settings, cell.device, cell.resolution_px)
        forward = _Forward(cell, applied, self.loaded.config, batch_size)
        columns: list[Columns] = []
        with applied.context, torch.inference_mode():
            for positions, pixels in self._batches(index, batch_size):
                logits = forward(pixels)
                self._require_logits(logits, positions)
                if self.order is not None:
                    logits = logits[:, torch.from_numpy(self.order)]
                columns.append(Columns.of(logits, torch.from_numpy(self.part.labels[positions])))
        return _Share(index, Columns.joined(columns), forward.batch_size)

    def _require_logits(self, logits: Tensor, positions: NDArray[np.int64]) -> None:
        model, dataset, precision = self.cell.model, self.cell.dataset, self.cell.settings.precision
        if logits.ndim != 2 or logits.shape[1] != self.num_classes:
            raise UnsupportedError(
                f"'{model}' gives scores of shape {tuple(logits.shape[1:])} for an image, data set '{dataset}' has "
                f"{self.num_classes} classes. Use weights with a head for this data set."
            )
        keys = [self.part.keys[int(position)] for position in positions]
        advice = "Is it the weights?" if precision == "fp32" else "Try fp32; if it stays, it is the weights."
        require_finite(logits, keys, f"'{model}' in {precision} gives", advice)

    def _batches(self, index: NDArray[np.int64], batch_size: int) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        """Positions (B,) and pixels (B, 3, R, R), uint8, in the order of `index`.

        Raises CellFailedError for an image that cannot be read, and when a loader process dies.
        """
        config, dataset = self.loaded.config, self.cell.dataset
        prepare = create_transform(
            config["input_size"],
            is_training=False,
            interpolation=config["interpolation"],
            mean=config["mean"],
            std=config["std"],
            crop_pct=config["crop_pct"],
            crop_mode=config["crop_mode"],
            normalize=False,  # uint8 is a quarter of the bytes to pass on; _Forward does it on the device
        )
        try:
            loaded = load_batches(self.part, index, prepare, batch_size=batch_size, workers=self.workers)
            for positions, pixels, problem in loaded:
                if problem:
                    raise CellFailedError(
                        f"Image '{self.part.keys[positions[0]]}' of data set '{dataset}' cannot be read: "
                        f"{problem.rstrip('.')}. Mend or remove it: an accuracy without it would be of another set."
                    )
                yield positions, pixels
        except RuntimeError as error:
            raise CellFailedError(f"Loading the images of '{dataset}' broke off: {first_line(error)}") from error


class _Forward:
    """Logits of batches, always computed in groups of one size: the last one is filled up with black images.

    Fixed shapes let one image's result not depend on how many others there are, and compile once.
    """

    def __init__(self, cell: EvaluateCell, applied: Applied, config: dict[str, Any], batch_size: int) -> None:
        self.applied, self.device, self.batch_size, self.name = applied, cell.device, batch_size, cell.model
        channels_last = cell.settings.memory_format == "channels_last"
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.mean = torch.tensor(config["mean"], device=self.device).view(1, 3, 1, 1)
        self.std = torch.tensor(config["std"], device=self.device).view(1, 3, 1, 1)

    def __call__(self, pixels: Tensor) -> Tensor:
        """(B, 3, R, R) uint8 on the CPU to (B, C) float32 on the CPU. Raises OutOfMemoryError when one is too many."""
        while True:
            try:
                groups = torch.split(pixels, self.batch_size)
                return torch.cat([self._group(group) for group in groups])
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.batch_size == 1:
                    raise OutOfMemoryError(f"One image does not fit into memory: {first_line(error)}") from error
            self.batch_size = (self.batch_size + 1) // 2
            if self.device == "cuda":
                torch.cuda.empty_cache()

    def _group(self, pixels: Tensor) -> Tensor:
        images = pixels.to(self.device, non_blocking=True).float().div_(255).sub_(self.mean).div_(self.std)
        if absent := self.batch_size - len(images):
            images = torch.cat([images, images.new_zeros(absent, *images.shape[1:])])
        images = images.to(self.applied.input_dtype).contiguous(memory_format=self.memory_format)
        logits = class_scores(self.applied.model, images, self.name, None)
        return logits[: len(pixels)].float().cpu()


def _joined(part: LabelledImages, shares: Sequence[_Share], num_classes: int) -> Predictions:
    """All shares in the order of the part; each image must have come once."""
    index = np.concatenate([share.positions for share in shares])
    order = np.argsort(index)
    if not np.array_equal(index[order], np.arange(len(part))):
        raise CellFailedError(f"{len(index)} predictions for {len(part)} images: each must be scored exactly once.")
    columns = Columns.joined([share.columns for share in shares]).take(order)
    return Predictions(part.keys, part.labels, columns, num_classes)


def _scores(cell: EvaluateCell, predictions: Predictions, notes: list[str]) -> dict[str, Any]:
    """Percentages and counts, ReaL where its labels apply, and the comparison with what is published."""
    accuracy = score(predictions)
    real = real_score(predictions.keys, predictions.predictions) if cell.dataset == IMAGENET else None
    if isinstance(real, str):
        notes.append(real)
        real = None
    check = check_against_published(
        cell.model,
        cell.weights,
        resolution_px=cell.resolution_px,
        dataset=cell.dataset,
        images=len(predictions.labels),
        top1_pct=accuracy.top1_pct,
        precision=cell.settings.precision,
    )
    return {
        **accuracy.as_values(),
        "real_top1_pct": real.top1_pct if real is not None else None,
        "real_images": real.images if real is not None else None,
        "images": len(predictions.labels),
        "correct_top1": int((predictions.predictions == predictions.labels).sum()),
        "published_top1_pct": check.published_top1_pct,
        "published_source": check.source,
        "delta_pp": check.delta_pp,
        "self_check": check.verdict,
        "self_check_note": check.note,
    }
