"""One row for each task: what the program knows of a kind of cell, but how it is planned and executed.

A new task is a cell type in bench.suite.cell, a row here, a function in bench.execute, and what a suite asks for it by
(bench.suite.spec, bench.suite.plan).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.number_format import shortage_words
from bench.suite.cell import (
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

Values = Mapping[str, Any]  # of a record
_BUDGETS = {"gflop": "{:.6g} GFLOP", "images": "{:.0f} images seen", "device_s": "{:g} s of steps"}


@dataclass(frozen=True)
class Task:
    """describe: what a cell asks for, in one line. summarise: what a record's values say, given its in-cell seconds.

    threads: that a cell computes with: `one`, those of a `timed` model, or those of each process of a cell that several
    may have `shared`. depends_on: what must be as it is here for an earlier record to count.
    measures: `time` and `memory` have the machine to themselves and a process of their own, and times a rule for freed
    memory. trains: by optimiser steps, with repeatable kernels. has_own_head: the classes are those of the weights.
    seconds: roughly, on one core of a 2.6 GHz AVX-512 server; None where it follows from the training's compute, or
    from how many images there are and what they are stored as.
    """

    cell: type[Cell]
    describe: Callable[[Any], str]
    summarise: Callable[[Values, float], str]
    threads: Literal["one", "timed", "shared"] = "one"
    depends_on: Literal["nothing", "versions", "machine"] = "machine"
    measures: Literal["time", "memory"] | None = None
    trains: bool = False
    has_own_head: bool = False
    seconds: float | None = None

    @property
    def name(self) -> str:
        """The cell's `task`, as records and `TASKS` have it."""
        return str(self.cell.model_fields["task"].default)

    @property
    def has_model(self) -> bool:
        return "model" in self.cell.model_fields

    @property
    def has_images(self) -> bool:
        return "dataset" in self.cell.model_fields


def _at(cell: Any) -> str:
    return f"{cell.model} at {cell.resolution_px} px"


def _describe_speed(cell: SpeedCell) -> str:
    what = f"{' and '.join(cell.metrics)} of {_at(cell)}"
    if cell.role == "trial":
        return f"trial of {cell.settings.words}: {what}, batch {cell.batch_size}"
    under = f" with its best settings ({cell.settings.words})" if cell.role == "best" else ""
    return f"{what}, batch {cell.batch_size}{under}, process {cell.repeat + 1}"


def _describe_fewshot(cell: FewshotCell) -> str:
    shots = "/".join(str(shot) for shot in cell.shots)
    return f"{shots} shots of {cell.dataset} on features of {cell.model} ({cell.weights} weights)"


def _describe_finetune(cell: FinetuneCell) -> str:
    what = "trial" if cell.scored_part == "validation" else "final run"
    return (
        f"fine-tune {cell.model} ({cell.weights} weights) on {cell.dataset} at {cell.resolution_px} px, "
        f"{cell.recipe.name} recipe, lr {cell.recipe.learning_rate:g}, seed {cell.seed}, {what}"
    )


def _summarise_speed(values: Values, _: float) -> str:
    parts = []
    if values.get("throughput_img_per_s") is not None:
        parts.append(f"{values['throughput_img_per_s']:.0f} images/s")
    if values.get("latency_p50_ms") is not None:
        parts.append(f"p50 {values['latency_p50_ms']:.2f} ms")
    parts += [f"no {metric}" for metric in values.get("absent", ())]
    return ", ".join(parts)


def _summarise_largest_batch(values: Values, _: float) -> str:
    stopped = "the cap" if values["stopped_by"] == "cap" else values["stopped_by"]
    return f"{values['largest_batch']} images, stopped by {stopped}, {len(values['tries'])} tries"


def _summarise_fewshot(values: Values, wall_s: float) -> str:
    best = max(values["results"], key=lambda result: result["shots"])
    short = shortage_words(best.get("short_classes"), best.get("fewest_images"))
    named = f"{best['shots']}-shot{f' ({short})' if short else ''}"
    return f"{named} top-1 {best['top1_pct']:.1f} % in {wall_s:.1f} s"


def _summarise_score(values: Values, wall_s: float) -> str:
    return f"top-1 {values['top1_pct']:.1f} % in {wall_s:.1f} s"


def _summarise_memory(values: Values, _: float) -> str:
    return f"{next(iter(values.values())):.1f} MiB"


