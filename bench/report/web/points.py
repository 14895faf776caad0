"""The plot of a study: points (trained here, of given weights, published) and the axes they can be shown along."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from bench.analyse.accuracies.accuracy import Accuracy, Evaluated, FewShot, FineTuned, Trained
from bench.analyse.accuracies.pooling import along_images, headline_setting
from bench.analyse.accuracies.protocols import Protocols, finetuned_by_subject
from bench.analyse.accuracies.subjects import PUBLIC, RunKey, Subject, pretraining_of
from bench.analyse.accuracies.trials import SweptModel
from bench.analyse.claims.published import ScalingComparison
from bench.analyse.compare.means import set_mean
from bench.analyse.speed.speeds import Memory, Speed
from bench.analyse.stats.intervals import contrast_interval
from bench.analyse.study import Row, Study
from bench.catalog.identity import identify_dataset
from bench.catalog.image_tasks import PAPER_SETS, in_order
from bench.catalog.models import find_model
from bench.catalog.papers import TimmRow, timm_published
from bench.number_format import counted, fixed, learning_rate, listed, percent, significant
from bench.report.figures.panels import bar_of
from bench.report.figures.training_figures import finding_sets, is_stable
from bench.report.tables.accuracy_cells import PIXELS
from bench.report.tables.weights_tables import rule_words
from bench.report.web.plot_data import Axis, Plot, PlotPoint, Value, accuracy_axis, plot_of
from bench.units import EXA, GIGA, MEGA, TERA

Values = dict[str, Value]
_TRAINED_MEAN, _TUNED_MEAN, _FIVE_MEAN = "top1:mean", "finetuned:mean", "finetuned:five"
_TABLE_6_SETS = {  # column of Table 6 -> our data set
    **{name: name for name in ("imagenet", "imagenet_real", "cifar10", "cifar100", "pets")},
    "flowers": "flowers102",
}
_WITH_RUN = "counted with the run"
_COMPUTE_WORDS = "3 × FLOPs × images seen"


def study_plot(study: Study) -> Plot | None:
    """Everything of a study that can be drawn as points; None where there are not two axes to draw along."""
    published = _published_points(study)
    points = [*_trained_points(study), *_pixels_points(study), *_weights_points(study), *published]
    used = {key for point in published for key in point.values}
    axes = [*_trained_axes(study), *_weights_axes(study.protocols)]
    return plot_of([*axes, *(axis for axis in _published_axes() if axis.key in used)], points)


_AXES = {  # what is before the colon in an axis's key -> its title after that of the data set, and its note
    "top1": ("top-1", None),  # None: the data set's own caution
    "validation": ("validation top-1", "Chooses a learning rate; it is no result."),
    "finetuned": ("fine-tuned top-1", None),
    "evaluated": ("top-1 of the weights as they are", ""),
    "fewshot": ("few-shot top-1", "Frozen features."),
}


def _set_axes(kind: str, datasets: Iterable[str]) -> list[Axis]:
    """An axis of top-1 for each data set."""
    title, note = _AXES[kind]
    axes = []
    for name in datasets:
        is_real = kind in ("finetuned", "evaluated") and name.endswith("_real")  # ImageNet with ReaL labels
        words = (
            f"{identify_dataset(name.removesuffix('_real')).title} ReaL" if is_real else identify_dataset(name).title
        )
        own_note = identify_dataset(name).caution if note is None else note
        axes.append(accuracy_axis(f"{kind}:{name}", f"{words}: {title}", own_note))
    return axes


def _trained_axes(study: Study) -> list[Axis]:
    axes = _set_axes("top1", (dataset.name for dataset in study.datasets))
    names = finding_sets(study)
    if len(names) > 1:
        titles = listed(identify_dataset(name).title for name in names)
        axes.append(accuracy_axis(_TRAINED_MEAN, "Mean top-1", f"Unweighted mean over {titles}."))
    return axes + _set_axes("validation", sorted({swept.dataset for swept in study.swept}))


def _weights_axes(protocols: Protocols) -> list[Axis]:
    axes = []
    if protocols.averaged:
        note = f"Unweighted mean over {counted(len(protocols.averaged), 'data set')}, the same for every model."
        axes.append(accuracy_axis(_TUNED_MEAN, "Mean fine-tuned top-1", note))
    axes += _set_axes("finetuned", in_order(one.dataset for one in protocols.finetuned))
    evaluated = in_order(one.dataset for one in protocols.evaluated)
    axes += _set_axes("evaluated", (name for dataset in evaluated for name in (dataset, f"{dataset}_real")))
    return axes + _set_axes("fewshot", in_order(one.dataset for one in protocols.fewshot))


def _published_axes() -> list[Axis]:
    """In the paper's order."""
    five = "Mean fine-tuned top-1 of ImageNet, CIFAR-10, CIFAR-100, Pets and Flowers"
    paper = [accuracy_axis(_FIVE_MEAN, five), *_set_axes("finetuned", _TABLE_6_SETS.values())]
    return paper + _set_axes("evaluated", ("imagenet", "imagenet_real"))


