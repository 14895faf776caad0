"""Which checkpoint leads on a data set, among weights pre-trained on the same data, and whether that is decided.

A lead is of checkpoints, not of families: nothing makes their compute equal. The leader is picked after the fact, so
every comparison is corrected (Bonferroni) for all pairs of checkpoints of different families that could have led.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy import stats

from bench.analyse.compare import Verdict, verdict_of
from bench.analyse.correctness import Correctness
from bench.analyse.identity import ModelIdentity
from bench.analyse.intervals import LEVEL, Interval, SeedGroup, contrast_interval, wilson_interval
from bench.analyse.task_sets import set_order
from bench.analyse.weights import UNKNOWN_PRETRAINING, Subject, pretraining_of

Basis = Literal["exact McNemar", "intervals apart", "t interval", ""]


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
class Lead:
    """The best of one stratum on one set, and the best of its other families; `first` leads, perhaps by chance."""

    dataset: str
    pretraining: str
    first: Scored
    second: Scored | None  # None where the stratum has one family
    candidates: int  # checkpoints of the stratum
    pairs: int  # pairs of checkpoints of different families
    delta_pp: float
    interval: Interval | None  # corrected for the pairs
    p_value: float | None  # of the exact McNemar test, corrected for the pairs
    basis: Basis
    verdict: Verdict  # of the first


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value that two classifiers differ, from the images that only one of them got right.

    1 when there are none. Source: McNemar 1947, in its exact binomial form.
    """
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def discordant(first: Correctness | None, second: Correctness | None) -> tuple[int, int] | None:
    """Images that only the first, and that only the second got right; None without one run of each on equal images."""
    if first is None or second is None or first.images != second.images:
        return None
    if len(first.right) != 1 or len(second.right) != 1:
        return None
    a, b = first.right[0], second.right[0]
    return int(np.sum(a & ~b)), int(np.sum(b & ~a))


def leads(scores: Iterable[Scored]) -> list[Lead]:
    """One lead for each data set and known stratum of pre-training data, in the order of sets."""
    by_stratum: dict[tuple[str, str], list[Scored]] = defaultdict(list)
    for score in scores:
        pretraining = pretraining_of(score.subject)
        if pretraining != UNKNOWN_PRETRAINING:
            by_stratum[score.dataset, pretraining].append(score)
    order = sorted(by_stratum, key=lambda key: (set_order(key[0]), -len(by_stratum[key]), key[1]))
    return [_lead(*key, _one_setting(by_stratum[key])) for key in order]


def _one_setting(scores: Sequence[Scored]) -> list[Scored]:
    """Scores of the device and precision that most have: others are not ranked with them."""
    counts = Counter((s.subject.key.device, s.subject.key.precision) for s in scores)
    most = min(counts, key=lambda key: (-counts[key], key))
    return [s for s in scores if (s.subject.key.device, s.subject.key.precision) == most]


def _lead(dataset: str, pretraining: str, scores: Sequence[Scored]) -> Lead:
    ranked = sorted(scores, key=lambda score: (-score.group.mean_pct, score.subject))
    first = ranked[0]
    rivals = [score for score in ranked if score.identity.family != first.identity.family]
    pairs = _cross_pairs(Counter(score.identity.family for score in scores))
    if not rivals:
        return Lead(dataset, pretraining, first, None, len(scores), pairs, 0.0, None, None, "", "not decided")
    second = rivals[0]
    delta = first.group.mean_pct - second.group.mean_pct
    interval, p_value, basis, verdict = compare_pair(first.group, second.group, pairs)
    return Lead(dataset, pretraining, first, second, len(scores), pairs, delta, interval, p_value, basis, verdict)


def compare_pair(
    first: SeedGroup, second: SeedGroup, pairs: int
) -> tuple[Interval | None, float | None, Basis, Verdict]:
    """Whether the first is ahead, at 95 % for all the pairs together: interval, p-value, basis and verdict.

    One checkpoint each: the exact McNemar test on per-image predictions, or whether the Wilson intervals are apart,
    which decides less often. Several seeds or draws: the t interval of the difference.
    """
    level = 1 - (1 - LEVEL) / max(pairs, 1)
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
