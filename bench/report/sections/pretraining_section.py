"""The part of a page that is about pretraining and what it was worth: the paper's Figures 3 to 5 from own runs."""

from __future__ import annotations

from collections.abc import Iterable

from bench.analyse.accuracies.pretrained import FINETUNED, PretrainStudy, Transfer, Way
from bench.analyse.compare.pretraining_contrasts import Axis, curves, place_of
from bench.catalog.identity import family_rank, identify_dataset, is_generated
from bench.number_format import Scale, counted, flop_scale, listed, significant, span
from bench.report.document import Section
from bench.report.figures.figure_files import Figure, drawn
from bench.report.figures.panels import (
    TOP1,
    FigureSpec,
    Line,
    Panel,
    Point,
    accuracy_point,
    first_panels,
    thinned,
    unstable_words,
)
from bench.report.figures.training_figures import paper_mean_panel
from bench.report.tables.pretraining_tables import (
    corpora_table,
    corpus_differences_table,
    meetings_table,
    pretraining_gains_table,
    pretraining_sizes_table,
    pretraining_table,
    set_meetings_table,
    transfer_table,
)
from bench.report.words.conditions import dataset_words
from bench.report.words.pretraining_words import corpus_words, mean_words, way_words

_MEETINGS = (
    "First minus second, in points, at the same pretraining compute and images, with its own 95 % interval (Welch's t "
    "over seeds and test images). Bold: it leaves zero out; of many, one in twenty does so by chance alone."
)
_GAINS = (
    "After the largest pretraining minus a control, in points, each with its own 95 % interval; bold: it leaves "
    "zero out. Linear fits are held against features of random weights."
)
_SIZES_TEXT = (
    "Measured here, at one pretraining budget. All seeds of a size have the same images, the first of the corpus: "
    "the spread over seeds holds none of the drawing of the set."
)
_SETS_TEXT = "Measured here, at the largest pretraining budget of each model"
_CORPORA = (
    "The same model, as many pretraining images, as much pretraining compute and the same fine-tuning: one pretraining "
    "set minus the other, in points, each with its own 95 % interval (Welch's t over seeds and test images); bold: it "
    "leaves zero out. The mean is over sets in the domain of neither."
)
_CORPORA_SETS = "Measured here, at the pretraining compute and number of images that the sets share"
_FITS_TEXT = (
    "a ridge regression on frozen features, its strength by leave-one-out, mean over draws of the support images and "
    "over seeds"
)


def pretraining_sections(study: PretrainStudy | None) -> list[Section]:
    """All sections, the one that leads a page first; empty without a study."""
    if study is None:
        return []

    def along(axis: Axis) -> tuple[Figure, ...]:
        return drawn(*(accuracy_along(study, way, axis) for way in study.ways))

    sections = [
        Section("Accuracy after transfer and pretraining compute", _points_text(study), pretraining_table(study),
                along("pretraining compute")),
        Section("Models of one size along pretraining compute", _MEETINGS,
                meetings_table(study, "pretraining compute")),
        Section("The same on each set", f"{_MEETINGS} {way_words(study.ways[0]).capitalize()}." if study.ways else "",
                set_meetings_table(study)),
        Section("Accuracy and the number of pretraining images", _SIZES_TEXT, pretraining_sizes_table(study),
                along("pretraining images")),
        Section("Models of one size along pretraining images", _MEETINGS, meetings_table(study, "pretraining images")),
        Section("What pretraining added", _GAINS, pretraining_gains_table(study)),
        Section(_corpora_heading(study), _CORPORA, corpus_differences_table(study)),
        *(Section(f"{_corpora_heading(study)}: {way_words(way)}", _text(_CORPORA_SETS, way),
                  corpora_table(study, way)) for way in study.ways),
    ]  # fmt: skip
    for way in study.ways:
        figures = drawn(set_by_set(study)) if way == FINETUNED else ()
        heading, text = f"Set by set: {way_words(way)}", _text(_SETS_TEXT, way)
        sections.append(Section(heading, text, transfer_table(study, way), figures))
    return [section for section in sections if section.table is not None or section.figures]


def _capitalised(words: str) -> str:
    return words[:1].upper() + words[1:]


def _text(told: str, way: Way) -> str:
    return f"{told}; mean over seeds." if way == FINETUNED else f"{told}: {_FITS_TEXT}."


def _corpora_heading(study: PretrainStudy) -> str:
    drawn_by_formula = {is_generated(name) for name in study.by_corpus}
    images = "real and on generated images" if len(drawn_by_formula) > 1 else "different images"
    return f"Pretraining on {images} at equal compute"


def _points_text(study: PretrainStudy) -> str:
    points = [point for point in study.points if point.key.train_images == study.most_images]
    corpora = listed(corpus_words(name) for name in dict.fromkeys(point.key.corpus for point in points))
    hours = sum(point.device_hours * len(point.seeds) for point in study.points)
    ratios = [point.step_flop_ratio for point in points if point.step_flop_ratio is not None]
    step = f" (a step computes {span(ratios, 2)} of that: the pixels need no gradient)" if ratios else ""
    pretrainings = counted(len({cell_id for point in study.points for cell_id in point.cell_ids}), "pretraining")
    mean = f"{_capitalised(mean_words(study))} is taken for each seed first. " if len(study.averaged) > 1 else ""
    return (
        f"Measured here. Pretrained on {counted(study.most_images, 'image')} of {corpora}; each budget is a run of "
        f"its own, and compute is 3 × FLOPs × images seen of one run{step}. Transfer sets: "
        f"{dataset_words(study.datasets)}. {mean}"
        f"Device-hours, {pretrainings} together: {significant(hours, 3)}; {counted(study.trials, 'further trial')} of "
        f"learning rates took {significant(study.trial_device_hours, 2)}, and all fine-tunings "
        f"{significant(study.transfer_device_hours, 2)}; these are in no column."
    )


