"""What a check found, as one frozen object: every format is made from it, and its JSON holds every raw turn.

Times are integers in nanoseconds, differences are percent with + for slower, levels are fractions.

Format history
1: first version.
2: the A/A arm runs head against itself too; estimates are medians, their interval that of the sign test.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from bench.errors import StoreError
from bench.gate.rule import INTERVAL_LEVEL, RULE_VERSION, AgainstItself, SideName, Verdict, worst
from bench.suite.cell import Device, Frozen

FORMAT_VERSION: Literal[2] = 2
MEAN_LEVEL = 0.95  # of the intervals in results of rule version 1, which were of means

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

    orders: who went when in each turn, `bh` for base then head, `hba` with the A/A arm's worker `a`, which is a second
    one of the side `again_of`. base_ns, head_ns, again_ns: nanoseconds of `forwards` timed forward passes, a number for
    each turn; again_ns is empty in pairs without an A/A arm for this comparison. clock: `cpu` is the CPU time of the
    worker's one thread, from which the time of other processes is absent; `wall` where that does not hold all the work.
    """

    pair: int
    clock: ClockName
    started_first: SideName
    forwards: int
    orders: tuple[str, ...]
    base_ns: tuple[int, ...]
    head_ns: tuple[int, ...]
    again_ns: tuple[int, ...] = ()
    again_of: SideName = "base"

    @property
    def log_ratio(self) -> float:
        """Median over turns of ln(head time / base time): the pair's value."""
        return _median_log_ratio(self.head_ns, self.base_ns)

    @property
    def against_itself(self) -> AgainstItself | None:
        """The same for the second worker of one side against the first, None without one."""
        if not self.again_ns:
            return None
        first = self.base_ns if self.again_of == "base" else self.head_ns
        return self.again_of, _median_log_ratio(self.again_ns, first)


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
    """One comparison: its verdict and what it rests on. Estimates are None before the first look."""

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
        """Median over pairs, percent, + for slower; the interval is low_pct to high_pct."""
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
    """The A/A arm of one side: its code against itself in fresh processes. Median, lowest and highest pair."""

    side: SideName
    pairs: int
    median_pct: float
    lowest_pct: float
    highest_pct: float


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


class CheckResult(Frozen):
    """Everything a check found. `conditions` are as in stored records; `problems` are sentences for the reader."""

    format_version: Literal[1, 2] = FORMAT_VERSION
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
    noise: tuple[NoiseFloor, ...] = ()  # empty where the A/A arm was off, and in results of version 1
    has_head_copy: bool = False  # head against itself: in its tree against a worktree of its commit
    exact: tuple[ExactResult, ...] = ()
    problems: tuple[str, ...] = ()
    is_revision_check: bool = True  # False: two settings, models or interpreters were compared

    @model_validator(mode="before")
    @classmethod
    def _without_stored_baselines(cls, data: Any) -> Any:
        """Checks of before were laid beside stored baselines, which moved no verdict."""
        return {key: value for key, value in data.items() if key != "baselines"} if isinstance(data, dict) else data

    @field_validator("noise", mode="before")
    @classmethod
    def _without_the_mean_of_version_1(cls, noise: Any) -> Any:
        return () if noise is None or isinstance(noise, dict) else noise

    @property
    def verdict(self) -> Verdict:
        """FAIL if anything failed, INCONCLUSIVE if anything is, else PASS."""
        return worst([*(one.verdict for one in self.models), *(one.verdict for one in self.exact)])

    @property
    def interval_level(self) -> float:
        return MEAN_LEVEL if self.rule_version == 1 else INTERVAL_LEVEL


DERIVED = ("name", "verdict", "slowdown_pct", "low_pct", "high_pct", "base_ms", "head_ms")  # of each model


def render_json(result: CheckResult) -> str:
    """One line of JSON; numbers are unrounded. `derived` follows from the rest, and `read_result` passes over it."""
    models = [
        {
            **{name: getattr(model, name) for name in DERIVED},
            "pair_log_ratios": [pair.log_ratio for pair in model.pairs],
            "against_itself": [pair.against_itself for pair in model.pairs if pair.against_itself is not None],
        }
        for model in result.models
    ]
    derived = {"verdict": result.verdict, "interval_level": result.interval_level, "models": models}
    whole = {"derived": derived, **result.model_dump(mode="json")}
    return json.dumps(whole, allow_nan=False, separators=(",", ":")) + "\n"


def read_result(path: Path) -> CheckResult:
    """The result that `render_json` wrote. Raises StoreError for what is none, or is of another format version."""
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise StoreError(f"Check result '{path}' cannot be read: {error.strerror}.") from None
    except ValueError:  # not JSON, or not UTF-8
        raise StoreError(f"'{path}' is not JSON. Write it with `vitbench check --write json={path}`.") from None
    if not isinstance(data, dict) or "format_version" not in data:
        raise StoreError(f"'{path}' is not the result of a check. Write one with `vitbench check --write json=PATH`.")
    if data["format_version"] not in (1, FORMAT_VERSION):
        raise StoreError(
            f"Check result '{path}' has format version {data['format_version']!r}; this vitbench reads 1 "
            f"and {FORMAT_VERSION}. Read it with the version that wrote it."
        )
    data.pop("derived", None)
    try:
        return CheckResult.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"'{path}' is not the result of a check: {key}: {first['msg']}.") from None
