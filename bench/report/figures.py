"""Which figures a study has, and the points each one plots. Drawing is panels.py's work."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.analyse.intervals import contrast_interval
from bench.analyse.scores import Score
from bench.analyse.study import Row, Study
from bench.catalog.identity import DatasetIdentity, family_rank, identify_dataset
from bench.catalog.papers import ScalingRow, paper_scaling
from bench.report.cost_figures import (
    accuracy_against_latency,
    accuracy_against_macs,
    accuracy_against_memory,
    accuracy_against_throughput,
)
from bench.report.figure_parts import (
    FRONT_WORDS,
    accuracy_point,
    interval_bar,
    per_dataset,
    set_title,
    thinned,
    unstable_words,
)
from bench.report.figure_parts import FigureSpec as FigureSpec
from bench.report.formats import Scale, fixed, flop_scale, learning_rate, listed
from bench.report.panels import MOST_PANELS, Line, Panel, Point
from bench.report.wording import (
    accuracy_conditions,
    dataset_words,
    seeds_words,
    sizes_compute_words,
    sweep_conditions,
)
from bench.units import EXA


def all_figures(study: Study) -> list[FigureSpec]:
    """The figures that this study has data for, in the order of the page; the first carries the argument."""
    makers: tuple[Callable[[Study], FigureSpec | None], ...] = (
        accuracy_against_macs,
        accuracy_against_training,
        accuracy_against_throughput,
        accuracy_against_latency,
        accuracy_against_memory,
        accuracy_against_training_images,
        learning_rates,
        paper_figure_5,
    )
    return [figure for maker in makers if (figure := maker(study)) is not None]


def accuracy_against_training(study: Study) -> FigureSpec | None:
    """Top-1 against training compute at the largest training set: every budget is a run of its own."""
    main_sizes = {(score.dataset, score.train_images) for score in study.main}
    scores = [score for score in study.scores if (score.dataset, score.train_images) in main_sizes]
    if len({round(score.budget_gflop, 6) for score in scores}) < 2:
        return None
    scale = flop_scale(score.train_flop for score in scores)

    def panel(dataset: DatasetIdentity) -> Panel | None:
        by_model: dict[str, list[Score]] = defaultdict(list)
        for score in scores:
            if score.dataset == dataset.name and score.key in study.labels:
                by_model[study.labels[score.key]].append(score)
        lines = [
            Line(_training_points(found, scale), found[0].identity.family, label)
            for label, found in sorted(
                by_model.items(), key=lambda item: (family_rank(item[1][0].identity.family), item[0])
            )
        ]
        if all(len(line.points) == 1 for line in lines):
            points = tuple(replace(line.points[0], label=line.label) for line in lines)
            return (
                Panel(set_title(dataset), _training_axis(scale), "Top-1 [%]", points, front="low x") if points else None
            )
        return Panel(set_title(dataset), _training_axis(scale), "Top-1 [%]", lines=tuple(lines)) if lines else None

    panels = per_dataset(study, panel)
    caption = (
        "**Accuracy against training compute** (3 × FLOPs × images seen, no sweeps included). Each point is a run of "
        f"its own whose schedule decays to that budget; {FRONT_WORDS}{unstable_words(panels)}. Measured here: "
        f"{accuracy_conditions(study)}.{thinned(panels)}"
    )
    return FigureSpec("accuracy_vs_training", "Top-1 against training compute, one panel per data set", caption, panels)


def _training_axis(scale: Scale) -> str:
    return f"Training compute of one run [{scale.unit}], log"


def _training_points(scores: Sequence[Score], scale: Scale) -> tuple[Point, ...]:
    ordered = sorted(scores, key=lambda score: score.train_flop)
    return tuple(accuracy_point(s.train_flop / scale.factor, s.group, s.interval, s.identity.family) for s in ordered)


def accuracy_against_training_images(study: Study) -> FigureSpec | None:
    """Top-1 against the number of training images, a line per model at its largest budget."""

    def panel(dataset: DatasetIdentity) -> Panel | None:
        by_model: dict[str, list[Score]] = defaultdict(list)
        for score in study.scores:
            if score.dataset == dataset.name and score.budget_rank == 0:
                by_model[study.labels[score.key]].append(score)
        curves = {label: found for label, found in by_model.items() if len({s.train_images for s in found}) > 1}
        if not curves:
            return None
        ordered = sorted(curves.items(), key=lambda item: (family_rank(item[1][0].identity.family), item[0]))
        lines = _labelled_apart([_size_line(label, found) for label, found in ordered])
        return Panel(set_title(dataset), "Training images, log", "Top-1 [%]", lines=tuple(lines), log_base=2)

    panels = per_dataset(study, panel)
    if not panels:
        return None
    caption = (
        f"**Accuracy against training-set size**, {sizes_compute_words(study)}. Bars: 95 % intervals over seeds (each "
        f"draws its own subset) and test images{unstable_words(panels)}. Measured here: "
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


def _size_line(label: str, scores: Sequence[Score]) -> Line:
    ordered = sorted(scores, key=lambda score: score.train_images)
    points = tuple(accuracy_point(s.train_images, s.group, s.interval, s.identity.family) for s in ordered)
    return Line(points, scores[0].identity.family, label)


def learning_rates(study: Study) -> FigureSpec | None:
    """Validation accuracy against learning rate, one panel per data set and size class."""
    by_panel: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for swept in study.swept:
        family, best = swept.identity.family, swept.best_rate
        points = tuple(Point(rate, top1, family, "") for rate, top1 in swept.top1_pct.items())
        place = list(swept.top1_pct).index(best)
        label = f"{swept.identity.title}: {learning_rate(best)}"
        by_panel[swept.dataset, swept.identity.size_class].append(Line(points, family, label, place))
    if not by_panel:
        return None
    titles = {dataset: dataset_words([dataset]) for dataset, _ in by_panel}
    order = sorted(by_panel, key=lambda key: (key[0], "SML".find(key[1]), key[1]))
    panels = tuple(
        Panel(
            f"{titles[key[0]]}{f', size {key[1]}' if key[1] else ''}",
            "Peak learning rate, log",
            "Validation top-1 [%]",
            lines=tuple(by_panel[key]),
        )
        for key in order[:MOST_PANELS]
    )
    caption = (
        "**Learning-rate sweep.** Top-1 on the validation part, never on the test part; each model is labelled at its "
        f"best rate. Measured here: {sweep_conditions(study)}."
    )
    return FigureSpec("learning_rates", "Validation top-1 against learning rate", caption, panels)


def paper_figure_5(study: Study) -> FigureSpec | None:
    """The paper's Figure 5 from its Table 6, beside ours where there is a compute axis."""
    ours = _our_figure_5(study)
    counts_paper_models = any(one.macs is not None for one in study.scaling)
    if ours is None and not counts_paper_models and not study.main:
        return None
    panels = [
        paper_mean_panel(),
        _paper_panel("Published: ImageNet", lambda row: row.top1_pct["imagenet"]),
    ]
    caption = (
        "**The paper's Figure 5 redrawn from its Table 6** (published, arXiv 2010.11929v2: pre-trained on JFT-300M, "
        "fine-tuned; no weights of these runs were released; mean over ImageNet, CIFAR-10, CIFAR-100, Pets and "
        "Flowers). /14: 14 epochs, else 7."
    )
    if ours is not None:
        panels.append(ours)
        caption += (
            f" **Last panel: measured here**, mean over {dataset_words(finding_sets(study))}, trained from scratch: "
            f"another regime, some {_orders_apart(study)} orders of magnitude below in compute; shapes may be "
            f"compared, values may not. {seeds_words(study.main).capitalize()}, 95 % intervals; models with unstable "
            "seeds on one of the sets have no mean."
        )
    elif study.main:
        caption += " No panel of our own: all runs here had one training budget, so there is no compute axis."
    return FigureSpec("paper_figure_5", "The paper's Figure 5 from its Table 6", caption, tuple(panels))


