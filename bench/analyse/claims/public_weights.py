"""Claims on public weights of two systems on ImageNet: cost at equal accuracy on a named axis, and the best of each.

Only weights of one stratum of pre-training data meet. Accuracies are of one checkpoint each on 50,000 images; their
noise is taken as if two models had been tested on different images, which is too wide for models tested on the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy import stats

from bench.analyse.claims.combine import Seen, apart, conclude, word_of
from bench.analyse.claims.contrasts import bonferroni, conditions_of
from bench.analyse.claims.interpolate import Point, cost_at, rising_front
from bench.analyse.claims.measurements import Measurements
from bench.analyse.claims.scope import Conditions, outside
from bench.analyse.claims.verdicts import Bearing, Evidence, Verdict
from bench.analyse.claims.words import figure_words, tally
from bench.analyse.study import Study
from bench.analyse.weights import PUBLIC, pretraining_of
from bench.catalog.claims import Claim
from bench.catalog.models import find_model
from bench.catalog.papers import TimmRow, timm_published

TIMM = "timm's results files at commit aa4b5850"
VALIDATION_IMAGES = 50_000  # ImageNet's
AXES: dict[str, tuple[str, Callable[[TimmRow], float | None]]] = {
    "macs": ("MACs", lambda row: row.gmacs),
    "params": ("parameters", lambda row: row.params_m),
    "throughput": (
        "time per image (RTX 5090, AMP)",
        lambda row: 1 / row.rtx5090_amp_img_per_s if row.rtx5090_amp_img_per_s else None,
    ),
}


@dataclass(frozen=True)
class Model:
    """One checkpoint on ImageNet: accuracy and cost, and the records behind them where it was measured here."""

    name: str
    system: str
    resolution_px: int
    top1_pct: float
    images: int
    cost: float
    record_ids: tuple[str, ...] = ()
    conditions: Conditions | None = None


def judge_public_cost(claim: Claim) -> Verdict:
    """timm's published accuracies and costs: the second system's cost at the accuracy of each model of the first.

    Parameters: first, second (beginnings of systems' names), stratum (pre-training data), axis (of AXES), at_least
    (times as much as the first). Each model counts at the largest resolution that it was tested at.
    """
    axis, cost = AXES[str(claim.parameters["axis"])]
    models = [
        Model(name, row.system, px, row.imagenet_top1_pct, VALIDATION_IMAGES, value)
        for (name, px), row in timm_published().items()
        if row.pretraining == claim.parameters["stratum"] and row.imagenet_top1_pct is not None
        if (value := cost(row)) is not None
    ]
    rows = [seen.evidence for seen in _cost_ratios(claim, models, axis, f"computed from {TIMM}", "computed", "")]
    if not rows:
        return Verdict("untestable here", "No model of one system lies in the other's range of published accuracies.")
    note = "by the images' noise, for all together"
    return Verdict(word_of([row.bearing for row in rows], "every"), tally(rows, "model", "models", note), tuple(rows))


def measure_public_cost(claim: Claim, measurements: Measurements) -> Verdict:
    """The same from checkpoints evaluated here on ImageNet's validation images."""
    axis = str(claim.parameters["axis"])
    seen = []
    for study in measurements.studies:
        models = _evaluated(study, str(claim.parameters["stratum"]), axis)
        seen += _cost_ratios(claim, models, AXES[axis][0].partition(" (")[0], "", "measured", study.suite)
    absent = "No suite read here evaluates weights of both systems, of one pre-training, on ImageNet."
    return conclude(claim, seen, "every", lambda rows: tally(rows, "model", "models"), absent)


def _cost_ratios(claim: Claim, models: Sequence[Model], axis: str, source: str, origin: str, suite: str) -> list[Seen]:
    """One figure for each model of the first system, at its largest resolution, that the second's curve spans."""

    def judge(own: Sequence[Model]) -> list[Seen]:
        return _ratios_of(claim, own, axis, source, origin, suite)

    return apart(claim.scope, models, lambda model: model.conditions or Conditions(), judge)


def _ratios_of(claim: Claim, models: Sequence[Model], axis: str, source: str, origin: str, suite: str) -> list[Seen]:
    first, second = (_of_system(models, str(claim.parameters[key])) for key in ("first", "second"))
    least = float(claim.parameters["at_least"])
    if not first or not second:
        return []
    curve = rising_front([Point(model.name, model.cost, model.top1_pct) for model in second])
    own = [model for model in _largest_sizes(first) if _is_on_front(model, first)]
    level = bonferroni(len(own))
    seen = []
    for model in own:
        half = _noise_pp(model, level)
        middle, below, above = (cost_at(curve, model.top1_pct + shift) for shift in (0.0, -half, half))
        if middle[0] != middle[1]:
            continue
        low, high = below[0] / model.cost, above[1] / model.cost
        bearing: Bearing = "for" if low >= least else "against" if high < least else "undecided"
        label = f"{axis} of {claim.parameters['second'].rstrip('-')} over {model.system} @{model.resolution_px}"
        ids = (*model.record_ids, *(i for other in second for i in other.record_ids))
        figure = Evidence(
            label, middle[0] / model.cost, "times", low, None if math.isinf(high) else high, bearing,
            "measured" if origin == "measured" else "computed", source, suite, ids,
        )  # fmt: skip
        seen.append(Seen(figure, model.conditions or Conditions()))
    return seen


def _of_system(models: Sequence[Model], beginning: str) -> list[Model]:
    return [model for model in models if model.system.startswith(beginning)]


def _largest_sizes(models: Sequence[Model]) -> list[Model]:
    largest: dict[str, Model] = {}
    for model in models:
        if model.name not in largest or model.resolution_px > largest[model.name].resolution_px:
            largest[model.name] = model
    return list(largest.values())


def _is_on_front(model: Model, models: Sequence[Model]) -> bool:
    return not any(other.cost <= model.cost and other.top1_pct > model.top1_pct for other in models)


def _noise_pp(model: Model, level: float) -> float:
    """Half of the interval of a difference of two such accuracies on different images."""
    share = model.top1_pct / 100
    return float(stats.norm.ppf((1 + level) / 2)) * 100 * math.sqrt(2 * share * (1 - share) / model.images)


def _evaluated(study: Study, stratum: str, axis: str) -> list[Model]:
    """Released checkpoints that were evaluated on ImageNet, with the cost of the axis where a record has it."""
    found = []
    speed = {row.key: row.speed for row in study.rows}
    for one in study.protocols.evaluated:
        row = find_model(one.subject.key.model)
        if one.subject.weights != PUBLIC or row is None or pretraining_of(one.subject) != stratum:
            continue
        timed = speed.get(one.subject.key)
        rate = None if timed is None else timed.throughput_median
        cost = {"macs": one.macs, "params": one.params, "throughput": 1 / rate if rate else None}[axis]
        if one.dataset == "imagenet" and cost:
            found.append(
                Model(
                    row.name,
                    row.paper_system,
                    one.subject.key.resolution_px,
                    one.top1.estimate,
                    one.group.test_images,
                    cost,
                    one.cell_ids,
                    conditions_of(study, one.subject, one.dataset),
                )
            )
    return found


def judge_public_best(claim: Claim) -> Verdict:
    """timm's published accuracies: the best model of the first system minus the best of the second, in one stratum.

    Parameters: first, second, stratum, and what they cost as context.
    """
    rows = []
    best = []
    for key in ("first", "second"):
        own = [
            (row.imagenet_top1_pct, name, px)
            for (name, px), row in timm_published().items()
            if row.pretraining == claim.parameters["stratum"] and row.system.startswith(str(claim.parameters[key]))
            if row.imagenet_top1_pct is not None
        ]
        best.append(timm_published()[max(own)[1:]])
    ours, theirs = best
    models = [
        Model(r.name, r.system, r.resolution_px, r.imagenet_top1_pct or 0.0, VALIDATION_IMAGES, 1.0) for r in best
    ]
    half = max(_noise_pp(model, bonferroni(1)) for model in models)
    delta = models[0].top1_pct - models[1].top1_pct
    bearing: Bearing = "for" if delta - half > 0 else "against" if delta + half < 0 else "undecided"
    label = f"{ours.system} @{ours.resolution_px} − {theirs.system} @{theirs.resolution_px}, ImageNet"
    rows.append(Evidence(label, delta, "points", delta - half, delta + half, bearing, "published", TIMM))
    for axis, cost in AXES.values():
        costs = [cost(row) for row in best]
        if costs[0] and costs[1]:
            words = f"{axis} of the first over the second"
            rows.append(Evidence(words, costs[0] / costs[1], "times", None, None, "context", "published", TIMM))
    reason = f"{figure_words(rows[0])} by the images' noise; {'; '.join(map(figure_words, rows[1:]))}."
    return Verdict(word_of([bearing], "every"), reason, tuple(rows))


def _sides(claim: Claim, models: Sequence[Model]) -> list[list[Model]]:
    return [_of_system(models, str(claim.parameters[key])) for key in ("first", "second")]


def measure_public_best(claim: Claim, measurements: Measurements) -> Verdict:
    """The same from checkpoints evaluated here on ImageNet's validation images."""
    seen = []
    for study in measurements.studies:
        models = _evaluated(study, str(claim.parameters["stratum"]), "macs")
        within = [model for model in models if not outside(claim.scope, model.conditions or Conditions())]
        sides = _sides(claim, within)
        if not all(sides):  # nothing in the scope: an analogue
            sides = _sides(claim, models)
        if not all(sides):
            continue
        ours, theirs = (max(side, key=lambda model: (model.top1_pct, model.name)) for side in sides)
        half = max(_noise_pp(model, bonferroni(1)) for model in (ours, theirs))
        delta = ours.top1_pct - theirs.top1_pct
        bearing: Bearing = "for" if delta - half > 0 else "against" if delta + half < 0 else "undecided"
        label = f"{ours.name} @{ours.resolution_px} − {theirs.name} @{theirs.resolution_px}, ImageNet"
        ids = (*ours.record_ids, *theirs.record_ids)
        figure = Evidence(label, delta, "points", delta - half, delta + half, bearing, "measured", "", study.suite, ids)
        seen.append(Seen(figure, ours.conditions or Conditions()))
    absent = "No suite read here evaluates weights of both systems, of one pre-training, on ImageNet."
    return conclude(claim, seen, "every", lambda rows: tally(rows, "comparison", "comparisons"), absent)
