"""Cells of a speed block beyond plain inference: training steps, the largest batch that fits, and timings at it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

from bench.suite.cell import (
    Cell,
    LargestBatchCell,
    SpeedCell,
    TrainingMemoryCell,
    TrainingStepCell,
)
from bench.suite.spec import SpeedBlock, Suite
from bench.suite.world import Surroundings

Point = dict[str, Any]  # model, definition, num_classes and resolution, with or without a batch size


def rounds(points: Sequence[Point], processes: int, seed: str) -> Iterable[tuple[int, Point]]:
    """Round and point, every point once a round: the machine's drift must not follow the order of the models."""
    for repeat in range(processes):
        order = list(points)
        random.Random(f"{seed}:{repeat}").shuffle(order)
        for point in order:
            yield repeat, point


def training_step_cells(
    block: SpeedBlock, points: Sequence[Point], suite: Suite, world: Surroundings
) -> Iterable[Cell]:
    """Timings and memory of one optimiser step at every point, where the block asks for them. Points have a batch."""
    common: dict[str, Any] = {"device": world.device, "settings": suite.settings}
    if "training_throughput" in block.metrics:
        for repeat, point in rounds(points, block.processes, f"{suite.name}:training"):
            yield TrainingStepCell(repeat=repeat, **point, **common)
    if "training_peak_memory" in block.metrics:
        for point in points:
            yield TrainingMemoryCell(**point, **common)


def largest_batch_cells(
    block: SpeedBlock, points: Sequence[Point], suite: Suite, world: Surroundings
) -> Iterable[Cell]:
    """A search for each point, which has no batch size, and timings at what finished searches found."""
    common: dict[str, Any] = {"device": world.device, "settings": suite.settings}
    found: list[Point] = []
    for point in points if block.seeks_largest_batch else ():
        search = LargestBatchCell(
            cap=block.largest_batch_cap,
            memory_limit_mib=block.memory_limit_mib if world.device == "cpu" else None,
            **point,
            **common,
        )
        yield search
        largest = world.largest_batches.get(search.cell_id, 0)
        if largest and "largest" in block.batch_sizes:
            found.append({**point, "batch_size": largest})
    if "throughput" in block.metrics:
        for repeat, point in rounds(found, block.processes, f"{suite.name}:largest"):
            yield SpeedCell(metrics=("throughput",), repeat=repeat, **point, **common)
