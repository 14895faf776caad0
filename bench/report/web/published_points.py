"""Points that others published: the paper's Table 6, and timm's own results."""

from __future__ import annotations

from collections.abc import Iterable

from bench.analyse.published import ScalingComparison
from bench.analyse.study import Study
from bench.catalog.image_tasks import PAPER_SETS
from bench.catalog.models import find_model
from bench.catalog.papers import TimmRow, timm_published
from bench.report.web.plot_data import Axis, PlotPoint, Value, accuracy_axis
from bench.report.web.weights_points import MEAN, evaluated_axis, finetuned_axis
from bench.units import EXA, GIGA, MEGA

_FIVE = "finetuned:five"
_PAPER_SETS = {  # column of Table 6 -> our data set
    "imagenet": "imagenet",
    "imagenet_real": "imagenet_real",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "pets": "pets",
    "flowers": "flowers102",
}


def published_axes(points: Iterable[PlotPoint]) -> list[Axis]:
    """The accuracies that these points have, in the paper's order."""
    used = {key for point in points for key in point.values}
    five = "Mean fine-tuned top-1 of ImageNet, CIFAR-10, CIFAR-100, Pets and Flowers"
    axes = [accuracy_axis(_FIVE, five), *(finetuned_axis(name) for name in _PAPER_SETS.values())]
    axes += [evaluated_axis("imagenet"), evaluated_axis("imagenet_real")]
    return [axis for axis in axes if axis.key in used]


def published_points(study: Study) -> list[PlotPoint]:
    """The paper's rows where the suite is about accuracy or counts its models; timm's where it knows a public model."""
    protocols = study.protocols
    counts_paper_models = any(one.macs is not None for one in study.scaling)
    points = []
    if study.main or counts_paper_models or protocols.finetuned or protocols.evaluated:
        mean = MEAN if set(protocols.averaged) == set(PAPER_SETS) else _FIVE
        points += [_paper_point(one, mean) for one in study.scaling]
    names = {row.key.model for row in study.rows} | {subject.key.model for subject in protocols.subjects}
    published = timm_published()
    if names & {name for name, _ in published}:
        points += [_timm_point(published[key]) for key in sorted(published)]
    return points


def _paper_point(one: ScalingComparison, mean: str) -> PlotPoint:
    """mean: the axis of the mean over the paper's five sets, which is that of a suite's own mean over the same."""
    row = one.row
    values = {f"finetuned:{ours}": Value(row.top1_pct[name], None, row.source) for name, ours in _PAPER_SETS.items()}
    values[mean] = Value(row.average5_pct, None, f"{row.source}; mean computed here")
    values["pretrain_flop"] = Value(row.exaflops * EXA, None, row.source, ranked_with="published")
    if one.macs is not None:
        how = f"counted here of timm's model of that name at {row.resolution_px} px, a public stand-in"
        values["macs"] = Value(float(one.macs), None, how, (one.cell_id,) if one.cell_id else ())
    facts = (
        ("Weights", "pre-trained on JFT-300M, never released"),
        ("Pre-training", f"{row.epochs} epochs at {row.resolution_px} px"),
        ("Source", row.source),
    )
    return PlotPoint(f"{row.name}, {row.epochs} epochs", row.family, "paper", values, facts=facts)


def _timm_point(row: TimmRow) -> PlotPoint:
    values = {
        "params": Value(row.params_m * MEGA, None, "rounded to 0.01 M"),
        "macs_with_norms": Value(row.gmacs * GIGA, None, "rounded to 0.01 G"),
        "activations": Value(row.activations_m * MEGA, None, "rounded to 0.01 M"),
    }
    for key, number in (("imagenet", row.imagenet_top1_pct), ("imagenet_real", row.real_top1_pct)):
        if number is not None:
            values[f"evaluated:{key}"] = Value(number, None, row.source)
    if row.rtx5090_amp_img_per_s is not None:
        values["timm_throughput"] = Value(
            row.rtx5090_amp_img_per_s, None, f"batch {row.rtx5090_batch_size}", ranked_with="timm"
        )
    known = find_model(row.name)
    facts = (
        ("Model", row.name),
        ("Resolution", f"{row.resolution_px} px"),
        ("Pre-training data", row.pretraining),
        ("Source", row.source),
    )
    label = f"{row.name} @{row.resolution_px}"
    return PlotPoint(label, known.family if known else "other", "timm", values, facts=facts)
