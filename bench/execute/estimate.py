"""How long a cell will take, roughly, before it runs. Rates are from one machine and say so."""

from __future__ import annotations

from bench.errors import BenchError
from bench.measure.complexity import count_macs
from bench.suite.cell import Cell, ComplexityCell, MemoryCell, SpeedCell, TrainCell

# Median over the small models on one core of a 2.6 GHz AVX-512 server, fp32, channels last.
TRAINING_GFLOP_PER_S = 40.0
TIMING_SECONDS = 9.0  # a fresh process: 3 s of imports, then warm-up, blocks and single images
MEMORY_SECONDS = 5.0
COMPLEXITY_SECONDS = 0.5


def estimated_seconds(cell: Cell) -> float:
    """Seconds on one core of the machine that the constants above were measured on."""
    match cell:
        case TrainCell():
            return cell.budget_gflop / TRAINING_GFLOP_PER_S
        case SpeedCell():
            return TIMING_SECONDS
        case MemoryCell():
            return MEMORY_SECONDS
        case ComplexityCell():
            return COMPLEXITY_SECONDS


def macs_of(cell: Cell) -> int | None:
    """Multiply-adds per image, None for a model that cannot be counted (its cell will say why)."""
    try:
        return count_macs(cell.model, cell.resolution_px, cell.num_classes)
    except BenchError:
        return None
