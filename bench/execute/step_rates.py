"""How fast models train here, measured before a suite runs: each in a fresh process, as a training-step cell.

Unlike such a cell's, the process keeps freed memory only as a training does: what it predicts is trainings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.execute.estimate import TRAINING_GFLOP_PER_S, macs_of
from bench.execute.pool import Worker
from bench.execute.supplies import Supplies
from bench.suite.cell import (
    METRIC_VERSION,
    Cell,
    Device,
    FinetuneCell,
    PretrainCell,
    Settings,
    TrainCell,
    TrainingStepCell,
)
from bench.units import GIGA, training_flops

MOST_IMAGES = {"cpu": 64}  # of one measured step; fewer where a step would take longer than about a second
MOST_IMAGES_OF_OTHERS = 256

TrainingCell = TrainCell | FinetuneCell | PretrainCell
Told = Callable[[str], None]


@dataclass(frozen=True)
class Point:
    """What a training step's rate depends on, but the size of its batch."""

    model: str
    definition: str | None
    num_classes: int | None
    resolution_px: int
    device: Device
    settings: Settings


@dataclass(frozen=True)
class Rate:
    """Training images per second on this machine; None with the reason why there is no number."""

    img_per_s: float | None
    reason: str = ""


def point_of(cell: Cell) -> Point | None:
    """Where a cell's training stands; None for a cell that trains nothing."""
    if not isinstance(cell, TrainingCell):
        return None
    return Point(cell.model, cell.definition, cell.num_classes, cell.resolution_px, cell.device, cell.settings)


def measured_rates(cells: Iterable[Cell], threads: int, told: Told) -> dict[Point, Rate]:
    """The rate of a training step at every point that some cell trains at, one at a time.

    threads: of the process that measures, one for a CPU's trainings. told: of each point before it is measured.
    """
    points = dict.fromkeys(point for cell in cells if (point := point_of(cell)) is not None)
    rates = {}
    for point in points:
        told(f"{point.model} at {point.resolution_px} px")
        rates[point] = _measured(point, threads)
    return rates


def _measured(point: Point, threads: int) -> Rate:
    cell = TrainingStepCell(
        metric_version=METRIC_VERSION["training_step"],
        model=point.model,
        definition=point.definition,
        num_classes=point.num_classes,
        resolution_px=point.resolution_px,
        batch_size=_images_of_a_step(point),
        repeat=0,
        device=point.device,
        settings=point.settings,
    )
    worker = Worker(threads)
    try:
        worker.send(
            {
                "cell": cell.model_dump(mode="json"),
                "threads": threads,
                "side_by_side": 1,
                "supplies": Supplies().as_json(),
            }
        )
        reply = worker.receive()
        if reply is None:
            return Rate(None, worker.cause_of_death())
    finally:
        worker.stop()
    if reply["status"] != "ok":
        return Rate(None, str(reply["reason"]))
    return Rate(float(reply["values"]["training_img_per_s"]))


def _images_of_a_step(point: Point) -> int:
    """About a second's worth of images on a CPU core, so that a large model is measured in minutes and not in hours."""
    most = MOST_IMAGES.get(point.device, MOST_IMAGES_OF_OTHERS)
    if point.device != "cpu":
        return most
    macs = macs_of(
        TrainingStepCell(
            metric_version=METRIC_VERSION["training_step"],
            model=point.model,
            num_classes=point.num_classes,
            resolution_px=point.resolution_px,
            batch_size=1,
            repeat=0,
            device=point.device,
            settings=point.settings,
        )
    )
    if macs is None:
        return 1
    return min(most, max(1, int(TRAINING_GFLOP_PER_S * GIGA / training_flops(macs, 1))))
