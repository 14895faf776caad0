"""The deterministic gate: what a forward pass of base and of head holds, counted and compared exactly.

Each side counts in a process of its own tree (facts.py); here the answers are collected and laid side by side. No time
is measured and no torch imported.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pydantic import Field

from bench.gate.arms import START_SECONDS, ProcessArm, WorkerLostError
from bench.gate.result import Comparison, CountChange, ExactResult, Workload
from bench.gate.rule import Verdict
from bench.gate.trees import SideBrokenError, SideCode
from bench.number_format import counted, listed
from bench.suite.cell import Frozen

WORKLOAD_SECONDS = 120.0  # a small model takes 3 s; what runs on the CPU because its code asks for numbers takes longer
OPERATORS = "operators"
GRAPH_BREAKS = "graph breaks"
TOTALS = ("params", "macs", "activations", GRAPH_BREAKS)  # the counts that are not calls of an operator
SHOWN_CHANGES = 8  # in the sentence; the result holds all


class Facts(Frozen):
    """What one side holds for one comparison. error: why nothing could be counted; absent: what not, and why."""

    counts: dict[str, int] = Field(default_factory=dict)
    absent: dict[str, str] = Field(default_factory=dict)
    break_reasons: tuple[str, ...] = ()
    device: str = "meta"  # where operators were counted: calls on one device are not those on another
    error: str | None = None


def count_exactly(
    comparisons: Sequence[Comparison],
    base: SideCode,
    head: SideCode,
    *,
    gates: bool,
    seconds: tuple[float, float] = (START_SECONDS, WORKLOAD_SECONDS),
) -> tuple[ExactResult, ...]:
    """Count every comparison on both sides, at once, and compare. gates: whether a rise is a FAIL.

    seconds: patience with a side's start and with each of its workloads. Whatever happens to a side is in the results.
    """
    of_base, of_head = collect_facts(
        [(base, [one.base for one in comparisons]), (head, [one.head for one in comparisons])], seconds
    )
    return tuple(
        compare_facts(one.name, base_facts, head_facts, gates=gates)
        for one, base_facts, head_facts in zip(comparisons, of_base, of_head, strict=True)
    )


def collect_facts(
    sides: Sequence[tuple[SideCode, Sequence[Workload]]],
    seconds: tuple[float, float] = (START_SECONDS, WORKLOAD_SECONDS),
) -> list[list[Facts]]:
    """What each side holds for each of its workloads; the sides count at the same time, in one thread each."""
    deadline = time.monotonic() + seconds[0] + seconds[1] * max(len(workloads) for _, workloads in sides)
    with ThreadPoolExecutor(len(sides)) as pool, contextlib.ExitStack() as held:

        def started(code: SideCode) -> ProcessArm:
            return held.enter_context(
                contextlib.closing(ProcessArm("counting", code, device="cpu", threads=1, cpus=None))
            )

        arms = [started(code) for code, _ in sides]
        return list(pool.map(lambda arm, side: _count(arm, side[1], deadline), arms, sides))


def _count(arm: ProcessArm, workloads: Sequence[Workload], deadline: float) -> list[Facts]:
    """One side's facts; for those that never came, how its process ended."""
    found: list[Facts] = []
    try:
        problem = arm.import_problem(_left(deadline))
        if problem is None:
            for workload in workloads:
                found.append(_facts(arm, workload, deadline))
    except SideBrokenError as error:
        problem = str(error)
    except WorkerLostError as error:
        problem = f"the process that counts {error.ending}"
    return [*found, *[Facts(error=problem)] * (len(workloads) - len(found))]