_ROWS = (
    Task(
        ComplexityCell,
        describe=lambda cell: f"complexity of {_at(cell)}",
        summarise=lambda values, _: f"{values['macs'] / 1e9:.4g} GMACs, certificate {values['certificate']}",
        depends_on="versions",  # counted on the meta device: no machine is part of it
        seconds=0.5,
    ),
    Task(
        TrainCell,
        describe=lambda cell: (
            f"train {cell.model} on {cell.train_images} {cell.dataset} images, "
            f"{cell.budget_gflop:g} GFLOP, lr {cell.recipe.learning_rate:g}, seed {cell.seed}"
        ),
        summarise=_summarise_score,
        trains=True,
    ),
    Task(
        SpeedCell,
        describe=_describe_speed,
        summarise=_summarise_speed,
        threads="timed",
        measures="time",
        seconds=9.0,  # a fresh process: 3 s of imports, then warm-up, blocks and single images
    ),
    Task(
        MemoryCell,
        describe=lambda cell: f"peak memory of {_at(cell)}, batch {cell.batch_size}",
        summarise=_summarise_memory,
        threads="timed",
        measures="memory",
        seconds=5.0,
    ),
    Task(
        TrainingStepCell,
        describe=lambda cell: f"training step of {_at(cell)}, batch {cell.batch_size}, process {cell.repeat + 1}",
        summarise=lambda values, _: f"{values['training_img_per_s']:.0f} images/s",
        threads="timed",
        measures="time",
        seconds=9.0,
    ),
    Task(
        TrainingMemoryCell,
        describe=lambda cell: f"peak memory of a training step of {_at(cell)}, batch {cell.batch_size}",
        summarise=_summarise_memory,
        threads="timed",
        measures="memory",
        seconds=5.0,
    ),
    Task(
        LargestBatchCell,
        describe=lambda cell: f"largest batch of {_at(cell)}",
        summarise=_summarise_largest_batch,
        threads="timed",
        measures="memory",
        seconds=25.0,  # five tries, each in a fresh process
    ),
    Task(
        PreflightCell,
        describe=lambda cell: f"look at every image of {cell.dataset}",
        summarise=lambda values, _: f"{values['images']} images, {len(values['bad'])} of them cannot be used",
        depends_on="nothing",  # what images are is the same everywhere
        has_own_head=True,
    ),
    Task(
        EvaluateCell,
        describe=lambda cell: (
            f"evaluate {cell.model} ({cell.weights} weights) on {cell.dataset} at {cell.resolution_px} px"
        ),
        summarise=_summarise_score,
        threads="shared",
        has_own_head=True,
    ),
    Task(FewshotCell, describe=_describe_fewshot, summarise=_summarise_fewshot, has_own_head=True),
    Task(
        FinetuneCell,
        describe=_describe_finetune,
        summarise=_summarise_score,
        threads="shared",
        trains=True,
    ),
    Task(
        PretrainCell,
        describe=lambda cell: (
            f"pretrain {cell.model} on {cell.train_images} {cell.dataset} images at {cell.resolution_px} px, "
            f"{_BUDGETS[cell.budget.unit].format(cell.budget.amount)}, lr {cell.recipe.learning_rate:g}, "
            f"seed {cell.seed}"
        ),
        summarise=lambda values, wall_s: f"validation top-1 {values['validation_top1_pct']:.1f} % in {wall_s:.1f} s",
        threads="shared",
        trains=True,
    ),
    Task(
        PixelsCell,
        describe=lambda cell: (
            f"logistic regression on the pixels of {cell.dataset} at {cell.resolution_px} px, seed {cell.seed}"
        ),
        summarise=_summarise_score,
    ),
)
TASKS: Mapping[str, Task] = {row.name: row for row in _ROWS}
TIMED_TASKS = tuple(row.name for row in _ROWS if row.measures == "time")  # whose numbers are times
TIMING_TASKS = tuple(row.name for row in _ROWS if row.measures)  # those, and whose numbers are bytes


def task_of(cell: Cell) -> Task:
    return TASKS[cell.task]


def is_timing(cell: Cell) -> bool:
    """Whether the cell needs the machine to itself and a process of its own."""
    return task_of(cell).measures is not None


def describe_cell(cell: Cell) -> str:
    """What a cell asks for, in one line."""
    return task_of(cell).describe(cell)
