"""Time of a step, by a clock that is passed in: images per second in steady state, and milliseconds of single passes.

Throughput warms up until the rate stands still, then times blocks and keeps each. Blocks inside one process diagnose
drift; intervals come from repeated processes, which is the suite's work. Latency keeps every sample.

Memory that a model frees while it is timed is kept, as a server keeps it between requests. Left alone, glibc gives
large blocks back to the system and faults them in again at the next pass, in each process differently. It reads its
environment when a process starts, so the rule is applied by whoever starts one that times.
"""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.errors import TooSlowError

if TYPE_CHECKING:  # whoever starts a process that times need not import torch
    from bench.measure.devices import Clock

SETTLED_DRIFT = 0.01  # the project's definition of steady state: two successive medians within 1 %
SETTLE_WINDOW = 4  # warm-up blocks in each of the two medians; single blocks scatter by more than 1 % on a shared CPU
WARMUP_BLOCK_SHARE = 0.25  # of a timed block: eight warm-up blocks take two blocks' time
MIN_BLOCKS = 3  # below this a median says nothing about drift
MAX_TIMED_SECONDS = 30.0  # a model of seconds per batch gets fewer than `blocks` blocks; the record has their number
SHORTEST_SECONDS = 1e-9  # a clock's tick at best; keeps the rate of an unmeasurably short block finite
MIN_SAMPLES = 30  # kept even when time is up, but for a time limit: a p90 of fewer is the maximum or the one below
MIN_SAMPLES_FOR_P99 = 1_000  # ten samples lie above it; with fewer it is close to the maximum
MIN_WARMUP_ITERS = 3  # first calls allocate, choose kernels and fill caches
# MMAP_MAX_ and not MMAP_THRESHOLD_, which glibc before 2.35 refuses above 32 MiB: it then maps from 128 KiB on.
KEPT_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",  # no block gets a mapping of its own, which ends when it is freed
    "MALLOC_TRIM_THRESHOLD_": str(1024**4),  # the heap's free end stays, up to 1 TiB
}
# What decides whether freed memory is kept (mallopt(3)). Whoever sets one of them has a rule of his own.
VARIABLES = (*KEPT_MEMORY, "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_")
TUNABLES = "GLIBC_TUNABLES"


@dataclass(frozen=True)
class Throughput:
    """What one measurement of throughput saw."""

    block_img_per_s: tuple[float, ...]  # every timed block, in order
    iters_per_block: int
    warmup_iters: int  # run and thrown away
    warmup_settled: bool  # False: warm-up ended by its time limit, the rate was still moving
    page_faults_per_step: float  # in the timed blocks

    @property
    def img_per_s(self) -> float:
        """Median of the blocks."""
        return median(self.block_img_per_s)


def measure_throughput(
    step: Callable[[], object],
    *,
    images_per_step: int,
    clock: Clock,
    block_seconds: float = 0.25,
    blocks: int = 8,
    max_warmup_seconds: float = 3.0,
    min_blocks: int = MIN_BLOCKS,
    max_seconds: float = MAX_TIMED_SECONDS,
    until: float = math.inf,
) -> Throughput:
    """Images per second of `step`, which processes images_per_step images that are resident on the device.

    A block is as many steps as fill about block_seconds at the warm-up's rate, at least one; the number is chosen
    once. Each block starts from an empty queue and ends when its last step is done. After max_seconds there are no more
    blocks than min_blocks.

    Raises TooSlowError if no block can end before the clock says `until`; further ones are left out.
    """
    warmup_iters, rate, settled = _settle(step, clock, block_seconds * WARMUP_BLOCK_SHARE, max_warmup_seconds)
    iterations = max(1, round(block_seconds * rate))
    _require_time_for(iterations / rate, until - clock.now())
    seconds: list[float] = []
    started, faults = clock.now(), page_faults()
    while len(seconds) < blocks:
        now = clock.now()
        are_enough = len(seconds) >= min_blocks and now - started >= max_seconds
        if are_enough or (seconds and now + seconds[-1] > until):
            break
        seconds.append(_time_block(step, iterations, clock))
    faults = page_faults() - faults
    rates = tuple(images_per_step * iterations / each for each in seconds)
    return Throughput(rates, iterations, warmup_iters, settled, faults / (iterations * len(rates)))


def _require_time_for(seconds: float, left: float) -> None:
    if seconds > left:
        raise TooSlowError(f"one pass took {seconds:.2g} s, and {max(left, 0.0):.2g} s were left of the time limit")


def _settle(
    step: Callable[[], object], clock: Clock, block_seconds: float, max_seconds: float
) -> tuple[int, float, bool]:
    """Steps run, steps per second at the end, and whether that rate had settled."""
    started = clock.now()
    rates: list[float] = []
    done, iterations = 0, 1
    while True:
        rates.append(iterations / _time_block(step, iterations, clock))
        done += iterations
        settled = _is_settled(rates)
        if settled or clock.now() - started >= max_seconds:
            return done, median(rates[-SETTLE_WINDOW:]), settled
        iterations = max(1, round(block_seconds * rates[-1]))


