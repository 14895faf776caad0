"""Figures of evaluated, few-shot and fine-tuned weights. Which points; drawing is panels.py's work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench.analyse.choose import pareto_front
from bench.analyse.fewshots import FIXED, LEAVE_ONE_OUT, FewshotScore
from bench.analyse.intervals import Interval, SeedGroup
from bench.analyse.means import Scored, SetMean, set_mean
from bench.analyse.protocols import Protocols, finetuned_by_subject
from bench.analyse.public_weights import PublicPoint
from bench.analyse.weights import Subject, identify_weights
from bench.catalog.identity import identify_dataset
from bench.catalog.image_tasks import in_order
from bench.markdown_text import escape
from bench.report.figure_parts import FRONT_WORDS, FigureSpec, accuracy_point, interval_bar, thinned, unstable_words
from bench.report.formats import listed, mac_scale
from bench.report.panels import MOST_LABELS, MOST_PANELS, Line, Panel, Point
from bench.report.published_tables import RECIPES, public_mean_words, public_protocol_words
from bench.report.weights_conditions import evaluate_conditions, fewshot_conditions, finetune_conditions
from bench.report.weights_tables import mean_words, row_order, rule_words


def weights_figures(protocols: Protocols) -> list[FigureSpec]:
    """The figures that there are data for."""
    made = (
        evaluated_against_macs(protocols),
        finetuned_against_macs(protocols),
        accuracy_against_shots(protocols),
        public_figure_5(protocols),
    )
    return [figure for figure in made if figure is not None]


_FROM_SCRATCH = " Models from scratch are in the table alone."


def _thinned(panels: Sequence[Panel]) -> str:
    """Like `thinned`, for panels that label nothing but their front when crowded."""
    return thinned(panels).replace("labels only the front of each family", "labels only the Pareto front")


@dataclass(frozen=True)
class _Shown:
    """A score as a point needs it."""

    subject: Subject
    family: str
    macs: float
    estimate: float
    interval: Interval | None
    group: SeedGroup | None = None  # of one data set; None for a mean over several


def _of(score: Scored, interval: Interval) -> _Shown | None:
    if not score.macs:
        return None
    return _Shown(score.subject, score.identity.family, score.macs, score.group.mean_pct, interval, score.group)


def _panel(title: str, shown: Sequence[_Shown], protocols: Protocols) -> Panel | None:
    """Accuracy against MACs, in the unit that this panel's largest model needs."""
    if not shown:
        return None
    scale = mac_scale(one.macs for one in shown)
    named = _named(shown, protocols)
    points = tuple(_point(one, one.macs / scale.factor, named[one.subject]) for one in shown)
    return Panel(title, f"MACs of one image [{scale.unit}], log", "Top-1 [%]", points, front="low x")


def _point(one: _Shown, x: float, label: str) -> Point:
    if one.group is not None and one.interval is not None:
        return accuracy_point(x, one.group, one.interval, one.family, label)
    return Point(x, one.estimate, one.family, label, interval_bar(one.interval))


def _named(shown: Sequence[_Shown], protocols: Protocols) -> dict[Subject, str]:
    """A label for every point; in a crowded panel for the Pareto front alone, and without the tag."""
    if len(shown) <= MOST_LABELS:
        return {one.subject: protocols.labels[one.subject] for one in shown}
    on_front = pareto_front([one.macs for one in shown], [one.estimate for one in shown])
    labels = {}
    for one, is_on in zip(shown, on_front, strict=True):
        key = one.subject.key
        labels[one.subject] = f"{identify_weights(key.model).title} @{key.resolution_px}" if is_on else ""
    return labels


def evaluated_against_macs(protocols: Protocols) -> FigureSpec | None:
    """Top-1 of public weights against multiply-adds of one image, one panel per data set."""
    panels = []
    for name in in_order(one.dataset for one in protocols.evaluated):
        shown = [_of(one, one.top1) for one in protocols.evaluated if one.dataset == name]
        panel = _panel(identify_dataset(name).title, [one for one in shown if one is not None], protocols)
        panels += [panel] if panel is not None else []
    if not panels:
        return None
    weights = "released weights" if protocols.evaluates_released_alone else "given weights"
    caption = (
        f"**Accuracy of {weights} against inference compute.** Top-1 with each checkpoint's own head and "
        f"preprocessing; bars: 95 % Wilson intervals over test images; {FRONT_WORDS}{unstable_words(panels)}. "
        f"Pre-training data differ between points (table). Measured here: {evaluate_conditions(protocols)}."
        f"{_thinned(panels)}"
    )
    return FigureSpec("evaluate_vs_macs", f"Top-1 of {weights} against MACs", caption, tuple(panels[:MOST_PANELS]))


