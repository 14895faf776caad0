"""Differences of two models, each with its own 95 % interval, and who cannot be told from the best.

Two trained models meet where nothing but the model differs: data, training images, training compute and setting.
Checkpoints are ranked among weights pre-trained on the same data, which is of these checkpoints and not of families:
nothing makes their compute equal. Unstable seeds (`SeedGroup.is_unstable`) are in no ranking.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from bench.analyse.accuracies.accuracy import Accuracy, FineTuned, Trained
from bench.analyse.accuracies.subjects import UNKNOWN_PRETRAINING, RunKey, Subject, pretraining_of
from bench.analyse.stats.intervals import LEVEL, Interval, SeedGroup, contrast, difference
from bench.analyse.stats.proportions import checkpoint_difference
from bench.catalog.identity import family_rank
from bench.catalog.image_tasks import in_order
from bench.holm import holm

Verdict = Literal["ahead", "behind", "not decided", "unstable", "below pixels", "one seed"]
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True)
class Difference:
    """First minus second, in percentage points. interval: 95 % for this difference alone; None with one seed."""

    delta_pp: float
    interval: Interval | None
    verdict: Verdict  # of the first

    @classmethod
    def of(cls, first: SeedGroup, second: SeedGroup) -> Difference:
        """By Welch's t over seeds and common test images."""
        delta, found = first.mean_pct - second.mean_pct, difference(first, second)
        if found is None:
            return cls(delta, None, "one seed")
        if first.is_unstable or second.is_unstable:
            return cls(delta, found.interval(), "unstable")
        if found.p_value >= 1 - LEVEL:
            return cls(delta, found.interval(), "not decided")
        return cls(delta, found.interval(), "ahead" if delta > 0 else "behind")

    @classmethod
    def of_trained(cls, first: Trained, second: Trained) -> Difference:
        """The same, undecided where one of the two is below logistic regression on pixels."""
        found = cls.of(first.group, second.group)
        is_below = first.is_below_pixels or second.is_below_pixels
        return replace(found, verdict="below pixels") if is_below and found.verdict != "unstable" else found

    @property
    def is_decided(self) -> bool:
        """Whether the interval leaves zero out, the seeds are stable, and both know more than single pixels show."""
        return self.verdict in ("ahead", "behind")


@dataclass(frozen=True)
class BestSet(Generic[K]):
    """The models that cannot be told from the most accurate one of those shown.

    members: with the best first. unranked: unstable, of one seed, or below logistic regression on pixels. compared:
    with which Holm's correction counts.
    """

    members: tuple[K, ...]
    unranked: tuple[K, ...]
    compared: int

    def cheapest(self, costs: Mapping[K, float]) -> K | None:
        """The member of the least cost; None where no member has one."""
        return min((one for one in self.members if one in costs), key=lambda one: costs[one], default=None)


def not_separable(groups: Mapping[K, SeedGroup], *, of_checkpoints: bool = False) -> BestSet[K]:
    """The best by mean over seeds, and those that it is not ahead of, by Welch's t on common test images.

    of_checkpoints: of one run each, which are compared as these checkpoints (`checkpoint_difference`).
    """

    def p_value(one: K, other: K) -> float | None:
        if of_checkpoints:
            return checkpoint_difference(groups[one], groups[other])[1]
        found = difference(groups[one], groups[other])
        return None if found is None else found.p_value

    unranked = [key for key, group in groups.items() if group.is_unstable or not (group.has_spread or of_checkpoints)]
    return best_set({key: group.mean_pct for key, group in groups.items()}, p_value, unranked)


def best_trained(scores: Iterable[Trained]) -> BestSet[RunKey]:
    """The same of models trained from scratch; those below logistic regression on pixels are in no ranking."""
    scores = list(scores)
    below = [score.key for score in scores if score.is_below_pixels]
    best = not_separable({score.key: score.group for score in scores if score.key not in below})
    return replace(best, unranked=(*best.unranked, *below))


def weak_families(scores: Iterable[Trained]) -> dict[str, Trained]:
    """Family -> its best model of those of one set, where that one is below the pixels or has unstable seeds."""
    best: dict[str, Trained] = {}
    for score in sorted(scores, key=lambda score: score.group.mean_pct):
        best[score.identity.family] = score
    return {f: best[f] for f in sorted(best, key=family_rank) if best[f].is_below_pixels or best[f].group.is_unstable}


def best_set(
    means: Mapping[K, float], p_value: Callable[[K, K], float | None], unranked: Collection[K] = ()
) -> BestSet[K]:
    """The highest mean and those that it is not ahead of, Holm's correction over all that it is compared with.

    p_value: of two of the keys, that their true means are equal; None where nothing says it, and the second then stays.
    The truly best is left out of the set in at most 5 % of cases: that takes a false lead over it.
    """
    ranked = sorted((key for key in means if key not in unranked), key=lambda key: -means[key])
    if not ranked:
        return BestSet((), tuple(unranked), 0)
    best, *others = ranked
    p_values = {key: p for key in others if (p := p_value(best, key)) is not None}
    behind = {key for key, p in holm(p_values).items() if p < 1 - LEVEL}
    return BestSet((best, *(key for key in others if key not in behind)), tuple(unranked), len(ranked))


def alike(sizes: Sequence[str], macs: Sequence[float]) -> bool:
    """Whether two models are of one size: the same size class, or multiply-adds within a factor of 1.5."""
    if all(sizes):
        return sizes[0] == sizes[1]
    return min(macs) > 0 and max(macs) <= 1.5 * min(macs)


