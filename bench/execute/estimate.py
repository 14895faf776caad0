"""How long a cell will take, roughly, before it runs. Rates are from one machine and say so."""

from __future__ import annotations

from bench.errors import BenchError
from bench.measure.complexity import Complexity, measure_complexity
from bench.suite.cell import (
    Budget,
    Cell,
    ComplexityCell,
    EvaluateCell,
    FewshotCell,
    FinetuneCell,
    LargestBatchCell,
    MemoryCell,
    PixelsCell,
    PreflightCell,
    PretrainCell,
    SpeedCell,
    TrainCell,
    TrainingMemoryCell,
    TrainingStepCell,
)
from bench.units import GIGA, training_flops

# Median over the small models on one core of a 2.6 GHz AVX-512 server, fp32, channels last.
TRAINING_GFLOP_PER_S = 40.0
TIMING_SECONDS = 9.0  # a fresh process: 3 s of imports, then warm-up, blocks and single images
COMPILE_SECONDS = 30.0  # more for deep models
MEMORY_SECONDS = 5.0
SEARCH_SECONDS = 25.0  # five tries, each in a fresh process
COMPLEXITY_SECONDS = 0.5


def estimated_seconds(cell: Cell) -> float | None:
    """Seconds on one core of the machine that the constants above were measured on; None where nothing says."""
    match cell:
        case TrainCell():
            return cell.budget_gflop / TRAINING_GFLOP_PER_S
        case SpeedCell() | TrainingStepCell():
            return TIMING_SECONDS + (COMPILE_SECONDS if cell.settings.compile else 0.0)
        case MemoryCell() | TrainingMemoryCell():
            return MEMORY_SECONDS
        case LargestBatchCell():
            return SEARCH_SECONDS
        case ComplexityCell():
            return COMPLEXITY_SECONDS
        case FinetuneCell() | PretrainCell():
            flop = training_flop_of(cell)
            if isinstance(cell, PretrainCell) and cell.budget.unit == "device_s":
                return cell.budget.amount
            return None if flop is None else flop / GIGA / TRAINING_GFLOP_PER_S
        case EvaluateCell() | FewshotCell() | PreflightCell() | PixelsCell():
            return None  # that depends on how many images there are, and on what they are stored as


def training_flop_of(cell: Cell) -> float | None:
    """FLOPs of a cell's whole training; None for a cell without one, and where they are not known beforehand."""
    match cell:
        case TrainCell():
            return cell.budget_gflop * GIGA
        case PretrainCell(budget=Budget(unit="gflop")):
            return cell.budget.amount * GIGA
    seen = images_seen_of(cell)
    macs = None if seen is None else macs_of(cell)
    return None if macs is None or seen is None else training_flops(macs, seen)


def images_seen_of(cell: Cell) -> float | None:
    """Images in all steps of a cell's training; None without one, and where they are not known beforehand."""
    match cell:
        case FinetuneCell():
            return cell.recipe.steps * cell.recipe.batch_size
        case PretrainCell(budget=Budget(unit="images")):
            return cell.budget.amount
        case PretrainCell(budget=Budget(unit="gflop")):
            macs = macs_of(cell)
            return None if macs is None else cell.budget.amount * GIGA / training_flops(macs, 1)
        case TrainCell():
            macs = macs_of(cell)
            return None if macs is None else cell.budget_gflop * GIGA / training_flops(macs, 1)
    return None


def macs_of(cell: Cell) -> int | None:
    """Multiply-adds per image, None as `count_of` has it."""
    counted = count_of(cell)
    return None if counted is None else counted.macs


def count_of(cell: Cell) -> Complexity | None:
    """The count of a cell's model; None for one that cannot be counted (its cell will say why) and without a model."""
    if isinstance(cell, PreflightCell | PixelsCell):
        return None
    try:
        return measure_complexity(cell.model, cell.resolution_px, cell.num_classes)
    except BenchError:
        return None
