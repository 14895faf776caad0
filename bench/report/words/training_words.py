"""Sentences of a report, each made from the numbers and claiming no more than their intervals allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.analyse.accuracies.subjects import RunKey
from bench.analyse.accuracies.trials import SweptModel
from bench.analyse.compare.differences import BestSet
from bench.analyse.study import Study
from bench.catalog.identity import DatasetIdentity
from bench.number_format import (
    bracketed,
    counted,
    learning_rate,
    listed,
    percent,
    signed,
    significant,
    span,
    timed_words,
)
from bench.report.tables.accuracy_cells import BELOW_PIXELS, rivals_words, unranked_words, verdicts_words
from bench.report.tables.timing_tables import clear_best
from bench.report.words.conditions import budgets_words, compute_words, dataset_words, device_words, seeds_words
from bench.report.words.pretraining_words import pretraining_finding
from bench.report.words.speed_words import speed_finding
from bench.report.words.standing_words import standing_sentences, untold_sentence
from bench.report.words.trend_words import trend_sentences
from bench.report.words.weights_words import weights_finding
from bench.text import escape
from bench.units import GIGA


def finding(study: Study) -> str:
    """The finding in one sentence of Markdown for each kind of result, whatever the suite holds.

    Where trainings from scratch only made the weights that others started from, these others come first.
    """
    if study.pretraining is not None:
        return pretraining_finding(study.pretraining)
    about_weights = weights_finding(study.protocols, study.failures) if study.protocols.records else ""
    if about_weights and not study.datasets:
        return about_weights
    sentences = [_own_finding(study), about_weights]
    if {dataset.name for dataset in study.datasets} <= {s.trained_on for s in study.protocols.subjects}:
        sentences.reverse()
    return " ".join(sentences).strip()


def _own_finding(study: Study) -> str:
    """The finding on models trained from scratch, timed or counted."""
    if study.datasets:
        return _accuracy_finding(study)
    if study.swept:
        return _sweep_finding(study.swept)
    if study.speed.keys:
        return speed_finding(study)
    if any(row.speed is not None for row in study.rows):
        return _speed_finding(study)
    if any(row.count is not None for row in study.rows):
        return _count_finding(study)
    if study.memories:
        return f"Peak memory alone was measured, of {counted(len(study.rows), 'model')}; no accuracy and no speed."
    if study.records:
        return f"Nothing finished: none of {counted(len(study.failures), 'cell')} gave a result, for the reasons below."
    return "This suite has no results yet."


def _accuracy_finding(study: Study) -> str:
    """What is decided between models of one size, then who cannot be told from the best on each set; Markdown."""
    sentences = [*trend_sentences(study), *_decided_sentences(study)]
    for dataset in study.datasets:
        sentences += [_best_sentence(study, dataset), untold_sentence(study, dataset)]
    sentences += standing_sentences(study)
    scores = study.main
    kinds = listed(sorted({"user-given" if d.kind == "given" else d.kind for d in study.datasets}))
    images = f"{span({score.train_images for score in scores})} {kinds} images"
    pixels = span({score.key.resolution_px for score in scores})
    regime = f"{images} of {pixels} px, {compute_words(scores)}, {seeds_words(scores)}"
    return " ".join(filter(None, [*sentences, f"Trained from scratch on {regime}."]))


def _best_sentence(study: Study, dataset: DatasetIdentity) -> str:
    """The best on a set, those that cannot be told from it, the cheapest of these, and who is not ranked; Markdown."""
    best: BestSet[RunKey] = study.best[dataset.name]
    scores = {row.key: row.scores[dataset.name] for row in study.rows if dataset.name in row.scores}
    title, caution = escape(dataset.title), "" if dataset.carries_findings else f" {escape(dataset.caution)}"
    below = any(scores[key].is_below_pixels for key in best.unranked)
    others_why = unranked_words(scores[key].group for key in best.unranked if not scores[key].is_below_pixels)
    why = " or ".join(filter(None, [others_why, BELOW_PIXELS if below else ""]))
    if not best.members:
        return f"On {title} no model is ranked: {why}.{caution}"
    first, *others = best.members
    words = f"On {title} {escape(study.labels[first])} has {percent(scores[first].interval.estimate)} % top-1"
    words += f" {bracketed(scores[first].interval)}"
    words += rivals_words([escape(study.labels[key]) for key in others], best.compared)
    cheapest = best.cheapest({row.key: row.macs for row in study.rows if row.macs}) if others else None
    words += f" (fewest MACs of these: {escape(study.labels[cheapest])})" if cheapest is not None else ""
    if best.unranked:
        words += f"; not ranked ({why}): {counted(len(best.unranked), 'model')}"
    return f"{words}.{caution}"


def _decided_sentences(study: Study) -> list[str]:
    """Of models of one size at the largest training set and budget: how often the ViT is ahead of or behind the CNN."""
    main = {(score.key, score.dataset, score.train_images, score.budget_gflop) for score in study.main}
    found = [
        one
        for place, one in study.differences.items()
        if (place.first, place.dataset, place.train_images, place.budget_gflop) in main
        and (study.families[place.first.model], study.families[place.second.model]) == ("vit", "cnn")
        and one.verdict != "one seed"
    ]
    compared = f"{counted(len(found), 'comparison')} of a ViT with a CNN of its size on one set"
    return [f"{compared}: the ViT is {verdicts_words(found)}."] if found else []


def _sweep_finding(swept: Sequence[SweptModel]) -> str:
    inside = [one for one in swept if not one.edge]
    told = []
    for budget in sorted({one.budget_gflop for one in swept}):
        own = [one for one in swept if one.budget_gflop == budget]
        rates = listed(f"{escape(one.identity.title)} {learning_rate(one.best_rate)}" for one in own)
        told.append(f"at {budgets_words([budget])} {rates}")
    return (
        f"The best peak learning rate lies inside the range tried for {len(inside)} of "
        f"{counted(len(swept), 'sweep')}, by top-1 on the validation part of "
        f"{dataset_words(sorted({one.dataset for one in swept}))}: {'; '.join(told)}."
    )


def _speed_finding(study: Study) -> str:
    """Who is the fastest, only where its range over processes lies above all others'; Markdown."""
    timed = [row.speed for row in study.rows if row.speed is not None]
    rated = [speed for speed in timed if speed.throughput is not None]
    if not rated:
        return f"Timed without throughput: {counted(len(timed), 'model')}, and no accuracy."
    where = f"timed at batch {span({speed.batch_size for speed in rated})} on {device_words(study)}"
    best = clear_best(rated) or (rated[0] if len(rated) == 1 else None)
    if best is None or best.throughput is None:
        return f"Of {counted(len(rated), 'model')} {where} none is told to be the fastest; no accuracy was taken."
    rate = f"{escape(study.labels[best.key])} has {timed_words(best.throughput)} img/s"
    if len(rated) == 1:
        return f"{rate}, {where}; no accuracy was taken."
    return f"Of {counted(len(rated), 'model')} {where}, {rate}, more than all others; no accuracy was taken."


