"""What each kind of cell does inside a worker: prepare (load, build), then the part that counts as in-cell time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench.data.folder import load_folder
from bench.data.images import load_dataset
from bench.errors import DataError
from bench.learn.train import train_from_scratch
from bench.measure.accuracy import Predictions
from bench.measure.build import build_model
from bench.measure.complexity import count_macs, measure_complexity
from bench.measure.memory import measure_memory
from bench.measure.speed import measure_speed
from bench.suite.cell import Cell, ComplexityCell, MemoryCell, SpeedCell, TrainCell


@dataclass(frozen=True)
class Outcome:
    """What a finished cell gives: values and samples as records hold them, predictions where there are any."""

    values: dict[str, Any]
    samples: dict[str, list[float]] = field(default_factory=dict)
    predictions: Predictions | None = None


def prepare(cell: Cell, folders: Mapping[str, str]) -> Callable[[], Outcome]:
    """Load and build what the cell needs; the returned function does the work that is worth timing.

    folders: data set name -> path, for sets that are a user's own image folders.
    Raises what building or loading raises: RequestError, DataError, CellFailedError.
    """
    match cell:
        case ComplexityCell():
            return lambda: _complexity(cell)
        case TrainCell():
            return _training(cell, folders)
        case SpeedCell():
            model = build_model(cell.model, num_classes=cell.num_classes, resolution_px=cell.resolution_px).eval()
            return lambda: Outcome(*measure_speed(cell, model))
        case MemoryCell():
            return lambda: _memory(cell)


def _complexity(cell: ComplexityCell) -> Outcome:
    counted = measure_complexity(cell.model, cell.resolution_px, cell.num_classes)
    return Outcome(asdict(counted))


def _training(cell: TrainCell, folders: Mapping[str, str]) -> Callable[[], Outcome]:
    folder = folders.get(cell.dataset)
    dataset = load_folder(cell.dataset, Path(folder)) if folder else load_dataset(cell.dataset)
    if dataset.fingerprint != cell.fingerprint:
        raise DataError(
            f"Data set '{cell.dataset}' has fingerprint {dataset.fingerprint}, the plan says {cell.fingerprint}: "
            "the images changed after the plan was made."
        )
    macs = count_macs(cell.model, cell.resolution_px, cell.num_classes)
    torch.manual_seed(cell.seed)  # dropout and the like; the initial weights have their own seed below
    model = build_model(cell.model, num_classes=cell.num_classes, resolution_px=cell.resolution_px, seed=cell.seed)

    def perform() -> Outcome:
        training = train_from_scratch(cell, model, dataset, macs)
        return Outcome(training.values, training.samples, training.predictions)

    return perform


def _memory(cell: MemoryCell) -> Outcome:
    def build() -> torch.nn.Module:
        return build_model(cell.model, num_classes=cell.num_classes, resolution_px=cell.resolution_px).eval()

    return Outcome(measure_memory(cell, build))
