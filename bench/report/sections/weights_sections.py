"""The parts of a page that are about evaluated, few-shot and fine-tuned weights and about checked data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from bench.analyse.accuracies.accuracy import FIXED, LEAVE_ONE_OUT, Accuracy, Evaluated, FewShot, FineTuned
from bench.analyse.accuracies.protocols import Protocols, finetuned_by_subject
from bench.analyse.accuracies.subjects import Subject, identify_weights
from bench.analyse.claims.published import PublicPoint
from bench.analyse.compare.choose import pareto_front
from bench.analyse.compare.means import SetMean, set_mean
from bench.analyse.stats.intervals import Interval
from bench.catalog.identity import identify_dataset
from bench.catalog.image_tasks import in_order
from bench.number_format import mac_scale
from bench.report.document import Section
from bench.report.figures.figure_files import drawn
from bench.report.figures.panels import (
    FRONT_WORDS,
    MOST_LABELS,
    TOP1,
    FigureSpec,
    Line,
    Panel,
    Point,
    accuracy_point,
    bar_of,
    first_panels,
    lines_panel,
    thinned,
    unstable_words,
)
from bench.report.sections.preflight_section import preflight_sections, preflight_table
from bench.report.tables.finetune_tables import (
    finetune_means_table,
    finetune_table,
    gains_table,
    mean_caption,
    sweep_table,
    training_speed_table,
    vtab_table,
    vtab_text,
)
from bench.report.tables.published_tables import (
    RECIPES,
    public_mean_words,
    public_protocol_words,
    public_scaling_table,
    public_scaling_text,
    table_two_table,
)
from bench.report.tables.weights_tables import (
    evaluate_table,
    fewshot_table,
    mean_words,
    record_notes,
    row_order,
    rule_words,
    strata_table,
)
from bench.report.words.conditions import dataset_words, evaluate_conditions, fewshot_conditions, finetune_conditions
from bench.report.words.weights_words import gain_sentence
from bench.text import bullets, escape, joined


def weights_sections(protocols: Protocols) -> list[Section]:
    """All sections of these protocols, the one that may lead a page first; empty where nothing was asked for."""
    if not protocols.records:
        return []
    mean = escape(mean_caption(protocols))
    tuned = _results_text(protocols, protocols.table_sets, f"{_FINETUNE_TEXT} {mean}".strip(), finetune_conditions)
    sections = [
        Section("Fine-tuned", tuned, finetune_means_table(protocols), drawn(finetuned_against_macs(protocols))),
        Section("VTAB-1k", vtab_text(protocols), vtab_table(protocols)),
        Section("Released weights evaluated" if protocols.evaluates_released_alone else "Weights evaluated",
                _results_text(protocols, protocols.evaluated, _EVALUATE_TEXT, evaluate_conditions),
                evaluate_table(protocols), drawn(evaluated_against_macs(protocols))),
        Section("Few-shot on frozen features",
                _results_text(protocols, protocols.fewshot, _FEWSHOT_TEXT, fewshot_conditions),
                fewshot_table(protocols), drawn(accuracy_against_shots(protocols))),
        Section("Fine-tuned, set by set", _DETAILS_TEXT, finetune_table(protocols)),
        Section("Checkpoints compared", _STRATA_TEXT, strata_table(protocols)),
        Section("Does pretraining help?", _gains_text(protocols), gains_table(protocols)),
        Section("Learning rates of the fine-tuning", _SWEEP_TEXT, sweep_table(protocols)),
        Section("The public Figure 5", public_scaling_text(protocols), public_scaling_table(protocols),
                drawn(public_figure_5(protocols))),
        Section("The paper's Table 2: published, public stand-in, measured here", _TABLE_TWO_TEXT,
                table_two_table(protocols)),
        Section("Training speed and the input pipeline", _SPEED_TEXT, training_speed_table(protocols)),
        Section("Checked data", _CHECKED_TEXT, preflight_table(protocols)),
    ]  # fmt: skip
    shown = [section for section in sections if section.table is not None or section.figures]
    return [*(shown or [Section("")]), *preflight_sections(protocols)]


def _results_text(
    protocols: Protocols,
    ones: Sequence[Evaluated | FewShot | FineTuned],
    how: str,
    conditions: Callable[[Protocols], str],
) -> str:
    """What was measured and how, under which conditions, and what its records say of themselves; empty without any."""
    if not ones:
        return ""
    words = f"{how} Conditions: {conditions(protocols)}."
    notes = record_notes(ones, [protocols.labels[one.subject] for one in ones])
    return joined([words, f"What the records say of themselves:\n\n{bullets(notes)}"]).strip() if notes else words


def _gains_text(protocols: Protocols) -> str:
    if not protocols.gains:
        return ""
    return (
        f"{gain_sentence(protocols)} Measured here: same model, resolution and set, each with its own recipe; Welch's "
        "t over seeds and test images, each at 95 %."
    )


_FINETUNE_TEXT = (
    "Measured here: mean over seeds ± the longer arm of the 95 % interval over seeds and test images. Sorted by family "
    "(ViT, hybrid, CNN), then MACs."
)
_ORDER = "Sorted by data set, then family (ViT, hybrid, CNN), then MACs."
_EVALUATE_TEXT = (
    "Measured here beside *published*. One checkpoint each, ± the longer arm of the 95 % Wilson interval over test "
    f"images. Self-check: within 0.1 points of what timm publishes of these weights. {_ORDER}"
)
_FEWSHOT_TEXT = (
    "Measured here: mean over draws of the support images ± the longer arm of the 95 % interval over draws and test "
    f"images. {_ORDER}"
)
_DETAILS_TEXT = (
    "Measured here. The recipe is the best of those tried on the validation part; the test part was scored once."
)
_STRATA_TEXT = (
    "Measured here. On each set and among weights pre-trained on the same data: the checkpoint with the highest top-1, "
    "and those that cannot be told from it. Several seeds or draws: Welch's t; one run each: exact McNemar on "
    "per-image predictions (Newcombe's unpaired score test without them). Holm's correction over all that the best is "
    "compared with."
)
_SWEEP_TEXT = (
    "Measured here, on the validation part, trained without it. Bold: the best recipe of a row; –: not tried for it; "
    "failed: tried without a result."
)
_TABLE_TWO_TEXT = (
    "*Published* (system): arXiv 2010.11929v2, Table 2, mean ± standard deviation over three fine-tuning runs. *Public "
    "stand-in*: released weights that come nearest to the system; no JFT-300M weights of ViT or BiT-L were released. "
    "*Measured here* ± the longer arm of the 95 % interval. The three are different weights or recipes: a difference "
    "between columns is no error of either."
)
_SPEED_TEXT = (
    "Measured here during the fine-tuning, mean over seeds: images per second of training as it ran, of the input "
    "pipeline alone, of the model alone with its images on the device, and the share of the training time that the "
    "model waited for images."
)
_CHECKED_TEXT = "Measured here: every image decoded once. Each set has a section of its own below."


_Placed = tuple[Subject, Point]  # a point at its model's multiply-adds


def _set_panels(scores: Iterable[tuple[Accuracy, Interval]], protocols: Protocols) -> list[Panel]:
    """A panel for each data set, of the scores that have multiply-adds."""
    by_set: dict[str, list[_Placed]] = {}
    for one, interval in scores:
        if one.macs:
            point = accuracy_point(one.macs, one.group, interval, one.identity.family)
            by_set.setdefault(one.dataset, []).append((one.subject, point))
    return [_macs_panel(identify_dataset(name).title, by_set[name], protocols) for name in in_order(by_set)]


def _macs_panel(title: str, placed: Sequence[_Placed], protocols: Protocols) -> Panel:
    """Accuracy against MACs, in the unit that this panel's largest model needs.

    Every point has a label; in a crowded panel those on the Pareto front alone, and without the tag.
    """
    scale = mac_scale(point.x for _, point in placed)
    labels = [protocols.labels[subject] for subject, _ in placed]
    if len(placed) > MOST_LABELS:
        on_front = pareto_front([point.x for _, point in placed], [point.y for _, point in placed])
        keys = [subject.key for subject, _ in placed]
        short = [f"{identify_weights(key.model).title} @{key.resolution_px}" for key in keys]
        labels = [label if is_on else "" for label, is_on in zip(short, on_front, strict=True)]
    points = tuple(
        replace(point, x=point.x / scale.factor, label=label) for (_, point), label in zip(placed, labels, strict=True)
    )
    return Panel(title, f"MACs of one image [{scale.unit}], log", TOP1, points, front="low x")


def evaluated_against_macs(protocols: Protocols) -> FigureSpec | None:
    """Top-1 of public weights against multiply-adds of one image, one panel per data set."""
    panels = _set_panels([(one, one.top1) for one in protocols.evaluated], protocols)
    if not panels:
        return None
    weights = "released weights" if protocols.evaluates_released_alone else "given weights"
    caption = (
        f"**Accuracy of {weights} against inference compute.** Top-1 with each checkpoint's own head and "
        f"preprocessing; bars: 95 % Wilson intervals over test images; {FRONT_WORDS}{unstable_words(panels)}. "
        f"Pre-training data differ between points (table). Measured here: {evaluate_conditions(protocols)}."
        f"{thinned(panels, 'the Pareto front')}"
    )
    return FigureSpec("evaluate_vs_macs", f"Top-1 of {weights} against MACs", caption, first_panels(panels))


def finetuned_against_macs(protocols: Protocols) -> FigureSpec | None:
    """Fine-tuned top-1 against multiply-adds at the fine-tuning resolution: the mean first, then each set."""
    found = finetuned_by_subject(protocols)
    order = row_order(protocols)
    everyone = sorted(found, key=lambda subject: order[subject])
    subjects = [subject for subject in everyone if not subject.is_from_scratch] or everyone
    panels = []
    if averaged := protocols.averaged:
        means: list[_Placed] = []
        for subject in subjects:
            mean = set_mean(found[subject], averaged)
            first = found[subject].get(averaged[0])
            if mean is not None and first is not None and first.macs:
                point = Point(first.macs, mean.mean_pct, first.identity.family, "", bar_of(mean.interval))
                means.append((subject, point))
        panels += [_macs_panel(mean_words(averaged), means, protocols)] if means else []
    panels += _set_panels([(one, one.interval) for s in subjects for one in found[s].values()], protocols)
    if not panels:
        return None
    caption = (
        "**Fine-tuned accuracy against inference compute** at the fine-tuning resolution; bars: 95 % intervals over "
        f"seeds and test images; {FRONT_WORDS}{unstable_words(panels)}. Pre-training data differ between points "
        f"(table). Measured here: {finetune_conditions(protocols)}.{thinned(panels, 'the Pareto front')}"
        f"{' Models from scratch are in the table alone.' if len(subjects) < len(everyone) else ''}"
    )
    return FigureSpec("finetune_vs_macs", "Fine-tuned top-1 against MACs", caption, first_panels(panels))


def accuracy_against_shots(protocols: Protocols) -> FigureSpec | None:
    """Few-shot top-1 against images a class, a line per model, one panel per data set."""
    rule = LEAVE_ONE_OUT if any(score.rule == LEAVE_ONE_OUT for score in protocols.fewshot) else FIXED
    order = row_order(protocols)
    panels = []
    for name in in_order(score.dataset for score in protocols.fewshot):
        own = [score for score in protocols.fewshot if score.dataset == name and score.rule == rule]
        own.sort(key=lambda score: score.shots)
        lines = []
        for subject in sorted({score.subject for score in own}, key=lambda subject: order[subject]):
            points = [
                accuracy_point(score.shots, score.group, score.interval, score.identity.family)
                for score in own
                if score.subject == subject
            ]
            lines.append(Line(tuple(points), points[0].family, protocols.labels[subject]))
        if lines:
            short = [score for score in own if score.short]
            most = f" ({max(short, key=lambda score: score.shots).short})" if short else ""
            title = f"{identify_dataset(name).title}{most}"
            panels.append(lines_panel(title, "Training images a class, log", lines, log_base=2))
    if not panels:
        return None
    caption = (
        f"**Few-shot accuracy against images a class**, {rule_words(rule)}, frozen features. Bars: 95 % intervals over "
        f"draws of the support images and over test images{unstable_words(panels)}. "
        f"Measured here: {fewshot_conditions(protocols)}.{thinned(panels)}"
    )
    return FigureSpec("fewshot_vs_shots", "Few-shot top-1 against images a class", caption, first_panels(panels))


def public_figure_5(protocols: Protocols) -> FigureSpec | None:
    """Accuracy of released ImageNet-21k checkpoints against their pre-training compute: mean of sets, then ImageNet."""
    public = protocols.public

    def panel(title: str, value: Callable[[PublicPoint], SetMean | None]) -> Panel | None:
        points = tuple(
            Point(point.exaflops, mean.mean_pct, point.row.family, point.row.title, bar_of(mean.interval))
            for point in public.points
            if point.exaflops is not None and (mean := value(point)) is not None
        )
        return Panel(title, "Pre-training compute [exaFLOP], log", TOP1, points) if points else None

    wanted = [panel(identify_dataset("imagenet").title, lambda point: point.imagenet)]
    if public.datasets and public.datasets != ("imagenet",):
        wanted.insert(0, panel(public_mean_words(public), lambda point: point.mean))
    panels = first_panels(wanted)
    if not panels:
        return None
    several = len(public.datasets) > 1
    over = f" The mean is over {dataset_words(public.datasets)}, the same for every point." if several else ""
    caption = (
        "**The paper's Figure 5 with released weights.** Accuracy against the compute of pre-training on ImageNet-21k "
        f"(6 × MACs at 224 px × images seen); measured here, {public_protocol_words(public)}; bars: 95 % intervals."
        f"{over} {RECIPES} The paper's own figure is of JFT-300M weights, which were not released."
    )
    alternative = "Accuracy of released weights against pre-training compute"
    return FigureSpec("public_figure_5", alternative, caption, panels)