def _is_settled(rates: list[float]) -> bool:
    """Whether the median of the last window of rates is within SETTLED_DRIFT of the window before it."""
    if len(rates) < 2 * SETTLE_WINDOW:
        return False
    before, now = median(rates[-2 * SETTLE_WINDOW : -SETTLE_WINDOW]), median(rates[-SETTLE_WINDOW:])
    return abs(now / before - 1) < SETTLED_DRIFT


def _time_block(step: Callable[[], object], iterations: int, clock: Clock) -> float:
    """Seconds of `iterations` steps."""
    clock.synchronise()  # nothing queued earlier may run inside the block
    started = clock.now()
    for _ in range(iterations):
        step()
    return max(clock.now() - started, SHORTEST_SECONDS)


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
    def p90_ms(self) -> float | None:
        """None below MIN_SAMPLES samples."""
        return percentile(self.latency_ms, 90) if len(self.latency_ms) >= MIN_SAMPLES else None

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
    max_warmup_seconds: float = math.inf,
    min_samples: int = MIN_SAMPLES,
    until: float = math.inf,
) -> Latency:
    """Milliseconds of each call of `step`, one image per call, the device's queue empty before each.

    Stops at `iterations` samples or after max_seconds, whichever is first, but not below min_samples (or `iterations`
    if that is less). After max_warmup_seconds one call is warm-up enough.

    Raises TooSlowError if no call can end before the clock says `until`; further ones are left out.
    """
    started = clock.now()
    warmup_iters = _warm_up(step, clock, warmup_seconds, max_warmup_seconds)
    expected = (clock.now() - started) / warmup_iters
    _require_time_for(expected, until - clock.now())
    samples: list[float] = []
    started = clock.now()
    ended, faults = started, page_faults()
    while len(samples) < iterations and (len(samples) < min_samples or ended - started < max_seconds):
        if samples and ended + samples[-1] / 1e3 > until:
            break
        clock.synchronise()
        begun = clock.now()
        step()
        ended = clock.now()
        samples.append((ended - begun) * 1e3)
    faults = page_faults() - faults
    return Latency(tuple(samples), warmup_iters, faults / len(samples))


def _warm_up(step: Callable[[], object], clock: Clock, seconds: float, max_seconds: float) -> int:
    """Steps run for at least `seconds` and MIN_WARMUP_ITERS, but no further one after max_seconds."""
    started = clock.now()
    done = 0
    while done < MIN_WARMUP_ITERS or clock.now() - started < seconds:
        if done and clock.now() - started >= max_seconds:
            break
        step()
        done += 1
    return done


def percentile(samples: Sequence[float], percent: float) -> float:
    """The value that `percent` of the samples lie below, linear between neighbours (numpy's default, Hyndman-Fan 7).

    percent: in [0, 100]. Raises ValueError for no samples or a percent outside that range.
    """
    if not samples or not 0 <= percent <= 100:
        raise ValueError(f"percentile {percent} of {len(samples)} samples does not exist")
    ordered = sorted(samples)
    position = (len(ordered) - 1) * percent / 100
    lower = int(position)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (position - lower) * (ordered[upper] - ordered[lower])


def kept_memory(environment: Mapping[str, str]) -> dict[str, str]:
    """What to add to the environment of a process that times: nothing without glibc, or where its user set a rule."""
    return {} if not _is_glibc() or _users_rule(environment) else dict(KEPT_MEMORY)


def allocator_of(environment: Mapping[str, str]) -> str:
    """What a process started with this environment does with freed memory, as records say it."""
    preloaded = [Path(one).name for one in environment.get("LD_PRELOAD", "").replace(":", " ").split()]
    if others := [name for name in preloaded if "malloc" in name]:
        return f"{', '.join(others)}, preloaded by the user"
    if not _is_glibc():
        return "not glibc, nothing set"
    if KEPT_MEMORY.items() <= environment.items():
        return "glibc, freed memory kept"
    rule = _users_rule(environment)
    return f"glibc, set by the user: {', '.join(rule)}" if rule else "glibc, nothing set"


def allocator_of_timings() -> str:
    """What a timing started from this process does with freed memory."""
    return allocator_of({**os.environ, **kept_memory(os.environ)})


def page_faults() -> int:
    """Pages that the system handed this process so far, in all its threads, without reading a disk."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _users_rule(environment: Mapping[str, str]) -> list[str]:
    tunables = environment.get(TUNABLES, "").split(":")
    names = tuple(f"glibc.malloc.{variable.removeprefix('MALLOC_').strip('_').lower()}=" for variable in VARIABLES)
    own = [f"{variable}={environment[variable]}" for variable in VARIABLES if variable in environment]
    return own + [one for one in tunables if one.startswith(names)]


def _is_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (ValueError, OSError):  # a name that macOS and musl do not know
        return False
