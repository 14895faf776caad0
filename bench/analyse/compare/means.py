"""One model over several data sets: means, VTAB's score, ranks and interquartile means.

On identical sets for every model, or none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import stats

from bench.analyse.accuracies.accuracy import Accuracy, FineTuned
from bench.analyse.accuracies.subjects import Subject
from bench.analyse.stats.intervals import LEVEL, Interval, SeedGroup, contrast_interval
from bench.catalog.image_tasks import VTAB_GROUPS, VTAB_TASKS, averaged_sets, vtab_group, vtab_tasks

S = TypeVar("S", bound=Accuracy)
K = TypeVar("K", bound=Hashable)
FEWEST_TASKS = 8  # with fewer, resampled tasks say little of other tasks
_RESAMPLES = 10_000
_SEED = 0
_TRIMMED = 0.25  # of the tasks, at either end


@dataclass(frozen=True)
class SetMean:
    """The unweighted mean of one model's accuracies over some sets."""

    subject: Subject
    datasets: tuple[str, ...]
    mean_pct: float
    interval: Interval | None  # None where some accuracy has no known spread over seeds
    cell_ids: tuple[str, ...]


def by_subject(scores: Iterable[S]) -> dict[Subject, dict[str, S]]:
    found: dict[Subject, dict[str, S]] = defaultdict(dict)
    for score in scores:
        found[score.subject][score.dataset] = score
    return dict(found)


def set_mean(scores: Mapping[str, Accuracy], datasets: Sequence[str]) -> SetMean | None:
    """The mean of one model over these sets, or None where one of them is missing (or there are none).

    Interval: t over seeds (or draws) and test images of all sets, which are independent of each other.
    """
    if not datasets or any(name not in scores for name in datasets):
        return None
    chosen = [scores[name] for name in datasets]
    mean = sum(score.group.mean_pct for score in chosen) / len(chosen)
    interval = contrast_interval([(1 / len(chosen), score.group) for score in chosen])
    cell_ids = tuple(cell_id for score in chosen for cell_id in score.cell_ids)
    return SetMean(chosen[0].subject, tuple(datasets), mean, interval, cell_ids)


def sets_to_average(scores: Iterable[Accuracy]) -> tuple[str, ...]:
    """The sets behind the mean column: shared by all pretrained models (by all models where none is pretrained)."""
    found = by_subject(scores)
    pretrained = [names.keys() for subject, names in found.items() if not subject.is_from_scratch]
    return averaged_sets(pretrained or [names.keys() for names in found.values()])


@dataclass(frozen=True)
class Vtab:
    """VTAB-1k of all shown models: tasks in order, accuracies, and the means that may be told."""

    tasks: tuple[str, ...]  # measured for some model
    scores: Mapping[Subject, Mapping[str, FineTuned]]
    common: tuple[str, ...]  # measured for every model

    @property
    def subjects(self) -> list[Subject]:
        """The models, pretrained ones first."""
        return sorted(self.scores, key=lambda subject: (subject.is_from_scratch, subject))

    def score(self, subject: Subject) -> SetMean | None:
        """The unweighted mean of all 19 tasks; None for a model that lacks one."""
        whole = vtab_tasks()
        return set_mean(self.scores[subject], whole) if len(whole) == VTAB_TASKS else None

    def common_mean(self, subject: Subject) -> SetMean | None:
        """The mean over the tasks that every model has; None with fewer than two of them."""
        return set_mean(self.scores[subject], self.common) if len(self.common) > 1 else None

    def group_mean(self, subject: Subject, group: str) -> SetMean | None:
        """The mean over a whole group; None for a model that lacks a task of it."""
        return set_mean(self.scores[subject], [name for name in vtab_tasks() if vtab_group(name) == group])


def vtab_of(scores: Iterable[FineTuned]) -> Vtab | None:
    """VTAB's part of the scores; None where there is none."""
    tasks = [score for score in scores if vtab_group(score.dataset) in VTAB_GROUPS]
    if not tasks:
        return None
    found = by_subject(tasks)
    measured = {name for names in found.values() for name in names}
    shared = set.intersection(*(set(names) for names in found.values()))
    order = vtab_tasks()
    return Vtab(
        tuple(name for name in order if name in measured), found, tuple(name for name in order if name in shared)
    )


@dataclass(frozen=True)
class ManyTasks:
    """One model over tasks that all models have. mean_rank: 1 is best, ties share. iqm: of top-1, in percent."""

    mean_rank: float
    iqm: Interval


def many_tasks(groups: Mapping[K, Mapping[str, SeedGroup]], tasks: Sequence[str]) -> dict[K, ManyTasks]:
    """Of the models whose seeds are stable on all these tasks; nothing below FEWEST_TASKS tasks or two models.

    The interquartile mean leaves out a quarter of the tasks at either end, so that no single task decides. Its interval
    is the bootstrap's percentiles over tasks, which says how other tasks would move it; seeds and test images are in
    the accuracies. Every model gets the same resampled tasks. Source: Agarwal et al. 2021.
    """
    ranked = [key for key, own in groups.items() if not any(own[task].is_unstable for task in tasks)]
    if len(ranked) < 2 or len(tasks) < FEWEST_TASKS:
        return {}
    top1 = np.array([[groups[key][task].mean_pct for task in tasks] for key in ranked])
    mean_ranks = stats.rankdata(-top1, axis=0).mean(axis=1)
    drawn = np.random.default_rng(_SEED).integers(len(tasks), size=(_RESAMPLES, len(tasks)))
    tails = [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2]
    found = {}
    for key, accuracies, mean_rank in zip(ranked, top1, mean_ranks, strict=True):
        low, high = np.percentile(stats.trim_mean(accuracies[drawn], _TRIMMED, axis=1), tails)
        iqm = float(stats.trim_mean(accuracies, _TRIMMED))
        found[key] = ManyTasks(
            float(mean_rank), Interval(iqm, float(low), float(high), len(tasks), "bootstrap over tasks")
        )
    return found