def _trained_points(study: Study) -> list[PlotPoint]:
    """A point for each row of the main table, then one for each run at a smaller training set or budget.

    Rows that were not trained here and ran as given weights did have their timings on the points of these weights.
    """
    main = {id(score) for score in study.main}
    shown_elsewhere = {subject.key for subject in study.protocols.subjects}
    largest: dict[str, int] = {}
    for score in study.scores:
        largest[score.dataset] = max(largest.get(score.dataset, 0), score.train_images)
    by_images = {id(score) for score in along_images(study.scores)}
    points = [_row_point(row, study, by_images) for row in study.rows if row.scores or row.key not in shown_elsewhere]
    smaller = (score for score in study.scores if id(score) not in main)
    points += [point for score in smaller if (point := _run_point(score, study, largest[score.dataset], by_images))]
    return points + [_swept_point(swept, rate) for swept in study.swept for rate in swept.top1_pct]


def _pixels_points(study: Study) -> list[PlotPoint]:
    """The regressions on pixels: one point for those at the largest training sets, one for each at a smaller one."""
    largest = {(score.dataset, score.train_images) for score in study.main}
    main: Values = {}
    points = []
    for place, one in study.pixels.items():
        conditions = f"{counted(len(one.group.values_pct), 'fit')}; {fixed(one.train_images, 0)} training images"
        key = f"top1:{one.dataset}"
        values = {
            key: Value(one.interval.estimate, bar_of(one.interval), conditions, one.cell_ids),
            f"macs@{key}": Value(float(one.macs), None, "a weight for each pixel, colour and class", one.cell_ids),
            f"params@{key}": Value(float(one.params), None, "weights and biases", one.cell_ids),
            f"train_images@{key}": Value(float(one.train_images)),
        }
        if place in largest:
            main |= values
        else:
            points.append(PlotPoint(PIXELS, "other", "measured", values, False, along={"train_images": PIXELS}))
    return [*([PlotPoint(PIXELS, "other", "measured", main, along={"train_images": PIXELS})] if main else []), *points]


def _row_point(row: Row, study: Study, by_images: Collection[int]) -> PlotPoint:
    """by_images: ids of the scores on the axis of training images."""
    values = {**_count_values(row), **_timing_values(row.speed, row.memory)}
    for score in row.scores.values():
        values |= _trained_values(score)
    names = finding_sets(study)
    if len(names) > 1 and all(is_stable(row, name) for name in names):
        values |= _mean_values([row.scores[name] for name in names])
    is_along = {"train_images": {id(score) for score in row.scores.values()} <= {*by_images}, "train_flop": True}
    along = {axis: row.label for axis, shown in is_along.items() if shown and row.scores}
    return PlotPoint(row.label, row.identity.family, "measured", values, facts=_key_facts(row.key), along=along)


def _run_point(score: Trained, study: Study, largest: int, by_images: Collection[int]) -> PlotPoint | None:
    """A run at a smaller training set or budget; None where it is on neither axis.

    largest: training images of the data set's largest training set.
    """
    is_along = {"train_images": id(score) in by_images, "train_flop": score.train_images == largest}
    label, facts = study.labels[score.key], _key_facts(score.key)
    along = {axis: label for axis, shown in is_along.items() if shown}
    values = _trained_values(score)
    return PlotPoint(label, score.identity.family, "measured", values, False, facts, along) if along else None


