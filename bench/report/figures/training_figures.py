"""Figures of a study of trainings, counts and timings, and the points each one plots; None where it has no data."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Literal

from bench.analyse.accuracies.accuracy import Trained
from bench.analyse.accuracies.pooling import along_images
from bench.analyse.stats.intervals import contrast_interval
from bench.analyse.study import Row, Study
from bench.catalog.identity import DatasetIdentity, family_rank, identify_dataset
from bench.catalog.papers import ScalingRow, paper_scaling
from bench.number_format import Scale, fixed, flop_scale, learning_rate, listed, mac_scale
from bench.report.figures.panels import (
    FRONT_WORDS,
    TOP1,
    Ends,
    FigureSpec,
    Line,
    Panel,
    Point,
    accuracy_point,
    bar_of,
    first_panels,
    lines_panel,
    per_dataset,
    pixels_level,
    pixels_words,
    set_title,
    thinned,
    unstable_words,
)
from bench.report.words.conditions import (
    accuracy_conditions,
    dataset_words,
    seeds_words,
    sizes_compute_words,
    speed_conditions,
    sweep_conditions,
)
from bench.units import EXA


def _against_cost(
    study: Study, axis: str, front: str, cost: Callable[[Row], tuple[float, Ends | None] | None]
) -> tuple[Panel, ...]:
    """Top-1 of the rows against what each costs, one panel per data set. cost: of a row, with its range."""

    def panel(dataset: DatasetIdentity) -> Panel | None:
        points = []
        level: dict[float, float] = {}
        for row in study.rows:
            score, found = row.scores.get(dataset.name), cost(row)
            if score is not None and found is not None:
                level |= _pixels_at(found[0], score)
                point = accuracy_point(found[0], score.group, score.interval, row.identity.family, row.label)
                points.append(replace(point, x_bar=found[1]))
        levels = tuple(pixels_level(level))
        return Panel(set_title(dataset), axis, TOP1, tuple(points), levels, front) if points else None

    return per_dataset(study, panel)


def _pixels_at(x: float, score: Trained) -> dict[float, float]:
    """The regression on as many images, at the place of a score; nothing where it was not run."""
    return {} if score.pixels is None else {x: score.pixels.group.mean_pct}


def accuracy_against_macs(study: Study) -> FigureSpec | None:
    """Top-1 against multiply-adds of one image."""
    scale = mac_scale(row.macs or 0.0 for row in study.rows if row.scores)
    axis = f"MACs of one image [{scale.unit}], log"
    panels = _against_cost(study, axis, "low x", lambda row: (row.macs / scale.factor, None) if row.macs else None)
    if not panels:
        return None
    caption = (
        f"**Accuracy against inference compute.** Top-1 on the test part by multiply-adds of one image; bars: 95 % "
        f"intervals over seeds and test images{unstable_words(panels)}; {FRONT_WORDS}{pixels_words(panels)}. "
        "Measured here: "
        f"{accuracy_conditions(study)}.{thinned(panels)}"
    )
    return FigureSpec("accuracy_vs_macs", "Top-1 against inference MACs, one panel per data set", caption, panels)


def accuracy_against_speed(study: Study, quantity: Literal["throughput", "latency"]) -> FigureSpec | None:
    """Top-1 against images per second, or against the median latency at batch 1, with the Pareto front."""
    batches = listed(sorted({str(row.speed.batch_size) for row in study.rows if row.speed is not None}))
    axis, front, better = {
        "throughput": (f"Throughput at batch {batches} [img/s], log", "high x", "Right"),
        "latency": ("Latency p50 at batch 1 [ms], log", "low x", "Left"),
    }[quantity]

    def cost(row: Row) -> tuple[float, Ends | None] | None:
        timed = None if row.speed is None else getattr(row.speed, quantity)
        return None if timed is None else (timed.median, bar_of(timed.interval))

    panels = _against_cost(study, axis, front, cost)
    if not panels:
        return None
    caption = (
        f"**Accuracy against {quantity}.** {better} and up is better; {FRONT_WORDS}; "
        "bars: 95 % intervals, and along the axis the range over processes. "
        f"Measured here: {speed_conditions(study)}; accuracies as in the first figure.{thinned(panels)}"
    )
    alternative = f"Top-1 against {quantity} with the Pareto front"
    return FigureSpec(f"accuracy_vs_{quantity}", alternative, caption, panels)


_ROUGH = "One reading of a process's growth scatters by some tens of percent, so that nearness means little. "


def accuracy_against_memory(study: Study) -> FigureSpec | None:
    """Top-1 against peak memory of one inference, with the Pareto front; one kind of memory, that most rows have."""
    weighed = Counter((row.memory.kind, row.memory.batch_size) for row in study.rows if row.memory is not None)
    if not weighed:
        return None
    kind, batch = min(weighed, key=lambda one: (-weighed[one], one))

    def cost(row: Row) -> tuple[float, Ends | None] | None:
        memory = row.memory
        if memory is None or (memory.kind, memory.batch_size) != (kind, batch) or memory.peak_mib <= 0:
            return None
        return memory.peak_mib, None

    panels = _against_cost(study, f"Peak memory at batch {batch} [MiB], log", "low x", cost)
    if not panels:
        return None
    what = "growth of the process's resident memory" if kind == "process" else "memory allocated on the device"
    caption = (
        f"**Accuracy against memory.** Left and up is better; memory is the {what}, of one measurement; "
        f"{FRONT_WORDS}; bars: 95 % intervals. {_ROUGH if kind == 'process' else ''}Accuracies as in the first "
        f"figure.{thinned(panels)}"
    )
    return FigureSpec("accuracy_vs_memory", "Top-1 against peak memory with the Pareto front", caption, panels)


def _model_lines(
    study: Study, scores: Iterable[Trained], dataset: DatasetIdentity, x: Callable[[Trained], float]
) -> tuple[list[Line], list[Line]]:
    """A line for each model through its scores on a data set, in rising x, families together; and one of the pixels."""
    by_model: dict[str, list[Trained]] = defaultdict(list)
    level: dict[float, float] = {}
    for score in scores:
        if score.dataset == dataset.name and score.key in study.labels:
            by_model[study.labels[score.key]].append(score)
            level |= _pixels_at(x(score), score)
    lines = []
    for label, found in by_model.items():
        family = found[0].identity.family
        points = (accuracy_point(x(s), s.group, s.interval, s.identity.family) for s in sorted(found, key=x))
        lines.append(Line(tuple(points), family, label))
    return sorted(lines, key=lambda line: (family_rank(line.family), line.label)), pixels_level(level)


def accuracy_against_training(study: Study) -> FigureSpec | None:
    """Top-1 against training compute at the largest training set: every budget is a run of its own."""
    main_sizes = {(score.dataset, score.train_images) for score in study.main}
    scores = [score for score in study.scores if (score.dataset, score.train_images) in main_sizes]
    if len({round(score.budget_gflop, 6) for score in scores}) < 2:
        return None
    scale = flop_scale(score.train_flop for score in scores)

    def panel(dataset: DatasetIdentity) -> Panel | None:
        lines, levels = _model_lines(study, scores, dataset, lambda score: score.train_flop / scale.factor)
        if not lines:
            return None
        return lines_panel(set_title(dataset), _training_axis(scale), lines, front="low x", levels=levels)

    panels = per_dataset(study, panel)
    caption = (
        "**Accuracy against training compute** (3 × FLOPs × images seen, no sweeps included). Each point is a run of "
        f"its own whose schedule decays to that budget; {FRONT_WORDS}{unstable_words(panels)}{pixels_words(panels)}. "
        "Measured here: "
        f"{accuracy_conditions(study)}.{thinned(panels)}"
    )
    return FigureSpec("accuracy_vs_training", "Top-1 against training compute, one panel per data set", caption, panels)


def _training_axis(scale: Scale) -> str:
    return f"Training compute of one run [{scale.unit}], log"


def accuracy_against_training_images(study: Study) -> FigureSpec | None:
    """Top-1 against the number of training images, a line per model at one budget."""
    scores = along_images(study.scores)

    def panel(dataset: DatasetIdentity) -> Panel | None:
        found, levels = _model_lines(study, scores, dataset, lambda score: score.train_images)
        lines = [line for line in found if len({point.x for point in line.points}) > 1]
        if not lines:
            return None
        drawn_lines = (*_labelled_apart(lines), *levels)
        return Panel(set_title(dataset), "Training images, log", TOP1, lines=drawn_lines, log_base=2)

    panels = per_dataset(study, panel)
    if not panels:
        return None
    caption = (
        f"**Accuracy against training-set size**, {sizes_compute_words(study)}. Bars: 95 % intervals over seeds (each "
        f"draws its own subset) and test images{unstable_words(panels)}{pixels_words(panels)}. Measured here: "
        f"{accuracy_conditions(study, sizes=False)}."
    )
    return FigureSpec("accuracy_vs_training_images", "Top-1 against training images, by family", caption, panels)


def _labelled_apart(lines: Sequence[Line]) -> list[Line]:
    """The lines, labelled at their right ends, or at the left where another of the family ends beside them."""
    ends = sorted(lines, key=lambda line: -line.points[-1].y)
    ys = [point.y for line in lines for point in line.points]
    near = 0.08 * (max(ys) - min(ys))
    crowded = {
        lower.label
        for upper, lower in itertools.pairwise(ends)
        if upper.points[-1].y - lower.points[-1].y < near and upper.family == lower.family
    }
    return [replace(line, label_at=0) if line.label in crowded else line for line in lines]


def learning_rates(study: Study) -> FigureSpec | None:
    """Validation accuracy against learning rate, one panel per data set and size class."""
    by_panel: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for swept in study.swept:
        family, best = swept.identity.family, swept.best_rate
        points = tuple(Point(rate, top1, family, "") for rate, top1 in swept.top1_pct.items())
        label = f"{swept.identity.title}: {learning_rate(best)}"
        line = Line(points, family, label, list(swept.top1_pct).index(best))
        by_panel[swept.dataset, swept.identity.size_class].append(line)
    if not by_panel:
        return None
    panels = []
    for dataset, size in sorted(by_panel, key=lambda key: (key[0], "SML".find(key[1]), key[1])):
        title = f"{dataset_words([dataset])}{f', size {size}' if size else ''}"
        lines = tuple(by_panel[dataset, size])
        panels.append(Panel(title, "Peak learning rate, log", "Validation top-1 [%]", lines=lines))
    caption = (
        "**Learning-rate sweep.** Top-1 on the validation part, never on the test part; each model is labelled at its "
        f"best rate. Measured here: {sweep_conditions(study)}."
    )
    alternative = "Validation top-1 against learning rate"
    return FigureSpec("learning_rates", alternative, caption, first_panels(panels))


def paper_figure_5(study: Study) -> FigureSpec | None:
    """The paper's Figure 5 from its Table 6, beside ours where there is a compute axis."""
    ours = _our_figure_5(study)
    counts_paper_models = any(one.macs is not None for one in study.scaling)
    if ours is None and not counts_paper_models and not study.main:
        return None
    caption = ""
    if ours is not None:
        largest = max(score.train_flop for score in study.main)
        smallest = min(row.exaflops for row in paper_scaling()) * EXA
        apart = fixed(math.log10(smallest / largest), 0)
        caption = (
            f" **Last panel: measured here**, mean over {dataset_words(finding_sets(study))}, trained from scratch: "
            f"another regime, some {apart} orders of magnitude below in compute; shapes may be "
            f"compared, values may not. {seeds_words(study.main).capitalize()}, 95 % intervals; models with unstable "
            "seeds on one of the sets have no mean."
        )
    elif study.main:
        caption = " No panel of our own: all runs here had one training budget, so there is no compute axis."
    return published_figure_5(ours, caption)


