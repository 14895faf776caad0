"""Clocks for work that runs on a device: when a reading is taken, the work before it is done.

Everything that times takes its clock as an argument, so that its logic is tested without waiting.
"""

from __future__ import annotations

import time
from typing import Protocol

import torch


class Clock(Protocol):
    """A clock that stands in the device's queue of work."""

    def now(self) -> float:
        """Seconds since a fixed moment, read once the work queued before this call is done."""

    def synchronise(self) -> None:
        """Wait until nothing is queued on the device."""


class CpuClock:
    """The monotonic clock. CPU operators return when they are done, so there is no queue to wait for."""

    def now(self) -> float:
        return time.perf_counter()

    def synchronise(self) -> None:
        return


class CudaClock:
    """CUDA events on the current stream: the device's own times, without the host's way back.

    Work that a model leaves on a side stream is outside a block unless the model joins it, as torch's modules do.
    """

    def __init__(self) -> None:
        self._last = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call, unused-ignore]
        self._next = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call, unused-ignore]
        self._seconds = 0.0
        self._last.record()

    def now(self) -> float:
        self._next.record()
        self._next.synchronize()
        # From reading to reading: an event's distance is a float32 of milliseconds and loses microseconds after 16 s.
        self._seconds += self._last.elapsed_time(self._next) / 1e3
        self._last, self._next = self._next, self._last
        return self._seconds

    def synchronise(self) -> None:
        torch.cuda.synchronize()


class MpsClock:
    """The monotonic clock, read after the queue of the Metal device has drained."""

    def now(self) -> float:
        torch.mps.synchronize()
        return time.perf_counter()

    def synchronise(self) -> None:
        torch.mps.synchronize()


_CLOCKS: dict[str, type[CpuClock] | type[CudaClock] | type[MpsClock]] = {
    "cpu": CpuClock,
    "cuda": CudaClock,
    "mps": MpsClock,
}


def clock_for(device: str) -> Clock:
    """The clock of `cpu`, `cuda` or `mps`."""
    return _CLOCKS[device]()
