"""What a check found, as one frozen object: every format is made from it, and its JSON holds every raw turn.

Times are integers in nanoseconds, differences are percent with + for slower, levels are fractions.

Format history
1: first version.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Any, Literal

from pydantic import Field

from bench.gate.rule import INTERVAL_LEVEL, RULE_VERSION, Verdict, worst
from bench.suite.cell import Device, Frozen

FORMAT_VERSION: Literal[1] = 1

SideName = Literal["base", "head"]
ClockName = Literal["cpu", "wall"]


class Workload(Frozen):
    """What one side runs for one comparison: a model under settings, images resident, evaluation mode.

    settings: precision, memory_format, compile, fold, as far as they differ from the defaults. plant: extra forwards
    among how many, which makes a side slower by a known share, (1, 20) by 5 %; None for none.
    """

    model: str
    batch_size: int = 1
    resolution_px: int | None = None  # None: the model's own
    num_classes: int | None = None  # None: the model's own head
    settings: dict[str, Any] = Field(default_factory=dict)
    plant: tuple[int, int] | None = None


class Comparison(Frozen):
    """One line of a check: the same workload in two revisions, or two workloads. `name` is unique within a check."""

    name: str
    base: Workload
    head: Workload


class Side(Frozen):
    """Which code and which interpreter one side ran. commit and is_dirty are None outside a git checkout."""

    label: str
    commit: str | None = None
    is_dirty: bool | None = None
    python: str | None = None
    torch: str | None = None
    timm: str | None = None


class PairTurns(Frozen):
    """Every turn of one comparison in one pair of processes.

    orders: who went when in each turn, `bh` for base then head, `hba` with the second base worker `a`.
    base_ns, head_ns, again_ns: nanoseconds of `forwards` timed forward passes, a number for each turn; again_ns is
    empty in pairs without an A/A arm for this comparison. clock: `cpu` is the CPU time of the worker's one thread, from
    which the time of other processes is absent; `wall` where that does not hold all the work.
    """

    pair: int
    clock: ClockName
    started_first: SideName
    forwards: int
    orders: tuple[str, ...]
    base_ns: tuple[int, ...]
    head_ns: tuple[int, ...]
    again_ns: tuple[int, ...] = ()

    @property
    def log_ratio(self) -> float:
        """Median over turns of ln(head time / base time): the pair's value."""
        return _median_log_ratio(self.head_ns, self.base_ns)

    @property
    def again_log_ratio(self) -> float | None:
        """The same for the second base worker against the first, None without one."""
        return _median_log_ratio(self.again_ns, self.base_ns) if self.again_ns else None


def _median_log_ratio(times: Sequence[int], reference: Sequence[int]) -> float:
    return median(math.log(one / other) for one, other in zip(times, reference, strict=True))


class LookResult(Frozen):
    """What was seen at one look. p values are one-sided; *_pct are slowdowns of head in percent."""

    pairs: int
    slowdown_pct: float
    low_pct: float
    high_pct: float
    p: float
    p_holm: float
    verdict: Verdict | None
    reason: str


class ModelResult(Frozen):
    """One comparison: its verdict and what it rests on. Estimates are None where no two pairs were finished."""

    comparison: Comparison
    verdict: Verdict
    reason: str
    looks: tuple[LookResult, ...] = ()
    pairs: tuple[PairTurns, ...] = ()

    @property
    def name(self) -> str:
        return self.comparison.name

    @property
    def slowdown_pct(self) -> float | None:
        """Mean over pairs, percent, + for slower; the interval is low_pct to high_pct (two-sided 95 %)."""
        return self.looks[-1].slowdown_pct if self.looks else None

    @property
    def low_pct(self) -> float | None:
        return self.looks[-1].low_pct if self.looks else None

    @property
    def high_pct(self) -> float | None:
        return self.looks[-1].high_pct if self.looks else None

    @property
    def base_ms(self) -> float | None:
        """Milliseconds of one forward pass: median over pairs of the median over turns."""
        return _forward_ms([(pair.base_ns, pair.forwards) for pair in self.pairs])

    @property
    def head_ms(self) -> float | None:
        return _forward_ms([(pair.head_ns, pair.forwards) for pair in self.pairs])


def _forward_ms(timed: Sequence[tuple[tuple[int, ...], int]]) -> float | None:
    return median(median(times) / forwards / 1e6 for times, forwards in timed) if timed else None


class NoiseFloor(Frozen):
    """The A/A arm: base against itself in fresh processes, over all pairs. spread_pct: standard deviation of a pair."""

    pairs: int
    mean_pct: float
    low_pct: float
    high_pct: float
    spread_pct: float


class CountChange(Frozen):
    """One deterministic count that differs. what: `params`, `macs`, `activations`, `graph breaks`, or an operator."""

    what: str
    base: float | None  # None: not counted on this side
    head: float | None
    is_rise: bool  # more work than before


class ExactResult(Frozen):
    """The deterministic gate of one comparison. FAIL: something rose, and the gate was asked to gate.

    counts: what was compared, name -> value on head. reason: one sentence, names what rose.
    """

    name: str
    verdict: Verdict
    reason: str
    changes: tuple[CountChange, ...] = ()
    counts: dict[str, float] = Field(default_factory=dict)


class BaselineNote(Frozen):
    """A stored baseline beside today's base or head. Advisory: it never moves a verdict.

    is_same_machine: False marks figures that are not comparable; ratio is then a calibrated estimate.
    """

    name: str
    saved_at: str
    is_same_machine: bool
    stored_ms: float
    now_ms: float
    ratio: float  # now / stored, calibrated between machines
    is_alarm: bool
    text: str


class CheckResult(Frozen):
    """Everything a check found. `conditions` are as in stored records; `problems` are sentences for the reader."""

    format_version: Literal[1] = FORMAT_VERSION
    rule_version: int = RULE_VERSION
    started_at: str  # UTC, ISO 8601
    wall_s: float
    seed: int
    threshold_pct: float
    turns: int
    max_pairs: int
    device: Device
    threads: int
    cpus: tuple[int, ...] | None  # that every worker was pinned to; None where the system cannot
    base: Side
    head: Side
    conditions: dict[str, Any]
    models: tuple[ModelResult, ...]
    noise: NoiseFloor | None = None
    exact: tuple[ExactResult, ...] = ()
    baselines: tuple[BaselineNote, ...] = ()
    problems: tuple[str, ...] = ()
    is_revision_check: bool = True  # False: two settings, models or interpreters were compared

    @property
    def verdict(self) -> Verdict:
        """FAIL if anything failed, INCONCLUSIVE if anything is, else PASS."""
        return worst([*(one.verdict for one in self.models), *(one.verdict for one in self.exact)])

    @property
    def interval_level(self) -> float:
        return INTERVAL_LEVEL