def _of_one_setting(found: Iterable[T], setting: Callable[[T], Hashable]) -> list[T]:
    """Those of the setting that most have: others are not compared with them."""
    settings = [(one, setting(one)) for one in found]
    counts = Counter(own for _, own in settings)
    most = min(counts, key=lambda key: (-counts[key], str(key)), default=None)
    return [one for one, own in settings if own == most]


FAMILY_PAIRS = (("vit", "cnn"), ("hybrid", "cnn"), ("vit", "hybrid"))


@dataclass(frozen=True)
class Place:
    """Where two models meet: on one data set, trained on as many images with as much compute."""

    first: RunKey
    second: RunKey
    dataset: str
    train_images: int
    budget_gflop: float


def score_differences(scores: Iterable[Trained]) -> dict[Place, Difference]:
    """Every two models of one size and of different families, at every place that both have; FAMILY_PAIRS in order.

    Of each place those of the device, precision, resolution and version of the data that most have.
    """

    def setting(score: Trained) -> tuple[object, ...]:
        key = score.key
        return key.resolution_px, key.device, key.precision, key.memory_format, key.compile, *score.kind[1:]

    by_place: dict[tuple[str, int, float], list[Trained]] = defaultdict(list)
    for score in scores:
        by_place[score.dataset, score.train_images, score.budget_gflop].append(score)
    met = {}
    for (dataset, images, budget), found in sorted(by_place.items()):
        own = _of_one_setting(found, setting)
        for families in FAMILY_PAIRS:
            first, second = ([s for s in own if s.identity.family == family] for family in families)
            for a, b in itertools.product(first, second):
                if alike((a.identity.size_class, b.identity.size_class), (a.macs, b.macs)):
                    met[Place(a.key, b.key, dataset, images, budget)] = Difference.of_trained(a, b)
    return met


@dataclass(frozen=True)
class PretrainingGain:
    """Pretrained minus from scratch, of one model on one data set, in percentage points."""

    pretrained: FineTuned
    scratch: FineTuned
    difference: Difference


def pretraining_gains(scores: Iterable[FineTuned]) -> list[PretrainingGain]:
    """For each model and set with both, pretrained weights minus random ones at the same resolution and setting.

    Weights that this suite trained on the very set are left out: they saw its images and labels before.
    """
    scores = list(scores)
    scratch = {(one.subject.key, one.dataset): one for one in scores if one.subject.is_from_scratch}
    pairs = [
        (one, scratch[one.subject.key, one.dataset])
        for one in scores
        if (one.subject.key, one.dataset) in scratch
        and not one.subject.is_from_scratch
        and one.subject.trained_on != one.dataset
    ]
    return [PretrainingGain(one, other, Difference.of(one.group, other.group)) for one, other in pairs]


@dataclass(frozen=True)
class Stratum:
    """The checkpoints of one pre-training on one data set, or on the mean of several; means: top-1 in percent."""

    datasets: tuple[str, ...]
    pretraining: str
    means: Mapping[Subject, float]
    best: BestSet[Subject]
    cell_ids: Mapping[Subject, tuple[str, ...]]

    @property
    def all_ids(self) -> tuple[str, ...]:
        return tuple(sorted({cell_id for ids in self.cell_ids.values() for cell_id in ids}))


def strata(scores: Iterable[Accuracy]) -> list[Stratum]:
    """One for each data set and known pre-training, in the order of sets."""
    scores = list(scores)
    return [one for name in in_order(score.dataset for score in scores) for one in mean_strata(scores, (name,))]


def mean_strata(scores: Iterable[Accuracy], datasets: Sequence[str]) -> list[Stratum]:
    """One for each known pre-training on the mean over these sets, of the checkpoints that have all of them.

    Several seeds or draws are compared by Welch's t; checkpoints of one run each on one set by their test images.
    """
    found: dict[str, dict[Subject, dict[str, Accuracy]]] = defaultdict(lambda: defaultdict(dict))
    for score in scores:
        pretraining = pretraining_of(score.subject)
        if pretraining != UNKNOWN_PRETRAINING and score.dataset in datasets:
            found[pretraining][score.subject][score.dataset] = score
    result = []
    for pretraining, own in sorted(found.items()):
        whole = {subject: names for subject, names in own.items() if len(names) == len(datasets)}
        if kept := _of_one_setting(whole, lambda subject: (subject.key.device, subject.key.precision)):
            result.append(_stratum(pretraining, tuple(datasets), {subject: whole[subject] for subject in kept}))
    return result


def _stratum(pretraining: str, datasets: tuple[str, ...], own: Mapping[Subject, Mapping[str, Accuracy]]) -> Stratum:
    groups = {subject: [own[subject][name].group for name in datasets] for subject in own}
    means = {subject: sum(group.mean_pct for group in of) / len(datasets) for subject, of in groups.items()}
    if len(datasets) == 1 and not any(group.has_spread for (group,) in groups.values()):
        best = not_separable({subject: group for subject, (group,) in groups.items()}, of_checkpoints=True)
    else:

        def p_value(one: Subject, other: Subject) -> float | None:
            parts = [(sign / len(datasets), group) for s, sign in ((one, 1), (other, -1)) for group in groups[s]]
            tested = contrast(parts)
            return None if tested is None else tested.p_value

        unranked = [s for s, of in groups.items() if any(group.is_unstable or not group.has_spread for group in of)]
        best = best_set(means, p_value, unranked)
    ids = {s: tuple(cell_id for name in datasets for cell_id in own[s][name].cell_ids) for s in own}
    return Stratum(datasets, pretraining, means, best, ids)
