"""What each kind of timing cell does inside a worker: each has a fresh process, so that imports are kept few."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from bench.execute.largest_batch import find_largest_batch
from bench.execute.machine_state import MachineWatch
from bench.measure.build import build_model, check_takes_resolution, native_resolution
from bench.measure.memory import measure_memory
from bench.measure.outcome import Outcome
from bench.measure.speed import measure_speed, measure_training_step
from bench.suite.cell import (
    Cell,
    LargestBatchCell,
    MemoryCell,
    SpeedCell,
    TimingCell,
    TrainingMemoryCell,
    TrainingStepCell,
)
from bench.suite.model_source import is_user_model


def timed_model(cell: TimingCell) -> torch.nn.Module:
    """The network in evaluation mode. Raises ResolutionError also for a size that fails only when it is run."""
    if cell.resolution_px != native_resolution(cell.model):
        check_takes_resolution(cell.model, cell.resolution_px)
    return build_model(cell.model, num_classes=cell.num_classes, resolution_px=cell.resolution_px).eval()


def _watched(device: str, measure: Callable[[], tuple[dict[str, Any], dict[str, list[float]]]]) -> Outcome:
    """What a measurement of time gives, with what else went on in the machine meanwhile."""
    watch = MachineWatch(device)
    values, samples = measure()
    return Outcome(values | {"machine_state": watch.state()}, samples)


def _speed(cell: SpeedCell) -> Callable[[], Outcome]:
    model = timed_model(cell)
    return lambda: _watched(cell.device, lambda: measure_speed(cell, model))


def _training_step(cell: TrainingStepCell) -> Callable[[], Outcome]:
    model = timed_model(cell)
    return lambda: _watched(cell.device, lambda: measure_training_step(cell, model))


def _memory(cell: MemoryCell | TrainingMemoryCell) -> Callable[[], Outcome]:
    return lambda: Outcome(measure_memory(cell, lambda: timed_model(cell)))


def _largest_batch(cell: LargestBatchCell) -> Callable[[], Outcome]:
    if is_user_model(cell.model):
        timed_model(cell)  # each try makes its own; here, so that the record says from which files
    return lambda: Outcome(find_largest_batch(cell, torch.get_num_threads()))


PREPARE_TIMING: Mapping[type[Cell], Callable[[Any], Callable[[], Outcome]]] = {
    SpeedCell: _speed,
    TrainingStepCell: _training_step,
    MemoryCell: _memory,
    TrainingMemoryCell: _memory,
    LargestBatchCell: _largest_batch,
}


def prepare_timing(cell: Cell) -> Callable[[], Outcome]:
    """Build what the cell needs; the returned function does the work that is worth timing.

    Raises what building raises: RequestError, UnsupportedError, CellFailedError.
    """
    return PREPARE_TIMING[type(cell)](cell)
