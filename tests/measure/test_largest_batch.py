"""The search for the largest batch: what it tries, when it stops, and what one try means."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UnsupportedError
from bench.measure.timing.memory import (
    PRECISION,
    Try,
    as_values,
    data_limited,
    judged,
    measure_try,
    require_free_memory,
    reset_peak_rss,
    search,
)
from bench.suite.cell import LargestBatchCell, Settings
from bench.units import MIB

needs_reset = pytest.mark.skipif(
    sys.platform != "linux" or not reset_peak_rss(), reason="the peak resident set size cannot be reset here"
)
CELL = LargestBatchCell(
    metric_version=1, model="m", resolution_px=32, cap=64, memory_limit_mib=100, device="cpu", settings=Settings()
)


def attempt(fits: Callable[[int], bool], peak: Callable[[int], float | None], limit: float) -> Callable[[int], Try]:
    def one(batch: int) -> Try:
        if fits(batch):
            return Try(batch, "ok", peak(batch), limit, None, 1.0)
        return Try(batch, "oom", None, limit, "too much", 1.0)

    return one


@pytest.mark.parametrize("largest", [1, 2, 3, 7, 50, 333, 2878, 100_000])
@pytest.mark.parametrize("weights_mib", [0.0, 40.0, 9_000.0])
def test_the_answer_fits_and_five_percent_or_one_image_more_does_not(largest: int, weights_mib: float):
    limit = weights_mib + largest * 2.0
    tries = search(attempt(lambda b: b <= largest, lambda b: weights_mib + 2.0 * b, limit), cap=1_000_000)
    values = as_values(tries)
    assert values["largest_batch"] <= largest
    assert values["smallest_refused"] > largest
    refused = values["smallest_refused"]
    assert refused <= values["largest_batch"] * PRECISION or refused == values["largest_batch"] + 1
    assert values["stopped_by"] == "memory"
    assert len(tries) <= 12


@pytest.mark.parametrize("peak", [lambda b: None, lambda b: 1.0, lambda b: -b / 1000, lambda b: 90.0 + b**0.5])
def test_peaks_that_mislead_cost_tries_and_change_nothing(peak: Callable[[int], float | None]):
    tries = search(attempt(lambda b: b <= 777, peak, 100.0), cap=1_000_000)
    values = as_values(tries)
    assert values["largest_batch"] <= 777 < values["smallest_refused"] <= values["largest_batch"] * PRECISION
    assert len(tries) <= 30
    assert len({one.batch_size for one in tries}) == len(tries)  # no batch is tried twice


def test_no_batch_above_the_cap_is_tried():
    tries = search(attempt(lambda b: True, lambda b: 1.0 * b, 1e9), cap=300)
    assert max(one.batch_size for one in tries) == 300
    assert as_values(tries)["stopped_by"] == "cap"
    assert as_values(tries)["smallest_refused"] is None


def test_a_single_image_too_many_is_a_result():
    values = as_values(search(attempt(lambda b: False, lambda b: None, 10.0), cap=64))
    assert values["largest_batch"] == 0
    assert values["stopped_by"] == "memory"
    assert [one["batch_size"] for one in values["tries"]] == [8, 1]


def test_every_try_is_kept_with_its_reason():
    values = as_values(search(attempt(lambda b: b <= 4, lambda b: 1.0 * b, 4.0), cap=64))
    assert {one["batch_size"]: one["fits"] for one in values["tries"]} == {8: False, 1: True, 4: True, 5: False}
    assert values["tries"][0]["reason"] == "too much"
    assert values["limit_mib"] == 4.0
    assert values["peak_mib"] == 4.0


def test_another_failure_than_memory_is_told_apart():
    def one(batch: int) -> Try:
        return Try(batch, "ok" if batch < 9 else "failed", None, None, None if batch < 9 else "no kernel", 1.0)

    values = as_values(search(one, cap=64))
    assert values["largest_batch"] == 8
    assert values["stopped_by"] == "error"


@pytest.mark.parametrize(("status", "batches"), [("failed", [8, 1]), ("skipped", [8])])
def test_a_model_that_cannot_run_at_all_is_soon_left(status: str, batches: list[int]):
    def one(batch: int) -> Try:
        return Try(batch, status, None, None, "why", 1.0)  # type: ignore[arg-type]

    assert [tried.batch_size for tried in search(one, cap=64)] == batches


def test_a_peak_above_the_budget_does_not_fit():
    above = judged(8, {"status": "ok", "reason": None, "values": {"peak_mib": 120.4, "limit_mib": 100.0}}, 2.0)
    assert (above.status, above.reason) == ("oom", "The process grows by 120 MiB, the budget is 100 MiB.")
    below = judged(8, {"status": "ok", "reason": None, "values": {"peak_mib": 99.0, "limit_mib": 100.0}}, 2.0)
    assert below.fits
    assert judged(8, {"status": "oom", "reason": "full"}, 2.0).reason == "full"


def test_a_machine_that_is_too_full_is_not_tried():
    with pytest.raises(UnsupportedError, match="Lower memory_limit_mib"):
        require_free_memory(CELL.model_copy(update={"memory_limit_mib": 1 << 40}))


class Hungry(nn.Module):
    """Needs `mib_per_image` during a forward pass, beside 8 MiB of weights."""

    def __init__(self, mib_per_image: int) -> None:
        super().__init__()
        self.mib_per_image = mib_per_image
        self.weight = nn.Parameter(torch.ones(8 * MIB // 4))

    def forward(self, images: Tensor) -> Tensor:
        return torch.ones(len(images) * self.mib_per_image * MIB // 4).sum() + images.sum()


@needs_reset
def test_a_try_measures_weights_and_one_pass():
    found = measure_try(CELL, 6, lambda: Hungry(10))
    assert found["peak_mib"] == pytest.approx(8 + 60, rel=0.1)
    assert found["limit_mib"] == 100


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds nothing elsewhere")
def test_a_process_cannot_allocate_twice_its_budget():
    script = (
        "import torch\n"
        "from bench.measure.timing.memory import data_limited\n"
        "with data_limited(100):\n"
        "    torch.ones(100 * 2**20 // 4)\n"
        "    torch.ones(600 * 2**20 // 4)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode != 0
    assert "DefaultCPUAllocator" in done.stderr


def test_the_limit_is_lifted_afterwards():
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with data_limited(100):
        pass
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_try_on_cuda_is_limited_by_what_is_free():
    cell = CELL.model_copy(update={"device": "cuda", "memory_limit_mib": None})
    found = measure_try(cell, 2, lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 8192)))
    assert 0 < found["peak_mib"] < found["limit_mib"]
