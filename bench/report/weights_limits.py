"""What results of released and fine-tuned weights cannot show, made from what the suite holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from bench.analyse.means import Scored
from bench.analyse.protocols import Protocols
from bench.analyse.weights import NOT_STATED, UNKNOWN_PRETRAINING, pretraining_of
from bench.catalog.identity import DatasetIdentity, identify_dataset
from bench.catalog.image_tasks import in_order
from bench.markdown_text import escape
from bench.report.formats import counted, listed


def weights_limits(protocols: Protocols) -> list[str]:
    """What a reader might conclude from these protocols and must not; Markdown."""
    items = []
    scores: list[Scored] = [*protocols.evaluated, *protocols.fewshot, *protocols.finetuned]
    if scores:
        items.append(
            "Comparisons are of one checkpoint with another, not of families: their compute, resolution and training "
            "recipes differ. Only weights pre-trained on the same data are compared."
        )
        unknown = {s.subject for s in scores if pretraining_of(s.subject) == UNKNOWN_PRETRAINING}
        if unknown:
            names = listed(sorted(escape(protocols.labels[subject]) for subject in unknown))
            items.append(f"Nothing is known of what {names} saw before: in the tables, compared with nothing.")
        untold = {s.subject for s in scores if pretraining_of(s.subject) == NOT_STATED}
        if untold:
            names = listed(sorted(escape(protocols.labels[subject]) for subject in untold))
            items.append(f"What {names} saw before is not stated: such files are compared with one another alone.")
    sets = sum(len(one.means) > 1 for own in protocols.strata.values() for one in own)
    if sets > 1:
        items.append(
            f"{sets} sets of checkpoints, each corrected for the checkpoints on its own data set, not for their number."
        )
    if protocols.evaluated:
        items.append(
            "One checkpoint each: intervals are over test images. Another training of the same model gives other "
            "weights, and their top-1 may differ by more than these intervals say."
        )
        if any(one.dataset == "imagenet" for one in protocols.evaluated):
            items.append(
                "Released ImageNet checkpoints are commonly tuned on the validation images that they are scored on "
                "here, so their top-1 may be too high for new images."
            )
    if protocols.fewshot:
        items.append(
            "A fixed λ acts differently on features of different width; the column by leave-one-out is the fairer "
            "comparison. Draws count as independent between models although they hold the same images, so intervals of "
            "differences are rather too wide than too narrow."
        )
    if protocols.finetuned:
        items += _finetune_limits(protocols)
    adapted: list[Scored] = [*protocols.fewshot, *protocols.finetuned]
    if any(not one.subject.is_from_scratch for one in adapted):
        items.append(
            "Nothing here checked whether the pre-training data hold test images of these sets; the paper removed "
            "them, public weights need not have."
        )
    if protocols.checked:
        items.append(
            "The preflight finds equal files and near-copies of a picture; mirrored, turned and cropped copies it does "
            "not find. Near-copies are looked for between parts; all images are compared only where "
            "the source is one part."
        )
    cautions = {score.dataset: identify_dataset(score.dataset) for score in scores}
    items += _caution_lines([cautions[name] for name in in_order(cautions)])
    return items


def _caution_lines(datasets: Iterable[DatasetIdentity]) -> list[str]:
    """The cautions of the catalog, sets with the same one on one line."""
    titles: dict[str, list[str]] = defaultdict(list)
    for dataset in datasets:
        if dataset.caution:
            titles[dataset.caution].append(dataset.title)
    return [f"{escape(listed(names))}: {escape(caution)}" for caution, names in titles.items()]


def _finetune_limits(protocols: Protocols) -> list[str]:
    scores = protocols.finetuned
    items = []
    if any(not one.group.has_spread for one in scores):
        items.append("One seed for some fine-tuned models: their intervals are over test images alone, not over seeds.")
    if protocols.gains:
        items.append(
            "From scratch means the fine-tuning recipe on random weights: far fewer steps than a training from scratch "
            "is given elsewhere, so the gain of pretraining is that at this number of steps."
        )
    if protocols.sweeps:
        items.append("The compute of the learning-rate sweep is not in any column.")
        edges = listed(sorted({escape(protocols.labels[one.subject]) for one in protocols.sweeps if one.edge}))
        if edges:
            items.append(
                f"The best learning rate is at the edge of what was tried for {edges}: a better one may lie outside."
            )
    resumed = sum(one.resumed for one in scores)
    if resumed:
        items.append(f"Runs were continued from a checkpoint {counted(resumed, 'time')}.")
    return items
