"""How long a cell will take, before it runs: roughly from its compute, or by a training step that is measured here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.errors import BenchError
from bench.execute.pool import Worker, request_of
from bench.execute.run_options import RunOptions
from bench.measure.complexity import Complexity, measure_complexity
from bench.suite.cell import (
    Budget,
    Cell,
    FinetuneCell,
    PixelsCell,
    PreflightCell,
    PretrainCell,
    TrainCell,
    TrainingStepCell,
)
from bench.suite.tasks import task_of
from bench.units import GIGA, training_flops

# Median over the small models on one core of a 2.6 GHz AVX-512 server, fp32, channels last.
TRAINING_GFLOP_PER_S = 40.0
COMPILE_SECONDS = 30.0  # more for deep models
MOST_IMAGES_ON_CPU = 64  # of one measured step; fewer where a step would take longer than about a second
MOST_IMAGES_ELSEWHERE = 256

TrainingCell = TrainCell | FinetuneCell | PretrainCell
Told = Callable[[str], None]


def estimated_seconds(cell: Cell) -> float | None:
    """Seconds on one core of the machine that the constants were measured on; None where nothing says."""
    task = task_of(cell)
    if task.seconds is not None:
        is_compiled = task.measures == "time" and cell.settings.compile  # type: ignore[union-attr]
        return task.seconds + (COMPILE_SECONDS if is_compiled else 0.0)
    if isinstance(cell, PretrainCell) and cell.budget.unit == "device_s":
        return cell.budget.amount
    flop = training_flop_of(cell)
    return None if flop is None else flop / GIGA / TRAINING_GFLOP_PER_S


def training_flop_of(cell: Cell) -> float | None:
    """FLOPs of a cell's whole training; None for a cell without one, and where they are not known beforehand."""
    compute = _budget_gflop(cell)
    if compute is not None:
        return compute * GIGA
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
    compute = _budget_gflop(cell)
    macs = None if compute is None else macs_of(cell)
    return None if macs is None or compute is None else compute * GIGA / training_flops(macs, 1)


def _budget_gflop(cell: Cell) -> float | None:
    """The training compute that a cell is given; None where it is given something else, or does not train."""
    match cell:
        case TrainCell():
            return cell.budget_gflop
        case PretrainCell(budget=Budget(unit="gflop")):
            return cell.budget.amount
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


@dataclass(frozen=True)
class Rate:
    """Training images per second on this machine; None with the reason why there is no number."""

    img_per_s: float | None
    reason: str = ""


def point_of(cell: Cell) -> TrainingStepCell | None:
    """The step that a cell's training repeats, here of one image; None for a cell that trains nothing."""
    if not isinstance(cell, TrainingCell):
        return None
    return TrainingStepCell(
        model=cell.model,
        definition=cell.definition,
        num_classes=cell.num_classes,
        resolution_px=cell.resolution_px,
        batch_size=1,
        repeat=0,
        device=cell.device,
        settings=cell.settings,
    )


def measured_rates(cells: Iterable[Cell], threads: int, told: Told) -> dict[TrainingStepCell, Rate]:
    """The rate of every step (`point_of`) that some cell's training repeats, one at a time, each in a fresh process.

    Unlike a training-step cell's, the process keeps freed memory only as a training does: that is what it predicts.
    threads: of the process that measures, one for a CPU's trainings. told: of each point before it is measured.
    """
    points = dict.fromkeys(point for cell in cells if (point := point_of(cell)) is not None)
    rates = {}
    for point in points:
        told(f"{point.model} at {point.resolution_px} px")
        rates[point] = _measured(point, threads)
    return rates


def _measured(point: TrainingStepCell, threads: int) -> Rate:
    worker = Worker(threads)
    try:
        cell = point.model_copy(update={"batch_size": _images_of_a_step(point)})
        worker.send(request_of(cell, threads, RunOptions()))
        reply = worker.receive()
        if reply is None:
            return Rate(None, worker.cause_of_death())
    finally:
        worker.stop()
    if reply["status"] != "ok":
        return Rate(None, str(reply["reason"]))
    return Rate(float(reply["values"]["training_img_per_s"]))


def _images_of_a_step(point: TrainingStepCell) -> int:
    """About a second's worth of images on a CPU core, so that a large model is measured in minutes and not in hours."""
    if point.device != "cpu":
        return MOST_IMAGES_ELSEWHERE
    macs = macs_of(point)
    if macs is None:
        return 1
    return min(MOST_IMAGES_ON_CPU, max(1, int(TRAINING_GFLOP_PER_S * GIGA / training_flops(macs, 1))))
