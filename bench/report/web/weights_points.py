"""Points of evaluated, few-shot and fine-tuned weights, each with the speed that was measured under its settings."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analyse.evaluated import Evaluation
from bench.analyse.fewshots import FewshotScore, headline_setting
from bench.analyse.finetuned import FinetuneScore
from bench.analyse.intervals import Interval
from bench.analyse.means import Scored, set_mean
from bench.analyse.protocols import Protocols, finetuned_by_subject
from bench.analyse.scores import RunKey
from bench.analyse.study import Row, Study
from bench.analyse.weights import PUBLIC, Subject, pretraining_of
from bench.catalog.identity import identify_dataset
from bench.catalog.image_tasks import in_order
from bench.report.formats import counted, fixed, learning_rate
from bench.report.web.plot_data import Axis, PlotPoint, Value, accuracy_axis, accuracy_value, bar_of
from bench.report.web.trained_points import key_facts, timing_values
from bench.report.weights_tables import rule_words
from bench.units import EXA

MEAN = "finetuned:mean"


def weights_axes(protocols: Protocols) -> list[Axis]:
    """An axis for each protocol and data set, and for the mean of the fine-tuned sets."""
    axes = []
    if protocols.averaged:
        note = f"Unweighted mean over {counted(len(protocols.averaged), 'data set')}, the same for every model."
        axes.append(accuracy_axis(MEAN, "Mean fine-tuned top-1", note))
    axes += [finetuned_axis(name) for name in in_order(one.dataset for one in protocols.finetuned)]
    for name in in_order(one.dataset for one in protocols.evaluated):
        axes += [evaluated_axis(name), evaluated_axis(f"{name}_real")]
    for name in in_order(one.dataset for one in protocols.fewshot):
        title = f"{identify_dataset(name).title}: few-shot top-1"
        axes.append(accuracy_axis(f"fewshot:{name}", title, "Frozen features."))
    return axes


def finetuned_axis(dataset: str) -> Axis:
    """Top-1 after fine-tuning on this set."""
    caution = identify_dataset(dataset).caution
    return accuracy_axis(f"finetuned:{dataset}", f"{_title(dataset)}: fine-tuned top-1", caution)


def evaluated_axis(dataset: str) -> Axis:
    """Top-1 of weights with their own head on this set."""
    return accuracy_axis(f"evaluated:{dataset}", f"{_title(dataset)}: top-1 of the weights as they are")


def weights_points(study: Study) -> list[PlotPoint]:
    """A point for each model and weights, then one for each other number of shots."""
    protocols = study.protocols
    timed = {row.key: row for row in study.rows}
    scores: list[Scored] = [*protocols.evaluated, *protocols.fewshot, *protocols.finetuned]
    families = {score.subject: score.identity.family for score in scores}
    values: dict[Subject, dict[str, Value]] = {subject: {} for subject in protocols.subjects}
    for evaluated in protocols.evaluated:
        values[evaluated.subject] |= _evaluated_values(evaluated)
    for subject, found in finetuned_by_subject(protocols).items():
        if (mean := set_mean(found, protocols.averaged)) is not None:
            told = f"unweighted mean over {counted(len(mean.datasets), 'data set')}"
            values[subject][MEAN] = Value(mean.mean_pct, bar_of(mean.interval), told, mean.cell_ids)
    for tuned in protocols.finetuned:
        values[tuned.subject] |= _finetuned_values(tuned)
    headline = headline_setting(list(protocols.fewshot)) if protocols.fewshot else (0, "")
    others = []
    for fewshot in protocols.fewshot:
        if (fewshot.shots, fewshot.rule) == headline:
            values[fewshot.subject] |= _fewshot_values(fewshot)
        elif fewshot.rule == headline[1]:
            family = fewshot.identity.family
            others.append(_point(fewshot.subject, family, _fewshot_values(fewshot), protocols, is_main=False))
    for public in protocols.public.points:
        for subject in (one for one in values if one.weights == PUBLIC and one.key.model == public.row.name):
            if public.exaflops is not None:
                value = Value(public.exaflops * EXA, None, "computed: 6 × MACs × images seen", public.count_ids)
                values[subject]["pretrain_flop"] = value
    points = [
        _point(subject, families[subject], {**_timing(subject.key, timed), **own}, protocols)
        for subject, own in values.items()
        if own
    ]
    return points + others


def weights_keys(protocols: Protocols) -> set[RunKey]:
    """What the weights ran as: rows of these keys have their timings on the points of the weights."""
    return {subject.key for subject in protocols.subjects}


def _point(
    subject: Subject, family: str, values: Mapping[str, Value], protocols: Protocols, *, is_main: bool = True
) -> PlotPoint:
    label = protocols.labels[subject]
    pretraining = pretraining_of(subject)
    facts = [*key_facts(subject.key), ("Weights", subject.weights_words)]
    facts += [("Pre-training data", pretraining)] if pretraining else []
    along = {"shots": label} if any(key.startswith("fewshot:") for key in values) else {}
    return PlotPoint(label, family, "measured", values, is_main, tuple(facts), along)


def _timing(key: RunKey, timed: Mapping[RunKey, Row]) -> dict[str, Value]:
    row = timed.get(key)
    return {} if row is None else timing_values(row.speed, row.memory)


def _title(dataset: str) -> str:
    name = dataset.removesuffix("_real")
    return identify_dataset(name).title + (" ReaL" if name != dataset else "")


def _model_values(score: Scored, params: float | None) -> dict[str, Value]:
    how = ("counted with the run", score.cell_ids[:1])
    values = {"macs": Value(score.macs, None, *how)} if score.macs else {}
    return {**values, **({"params": Value(params, None, *how)} if params else {})}


def _evaluated_values(one: Evaluation) -> dict[str, Value]:
    values = _model_values(one, one.params)
    for key, interval in ((one.dataset, one.top1), (f"{one.dataset}_real", one.real)):
        if interval is not None:
            values[f"evaluated:{key}"] = _accuracy(interval, f"{fixed(interval.n, 0)} images", one.cell_ids)
    return values


def _finetuned_values(one: FinetuneScore) -> dict[str, Value]:
    conditions = (
        f"{counted(len(one.seeds), 'seed')}; {fixed(one.train_images, 0)} training and "
        f"{fixed(one.group.test_images, 0)} test images; {one.recipe_name} recipe, learning rate "
        f"{learning_rate(one.learning_rate)}, batch {one.batch_size}, {fixed(one.steps, 0)} steps"
    )
    key = f"finetuned:{one.dataset}"
    values = {**_model_values(one, one.params), key: accuracy_value(one.group, one.interval, conditions, one.cell_ids)}
    if one.train_flop:
        values[f"train_flop@{key}"] = Value(one.train_flop, None, "3 × FLOPs × images seen", one.cell_ids)
    if one.train_img_per_s:
        values[f"train_img_per_s@{key}"] = Value(one.train_img_per_s, None, "mean over seeds", one.cell_ids)
    return values


def _fewshot_values(one: FewshotScore) -> dict[str, Value]:
    conditions = (
        f"{counted(one.shots, 'image')} a class{f' ({one.short})' if one.short else ''}, {rule_words(one.rule)}; "
        f"{counted(len(one.group.values_pct), 'draw')}; {fixed(one.group.test_images, 0)} test images"
    )
    key = f"fewshot:{one.dataset}"
    return {
        **_model_values(one, one.params),
        key: accuracy_value(one.group, one.interval, conditions, one.cell_ids),
        f"shots@{key}": Value(float(one.shots), None, "", one.cell_ids),
    }


def _accuracy(interval: Interval, conditions: str, records: tuple[str, ...]) -> Value:
    return Value(interval.estimate, bar_of(interval), f"{conditions}; interval: {interval.method}", records)
