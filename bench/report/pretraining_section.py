"""The part of a page that is about pretraining and what it was worth: the paper's Figures 3 to 5 from own runs."""

from __future__ import annotations

from bench.analyse.pretrained import FINETUNED, PretrainStudy, Way
from bench.catalog.identity import identify_dataset
from bench.markdown_text import escape
from bench.report.document import Section
from bench.report.figure_parts import FigureSpec
from bench.report.formats import counted, listed, significant, span
from bench.report.pretraining_figures import pretraining_figures
from bench.report.pretraining_tables import (
    meetings_table,
    pretraining_gains_table,
    pretraining_sizes_table,
    pretraining_table,
    set_meetings_table,
    transfer_table,
)
from bench.report.pretraining_words import corpus_words, mean_words, way_words

_MEETINGS = (
    "First minus second, in points, at the same pretraining compute and images, with its own 95 % interval (Welch's t "
    "over seeds and test images). Bold: it leaves zero out; of many, one in twenty does so by chance alone."
)
_GAINS = (
    "After the largest pretraining minus a control, in points, each with its own 95 % interval; bold: it leaves "
    "zero out. Linear fits are held against features of random weights."
)


def pretraining_sections(study: PretrainStudy | None) -> list[Section]:
    """All sections, the one that leads a page first; empty without a study."""
    if study is None:
        return []
    figures = {figure.name: figure for figure in pretraining_figures(study)}

    def drawn(*names: str) -> tuple[FigureSpec, ...]:
        return tuple(figures[name] for name in names if name in figures)

    linear = [way.replace("-", "_") for way in study.ways if way != FINETUNED]
    sections = [
        Section("Accuracy after transfer and pretraining compute", _points_text(study), pretraining_table(study),
                drawn("finetuned_vs_pretraining", *(f"{way}_vs_pretraining" for way in linear))),
        Section("Models of one size along pretraining compute", _MEETINGS,
                meetings_table(study, "pretraining compute")),
        Section("The same on each set", f"{_MEETINGS} {way_words(study.ways[0]).capitalize()}." if study.ways else "",
                set_meetings_table(study)),
        Section("Accuracy and the number of pretraining images", _sizes_text(study), pretraining_sizes_table(study),
                drawn("finetuned_vs_pretraining_images", *(f"{way}_vs_pretraining_images" for way in linear))),
        Section("Models of one size along pretraining images", _MEETINGS, meetings_table(study, "pretraining images")),
        Section("What pretraining added", _GAINS, pretraining_gains_table(study)),
    ]  # fmt: skip
    for way in study.ways:
        figure = drawn("transfer_by_set") if way == FINETUNED else ()
        sections.append(Section(f"Set by set: {way_words(way)}", _sets_text(way), transfer_table(study, way), figure))
    return [section for section in sections if section.table is not None or section.figures]


def _points_text(study: PretrainStudy) -> str:
    points = [point for point in study.points if point.key.train_images == study.most_images]
    corpora = listed(corpus_words(name) for name in dict.fromkeys(point.key.corpus for point in points))
    sets = listed(escape(identify_dataset(name).title) for name in study.datasets)
    hours = sum(point.device_hours * len(point.seeds) for point in study.points)
    ratios = [point.step_flop_ratio for point in points if point.step_flop_ratio is not None]
    words = (
        f"Measured here. Pretrained on {counted(study.most_images, 'image')} of {corpora}; each budget is a run of "
        "its own, "
        f"and compute is 3 × FLOPs × images seen of one run"
    )
    if ratios:
        words += f" (a step computes {span(ratios, 2)} of that: the pixels need no gradient)"
    words += f". Transfer sets: {sets}. The {mean_words(study)} is taken for each seed first. "
    words += (
        f"Device-hours, {counted(len({i for p in study.points for i in p.cell_ids}), 'pretraining')} together: "
        f"{significant(hours, 3)}; {counted(study.trials, 'further trial')} of learning rates took "
        f"{significant(study.trial_device_hours, 2)}, and all fine-tunings "
        f"{significant(study.transfer_device_hours, 2)}; "
        "these are in no column."
    )
    return words


def _sizes_text(study: PretrainStudy) -> str:
    return (
        "Measured here, at one pretraining budget. All seeds of a size have the same images, the first of the corpus: "
        "the spread over seeds holds none of the drawing of the set."
    )


def _sets_text(way: Way) -> str:
    if way == FINETUNED:
        return "Measured here, at the largest pretraining budget of each model; mean over seeds."
    return (
        "Measured here, at the largest pretraining budget of each model: a ridge regression on frozen features, its "
        "strength by leave-one-out, mean over draws of the support images and over seeds."
    )
