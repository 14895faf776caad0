"""How many images fit into memory at once in training, and how fast the model alone is at that number.

Nothing here changes the model: parameters are not stepped, buffers are put back, gradients are removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor, nn

from bench.errors import OutOfMemoryError
from bench.measure.devices import Clock, is_out_of_memory

PROBE_SECONDS = 1.0  # of forward and backward passes, enough for a rate within a few percent
PROBE_SHARE = 0.03  # of all passes that are to follow, if that is less
FEWEST_PASSES = 3
# Of the free memory, divided among the processes that train at once: what a system kills for taking too much cannot be
# caught.
CPU_SHARE = 0.5
CPU_OVERHEAD = 2.0  # peak over what is kept for the backward pass: gradients of activations, work space

Pass = Callable[[int], None]  # a forward and backward pass of so many images


@dataclass(frozen=True)
class MicroBatch:
    """size: images that fit at once. tried: sizes that did not, in the order tried. img_per_s: of the model alone."""

    size: int
    tried: tuple[int, ...]
    img_per_s: float


def find_micro_batch(
    model: nn.Module, run: Pass, most: int, device: torch.device, clock: Clock, beside: int = 1, passes: int = 10**9
) -> MicroBatch:
    """Halve `most` until a forward and backward pass fits, then time that size.

    On the CPU, where a process that takes too much is killed rather than told, half of the free memory is the limit,
    divided by the processes that train beside one another. passes: that are to follow; the probe is in proportion.
    Raises OutOfMemoryError when a single image does not fit.
    """
    size, tried = most, []
    with _left_as_it_was(model):
        if device.type == "cpu":
            limit = _cpu_limit(model, run, most, beside)
            while size > limit:
                tried.append(size)
                size = (size + 1) // 2
        while not _fits(model, run, size):
            _release(model, device)
            tried.append(size)
            if size == 1:
                raise OutOfMemoryError("Fine-tuning does not fit into memory, not even with one image at a time.")
            size = (size + 1) // 2
        rate = _rate(run, size, clock, passes)
    return MicroBatch(size, tuple(tried), rate)


def model_rate(model: nn.Module, run: Pass, size: int, clock: Clock, passes: int = 10**9) -> float:
    """Images per second of forward and backward passes of `size` images, after one that warms up."""
    with _left_as_it_was(model):
        run(size)
        return _rate(run, size, clock, passes)


def even_share(images: int, most: int) -> int:
    """The smallest micro-batch with which `images` take as many passes as with `most`: 171 by 85 is 57, not 85."""
    passes = -(-images // most)
    return -(-images // passes)


def notes_on_batches(
    model: nn.Module, micro_batch_size: int, batch_size: int, processes: int, *, mixes: bool
) -> list[str]:
    """Where a result depends on how a batch was divided; sentences for a reader of it."""
    modules, notes = list(model.modules()), []
    is_divided = micro_batch_size < batch_size
    if is_divided and any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in modules):
        notes.append(
            f"BatchNorm took its statistics from {micro_batch_size} images at a time, not from the whole "
            f"batch of {batch_size}"
            + (", and its running ones from the first process's images." if processes > 1 else ".")
        )
    if is_divided and any(_drops(module) for module in modules):
        notes.append(f"Dropout was drawn for {micro_batch_size} images at a time.")
    if mixes and batch_size % (2 * processes):
        notes.append("Mixup paired images within each process's part of a batch, of which some have an odd number.")
    return notes


def _fits(model: nn.Module, run: Pass, size: int) -> bool:
    try:
        run(size)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def _rate(run: Pass, size: int, clock: Clock, passes: int) -> float:
    most = max(FEWEST_PASSES, round(PROBE_SHARE * passes))
    started, seconds, done = clock.now(), 0.0, 0
    while done < FEWEST_PASSES or (seconds < PROBE_SECONDS and done < most):
        run(size)
        done += 1
        seconds = clock.now() - started
    return done * size / seconds


def _cpu_limit(model: nn.Module, run: Pass, most: int, beside: int) -> int:
    """Images whose activations fit into the share of the free memory, from what two images keep; at least one."""
    images = min(2, most)
    share = CPU_SHARE / beside
    kept = _kept_bytes(model, lambda: run(images)) / images
    return max(1, int(share * psutil.virtual_memory().available / (CPU_OVERHEAD * kept))) if kept else most


def _kept_bytes(model: nn.Module, run: Callable[[], None]) -> int:
    """Bytes that a forward pass keeps for its backward pass, parameters not counted, each storage once."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(kept.values())


@contextmanager
def _left_as_it_was(model: nn.Module) -> Iterator[None]:
    """Within it passes may run; afterwards buffers are as before and there are no gradients."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        model.zero_grad(set_to_none=True)


def _release(model: nn.Module, device: torch.device) -> None:
    model.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _drops(module: nn.Module) -> bool:
    """Whether a layer leaves something out at random in training: dropout, or stochastic depth."""
    return bool(getattr(module, "p", 0.0) if isinstance(module, nn.modules.dropout._DropoutNd) else 0.0) or bool(
        getattr(module, "drop_prob", 0.0)
    )
