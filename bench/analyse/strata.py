"""Which checkpoints cannot be told from the best on a data set, among weights pre-trained on the same data.

A comparison is of checkpoints, not of families: nothing makes their compute equal.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.analyse.differences import BestSet, best_set, not_separable
from bench.analyse.intervals import contrast
from bench.analyse.means import Scored
from bench.analyse.weights import UNKNOWN_PRETRAINING, Subject, pretraining_of
from bench.catalog.image_tasks import in_order


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
        """The records of all checkpoints."""
        return tuple(sorted({cell_id for ids in self.cell_ids.values() for cell_id in ids}))


def strata(scores: Iterable[Scored]) -> list[Stratum]:
    """One for each data set and known pre-training, in the order of sets."""
    scores = list(scores)
    return [one for name in in_order(score.dataset for score in scores) for one in mean_strata(scores, (name,))]


def mean_strata(scores: Iterable[Scored], datasets: Sequence[str]) -> list[Stratum]:
    """One for each known pre-training on the mean over these sets, of the checkpoints that have all of them.

    Several seeds or draws are compared by Welch's t; checkpoints of one run each on one set by their test images.
    """
    found: dict[str, dict[Subject, dict[str, Scored]]] = defaultdict(lambda: defaultdict(dict))
    for score in scores:
        pretraining = pretraining_of(score.subject)
        if pretraining != UNKNOWN_PRETRAINING and score.dataset in datasets:
            found[pretraining][score.subject][score.dataset] = score
    result = []
    for pretraining, own in sorted(found.items()):
        whole = {subject: names for subject, names in own.items() if len(names) == len(datasets)}
        if kept := _of_one_setting(whole):
            result.append(_stratum(pretraining, tuple(datasets), {subject: whole[subject] for subject in kept}))
    return result


def _stratum(pretraining: str, datasets: tuple[str, ...], own: Mapping[Subject, Mapping[str, Scored]]) -> Stratum:
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


def _of_one_setting(subjects: Iterable[Subject]) -> list[Subject]:
    """Those of the device and precision that most have: others are not ranked with them."""
    subjects = list(subjects)
    counts = Counter((one.key.device, one.key.precision) for one in subjects)
    most = min(counts, key=lambda key: (-counts[key], key), default=None)
    return [one for one in subjects if (one.key.device, one.key.precision) == most]