def accuracy_along(study: PretrainStudy, way: Way, axis: Axis) -> FigureSpec | None:
    """Mean accuracy against pretraining compute, or at equal compute against the size of the pretraining set.

    A panel for each size class; beside compute stands the paper's Figure 5.
    """
    models = _by_size(curves(study, way, axis))
    if not models:
        return None
    scale = _axis_scale(axis, (one for own in models.values() for found in own.values() for one in found))
    words = way_words(way)
    title = _capitalised(words)
    panels = [_panel(study, way, axis, own, f"{title}{_size_words(size)}", scale) for size, own in models.items()]
    beside = ""
    if axis == "pretraining compute" and way == FINETUNED:
        panels.append(paper_mean_panel())
        beside = " Last panel: the paper's Figure 5, published, of another regime: shapes compare, values do not."
    if axis == "pretraining compute":
        file, against = "pretraining", "pretraining compute.** Each point is a pretraining of its own"
        told = (
            f" whose schedule ends at that budget. {_capitalised(mean_words(study))}; bars: 95 % intervals over seeds "
            "and test images"
        )
    else:
        file, against = "pretraining_images", "the number of pretraining images**, at equal pretraining compute"
        told = (
            ": fewer images are seen more often, and the weights of the best look at validation count (the shape of "
            "the paper's Figure 4). Bars: 95 % intervals"
        )
    caption = (
        f"**Accuracy after transfer ({words}) against {against}{told}{unstable_words(panels)}. {_control_words(way)}."
        f"{beside}{thinned(panels)}"
    )
    name = f"{'finetuned' if way == FINETUNED else way.replace('-', '_')}_vs_{file}"
    return FigureSpec(name, f"Mean top-1 {words} against {axis}", caption, first_panels(panels))


def set_by_set(study: PretrainStudy) -> FigureSpec | None:
    """Fine-tuned accuracy on each set against pretraining compute, of the smallest size class."""
    axis: Axis = "pretraining compute"
    models = _by_size(curves(study, FINETUNED, axis))
    if not models or len(study.datasets) < 2:
        return None
    size, own = next(iter(models.items()))
    scale = _axis_scale(axis, (one for found in own.values() for one in found))
    panels = first_panels(
        _panel(study, FINETUNED, axis, own, identify_dataset(name).title, scale, name) for name in study.datasets
    )
    caption = (
        f"**Fine-tuned accuracy set by set{_size_words(size)}**, against pretraining compute; estimates without bars"
        f"{unstable_words(panels)}. {_control_words(FINETUNED)}.{thinned(panels)}"
    )
    return FigureSpec("transfer_by_set", "Fine-tuned top-1 on each set against pretraining compute", caption, panels)


def _control_words(way: Way) -> str:
    kind = "the same recipe from random weights" if way == FINETUNED else "features of random weights"
    return f"Dotted levels, in the colour of a model's family: {kind}; grey: logistic regression on pixels"


def _size_words(size: str) -> str:
    return f", size {size}" if size else ""


_Curves = dict[str, list[Transfer]]  # by model


def _by_size(lines: _Curves) -> dict[str, _Curves]:
    """Curves by the size class of their model, in the order of families inside."""
    found: dict[str, _Curves] = {}
    for model in sorted(lines, key=lambda model: (family_rank(lines[model][0].point.identity.family), model)):
        found.setdefault(lines[model][0].point.identity.size_class, {})[model] = lines[model]
    sizes = ("S", "M", "L")
    return {size: found[size] for size in sorted(found, key=lambda size: sizes.index(size) if size in sizes else -1)}


def _axis_scale(axis: Axis, transfers: Iterable[Transfer]) -> Scale:
    return Scale(1, "") if axis == "pretraining images" else flop_scale(one.point.flop for one in transfers)


def _panel(
    study: PretrainStudy, way: Way, axis: Axis, own: _Curves, title: str, scale: Scale, dataset: str = ""
) -> Panel:
    """Curves of these models and the levels of their controls: of the mean with its intervals, or of one data set."""
    lines = []
    for found in own.values():
        family, points = found[0].point.identity.family, []
        for one in found:
            group, interval = (one.groups[dataset], None) if dataset else (one.mean, one.interval)
            points.append(accuracy_point(place_of(one, axis) / scale.factor, group, interval, family))
        lines.append(Line(tuple(points), family, found[0].point.identity.title))
    xs = [point.x for line in lines for point in line.points]
    y_label = TOP1 if dataset else "Mean top-1 after transfer [%]"
    lines += _levels(study, way, own, (min(xs), max(xs)), dataset)
    if axis == "pretraining images":
        return Panel(title, "Pretraining images, log", y_label, lines=tuple(lines), log_base=2)
    return Panel(title, f"Pretraining compute of one run [{scale.unit}], log", y_label, lines=tuple(lines))


def _levels(study: PretrainStudy, way: Way, own: _Curves, ends: tuple[float, float], dataset: str) -> list[Line]:
    """The controls of the models in a panel, as levels across it; one of a budget of its own is in the table alone."""
    levels = []
    for control in study.controls:
        is_own = control.identity is not None and control.identity.name in own and control.way == way
        if control.budget_gflop is not None or not (is_own or control.kind == "pixels"):
            continue
        height = control.groups[dataset].mean_pct if dataset else control.mean.mean_pct
        family = control.identity.family if control.identity else "other"
        points = tuple(Point(x, height, family, "") for x in ends)
        levels.append(Line(points, family, "" if control.identity else "pixels", label_at=0, is_control=True))
    return levels
