"""Points of the models that a suite trained from scratch, counted, timed or weighed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bench.analyse.intervals import contrast_interval
from bench.analyse.scores import RunKey, Score
from bench.analyse.speeds import Memory, Speed
from bench.analyse.study import Row, Study
from bench.analyse.trials import SweptModel
from bench.catalog.identity import identify_dataset
from bench.report.figures import finding_sets, is_stable
from bench.report.formats import counted, fixed, learning_rate, listed, significant
from bench.report.web.plot_data import Axis, PlotPoint, Value, accuracy_axis, accuracy_value, bar_of
from bench.units import GIGA

_MEAN = "top1:mean"


def trained_axes(study: Study) -> list[Axis]:
    """An axis for each data set, for the mean of those that carry findings, and for validation in sweeps."""
    axes = [accuracy_axis(f"top1:{d.name}", f"{d.title}: top-1", d.caution) for d in study.datasets]
    names = finding_sets(study)
    if len(names) > 1:
        titles = listed(identify_dataset(name).title for name in names)
        axes.append(accuracy_axis(_MEAN, "Mean top-1", f"Unweighted mean over {titles}."))
    for name in sorted({swept.dataset for swept in study.swept}):
        title = f"{identify_dataset(name).title}: validation top-1"
        axes.append(accuracy_axis(f"validation:{name}", title, "Chooses a learning rate; it is no result."))
    return axes


def trained_points(study: Study, shown_elsewhere: Collection[RunKey] = ()) -> list[PlotPoint]:
    """A point for each row of the main table, then one for each run at a smaller training set or budget.

    shown_elsewhere: rows of these keys are left out unless they were trained here.
    """
    main = {id(score) for score in study.main}
    largest: dict[str, int] = {}
    for score in study.scores:
        largest[score.dataset] = max(largest.get(score.dataset, 0), score.train_images)
    points = [_row_point(row, study) for row in study.rows if row.scores or row.key not in shown_elsewhere]
    smaller = (score for score in study.scores if id(score) not in main)
    points += [point for score in smaller if (point := _run_point(score, study, largest[score.dataset]))]
    return points + [_swept_point(swept, rate) for swept in study.swept for rate in swept.top1_pct]


def key_facts(key: RunKey) -> tuple[tuple[str, str], ...]:
    """What a model ran as: resolution, device and settings."""
    settings = [key.device, key.precision, key.memory_format]
    settings += ["compiled" if key.compile else "eager"] if key.device else []
    settings += ["folded"] if key.fold else []
    facts = [("Model", key.model), ("Resolution", f"{key.resolution_px} px")]
    words = ", ".join(word for word in settings if word)
    return (*facts, ("Settings", words)) if words else tuple(facts)


def timing_values(speed: Speed | None, memory: Memory | None) -> dict[str, Value]:
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
                bar = bar_of(timed.interval)
                values[axis] = Value(timed.median, bar, f"{at}, {taken}", speed.cell_ids, ranked)
    if memory is not None:
        where = f"batch {memory.batch_size}, machine {memory.machine}"
        values[f"memory_{memory.kind}"] = Value(memory.peak_mib, None, where, memory.cell_ids, where)
    return values


def _row_point(row: Row, study: Study) -> PlotPoint:
    values = {**_count_values(row), **timing_values(row.speed, row.memory)}
    for dataset, score in row.scores.items():
        values |= _score_values(score, dataset)
    names = finding_sets(study)
    if len(names) > 1 and all(is_stable(row, name) for name in names):
        values |= _mean_values([row.scores[name] for name in names])
    along = {axis: row.label for axis in ("train_images", "train_flop") if row.scores}
    return PlotPoint(row.label, row.identity.family, "measured", values, facts=key_facts(row.key), along=along)


def _count_values(row: Row) -> dict[str, Value]:
    if row.count is None:
        score = next(iter(row.scores.values()), None)
        if score is None:
            return {}
        told = ("as the training run was told", score.cell_ids)
        return {"macs": Value(score.macs, None, *told), "params": Value(score.params, None, *told)}
    how = f"counted; certificate: {row.count.certificate}"
    numbers = {
        "macs": row.count.macs,
        "params": row.count.params,
        "activations": row.count.activations,
        "macs_with_norms": None if row.count.norm_macs is None else row.count.macs + row.count.norm_macs,
    }
    return {axis: Value(float(n), None, how, (row.count.cell_id,)) for axis, n in numbers.items() if n}


def _score_values(score: Score, dataset: str) -> dict[str, Value]:
    accuracy, ids = f"top1:{dataset}", score.cell_ids
    conditions = (
        f"{counted(len(score.seeds), 'seed')}; {fixed(score.train_images, 0)} training and "
        f"{fixed(score.group.test_images, 0)} test images; {significant(score.budget_gflop * GIGA / 1e12, 3)} TFLOP; "
        f"learning rate {learning_rate(score.learning_rate)}, batch {score.batch_size}; "
        f"interval: {score.interval.method}"
    )
    values = {
        accuracy: accuracy_value(score.group, score.interval, conditions, ids),
        f"train_flop@{accuracy}": Value(score.train_flop, None, "3 × FLOPs × images seen", ids),
        f"train_images@{accuracy}": Value(float(score.train_images)),
    }
    if score.train_img_per_s > 0:
        how = "mean over seeds, beside the trainings that ran at the same time"
        values[f"train_img_per_s@{accuracy}"] = Value(score.train_img_per_s, None, how, ids)
    return values


def _mean_values(scores: Sequence[Score]) -> dict[str, Value]:
    ids = tuple(cell_id for score in scores for cell_id in score.cell_ids)
    interval = contrast_interval([(1 / len(scores), score.group) for score in scores])
    mean = sum(score.interval.estimate for score in scores) / len(scores)
    compute = sum(score.train_flop for score in scores) / len(scores)
    method = f"; interval: {interval.method}" if interval else ""
    return {
        _MEAN: Value(mean, bar_of(interval), f"unweighted mean over {len(scores)} data sets{method}", ids),
        f"train_flop@{_MEAN}": Value(compute, None, "mean over the data sets", ids),
    }


def _run_point(score: Score, study: Study, largest: int) -> PlotPoint | None:
    """A run at a smaller training set or budget; None where both are smaller than the main run's.

    largest: training images of the data set's largest training set.
    """
    label = study.labels[score.key]
    along: Mapping[str, str] = {
        axis: label
        for axis, is_along in (
            ("train_images", score.budget_rank == 0),
            ("train_flop", score.train_images == largest),
        )
        if is_along
    }
    if not along:
        return None
    values = _score_values(score, score.dataset)
    return PlotPoint(label, score.identity.family, "measured", values, False, key_facts(score.key), along)


def _swept_point(swept: SweptModel, rate: float) -> PlotPoint:
    ids = swept.cell_ids[rate]
    conditions = (
        f"{counted(swept.seeds, 'seed')}; {fixed(swept.train_images, 0)} training images; "
        f"{significant(swept.budget_gflop * GIGA / 1e12, 3)} TFLOP"
    )
    best = " (its best)" if rate == swept.best_rate else ""
    values = {
        f"validation:{swept.dataset}": Value(swept.top1_pct[rate], None, conditions, ids),
        "learning_rate": Value(rate, None, f"{len(swept.tried)} tried{best}", ids),
    }
    facts = (("Model", swept.identity.name),)
    line = f"{swept.identity.name} {swept.train_images} {swept.budget_gflop}"
    return PlotPoint(
        swept.identity.title, swept.identity.family, "measured", values, False, facts, {"learning_rate": line}
    )
