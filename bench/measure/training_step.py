"""A training-step cell: forward, backward and optimiser step of one model in one process, timed like inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from bench.errors import UnsupportedError
from bench.measure.clock import Clock, clock_for
from bench.measure.images import make_images
from bench.measure.oom import memory_limit_named
from bench.measure.outputs import class_scores
from bench.measure.settings import Applied, apply_settings
from bench.measure.speed import BLOCK_SECONDS, MAX_WARMUP_SECONDS, THROUGHPUT_BLOCKS, collector_paused, first_call_s
from bench.measure.throughput import measure_throughput
from bench.suite.cell import TrainingMemoryCell, TrainingStepCell

MOMENTUM = 0.9  # the optimiser of the ViT paper's fine-tuning; its buffer is part of the memory
# A rate of zero does all the work of a step and leaves the weights as they are: every step is the first one over, and
# no gradient fades into denormal numbers, which CPUs multiply slowly.
LEARNING_RATE = 0.0


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
            step = make_training_step(cell, applied)
            compile_s = first_call_s(step, clock) if cell.settings.compile else None
            found = measure_throughput(
                step,
                images_per_step=cell.batch_size,
                clock=clock,
                block_seconds=BLOCK_SECONDS,
                blocks=THROUGHPUT_BLOCKS,
                max_warmup_seconds=MAX_WARMUP_SECONDS,
            )
    values = {
        "training_img_per_s": found.img_per_s,
        "training_blocks": len(found.block_img_per_s),
        "warmup_iters": found.warmup_iters,
        "warmup_settled": found.warmup_settled,
        "page_faults_per_step": found.page_faults_per_step,
        "compile_s": compile_s,
    }
    return values, {"block_img_per_s": list(found.block_img_per_s)}


def require_trainable(cell: TrainingStepCell | TrainingMemoryCell) -> None:
    """Raise UnsupportedError for a precision in which nobody would train."""
    if cell.settings.precision == "fp16":
        raise UnsupportedError(
            "training in fp16: weights and gradients would be fp16 too, without the scaling of the loss that they "
            "need. Use bf16 or fp32."
        )


def make_training_step(cell: TrainingStepCell | TrainingMemoryCell, applied: Applied) -> Callable[[], None]:
    """One optimiser step on images that are on the device already: cross-entropy, SGD with momentum.

    Every image has the label 0: how long a step takes does not depend on the labels.
    """
    images = make_images(
        cell.batch_size,
        cell.resolution_px,
        dtype=applied.input_dtype,
        channels_last=cell.settings.memory_format == "channels_last",
        device=cell.device,
    )
    labels = torch.zeros(cell.batch_size, dtype=torch.int64, device=cell.device)
    network = applied.model
    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        scores = class_scores(network, images, cell.model, cell.num_classes)
        F.cross_entropy(scores, labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step
