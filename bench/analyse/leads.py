"""Which checkpoint leads on a data set, among weights pre-trained on the same data, and whether that is decided.

A lead is of checkpoints, not of families: nothing makes their compute equal. The leader is picked after the fact, so
every comparison is corrected (Bonferroni) for all pairs of checkpoints of different families that could have led.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bench.analyse.compare import Verdict, verdict_of
from bench.analyse.identity import ModelIdentity
from bench.analyse.intervals import (
    LEVEL,
    Interval,
    SeedGroup,
    accuracy_interval,
    contrast_interval,
    wilson_interval,
)
from bench.analyse.proportions import discordant as discordant
from bench.analyse.proportions import mcnemar_p as mcnemar_p
from bench.analyse.task_sets import set_order
from bench.analyse.weights import UNKNOWN_PRETRAINING, Subject, pretraining_of

Basis = Literal["exact McNemar", "intervals apart", "t interval", ""]
Verdicts = tuple[Interval | None, float | None, Basis, Verdict]  # interval, p-value, what they rest on, verdict


class Scored(Protocol):
    """Anything with an accuracy of one subject on one data set."""

    @property
    def subject(self) -> Subject: ...
    @property
    def identity(self) -> ModelIdentity: ...
    @property
    def dataset(self) -> str: ...
    @property
    def group(self) -> SeedGroup: ...
    @property
    def macs(self) -> float | None: ...
    @property
    def cell_ids(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Side:
    """One checkpoint in a comparison: its accuracy with its own 95 % interval, and the runs behind it."""

    subject: Subject
    family: str
    mean_pct: float
    interval: Interval | None
    runs: int
    cell_ids: tuple[str, ...]


@dataclass(frozen=True)
class Lead:
    """The best of one stratum on one set, and the best of its other families; `first` leads, perhaps by chance."""

    datasets: tuple[str, ...]  # one, or those whose mean is compared
    pretraining: str
    first: Side
    second: Side | None  # None where the stratum has one family
    candidates: int  # checkpoints of the stratum
    pairs: int  # pairs of checkpoints of different families
    delta_pp: float
    interval: Interval | None  # corrected for the pairs
    p_value: float | None  # of the exact McNemar test, corrected for the pairs
    basis: Basis
    verdict: Verdict  # of the first
    candidate_ids: tuple[str, ...]  # the records of all candidates

    @property
    def cell_ids(self) -> tuple[str, ...]:
        """The records behind the comparison."""
        return (*self.first.cell_ids, *(self.second.cell_ids if self.second is not None else ()))


def leads(scores: Iterable[Scored]) -> list[Lead]:
    """One lead for each data set and known stratum of pre-training data, in the order of sets."""
    by_stratum: dict[tuple[str, str], list[Scored]] = defaultdict(list)
    for score in scores:
        pretraining = pretraining_of(score.subject)
        if pretraining != UNKNOWN_PRETRAINING:
            by_stratum[score.dataset, pretraining].append(score)
    order = sorted(by_stratum, key=lambda key: (set_order(key[0]), -len(by_stratum[key]), key[1]))
    found = []
    for dataset, pretraining in order:
        own = {score.subject: score for score in _one_setting(by_stratum[dataset, pretraining])}
        sides = [_side(score) for score in own.values()]

        def compare(first: Subject, second: Subject, pairs: int, own: Mapping[Subject, Scored] = own) -> Verdicts:
            return compare_pair(own[first].group, own[second].group, pairs)

        found.append(_lead((dataset,), pretraining, sides, compare))
    return found


def mean_leads(scores: Iterable[Scored], datasets: Sequence[str]) -> list[Lead]:
    """One lead for each known stratum on the mean over these sets, of the checkpoints that have all of them."""
    found: dict[str, dict[Subject, dict[str, Scored]]] = defaultdict(lambda: defaultdict(dict))
    for score in scores:
        pretraining = pretraining_of(score.subject)
        if pretraining != UNKNOWN_PRETRAINING and score.dataset in datasets:
            found[pretraining][score.subject][score.dataset] = score
    result = []
    for pretraining in sorted(found, key=lambda key: (-len(found[key]), key)):
        whole = {s: names for s, names in found[pretraining].items() if all(name in names for name in datasets)}
        kept = {score.subject for score in _one_setting([names[datasets[0]] for names in whole.values()])}
        if not kept:
            continue
        sides = [_mean_side(whole[subject], datasets) for subject in whole if subject in kept]

        def compare(
            first: Subject, second: Subject, pairs: int, whole: Mapping[Subject, Mapping[str, Scored]] = whole
        ) -> Verdicts:
            parts = [(1 / len(datasets), whole[first][name].group) for name in datasets]
            parts += [(-1 / len(datasets), whole[second][name].group) for name in datasets]
            interval = contrast_interval(parts, _level(pairs))
            return interval, None, "t interval" if interval is not None else "", verdict_of(interval)

        result.append(_lead(tuple(datasets), pretraining, sides, compare))
    return result


def _side(score: Scored) -> Side:
    interval = accuracy_interval(score.group)
    runs = len(score.group.values_pct)
    return Side(score.subject, score.identity.family, score.group.mean_pct, interval, runs, score.cell_ids)


def _mean_side(scores: Mapping[str, Scored], datasets: Sequence[str]) -> Side:
    own = [scores[name] for name in datasets]
    interval = contrast_interval([(1 / len(own), score.group) for score in own])
    mean = sum(score.group.mean_pct for score in own) / len(own)
    runs = min(len(score.group.values_pct) for score in own)
    ids = tuple(cell_id for score in own for cell_id in score.cell_ids)
    return Side(own[0].subject, own[0].identity.family, mean, interval, runs, ids)


def _one_setting(scores: Sequence[Scored]) -> list[Scored]:
    """Scores of the device and precision that most have: others are not ranked with them."""
    counts = Counter((s.subject.key.device, s.subject.key.precision) for s in scores)
    if not counts:
        return []
    most = min(counts, key=lambda key: (-counts[key], key))
    return [s for s in scores if (s.subject.key.device, s.subject.key.precision) == most]


def _lead(
    datasets: tuple[str, ...],
    pretraining: str,
    sides: Sequence[Side],
    compare: Callable[[Subject, Subject, int], Verdicts],
) -> Lead:
    ranked = sorted(sides, key=lambda side: (-side.mean_pct, side.subject))
    first = ranked[0]
    rivals = [side for side in ranked if side.family != first.family]
    pairs = _cross_pairs(Counter(side.family for side in sides))
    ids = tuple(sorted({cell_id for side in sides for cell_id in side.cell_ids}))
    if not rivals:
        return Lead(datasets, pretraining, first, None, len(sides), pairs, 0.0, None, None, "", "not decided", ids)
    second = rivals[0]
    delta = first.mean_pct - second.mean_pct
    interval, p_value, basis, verdict = compare(first.subject, second.subject, pairs)
    return Lead(datasets, pretraining, first, second, len(sides), pairs, delta, interval, p_value, basis, verdict, ids)


def _level(pairs: int) -> float:
    return 1 - (1 - LEVEL) / max(pairs, 1)


def compare_pair(first: SeedGroup, second: SeedGroup, pairs: int) -> Verdicts:
    """Whether the first is ahead, at 95 % for all the pairs together: interval, p-value, basis and verdict.

    One checkpoint each: the exact McNemar test on per-image predictions, or whether the Wilson intervals are apart,
    which decides less often. Several seeds or draws: the t interval of the difference.
    """
    level = _level(pairs)
    if first.spread is not None and second.spread is not None:
        interval = contrast_interval([(1.0, first), (-1.0, second)], level)
        return interval, None, "t interval", verdict_of(interval)
    if len(first.values_pct) > 1 or len(second.values_pct) > 1:
        return None, None, "", "not decided"
    counts = discordant(first.correctness, second.correctness)
    if counts is not None:
        p_value = min(1.0, pairs * mcnemar_p(*counts))
        decided: Verdict = "ahead" if counts[0] > counts[1] else "behind"
        return None, p_value, "exact McNemar", decided if p_value < 1 - LEVEL else "not decided"
    ours, theirs = (wilson_interval(g.mean_pct / 100 * g.test_images, g.test_images, level) for g in (first, second))
    if ours.low > theirs.high:
        return None, None, "intervals apart", "ahead"
    return None, None, "", "behind" if theirs.low > ours.high else "not decided"


def _cross_pairs(families: Mapping[str, int]) -> int:
    total = sum(families.values())
    return (total**2 - sum(count**2 for count in families.values())) // 2