def finetuned_against_macs(protocols: Protocols) -> FigureSpec | None:
    """Fine-tuned top-1 against multiply-adds at the fine-tuning resolution: the mean first, then each set."""
    found = finetuned_by_subject(protocols)
    order = row_order(protocols)
    everyone = sorted(found, key=lambda subject: order[subject])
    subjects = [subject for subject in everyone if not subject.is_from_scratch] or everyone
    panels = []
    averaged = protocols.averaged
    if averaged:
        means = [(subject, set_mean(found[subject], averaged)) for subject in subjects]
        shown = [_of_mean(found[subject][averaged[0]], mean) for subject, mean in means if mean is not None]
        panel = _panel(mean_words(averaged), [one for one in shown if one is not None], protocols)
        panels += [panel] if panel is not None else []
    for name in in_order(score.dataset for score in protocols.table_sets):
        own = [found[subject][name] for subject in subjects if name in found[subject]]
        points = [_of(score, score.interval) for score in own]
        panel = _panel(identify_dataset(name).title, [one for one in points if one is not None], protocols)
        panels += [panel] if panel is not None else []
    if not panels:
        return None
    caption = (
        "**Fine-tuned accuracy against inference compute** at the fine-tuning resolution; bars: 95 % intervals over "
        f"seeds and test images; {FRONT_WORDS}{unstable_words(panels)}. Pre-training data differ between points "
        f"(table). Measured here: {finetune_conditions(protocols)}.{_thinned(panels)}"
        f"{_FROM_SCRATCH if len(subjects) < len(everyone) else ''}"
    )
    return FigureSpec("finetune_vs_macs", "Fine-tuned top-1 against MACs", caption, tuple(panels[:MOST_PANELS]))


def _of_mean(first: Scored, mean: SetMean) -> _Shown | None:
    if not first.macs:
        return None
    return _Shown(mean.subject, first.identity.family, first.macs, mean.mean_pct, mean.interval)


def accuracy_against_shots(protocols: Protocols) -> FigureSpec | None:
    """Few-shot top-1 against images a class, a line per model, one panel per data set."""
    rules = {score.rule for score in protocols.fewshot}
    rule = LEAVE_ONE_OUT if LEAVE_ONE_OUT in rules else FIXED
    order = row_order(protocols)
    panels = []
    for name in in_order(score.dataset for score in protocols.fewshot):
        curves: dict[Subject, list[FewshotScore]] = {}
        for score in protocols.fewshot:
            if score.dataset == name and score.rule == rule:
                curves.setdefault(score.subject, []).append(score)
        lines = tuple(
            _shots_line(curves[subject], protocols.labels[subject])
            for subject in sorted(curves, key=lambda subject: order[subject])
        )
        if lines:
            short = [score for own in curves.values() for score in own if score.short]
            most = max(short, key=lambda score: score.shots).short if short else ""
            panels.append(_shots_panel(identify_dataset(name).title + (f" ({most})" if most else ""), lines))
    if not panels:
        return None
    caption = (
        f"**Few-shot accuracy against images a class**, {rule_words(rule)}, frozen features. Bars: 95 % intervals over "
        f"draws of the support images and over test images{unstable_words(panels)}. "
        f"Measured here: {fewshot_conditions(protocols)}.{thinned(panels)}"
    )
    return FigureSpec("fewshot_vs_shots", "Few-shot top-1 against images a class", caption, tuple(panels[:MOST_PANELS]))


def _shots_panel(title: str, lines: tuple[Line, ...]) -> Panel:
    axis = "Training images a class, log"
    if all(len(line.points) == 1 for line in lines):
        points = tuple(replace(point, label=line.label) for line in lines for point in line.points)
        return Panel(title, axis, "Top-1 [%]", points, log_base=2)
    return Panel(title, axis, "Top-1 [%]", lines=lines, log_base=2)


def _shots_line(scores: Sequence[FewshotScore], label: str) -> Line:
    ordered = sorted(scores, key=lambda score: score.shots)
    family = ordered[0].identity.family
    points = tuple(accuracy_point(s.shots, s.group, s.interval, family) for s in ordered)
    return Line(points, family, label)


def public_figure_5(protocols: Protocols) -> FigureSpec | None:
    """Accuracy of released ImageNet-21k checkpoints against their pre-training compute: mean of sets, then ImageNet."""
    public = protocols.public

    def panel(title: str, value: Callable[[PublicPoint], SetMean | None]) -> Panel | None:
        points = tuple(
            Point(point.exaflops, mean.mean_pct, point.row.family, point.row.title, interval_bar(mean.interval))
            for point in public.points
            if point.exaflops is not None and (mean := value(point)) is not None
        )
        return Panel(title, "Pre-training compute [exaFLOP], log", "Top-1 [%]", points) if points else None

    wanted = [panel(identify_dataset("imagenet").title, lambda point: point.imagenet)]
    if public.datasets and public.datasets != ("imagenet",):
        wanted.insert(0, panel(public_mean_words(public), lambda point: point.mean))
    panels = [one for one in wanted if one is not None]
    if not panels:
        return None
    sets = listed(escape(identify_dataset(name).title) for name in public.datasets)
    over = f" The mean is over {sets}, the same for every point." if len(public.datasets) > 1 else ""
    caption = (
        "**The paper's Figure 5 with released weights.** Accuracy against the compute of pre-training on ImageNet-21k "
        f"(6 × MACs at 224 px × images seen); measured here, {public_protocol_words(public)}; bars: 95 % intervals."
        f"{over} {RECIPES} The paper's own figure is of JFT-300M weights, which were not released."
    )
    return FigureSpec("public_figure_5", "Accuracy of released weights against pre-training compute", caption,
                      tuple(panels))  # fmt: skip