def paper_mean_panel() -> Panel:
    """The left side of the paper's Figure 5, from its Table 6."""
    return _paper_panel("Published: mean of 5 data sets", lambda row: row.average5_pct)


def _paper_panel(title: str, value: Callable[[ScalingRow], float]) -> Panel:
    points = tuple(Point(row.exaflops, value(row), row.family, _paper_label(row)) for row in paper_scaling())
    return Panel(title, "Pre-training compute [exaFLOP], log", "Top-1 [%]", points)


def _paper_label(row: ScalingRow) -> str:
    short = row.name.replace("ResNet", "R").replace("R50x1+ViT-", "R50+").replace("ViT-", "")
    return short if row.epochs == 7 else f"{short} /{row.epochs}"


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
        interval = contrast_interval([(1 / len(scores), score.group) for score in scores])
        mean = sum(score.interval.estimate for score in scores) / len(scores)
        compute = sum(score.train_flop for score in scores) / len(scores) / scale.factor
        bar = interval_bar(interval)
        points.append(Point(compute, mean, row.identity.family, row.label, bar and (max(0.0, bar[0]), bar[1])))
    title = f"Measured here: {'mean of ' if len(names) > 1 else ''}{listed(identify_dataset(n).title for n in names)}"
    return Panel(title, _training_axis(scale), "Top-1 [%]", tuple(points))


def is_stable(row: Row, dataset: str) -> bool:
    """Whether a row was scored on a set, with stable seeds."""
    return dataset in row.scores and not row.scores[dataset].group.is_unstable


def _orders_apart(study: Study) -> str:
    largest = max(score.train_flop for score in study.main)
    smallest = min(row.exaflops for row in paper_scaling()) * EXA
    return fixed(math.log10(smallest / largest), 0)
