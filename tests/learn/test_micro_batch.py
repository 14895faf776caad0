"""Which number of images fits at once, and that trying leaves the model as it was."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bench.errors import OutOfMemoryError
from bench.learn.micro_batch import even_share, find_micro_batch, model_rate

CPU = torch.device("cpu")


class SteppedClock:
    """A clock that is a quarter of a second later at each look."""

    seconds = 0.0

    def now(self) -> float:
        self.seconds += 0.25
        return self.seconds

    def synchronise(self) -> None:
        return


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU())


def passes(model: nn.Module, room: int, sizes: list[int]) -> Callable[[int], None]:
    """A pass that notes how many images it was asked for and has memory for `room`."""

    def run(images: int) -> None:
        sizes.append(images)
        if images > room:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        model(torch.randn(images, 8)).sum().backward()

    return run


@pytest.mark.parametrize(("images", "most", "share"), [(512, 512, 512), (512, 64, 64), (171, 85, 57), (7, 3, 3)])
def test_images_are_divided_evenly_into_as_many_passes_as_needed(images: int, most: int, share: int) -> None:
    assert even_share(images, most) == share


def test_the_size_is_halved_until_it_fits_and_the_tries_are_kept() -> None:
    model, sizes = network(), list[int]()
    found = find_micro_batch(model, passes(model, 5, sizes), 32, CPU, SteppedClock())
    assert (found.size, found.tried) == (4, (32, 16, 8))
    assert found.img_per_s == pytest.approx(4 * 4 / 1.0)  # four passes until a second is over


def test_one_image_that_does_not_fit_is_out_of_memory() -> None:
    model = nn.Sequential(nn.Linear(8, 8))

    def run(images: int) -> None:
        raise MemoryError

    with pytest.raises(OutOfMemoryError, match="not even with one image"):
        find_micro_batch(model, run, 4, torch.device("meta"), SteppedClock())


def test_errors_of_another_kind_are_not_taken_for_missing_memory() -> None:
    def run(images: int) -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        find_micro_batch(network(), run, 4, torch.device("meta"), SteppedClock())


def test_trying_leaves_buffers_as_they_were_and_no_gradients() -> None:
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    find_micro_batch(model, passes(model, 16, []), 16, CPU, SteppedClock())
    model_rate(model, passes(model, 16, []), 16, SteppedClock())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_on_the_cpu_half_of_the_free_memory_is_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    # A linear layer keeps its input for the backward pass: 100 float32 an image, 400 bytes, 800 at the peak.
    model = nn.Linear(100, 1)
    free = SimpleNamespace(available=2 * 800 * 6)
    monkeypatch.setattr("bench.learn.micro_batch.psutil.virtual_memory", lambda: free)
    found = find_micro_batch(
        model, lambda images: model(torch.randn(images, 100)).sum().backward(), 16, CPU, SteppedClock()
    )
    assert (found.size, found.tried) == (4, (16, 8))