def _facts(arm: ProcessArm, workload: Workload, deadline: float) -> Facts:
    """What the side says of one workload, unless it is not proven to be of its own code."""
    try:
        return Facts.model_validate(arm.count(workload, _left(deadline)))
    except SideBrokenError as error:
        return Facts(error=str(error))


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def compare_facts(name: str, base: Facts, head: Facts, *, gates: bool) -> ExactResult:
    """Base's counts against head's. A rise of any count is a FAIL if `gates`, else it is shown.

    A count that one side alone lacks makes the result INCONCLUSIVE, unless another one rose. One that both lack, for
    code that no counter can follow, is named and not compared.
    """
    if base.error or head.error:
        sides = (("base", base), ("head", head))
        reason = "; ".join(f"{side} cannot be counted: {facts.error}" for side, facts in sides if facts.error)
        return ExactResult(
            name=name, verdict="INCONCLUSIVE" if gates else "PASS", reason=reason, counts=dict(head.counts)
        )
    changes = _changes(base, head)
    unknown, uncompared = _gaps(base, head)
    verdict: Verdict = "PASS"
    if gates:
        verdict = "FAIL" if any(change.is_rise for change in changes) else "INCONCLUSIVE" if unknown else "PASS"
    parts = [*(_said(changes, base, head) or [_same(base, head)]), *unknown, *uncompared]
    reason = f"{'' if gates or not changes else 'does not gate: '}{'; '.join(parts)}"
    return ExactResult(name=name, verdict=verdict, reason=reason, changes=tuple(changes), counts=dict(head.counts))


def _totals(base: Facts, head: Facts) -> list[str]:
    return [what for what in TOTALS if what in base.counts and what in head.counts]


def _has_operators(base: Facts, head: Facts) -> bool:
    """Whether calls of operators can be compared."""
    return OPERATORS not in base.absent and OPERATORS not in head.absent and base.device == head.device


def _changes(base: Facts, head: Facts) -> list[CountChange]:
    """Counts that differ: totals in their order, then operators by name; one that is not named has no call."""
    operators = sorted({*base.counts, *head.counts} - set(TOTALS)) if _has_operators(base, head) else []
    both = [(what, base.counts.get(what, 0), head.counts.get(what, 0)) for what in (*_totals(base, head), *operators)]
    return [
        CountChange(what=what, base=before, head=now, is_rise=now > before)
        for what, before, now in both
        if before != now
    ]


def _gaps(base: Facts, head: Facts) -> tuple[list[str], list[str]]:
    """What one side alone could not count, and what neither could, as clauses."""
    unknown, uncompared = [], []
    for what in (*TOTALS, OPERATORS):
        reasons = {side: facts.absent[what] for side, facts in (("base", base), ("head", head)) if what in facts.absent}
        if len(reasons) == 2:
            uncompared.append(f"{what} not compared: {reasons['head']}")
        else:
            unknown += [f"{what} of {side} unknown: {reason}" for side, reason in reasons.items()]
    if base.device != head.device and not (OPERATORS in base.absent or OPERATORS in head.absent):
        side = "base" if base.device == "cpu" else "head"
        unknown.append(f"operators not comparable: {side} branches on a number, so that its shapes alone do not run")
    return unknown, uncompared


def _said(changes: Sequence[CountChange], base: Facts, head: Facts) -> list[str]:
    """`more: aten.bmm: 0 -> 24 ...`, then `less: ...`: an exchange shows both."""
    said = []
    for word, is_rise, break_reasons in (("more", True, head.break_reasons), ("less", False, base.break_reasons)):
        texts = []
        for change in changes:
            if change.is_rise is is_rise:
                why = f" ({'; '.join(break_reasons)})" if change.what == GRAPH_BREAKS and break_reasons else ""
                texts.append(f"{change.what}: {change.base:,.0f} -> {change.head:,.0f}{why}")
        if texts:
            rest = len(texts) - SHOWN_CHANGES
            said.append(f"{word}: {', '.join(texts[:SHOWN_CHANGES])}{f' and {rest} others' if rest > 0 else ''}")
    return said


def _same(base: Facts, head: Facts) -> str:
    compared = _totals(base, head)
    if _has_operators(base, head):
        compared.append(f"the calls of {counted(len(set(head.counts) - set(TOTALS)), 'operator')}")
    return f"the same {listed(compared)}"
