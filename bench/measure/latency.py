"""Time of single forward passes, one image each, every sample kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.measure.allocator import page_faults
from bench.measure.clock import Clock
from bench.measure.percentiles import percentile

MIN_SAMPLES = 30  # kept even when time is up: a p90 of fewer is the maximum or the one below
MIN_SAMPLES_FOR_P99 = 1_000  # ten samples lie above it; with fewer it is close to the maximum
MIN_WARMUP_ITERS = 3  # first calls allocate, choose kernels and fill caches


@dataclass(frozen=True)
class Latency:
    """What one measurement of latency saw."""

    latency_ms: tuple[float, ...]  # every sample, in order
    warmup_iters: int  # run and thrown away
    page_faults_per_step: float  # in the timed passes

    @property
    def p50_ms(self) -> float:
        return percentile(self.latency_ms, 50)

    @property
    def p90_ms(self) -> float:
        return percentile(self.latency_ms, 90)

    @property
    def p99_ms(self) -> float | None:
        """None below MIN_SAMPLES_FOR_P99 samples."""
        return percentile(self.latency_ms, 99) if len(self.latency_ms) >= MIN_SAMPLES_FOR_P99 else None


def measure_latency(
    step: Callable[[], object],
    *,
    clock: Clock,
    iterations: int = 1_000,
    max_seconds: float = 2.0,
    warmup_seconds: float = 0.2,
) -> Latency:
    """Milliseconds of each call of `step`, one image per call, the device's queue empty before each.

    Stops at `iterations` samples or after max_seconds, whichever is first, but not below MIN_SAMPLES (or `iterations`
    if that is less).
    """
    warmup_iters = _warm_up(step, clock, warmup_seconds)
    samples: list[float] = []
    started = clock.now()
    ended, faults = started, page_faults()
    while len(samples) < iterations and (len(samples) < MIN_SAMPLES or ended - started < max_seconds):
        clock.synchronise()
        begun = clock.now()
        step()
        ended = clock.now()
        samples.append((ended - begun) * 1e3)
    faults = page_faults() - faults
    return Latency(tuple(samples), warmup_iters, faults / len(samples))


def _warm_up(step: Callable[[], object], clock: Clock, seconds: float) -> int:
    """Steps run for at least `seconds` and MIN_WARMUP_ITERS."""
    started = clock.now()
    done = 0
    while done < MIN_WARMUP_ITERS or clock.now() - started < seconds:
        step()
        done += 1
    return done
