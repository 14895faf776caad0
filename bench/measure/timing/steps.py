"""What is run to be timed and weighed: a forward pass or an optimiser step, on random images that lie on the device.

Also what a classifier must hand back: one score a class for every image, as a tensor of floats.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import CellFailedError, UnsupportedError
from bench.measure.settings import Applied
from bench.suite.cell import MemoryCell, SpeedCell, TrainingMemoryCell, TrainingStepCell

IMAGE_SEED = 0  # the same images in every process
MOMENTUM = 0.9  # the optimiser of the ViT paper's fine-tuning; its buffer is part of the memory
# A rate of zero does all the work of a step and leaves the weights as they are: every step is the first one over, and
# no gradient fades into denormal numbers, which CPUs multiply slowly.
LEARNING_RATE = 0.0


def make_images(batch_size: int, resolution_px: int, *, dtype: torch.dtype, channels_last: bool, device: str) -> Tensor:
    """Normally distributed images on the device: (batch_size, 3, resolution_px, resolution_px), the same each time."""
    generator = torch.Generator().manual_seed(IMAGE_SEED)
    images = torch.randn(batch_size, 3, resolution_px, resolution_px, generator=generator)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return images.to(device=device, dtype=dtype, memory_format=memory_format)


def inference_step(cell: SpeedCell | MemoryCell, applied: Applied, batch_size: int) -> Callable[[], object]:
    """One forward pass."""
    images, network = _images_of(cell, applied, batch_size), applied.model
    return lambda: network(images)


def require_trainable(cell: TrainingStepCell | TrainingMemoryCell) -> None:
    """Raise UnsupportedError for a precision in which nobody would train."""
    if cell.settings.precision == "fp16":
        raise UnsupportedError(
            "training in fp16: weights and gradients would be fp16 too, without the scaling of the loss that they "
            "need. Use bf16 or fp32."
        )


def training_step(cell: TrainingStepCell | TrainingMemoryCell, applied: Applied) -> Callable[[], None]:
    """One optimiser step: cross-entropy, SGD with momentum.

    Every image has the label 0: how long a step takes does not depend on the labels.
    """
    images = _images_of(cell, applied, cell.batch_size)
    labels = torch.zeros(cell.batch_size, dtype=torch.int64, device=cell.device)
    network = applied.model
    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        scores = class_scores(network, images, cell.model, cell.num_classes)
        F.cross_entropy(scores, labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _images_of(
    cell: SpeedCell | MemoryCell | TrainingStepCell | TrainingMemoryCell, applied: Applied, batch_size: int
) -> Tensor:
    return make_images(
        batch_size,
        cell.resolution_px,
        dtype=applied.input_dtype,
        channels_last=cell.settings.memory_format == "channels_last",
        device=cell.device,
    )


def class_scores(model: nn.Module, images: Tensor, name: str, num_classes: int | None) -> Tensor:
    """The model's scores for a batch of images, (B, C). num_classes: C; None takes any.

    Raises CellFailedError for anything else, which a loss or an argmax might take without a word.
    """
    output: object = model(images)
    count = len(images)
    if isinstance(output, Tensor) and output.ndim == 2 and output.is_floating_point():
        rows, columns = output.shape
        if rows == count and columns == (num_classes or columns):
            return output
    raise CellFailedError(
        f"Model {name!r} returns {_described(output)} for {count} images in "
        f"{'training' if model.training else 'evaluation'}; class scores were expected, a tensor of floats of shape "
        f"({count}, {'classes' if num_classes is None else num_classes}). {_remedy(output, num_classes)}"
    )


def _described(output: object) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of {str(output.dtype).removeprefix('torch.')} of shape {tuple(output.shape)}"
    kind = type(output).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def _remedy(output: object, num_classes: int | None) -> str:
    if not isinstance(output, Tensor):
        return "Return the scores alone, in training too: without auxiliary ones, and `.logits` of such an object."
    if not output.is_floating_point():
        return "Return scores, not the classes chosen."
    if output.ndim == 2 and num_classes is not None and output.shape[1] != num_classes:
        return "Let the function take `num_classes`, and make its head by it."
    return "Return a row of scores for every image."
