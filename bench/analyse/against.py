"""Two runs of one suite: what moved beyond noise, what only scattered, what is the same to the last digit.

Before and after never share a spread: each run's is its own. Accuracies compare in points, rates and times by their
ratio on one machine; timings of two machines get no ratio. Holm's correction is over every test of the request.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.analyse.contenders import Contender
from bench.analyse.intervals import LEVEL, Contrast, Interval, SeedGroup, contrast, t_interval, t_quantile
from bench.analyse.paired import same_images
from bench.analyse.proportions import discordant, mcnemar_p, paired_interval, unpaired_interval
from bench.analyse.run_figures import Figure, Kind, Place
from bench.holm import holm

MoveVerdict = Literal[
    "moved", "not beyond noise", "identical", "changed", "no interval", "another machine", "other test images"
]
VERDICTS: tuple[MoveVerdict, ...] = (
    "moved", "changed", "not beyond noise", "no interval", "another machine", "other test images", "identical"
)  # fmt: skip


@dataclass(frozen=True)
class Move:
    """One figure in both runs. change: in points for accuracies, after over before for rates and times; else None.

    interval: 95 % of the change, for this figure alone. notes: conditions that differ between the runs.
    """

    before: Figure
    after: Figure
    change: float | None
    interval: Interval | None
    p_value: float | None
    p_holm: float | None
    verdict: MoveVerdict
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Drift:
    """All figures of one metric on one machine together: the geometric mean of after over before."""

    metric: str
    machine: str
    figures: int
    ratio: Interval  # over the figures


@dataclass(frozen=True)
class Against:
    """Everything that a comparison of two runs says."""

    moves: tuple[Move, ...]  # moved ones first
    drifts: tuple[Drift, ...]
    gone: tuple[Figure, ...]  # in the run before alone
    new: tuple[Figure, ...]  # in the run after alone
    told_before: str  # which run that is, plain text
    told_after: str


def compare_runs(before: Iterable[Figure], after: Iterable[Figure], told: tuple[str, str]) -> Against:
    """Every figure that both runs have; figures of two machines meet only where neither has one of the other's."""
    ours, theirs = _by_machine(before), _by_machine(after)
    pairs = [(ours[place, at], theirs[place, at]) for place, at in sorted(ours) if (place, at) in theirs]
    left = {place: figure for (place, at), figure in sorted(ours.items()) if (place, at) not in theirs}
    right = {place: figure for (place, at), figure in sorted(theirs.items()) if (place, at) not in ours}
    pairs += [(left[place], right[place]) for place in sorted(left) if place in right]
    moves = _corrected([_move(*pair) for pair in pairs])
    return Against(
        moves=tuple(sorted(moves, key=_rank)),
        drifts=tuple(_drifts(moves)),
        gone=tuple(left[place] for place in sorted(left) if place not in right),
        new=tuple(right[place] for place in sorted(right) if place not in left),
        told_before=told[0],
        told_after=told[1],
    )


def _by_machine(figures: Iterable[Figure]) -> dict[tuple[Place, str], Figure]:
    return {(one.place, one.machine): one for one in figures}


def _rank(move: Move) -> tuple[int, Place, str]:
    return VERDICTS.index(move.verdict), move.before.place, move.before.machine


def _move(before: Figure, after: Figure) -> Move:
    old, new = dict(before.conditions), dict(after.conditions)
    notes = tuple(f"{name}: {old[name]} and {new[name]}" for name in old if old[name] != new.get(name, ""))
    blank = Move(before, after, None, None, None, None, "no interval", notes)
    if before.machine != after.machine:
        return replace(blank, verdict="another machine")
    return _COMPARE[before.kind](blank)


def _accuracy(move: Move) -> Move:
    old, new = move.before.contender, move.after.contender
    assert old is not None  # its kind says that it is an accuracy
    assert new is not None
    if not same_images(old, new):
        return replace(move, verdict="other test images")
    delta = new.group.mean_pct - old.group.mean_pct
    if _values(old) == _values(new):
        return replace(move, change=0.0, verdict="identical")
    parts = [(1.0, _apart(new.group, "after")), (-1.0, _apart(old.group, "before"))]
    found = contrast(parts)
    if found is not None:
        return replace(move, change=delta, interval=found.interval(), p_value=found.p_value)
    if len(old.group.values_pct) > 1 or len(new.group.values_pct) > 1:
        return replace(move, change=delta)
    interval, p_value = _of_checkpoints(new, old)
    return replace(move, change=delta, interval=interval, p_value=p_value)


