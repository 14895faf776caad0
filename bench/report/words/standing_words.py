"""What a reader must know of trained models before their accuracies are compared; Markdown sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from bench.analyse.accuracies.accuracy import Trained
from bench.analyse.compare.differences import weak_families
from bench.analyse.study import Study
from bench.catalog.identity import DatasetIdentity
from bench.number_format import first_few, listed
from bench.report.figures.style import family_style
from bench.report.tables.accuracy_cells import BELOW_PIXELS, PIXELS
from bench.report.words.conditions import dataset_words
from bench.text import escape

_MOST_NAMED = 4  # models of a set
Reason = Literal["not trained enough", "early learning"]
REASONS: dict[Reason, tuple[str, Callable[[Trained], bool]]] = {
    "not trained enough": (f"less than three points above {PIXELS}", lambda one: one.is_not_trained_enough),
    "early learning": ("fewer than ten epochs, and validation accuracy still rose", lambda one: one.is_early),
}


def untold_sentence(study: Study, dataset: DatasetIdentity) -> str:
    """After what is said of a set: the families whose best model says nothing of them, and why; empty without any."""
    weak = weak_families(row.scores[dataset.name] for row in study.rows if dataset.name in row.scores)
    told = []
    for family, best in weak.items():
        why = "unstable seeds" if best.group.is_unstable else BELOW_PIXELS
        told.append(f"{escape(family_style(family).name)}s ({escape(study.labels[best.key])}, their best: {why})")
    return f"Nothing can be said there of {listed(told)}." if told else ""


def standing_sentences(study: Study) -> list[str]:
    """Who is not trained enough and who is still learning, or that no baseline was there to tell."""
    missing = sorted({score.dataset for score in study.main if score.pixels is None})
    where = f" on {dataset_words(missing)}" if len(missing) < len(study.datasets) else ""
    unknown = f"{PIXELS.capitalize()} was not run{where}, so nothing says which models were trained enough."
    sentences = [_named_sentence(study, reason) for reason in REASONS]
    return [sentence for sentence in (*sentences, unknown if missing else "") if sentence]


def _named_sentence(study: Study, reason: Reason) -> str:
    """`Early learning (why): ViT S and ViT M on Wave textures.`; empty where it holds of no model."""
    why, holds = REASONS[reason]
    told = []
    for dataset in study.datasets:
        scores = (row.scores[dataset.name] for row in study.rows if dataset.name in row.scores)
        names = [escape(study.labels[score.key]) for score in scores if holds(score)]
        if names:
            told.append(f"{listed(first_few(names, _MOST_NAMED))} on {escape(dataset.title)}")
    return f"{reason.capitalize()} ({why}): {'; '.join(told)}." if told else ""
