"""A clock that stands still until work is done on it, so that timing logic is tested without waiting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class FakeClock:
    """A device whose queued work takes as long as it is told."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.queued = 0.0
        self.synchronised = 0
        self.queued_at_synchronise: list[float] = []

    def now(self) -> float:
        self.seconds, self.queued = self.seconds + self.queued, 0.0
        return self.seconds

    def synchronise(self) -> None:
        self.synchronised += 1
        self.queued_at_synchronise.append(self.queued)
        self.now()


class FakeStep:
    """A step that queues work: durations in seconds one after another, the last one for ever."""

    def __init__(self, clock: FakeClock, durations: Iterable[float]) -> None:
        self.clock = clock
        self.durations: Iterator[float] = iter(durations)
        self.last = 0.0
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        self.last = next(self.durations, self.last)
        self.clock.queued += self.last
