"""Models over many tasks: mean rank, and interquartile mean with an interval by bootstrap over the tasks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import stats

from bench.analyse.intervals import LEVEL, Interval, SeedGroup

FEWEST_TASKS = 8  # with fewer, resampled tasks say little of other tasks
_RESAMPLES = 10_000
_SEED = 0
_TRIMMED = 0.25  # of the tasks, at either end
K = TypeVar("K", bound=Hashable)


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