def _swept_point(swept: SweptModel, rate: float) -> PlotPoint:
    identity, ids = swept.identity, swept.cell_ids[rate]
    conditions = (
        f"{counted(swept.seeds, 'seed')}; {fixed(swept.train_images, 0)} training images; "
        f"{_tflop(swept.budget_gflop)} TFLOP"
    )
    best = " (its best)" if rate == swept.best_rate else ""
    values = {
        f"validation:{swept.dataset}": Value(swept.top1_pct[rate], None, conditions, ids),
        "learning_rate": Value(rate, None, f"{len(swept.tried)} tried{best}", ids),
    }
    along = {"learning_rate": f"{identity.name} {swept.train_images} {swept.budget_gflop}"}
    facts = (("Model", identity.name),)
    return PlotPoint(identity.title, identity.family, "measured", values, False, facts, along)


def _weights_points(study: Study) -> list[PlotPoint]:
    """A point for each model and weights, with the speed that was measured under its settings, then one for each
    other number of shots."""
    protocols = study.protocols
    scores: list[Accuracy] = [*protocols.evaluated, *protocols.fewshot, *protocols.finetuned]
    families = {score.subject: score.identity.family for score in scores}
    values: dict[Subject, Values] = {subject: {} for subject in protocols.subjects}
    for evaluated in protocols.evaluated:
        values[evaluated.subject] |= _evaluated_values(evaluated)
    for subject, found in finetuned_by_subject(protocols).items():
        if (mean := set_mean(found, protocols.averaged)) is not None:
            told = f"unweighted mean over {counted(len(mean.datasets), 'data set')}"
            values[subject][_TUNED_MEAN] = Value(mean.mean_pct, bar_of(mean.interval), told, mean.cell_ids)
    for tuned in protocols.finetuned:
        values[tuned.subject] |= _finetuned_values(tuned)
    others = []
    shots, rule = headline_setting(list(protocols.fewshot)) if protocols.fewshot else (0, "")
    for fewshot in (one for one in protocols.fewshot if one.rule == rule):
        if fewshot.shots == shots:
            values[fewshot.subject] |= _fewshot_values(fewshot)
        else:
            others.append((fewshot.subject, _fewshot_values(fewshot)))
    for public in protocols.public.points:
        for subject in (one for one in values if one.weights == PUBLIC and one.key.model == public.row.name):
            if public.exaflops is not None:
                value = Value(public.exaflops * EXA, None, "computed: 6 × MACs × images seen", public.count_ids)
                values[subject]["pretrain_flop"] = value
    timed = {row.key: _timing_values(row.speed, row.memory) for row in study.rows}
    mains = [(subject, {**timed.get(subject.key, {}), **own}) for subject, own in values.items() if own]
    return [
        _subject_point(subject, families[subject], own, protocols, is_main=is_main)
        for points, is_main in ((mains, True), (others, False))
        for subject, own in points
    ]


def _subject_point(subject: Subject, family: str, values: Values, protocols: Protocols, *, is_main: bool) -> PlotPoint:
    label, pretraining = protocols.labels[subject], pretraining_of(subject)
    facts = [*_key_facts(subject.key), ("Weights", subject.weights_words)]
    facts += [("Pre-training data", pretraining)] if pretraining else []
    along = {"shots": label} if any(key.startswith("fewshot:") for key in values) else {}
    return PlotPoint(label, family, "measured", values, is_main, tuple(facts), along)


def _published_points(study: Study) -> list[PlotPoint]:
    """The paper's rows where the suite is about accuracy or counts its models; timm's where it knows a public model."""
    protocols = study.protocols
    counts_paper_models = any(one.macs is not None for one in study.scaling)
    points = []
    if study.main or counts_paper_models or protocols.finetuned or protocols.evaluated:
        mean = _TUNED_MEAN if set(protocols.averaged) == set(PAPER_SETS) else _FIVE_MEAN
        points += [_paper_point(one, mean) for one in study.scaling]
    names = {row.key.model for row in study.rows} | {subject.key.model for subject in protocols.subjects}
    published = timm_published()
    if names & {name for name, _ in published}:
        points += [_timm_point(published[key]) for key in sorted(published)]
    return points