def _values(one: Contender) -> dict[int, float]:
    return dict(zip(one.runs, one.group.values_pct, strict=True))


def _apart(group: SeedGroup, run: str) -> SeedGroup:
    """The group with a spread that no group of the other run shares."""
    if group.spread is None:
        return group
    return replace(group, spread=replace(group.spread, pool=f"{run} {group.spread.pool}"))


def _of_checkpoints(first: Contender, second: Contender) -> tuple[Interval, float]:
    counts = discordant(first.group.correctness, second.group.correctness)
    if counts is not None:
        return paired_interval(*counts, first.group.test_images), mcnemar_p(*counts)
    sides = [(one.group.mean_pct / 100 * one.group.test_images, one.group.test_images) for one in (first, second)]
    return unpaired_interval(sides[0], sides[1])


def _rate(move: Move) -> Move:
    old, new = move.before, move.after
    ratio = new.value / old.value
    if old.cell_ids == new.cell_ids and old.value == new.value:
        return replace(move, change=1.0, verdict="identical")
    errors = [_log_error(one.interval) for one in (new, old) if one.interval is not None]
    known = [error for error in errors if error is not None]
    variance = sum(error**2 for error, _ in known)
    if len(known) < 2 or variance == 0.0:
        return replace(move, change=ratio)
    df = variance**2 / sum(error**4 / own_df for error, own_df in known)
    logs = Contrast(math.log(ratio), math.sqrt(variance), df, 0, "Welch's t of logarithms over processes")
    ends = logs.interval()
    interval = Interval(ratio, math.exp(ends.low), math.exp(ends.high), ends.n, ends.method, df)
    return replace(move, change=ratio, interval=interval, p_value=logs.p_value)


def _log_error(interval: Interval) -> tuple[float, float] | None:
    """Standard error of the logarithm, and its degrees of freedom, out of a t interval on logarithms."""
    if interval.df is None:
        return None
    return math.log(interval.high / interval.estimate) / t_quantile(interval.df), interval.df


def _count(move: Move) -> Move:
    is_same = move.before.value == move.after.value
    return replace(move, change=move.after.value - move.before.value, verdict="identical" if is_same else "changed")


def _single(move: Move) -> Move:
    if move.before.value == move.after.value:
        return replace(move, change=1.0, verdict="identical")
    return replace(move, change=move.after.value / move.before.value if move.before.value else None)


_COMPARE: Mapping[Kind, Callable[[Move], Move]] = {
    "accuracy": _accuracy,
    "rate": _rate,
    "count": _count,
    "single": _single,
}


def _corrected(moves: Sequence[Move]) -> list[Move]:
    adjusted = holm({i: move.p_value for i, move in enumerate(moves) if move.p_value is not None})
    corrected = []
    for i, move in enumerate(moves):
        if i in adjusted:
            verdict: MoveVerdict = "moved" if adjusted[i] < 1 - LEVEL else "not beyond noise"
            move = replace(move, p_holm=adjusted[i], verdict=verdict)
        corrected.append(move)
    return corrected


def _drifts(moves: Iterable[Move]) -> Iterable[Drift]:
    """Of each rate or time that three figures or more of one machine have in both runs."""
    logs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for move in moves:
        if move.before.kind == "rate" and move.change is not None and move.verdict != "identical":
            logs[move.before.metric, move.before.machine].append(math.log(move.change))
    for (metric, machine), values in sorted(logs.items()):
        inner = t_interval(values) if len(values) > 2 else None
        if inner is not None:
            middle, low, high = (math.exp(end) for end in (inner.estimate, inner.low, inner.high))
            ratio = Interval(middle, low, high, len(values), "t of logarithms over figures", inner.df)
            yield Drift(metric, machine, len(values), ratio)
