"""Speed of one model in one process, under a cell's settings: inference, and training steps timed like it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from bench.errors import CellFailedError, OutOfMemoryError, TooSlowError, first_line
from bench.measure.devices import Clock, clock_for, memory_limit_named
from bench.measure.settings import apply_settings
from bench.measure.timing.steps import inference_step, require_trainable, training_step
from bench.measure.timing.timing import MIN_BLOCKS, Latency, Throughput, measure_latency, measure_throughput
from bench.suite.cell import SpeedCell, SpeedMetric, TrainingStepCell

# Some 4 s for a small model, so that a suite of a dozen models in several processes each stays a matter of minutes.
THROUGHPUT_BLOCKS = 8
BLOCK_SECONDS = 0.25  # a scheduler's time slice of a few ms is then below 2 % of a block
MAX_WARMUP_SECONDS = 2.0
TRIAL_BLOCKS = 4  # a trial only has to find the fastest settings, which are then timed in full
MAX_TRIAL_WARMUP_SECONDS = 1.0
LATENCY_ITERATIONS = 1_000  # what a p99 needs
MAX_LATENCY_SECONDS = 1.5
# Of a time limit: what the warm-ups, the single images and the blocks of a fast model take each; the rest of it is for
# slow ones, whose least is one pass of warm-up and one that counts.
LIMIT_SHARE = 0.1
MOST_GAINED_BY_A_BATCH = 2.0  # on a CPU, for an image in a batch against one alone; 1.0 to 1.3 on two cores


def measure_speed(
    cell: SpeedCell, model: nn.Module, *, clock: Clock | None = None
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Values and samples of a speed cell, as records hold them. What cell.metrics does not ask for is None.

    model: on the CPU, in evaluation mode; changed in place. compile_s is the first call at each batch size used,
    compilation and one run, None without compilation. Latency is at batch size 1 whatever cell.batch_size. With `fold`
    the values also say what was folded. Under cell.limit_s what does not fit into it, or into memory, is None, and
    `absent` says why.

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
            if cell.limit_s is not None:
                found = _within_limit(cell, steps, cell.limit_s, clock)
            else:
                found = _in_full(cell, steps, clock)
    folded = applied.folding.as_values() if applied.folding else {}
    absent = {"absent": found.absent} if found.absent else {}
    values = _values(found.throughput, found.latency, compile_s)
    if cell.limit_s is not None and not values["warmup_settled"]:
        values["warmup_settled"] = None  # warm-up was to be short: nobody waited for the rate to stand still
    return values | absent | folded, _samples(found.throughput, found.latency)


@dataclass
class _Found:
    """absent: metric -> why there is none."""

    throughput: Throughput | None = None
    latency: Latency | None = None
    absent: dict[str, str] = field(default_factory=dict)


def _in_full(cell: SpeedCell, steps: Mapping[SpeedMetric, Callable[[], object]], clock: Clock) -> _Found:
    found = _Found()
    if "throughput" in steps:
        is_trial = cell.role == "trial"
        found.throughput = _throughput(steps["throughput"], cell.batch_size, clock, is_trial=is_trial)
    if "latency" in steps:
        found.latency = measure_latency(
            steps["latency"], clock=clock, iterations=LATENCY_ITERATIONS, max_seconds=MAX_LATENCY_SECONDS
        )
    return found


def _within_limit(
    cell: SpeedCell, steps: Mapping[SpeedMetric, Callable[[], object]], limit_s: float, clock: Clock
) -> _Found:
    """Latency first, as nothing takes less time than one image; then throughput in what is left of the limit."""
    until, share = clock.now() + limit_s, LIMIT_SHARE * limit_s
    found = _Found()
    if "latency" in steps:
        with _absent_with_reason("latency", found):
            found.latency = measure_latency(
                steps["latency"],
                clock=clock,
                iterations=LATENCY_ITERATIONS,
                max_seconds=share,
                max_warmup_seconds=share,
                min_samples=1,
                until=until,
            )
    if "throughput" in steps:
        with _absent_with_reason("throughput", found):
            _require_a_chance(cell, found, until - clock.now())
            found.throughput = measure_throughput(
                steps["throughput"],
                images_per_step=cell.batch_size,
                clock=clock,
                block_seconds=share / MIN_BLOCKS,
                blocks=THROUGHPUT_BLOCKS,
                max_warmup_seconds=share,
                min_blocks=1,
                max_seconds=share,
                until=until,
            )
    return found


@contextmanager
def _absent_with_reason(metric: SpeedMetric, found: _Found) -> Iterator[None]:
    try:
        with memory_limit_named("It"):
            yield
    except (TooSlowError, OutOfMemoryError) as error:
        found.absent[metric] = str(error)


def _require_a_chance(cell: SpeedCell, found: _Found, left: float) -> None:
    """Raise TooSlowError for a batch that cannot be in time on a CPU, by what one image took there."""
    if cell.device != "cpu" or "latency" not in cell.metrics:
        return
    if found.latency is None:
        raise TooSlowError("one image alone was too slow")
    least = found.latency.p50_ms / 1e3 * cell.batch_size / MOST_GAINED_BY_A_BATCH
    if 2 * least > left:  # to warm up, and to count
        raise TooSlowError(
            f"one image took {found.latency.p50_ms / 1e3:.2g} s, so that {cell.batch_size} at once, twice, take "
            f"{2 * least:.2g} s or more, and {left:.2g} s were left of the time limit"
        )


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