def _paper_point(one: ScalingComparison, mean: str) -> PlotPoint:
    """mean: the axis of the mean over the paper's five sets, which is that of a suite's own mean over the same."""
    row = one.row
    values = {f"finetuned:{ours}": Value(row.top1_pct[name], None, row.source) for name, ours in _TABLE_6_SETS.items()}
    values[mean] = Value(row.average5_pct, None, f"{row.source}; mean computed here")
    values["pretrain_flop"] = Value(row.exaflops * EXA, None, row.source, ranked_with="published")
    if one.macs is not None:
        how = f"counted here of timm's model of that name at {row.resolution_px} px, a public stand-in"
        values["macs"] = Value(float(one.macs), None, how, (one.cell_id,) if one.cell_id else ())
    epochs, weights = f"{row.epochs} epochs", "pre-trained on JFT-300M, never released"
    facts = (("Weights", weights), ("Pre-training", f"{epochs} at {row.resolution_px} px"), ("Source", row.source))
    return PlotPoint(f"{row.name}, {epochs}", row.family, "paper", values, facts=facts)


def _timm_point(row: TimmRow) -> PlotPoint:
    values = {
        "params": Value(row.params_m * MEGA, None, "rounded to 0.01 M"),
        "macs_with_norms": Value(row.gmacs * GIGA, None, "rounded to 0.01 G"),
        "activations": Value(row.activations_m * MEGA, None, "rounded to 0.01 M"),
    }
    for key, number in (("imagenet", row.imagenet_top1_pct), ("imagenet_real", row.real_top1_pct)):
        if number is not None:
            values[f"evaluated:{key}"] = Value(number, None, row.source)
    if (rate := row.rtx5090_amp_img_per_s) is not None:
        values["timm_throughput"] = Value(rate, None, f"batch {row.rtx5090_batch_size}", ranked_with="timm")
    known = find_model(row.name)
    facts = (
        ("Model", row.name),
        ("Resolution", f"{row.resolution_px} px"),
        ("Pre-training data", row.pretraining),
        ("Source", row.source),
    )
    label = f"{row.name} @{row.resolution_px}"
    return PlotPoint(label, known.family if known else "other", "timm", values, facts=facts)


def _key_facts(key: RunKey) -> tuple[tuple[str, str], ...]:
    """What a model ran as: resolution, device and settings."""
    settings = [key.device, key.precision, key.memory_format]
    settings += ["compiled" if key.compile else "eager"] if key.device else []
    settings += ["folded"] if key.fold else []
    words = ", ".join(word for word in settings if word)
    facts = (("Model", key.model), ("Resolution", f"{key.resolution_px} px"))
    return (*facts, ("Settings", words)) if words else facts


def _timing_values(speed: Speed | None, memory: Memory | None) -> Values:
    """Throughput, latency and peak memory, each ranked only with what was measured alike."""
    values = {}
    if speed is not None:
        software = ", ".join(f"{n} {v}" for n, v in zip(("torch", "timm"), speed.conditions[3:], strict=True) if v)
        threads = f"{counted(int(speed.conditions[2]), 'thread')}, " if speed.conditions[2] else ""
        taken = f"{counted(speed.processes, 'process', 'processes')}, machine {speed.machine}, {threads}{software}"
        alike = " ".join((speed.key.device, speed.machine, *speed.conditions[1:]))
        batch = f"batch {speed.batch_size}"
        for axis, timed, at, ranked in (
            ("throughput", speed.throughput, batch, f"{batch}, {alike}"),
            ("latency_p50", speed.latency, "batch 1", alike),
        ):
            if timed is not None:
                values[axis] = Value(timed.median, bar_of(timed.interval), f"{at}, {taken}", speed.cell_ids, ranked)
    if memory is not None:
        where = f"batch {memory.batch_size}, machine {memory.machine}"
        values[f"memory_{memory.kind}"] = Value(memory.peak_mib, None, where, memory.cell_ids, where)
    return values


def _count_values(row: Row) -> Values:
    if row.count is None:
        score = next(iter(row.scores.values()), None)
        return {} if score is None else _size_values(score, "as the training run was told", score.cell_ids)
    how = f"counted; certificate: {row.count.certificate}"
    numbers = {
        "macs": row.count.macs,
        "params": row.count.params,
        "activations": row.count.activations,
        "macs_with_norms": None if row.count.norm_macs is None else row.count.macs + row.count.norm_macs,
    }
    return {axis: Value(float(n), None, how, (row.count.cell_id,)) for axis, n in numbers.items() if n}


def _size_values(one: Accuracy, how: str, ids: tuple[str, ...]) -> Values:
    """Multiply-adds and parameters that a record of an accuracy holds."""
    return {axis: Value(n, None, how, ids) for axis, n in (("macs", one.macs), ("params", one.params)) if n}


