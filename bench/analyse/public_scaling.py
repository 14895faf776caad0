"""The public Figure 5: pre-training compute of released ImageNet-21k checkpoints, and the accuracy measured of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.analyse.evaluated import Evaluation
from bench.analyse.fewshots import FewshotScore, headline_setting
from bench.analyse.finetuned import FinetuneScore
from bench.analyse.leads import Scored
from bench.analyse.means import SetMean, by_subject, set_mean, sets_to_average
from bench.analyse.published import counts_by_architecture
from bench.analyse.weights import PUBLIC, Subject
from bench.catalog.papers import training_exaflops
from bench.catalog.public_pretraining import PublicPretraining, public_pretraining


@dataclass(frozen=True)
class PublicPoint:
    """One checkpoint. mean: over the sets of the figure; imagenet: that set alone; None where not measured here."""

    row: PublicPretraining
    macs: float | None
    exaflops: float | None
    count_ids: tuple[str, ...]  # of the record that counted the MACs
    mean: SetMean | None
    imagenet: SetMean | None


@dataclass(frozen=True)
class PublicScaling:
    """All released checkpoints, and what their accuracies are: one protocol, one list of sets for all."""

    points: tuple[PublicPoint, ...]
    datasets: tuple[str, ...]  # behind the means; empty where there is none
    protocol: str  # finetune, fewshot, or empty where nothing was measured
    shots: int  # of few-shot
    rule: str

    @property
    def is_counted(self) -> bool:
        """Whether the compute of some checkpoint is known."""
        return any(point.exaflops is not None for point in self.points)


def public_scaling(
    complexity: pd.DataFrame,
    finetuned: Sequence[FinetuneScore],
    fewshot: Sequence[FewshotScore],
    evaluated: Sequence[Evaluation] = (),
) -> PublicScaling:
    """Every row of public_pretraining.csv with its compute, and its accuracy where a protocol measured one.

    MACs are those counted at the resolution of pre-training; a record of another protocol at that resolution serves
    where no counting record does. Accuracy: fine-tuned where any checkpoint was fine-tuned, else few-shot.
    """
    counts: dict[tuple[str, int], tuple[float, tuple[str, ...]]] = {
        key: (float(macs), (cell_id,)) for key, (macs, cell_id) in counts_by_architecture(complexity).items()
    }
    known: list[Scored] = [*evaluated, *fewshot, *finetuned]
    for one in known:
        key = (one.subject.key.model.split(".", 1)[0], one.subject.key.resolution_px)
        if one.macs is not None:
            counts.setdefault(key, (one.macs, one.cell_ids[:1]))
    rows = public_pretraining()
    tuned = [score for score in finetuned if _is_row(score.subject, rows)]
    protocol, shots, rule, scores = "", 0, "", list[Scored]()
    if tuned:
        protocol, scores = "finetune", list(tuned)
    elif shot := [score for score in fewshot if _is_row(score.subject, rows)]:
        shots, rule = headline_setting(shot)
        protocol, scores = "fewshot", [s for s in shot if (s.shots, s.rule) == (shots, rule)]
    datasets = sets_to_average(scores)
    if not datasets and len({score.dataset for score in scores}) == 1:
        datasets = (scores[0].dataset,)
    found = by_subject(scores)
    points = []
    for row in rows.values():
        macs, ids = counts.get((row.timm_arch, row.resolution_px), (None, ()))
        exaflops = None if macs is None else training_exaflops(macs, row.images_seen)
        mean = _of_checkpoint(found, row.name, datasets)
        points.append(PublicPoint(row, macs, exaflops, ids, mean, _of_checkpoint(found, row.name, ("imagenet",))))
    return PublicScaling(tuple(points), datasets, protocol, shots, rule)


def _is_row(subject: Subject, rows: Mapping[str, PublicPretraining]) -> bool:
    return subject.weights == PUBLIC and subject.key.model in rows


def _of_checkpoint(found: Mapping[Subject, Mapping[str, Scored]], name: str, datasets: Iterable[str]) -> SetMean | None:
    """The mean of a checkpoint, at the largest resolution that has one."""
    names = tuple(datasets)
    own = sorted((s for s in found if s.key.model == name), key=lambda s: (-s.key.resolution_px, s))
    means = (set_mean(found[subject], names) for subject in own)
    return next((mean for mean in means if mean is not None), None)