def published_figure_5(ours: Panel | None = None, told_of_ours: str = "") -> FigureSpec:
    """The paper's Figure 5 from its Table 6. ours: a panel to stand beside it."""
    imagenet = _paper_panel("Published: ImageNet", lambda row: row.top1_pct["imagenet"])
    caption = (
        "**The paper's Figure 5 redrawn from its Table 6** (published, arXiv 2010.11929v2: pre-trained on JFT-300M, "
        "fine-tuned; no weights of these runs were released; mean over ImageNet, CIFAR-10, CIFAR-100, Pets and "
        f"Flowers). /14: 14 epochs, else 7.{told_of_ours}"
    )
    panels = first_panels([paper_mean_panel(), imagenet, ours])
    return FigureSpec("paper_figure_5", "The paper's Figure 5 from its Table 6", caption, panels)


def paper_mean_panel() -> Panel:
    """The left side of the paper's Figure 5, from its Table 6."""
    return _paper_panel("Published: mean of 5 data sets", lambda row: row.average5_pct)


def _paper_panel(title: str, value: Callable[[ScalingRow], float]) -> Panel:
    points = []
    for row in paper_scaling():
        short = row.name.replace("ResNet", "R").replace("R50x1+ViT-", "R50+").replace("ViT-", "")
        label = short if row.epochs == 7 else f"{short} /{row.epochs}"
        points.append(Point(row.exaflops, value(row), row.family, label))
    return Panel(title, "Pre-training compute [exaFLOP], log", TOP1, tuple(points))