def _cost_words(study: Study) -> str:
    """The least and the most that an image costs in each family, at the size that most models were counted at."""
    counted_at = Counter(row.key.resolution_px for row in study.rows if row.count)
    size = min(counted_at, key=lambda px: (-counted_at[px], px))
    costs = []
    for family, word in (("vit", "a ViT"), ("hybrid", "a hybrid"), ("cnn", "a CNN")):
        rows = [row for row in study.rows if row.identity.family == family and row.key.resolution_px == size]
        counts = [(row.count.macs, escape(row.identity.title.removesuffix(f" @{size}"))) for row in rows if row.count]
        if counts:
            ends = (f"{significant(macs / GIGA, 3)} ({title})" for macs, title in (min(counts), max(counts)))
            costs.append(f"{word} {' to '.join(dict.fromkeys(ends))}")
    return f"An image of {size} px costs {listed(costs)} G multiply-adds. " if costs else ""


def _count_finding(study: Study) -> str:
    counts = [row.count for row in study.rows if row.count is not None]
    certified = sum(count.certificate == "ok" for count in counts)
    agreed = f"both counters agree on the MACs of {certified} of {counted(len(counts), 'model')}"
    sentence = f"{_cost_words(study)}Counted, not trained: {agreed}"
    for family, whose in (("vit", "ViT"), ("hybrid", "hybrid"), ("cnn", "BiT ResNet")):
        gaps = [c.difference_pct for c in study.scaling if c.row.family == family and c.difference_pct is not None]
        if gaps:
            sentence += f", {len(gaps)} {whose} rows of the paper's Table 6 come out {gap_words(gaps)}"
    if study.timm:
        near = sum(one.is_within_tolerance for one in study.timm)
        sentence += f", and {near} of {len(study.timm)} MACs published by timm are met"
    return f"{sentence}."


def gap_words(gaps: Sequence[float]) -> str:
    """By how many percent numbers differ from those they are held against."""
    low, high = signed(min(gaps), 1), signed(max(gaps), 1)
    return f"{low} %" if low == high else f"{low} to {high} %"
