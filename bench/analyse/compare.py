"""Which family is ahead on a data set at one training budget: the best of each, chosen on validation."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Literal

from bench.analyse.identity import family_rank
from bench.analyse.intervals import Interval, contrast_interval
from bench.analyse.scores import Score

Verdict = Literal["ahead", "behind", "not decided"]


@dataclass(frozen=True)
class FamilyBest:
    """The best of `drawn` candidates of a family by validation accuracy, as weights on its models' test means.

    With as many candidates as the other family there is one model, of weight 1. A family with more would win
    by number alone, so its figure is the expectation over every choice of `drawn` among its candidates.
    """

    family: str
    weights: tuple[tuple[float, Score], ...]
    candidates: int
    drawn: int

    @property
    def mean_pct(self) -> float:
        """Test accuracy, mean over seeds (and over the choices of candidates)."""
        return sum(weight * score.interval.estimate for weight, score in self.weights)


@dataclass(frozen=True)
class Comparison:
    """First family minus second on one data set, in percentage points; the verdict is the first's."""

    dataset: str
    first: FamilyBest
    second: FamilyBest
    delta_pp: float
    interval: Interval | None  # None when no spread over seeds is known
    verdict: Verdict

    @property
    def scores(self) -> tuple[Score, ...]:
        """The scores of both sides, all at one budget."""
        return tuple(score for _, score in (*self.first.weights, *self.second.weights))

    @property
    def budget_gflop(self) -> float:
        """Training compute of every run behind the difference, in 1e9 FLOPs."""
        return self.first.weights[0][1].budget_gflop

    @property
    def cell_ids(self) -> tuple[str, ...]:
        """The records behind the difference."""
        return tuple(sorted({cell_id for score in self.scores for cell_id in score.cell_ids}))


def best_of_weights(candidates: int, drawn: int) -> list[float]:
    """Chance that the r-th best of the candidates is the best of `drawn` of them taken at random, r = 1, 2, ...

    C(m - r, k - 1) / C(m, k). Source: expected validation performance, Dodge et al. 2019 (without replacement).
    """
    if not 0 < drawn <= candidates:
        raise ValueError(f"cannot draw {drawn} of {candidates}")
    total = comb(candidates, drawn)
    return [comb(candidates - r, drawn - 1) / total for r in range(1, candidates - drawn + 2)]


def compare_families(scores: Iterable[Score]) -> list[Comparison]:
    """Every pair of families on every data set at its full training size, in order of families and set.

    scores: those of `trained_scores`, every budget. A pair meets at one training budget, the largest that both
    families have; pairs without one are not compared. Only models of one setting (device, precision, resolution)
    and of one version of the data meet: the one that most scores on the set have.
    """
    found = []
    scores = list(scores)
    for dataset in sorted({score.dataset for score in scores}):
        on_set = [score for score in scores if score.dataset == dataset]
        largest = max(score.train_images for score in on_set)
        here = of_one_setting([score for score in on_set if score.train_images == largest])
        families = sorted({score.identity.family for score in here}, key=family_rank, reverse=True)
        for first, second in itertools.combinations(families, 2):
            pair = _at_largest_common_budget(here, first, second)
            if all(pair):
                found.append(_comparison(dataset, *pair))
    return found


def of_one_setting(scores: Sequence[Score]) -> list[Score]:
    """The scores of the device, precision, resolution and version of the data that most have."""

    def setting(score: Score) -> tuple[object, ...]:
        key = score.key
        return key.resolution_px, key.device, key.precision, key.memory_format, key.compile, *score.kind[1:]

    counts: dict[tuple[object, ...], int] = {}
    for score in scores:
        counts[setting(score)] = counts.get(setting(score), 0) + 1
    most = min(counts, key=lambda key: (-counts[key], str(key)), default=None)
    return [score for score in scores if setting(score) == most]


def _at_largest_common_budget(scores: Sequence[Score], first: str, second: str) -> tuple[list[Score], list[Score]]:
    sides = [[score for score in scores if score.identity.family == family] for family in (first, second)]
    common = {s.budget_gflop for s in sides[0]} & {s.budget_gflop for s in sides[1]}
    ours, theirs = ([score for score in side if score.budget_gflop == max(common, default=0.0)] for side in sides)
    return ours, theirs


def _comparison(dataset: str, first: Sequence[Score], second: Sequence[Score]) -> Comparison:
    drawn = min(len(first), len(second))
    ours, theirs = family_best(first, drawn), family_best(second, drawn)
    parts = [(weight, score.group) for weight, score in ours.weights]
    parts += [(-weight, score.group) for weight, score in theirs.weights]
    interval = contrast_interval(parts)
    return Comparison(dataset, ours, theirs, ours.mean_pct - theirs.mean_pct, interval, verdict_of(interval))


def family_best(scores: Sequence[Score], drawn: int) -> FamilyBest:
    """The best of `drawn` of these models of one family, by validation accuracy."""
    ranked = sorted(scores, key=lambda score: (-(score.validation_pct or 0.0), score.key))
    weights = zip(best_of_weights(len(ranked), drawn), ranked, strict=False)
    return FamilyBest(ranked[0].identity.family, tuple(weights), len(ranked), drawn)


def verdict_of(interval: Interval | None) -> Verdict:
    """What an interval of a difference allows to say of the first side."""
    if interval is None or interval.low <= 0.0 <= interval.high:
        return "not decided"
    return "ahead" if interval.low > 0 else "behind"


def difference(first: Score, second: Score) -> Interval | None:
    """First minus second in percentage points, over seeds and test images."""
    return contrast_interval([(1.0, first.group), (-1.0, second.group)])


def flipped(comparison: Comparison) -> Comparison:
    """The same comparison seen from the other family."""
    interval = comparison.interval
    if interval is not None:
        interval = replace(interval, estimate=-interval.estimate, low=-interval.high, high=-interval.low)
    return Comparison(
        comparison.dataset, comparison.second, comparison.first, -comparison.delta_pp, interval, verdict_of(interval)
    )