def finding_sets(study: Study) -> list[str]:
    """The data sets that a finding may rest on; all of them where none carries one."""
    sets = [dataset.name for dataset in study.datasets if dataset.carries_findings]
    return sets or [dataset.name for dataset in study.datasets]


def _our_figure_5(study: Study) -> Panel | None:
    names = finding_sets(study)
    rows = [row for row in study.rows if row.scores and all(is_stable(row, name) for name in names)]
    if not rows or len({round(row.scores[names[0]].budget_gflop, 6) for row in rows}) < 2:
        return None
    scale = flop_scale(row.scores[names[0]].train_flop for row in rows)
    points = []
    for row in rows:
        scores = [row.scores[name] for name in names]
        bar = bar_of(contrast_interval([(1 / len(scores), score.group) for score in scores]))
        mean = sum(score.interval.estimate for score in scores) / len(scores)
        compute = sum(score.train_flop for score in scores) / len(scores) / scale.factor
        points.append(Point(compute, mean, row.identity.family, row.label, bar and (max(0.0, bar[0]), bar[1])))
    title = f"Measured here: {'mean of ' if len(names) > 1 else ''}{listed(identify_dataset(n).title for n in names)}"
    return Panel(title, _training_axis(scale), TOP1, tuple(points))


def is_stable(row: Row, dataset: str) -> bool:
    """Whether a row was scored on a set, with stable seeds."""
    return dataset in row.scores and not row.scores[dataset].group.is_unstable
