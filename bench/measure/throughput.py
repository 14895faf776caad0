"""Images per second in steady state: warm up until the rate stands still, then time blocks and keep each.

Blocks inside one process diagnose drift; intervals come from repeated processes, which is the suite's work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from bench.measure.allocator import page_faults
from bench.measure.clock import Clock

SETTLED_DRIFT = 0.01  # the project's definition of steady state: two successive medians within 1 %
SETTLE_WINDOW = 4  # warm-up blocks in each of the two medians; single blocks scatter by more than 1 % on a shared CPU
WARMUP_BLOCK_SHARE = 0.25  # of a timed block: eight warm-up blocks take two blocks' time
MIN_BLOCKS = 3  # below this a median says nothing about drift
MAX_TIMED_SECONDS = 30.0  # a model of seconds per batch gets fewer than `blocks` blocks; the record has their number
SHORTEST_SECONDS = 1e-9  # a clock's tick at best; keeps the rate of an unmeasurably short block finite


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
) -> Throughput:
    """Images per second of `step`, which processes images_per_step images that are resident on the device.

    A block is as many steps as fill about block_seconds at the warm-up's rate, at least one; the number is chosen
    once. Each block starts from an empty queue and ends when its last step is done.
    """
    warmup_iters, rate, settled = _warm_up(step, clock, block_seconds * WARMUP_BLOCK_SHARE, max_warmup_seconds)
    iterations = max(1, round(block_seconds * rate))
    rates: list[float] = []
    started, faults = clock.now(), page_faults()
    while len(rates) < blocks:
        if len(rates) >= MIN_BLOCKS and clock.now() - started >= MAX_TIMED_SECONDS:
            break
        rates.append(images_per_step * iterations / _time_block(step, iterations, clock))
    faults = page_faults() - faults
    return Throughput(tuple(rates), iterations, warmup_iters, settled, faults / (iterations * len(rates)))


def _warm_up(
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