def _accuracy_values(kind: str, one: Accuracy, conditions: str, costs: Mapping[str, Value]) -> Values:
    """Mean with its bar; the median without one where seeds are unstable, which the conditions then say.

    costs: axis -> where the point lies on it when this accuracy is its other coordinate; zero where it is not known.
    """
    key, ids = f"{kind}:{one.dataset}", one.cell_ids
    value = Value(one.interval.estimate, bar_of(one.interval), conditions, ids)
    if one.group.is_unstable:
        seeds = ", ".join(percent(value) for value in sorted(one.group.values_pct))
        told = f"unstable seeds, their median: {seeds} %; {conditions}"
        value = Value(one.group.median_pct, None, told, ids, ranked_with=None)
    return {key: value} | {f"{axis}@{key}": cost for axis, cost in costs.items() if cost.value > 0}


def _trained_values(one: Trained) -> Values:
    conditions = (
        f"{_images_words(one)}; {_tflop(one.budget_gflop)} TFLOP; learning rate {learning_rate(one.learning_rate)}, "
        f"batch {one.batch_size}; interval: {one.interval.method}"
    )
    beside_others = "mean over seeds, beside the trainings that ran at the same time"
    costs = {
        "train_flop": Value(one.train_flop, None, _COMPUTE_WORDS, one.cell_ids),
        "train_images": Value(float(one.train_images)),
        "train_img_per_s": Value(one.train_img_per_s, None, beside_others, one.cell_ids),
    }
    return _accuracy_values("top1", one, conditions, costs)


def _mean_values(scores: Sequence[Trained]) -> Values:
    ids = tuple(cell_id for score in scores for cell_id in score.cell_ids)
    interval = contrast_interval([(1 / len(scores), score.group) for score in scores])
    mean = sum(score.interval.estimate for score in scores) / len(scores)
    compute = sum(score.train_flop for score in scores) / len(scores)
    method = f"; interval: {interval.method}" if interval else ""
    conditions = f"unweighted mean over {len(scores)} data sets{method}"
    return {
        _TRAINED_MEAN: Value(mean, bar_of(interval), conditions, ids),
        f"train_flop@{_TRAINED_MEAN}": Value(compute, None, "mean over the data sets", ids),
    }


def _evaluated_values(one: Evaluated) -> Values:
    values = _size_values(one, _WITH_RUN, one.cell_ids[:1])
    for key, interval in ((one.dataset, one.top1), (f"{one.dataset}_real", one.real)):
        if interval is not None:
            conditions = f"{fixed(interval.n, 0)} images; interval: {interval.method}"
            values[f"evaluated:{key}"] = Value(interval.estimate, bar_of(interval), conditions, one.cell_ids)
    return values


def _finetuned_values(one: FineTuned) -> Values:
    conditions = (
        f"{_images_words(one)}; {one.recipe_name} recipe, learning rate {learning_rate(one.learning_rate)}, "
        f"batch {one.batch_size}, {fixed(one.steps, 0)} steps"
    )
    costs = {
        "train_flop": Value(one.train_flop or 0.0, None, _COMPUTE_WORDS, one.cell_ids),
        "train_img_per_s": Value(one.train_img_per_s or 0.0, None, "mean over seeds", one.cell_ids),
    }
    return _size_values(one, _WITH_RUN, one.cell_ids[:1]) | _accuracy_values("finetuned", one, conditions, costs)


def _fewshot_values(one: FewShot) -> Values:
    conditions = (
        f"{counted(one.shots, 'image')} a class{f' ({one.short})' if one.short else ''}, {rule_words(one.rule)}; "
        f"{counted(len(one.group.values_pct), 'draw')}; {fixed(one.group.test_images, 0)} test images"
    )
    costs = {"shots": Value(float(one.shots), None, "", one.cell_ids)}
    return _size_values(one, _WITH_RUN, one.cell_ids[:1]) | _accuracy_values("fewshot", one, conditions, costs)


def _images_words(one: Trained | FineTuned) -> str:
    images, test = fixed(one.train_images, 0), fixed(one.group.test_images, 0)
    return f"{counted(len(one.seeds), 'seed')}; {images} training and {test} test images"


def _tflop(gflop: float) -> str:
    return significant(gflop * GIGA / TERA, 3)
