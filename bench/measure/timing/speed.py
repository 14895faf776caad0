"""Speed of one model in one process, under a cell's settings: inference, and training steps timed like it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from bench.errors import CellFailedError, first_line
from bench.measure.devices import Clock, clock_for, memory_limit_named
from bench.measure.settings import apply_settings
from bench.measure.timing.steps import inference_step, require_trainable, training_step
from bench.measure.timing.timing import Latency, Throughput, measure_latency, measure_throughput
from bench.suite.cell import SpeedCell, TrainingStepCell

# Some 4 s for a small model, so that a suite of a dozen models in several processes each stays a matter of minutes.
THROUGHPUT_BLOCKS = 8
BLOCK_SECONDS = 0.25  # a scheduler's time slice of a few ms is then below 2 % of a block
MAX_WARMUP_SECONDS = 2.0
TRIAL_BLOCKS = 4  # a trial only has to find the fastest settings, which are then timed in full
MAX_TRIAL_WARMUP_SECONDS = 1.0
LATENCY_ITERATIONS = 1_000  # what a p99 needs
MAX_LATENCY_SECONDS = 1.5


def measure_speed(
    cell: SpeedCell, model: nn.Module, *, clock: Clock | None = None
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Values and samples of a speed cell, as records hold them. What cell.metrics does not ask for is None.

    model: on the CPU, in evaluation mode; changed in place. compile_s is the first call at each batch size used,
    compilation and one run, None without compilation. Latency is at batch size 1 whatever cell.batch_size. With `fold`
    the values also say what was folded.

    Raises UnsupportedError, OutOfMemoryError, and CellFailedError if compiling fails.
    """
    size = f"{cell.model} at batch size {cell.batch_size}, {cell.resolution_px} px"
    with memory_limit_named(f"Inference with {size}"):
        applied = apply_settings(model, cell.settings, cell.device, cell.resolution_px)
        clock = clock or clock_for(cell.device)
        with applied.context, torch.inference_mode(), collector_paused():
            batches = {metric: 1 if metric == "latency" else cell.batch_size for metric in cell.metrics}
            steps = {metric: inference_step(cell, applied, size) for metric, size in batches.items()}
            compile_s = sum(first_call_s(step, clock) for step in steps.values()) if cell.settings.compile else None
            throughput = latency = None
            if "throughput" in steps:
                is_trial = cell.role == "trial"
                throughput = _throughput(steps["throughput"], cell.batch_size, clock, is_trial=is_trial)
            if "latency" in steps:
                latency = measure_latency(
                    steps["latency"], clock=clock, iterations=LATENCY_ITERATIONS, max_seconds=MAX_LATENCY_SECONDS
                )
    folded = applied.folding.as_values() if applied.folding else {}
    return _values(throughput, latency, compile_s) | folded, _samples(throughput, latency)


def measure_training_step(
    cell: TrainingStepCell, model: nn.Module, *, clock: Clock | None = None
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Values and samples of a training-step cell, as records hold them.

    model: on the CPU; changed in place. Images and labels are on the device before the first step; blocks, warm-up and
    clock are those of inference. compile_s is the first step, None without compilation.

    Raises UnsupportedError, OutOfMemoryError, and CellFailedError if compiling fails.
    """
    require_trainable(cell)
    size = f"{cell.model} at batch size {cell.batch_size}, {cell.resolution_px} px"
    with memory_limit_named(f"Training with {size}"):
        applied = apply_settings(model.train(), cell.settings, cell.device)
        clock = clock or clock_for(cell.device)
        with applied.context, collector_paused():
            step = training_step(cell, applied)
            compile_s = first_call_s(step, clock) if cell.settings.compile else None
            found = _throughput(step, cell.batch_size, clock)
    values = {
        "training_img_per_s": found.img_per_s,
        "training_blocks": len(found.block_img_per_s),
        "warmup_iters": found.warmup_iters,
        "warmup_settled": found.warmup_settled,
        "page_faults_per_step": found.page_faults_per_step,
        "compile_s": compile_s,
    }
    return values, {"block_img_per_s": list(found.block_img_per_s)}


def first_call_s(step: Callable[[], object], clock: Clock) -> float:
    """Seconds of the first call, which compiles. Raises CellFailedError if that fails."""
    from torch._dynamo.exc import TorchDynamoException

    started = clock.now()
    try:
        step()
    except TorchDynamoException as error:
        raise CellFailedError(f"torch.compile failed: {first_line(error)}") from error
    return clock.now() - started


def _throughput(step: Callable[[], object], batch_size: int, clock: Clock, *, is_trial: bool = False) -> Throughput:
    return measure_throughput(
        step,
        images_per_step=batch_size,
        clock=clock,
        block_seconds=BLOCK_SECONDS,
        blocks=TRIAL_BLOCKS if is_trial else THROUGHPUT_BLOCKS,
        max_warmup_seconds=MAX_TRIAL_WARMUP_SECONDS if is_trial else MAX_WARMUP_SECONDS,
    )


@contextmanager
def collector_paused() -> Iterator[None]:
    """No cyclic garbage collection inside: it would fall into some samples and not into others."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _values(throughput: Throughput | None, latency: Latency | None, compile_s: float | None) -> dict[str, Any]:
    return {
        "throughput_img_per_s": throughput.img_per_s if throughput else None,
        "throughput_blocks": len(throughput.block_img_per_s) if throughput else None,
        "warmup_iters": throughput.warmup_iters if throughput else None,
        "warmup_settled": throughput.warmup_settled if throughput else None,
        "page_faults_per_pass": throughput.page_faults_per_step if throughput else None,
        "latency_p50_ms": latency.p50_ms if latency else None,
        "latency_p90_ms": latency.p90_ms if latency else None,
        "latency_p99_ms": latency.p99_ms if latency else None,
        "latency_samples": len(latency.latency_ms) if latency else None,
        "latency_page_faults_per_pass": latency.page_faults_per_step if latency else None,
        "compile_s": compile_s,
    }


def _samples(throughput: Throughput | None, latency: Latency | None) -> dict[str, list[float]]:
    samples = {}
    if throughput:
        samples["block_img_per_s"] = list(throughput.block_img_per_s)
    if latency:
        # the clock ticks in nanoseconds: further digits are those of its conversion, and half of a record's size
        samples["latency_ms"] = [round(sample, 6) for sample in latency.latency_ms]
    return samples
