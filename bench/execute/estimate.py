"""How long a cell will take, roughly, before it runs. Rates are from one machine and say so."""

from __future__ import annotations

from bench.errors import BenchError
from bench.measure.complexity import count_macs
from bench.suite.cell import (
    Cell,
    ComplexityCell,
    EvaluateCell,
    FewshotCell,
    FinetuneCell,
    LargestBatchCell,
    MemoryCell,
    PreflightCell,
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
        case FinetuneCell():
            macs = macs_of(cell)
            seen = cell.recipe.steps * cell.recipe.batch_size
            return None if macs is None else training_flops(macs, seen) / GIGA / TRAINING_GFLOP_PER_S
        case EvaluateCell() | FewshotCell() | PreflightCell():
            return None  # that depends on how many images there are, and on what they are stored as


def macs_of(cell: Cell) -> int | None:
    """Multiply-adds per image, None for a model that cannot be counted (its cell will say why) and without a model."""
    if isinstance(cell, PreflightCell):
        return None
    try:
        return count_macs(cell.model, cell.resolution_px, cell.num_classes)
    except BenchError:
        return None
