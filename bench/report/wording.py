"""Sentences of a report, each made from the numbers and claiming no more than their intervals allow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.analyse.compare import Comparison, FamilyBest, flipped
from bench.analyse.identity import DatasetIdentity, identify_dataset
from bench.analyse.scores import RunKey, Score
from bench.analyse.study import Study
from bench.analyse.trials import SweptModel
from bench.report.devices import device_words
from bench.report.formats import (
    bracketed,
    counted,
    fixed,
    flop_scale,
    learning_rate,
    listed,
    percent,
    points,
    signed,
    span,
)
from bench.report.markdown import escape
from bench.report.pretraining_words import pretraining_finding
from bench.report.speed_finding import speed_finding
from bench.report.weights_wording import weights_finding
from bench.units import GIGA

_MOST_NAMED = 4  # candidates named for one family
_PLURALS = {"vit": "ViTs", "cnn": "CNNs", "hybrid": "hybrids"}


def family_plural(family: str) -> str:
    """`ViTs`, `CNNs`, `hybrids`, or the escaped name of another family."""
    return _PLURALS.get(family, escape(family))


def dataset_words(names: Iterable[str]) -> str:
    """Titles of data sets, escaped, as a list."""
    return listed(escape(identify_dataset(name).title) for name in names)


def seeds_words(scores: Sequence[Score]) -> str:
    """`3 seeds`, or the range."""
    counts = {len(score.seeds) for score in scores}
    return counted(counts.pop(), "seed") if len(counts) == 1 else f"{span(counts)} seeds"


def _distinct(scores: Sequence[Score], attribute: str) -> list[str]:
    return sorted({str(getattr(score.key, attribute)) for score in scores})


def accuracy_conditions(study: Study, *, sizes: bool = True) -> str:
    """Device, precision, batch, resolution, images and seeds behind the accuracies; Markdown, no full stop."""
    scores = study.main
    images = "; ".join(
        f"{escape(d.title)}: {_train_words(scores, d.name) if sizes else ''}{_test_words(scores, d.name)}"
        for d in study.datasets
    )
    devices, precisions = listed(_distinct(scores, "device")), listed(_distinct(scores, "precision"))
    batch = span({score.batch_size for score in scores})
    resolution = span({score.key.resolution_px for score in scores})
    return (
        f"trained from scratch on {devices} in {precisions}, training batch {batch}, {resolution} px, "
        f"{seeds_words(scores)}; images: {images}"
    )


def _train_words(scores: Sequence[Score], dataset: str) -> str:
    return f"{span({s.train_images for s in scores if s.dataset == dataset})} training, "


def _test_words(scores: Sequence[Score], dataset: str) -> str:
    return f"{span({s.group.test_images for s in scores if s.dataset == dataset})} test"


def speed_conditions(study: Study) -> str:
    """Device, precision, memory format, resolution and processes behind the timings; Markdown, no full stop."""
    timed = [row.speed for row in study.rows if row.speed is not None]
    keys = [speed.key for speed in timed]
    batches = span({speed.batch_size for speed in timed})
    compiled = (
        "compiled" if all(key.compile for key in keys) else "eager" if not any(k.compile for k in keys) else "both"
    )
    return (
        f"{device_words(study)}, {listed(sorted({key.precision for key in keys}))}, "
        f"{listed(sorted({key.memory_format for key in keys}))}, {compiled}{_folded_words(keys)}, "
        f"{span({k.resolution_px for k in keys})} px, "
        f"throughput at batch {batches}, latency at batch 1, "
        f"{span({speed.processes for speed in timed})} fresh processes per model"
    )


def _folded_words(keys: Sequence[RunKey]) -> str:
    """Whether BatchNorm was folded; nothing where it was not."""
    folded = {key.fold for key in keys}
    return ", folded and not" if len(folded) > 1 else ", folded" if True in folded else ""


def sweep_conditions(study: Study) -> str:
    """Device, precision, batch, resolution, images, seeds and compute of one trial; Markdown, no full stop."""
    frame = study.training[study.training["scored_part"] == "validation"]
    scale = flop_scale(one.budget_gflop * GIGA for one in study.swept)
    budgets = {one.budget_gflop * GIGA / scale.factor for one in study.swept}
    images = span({one.train_images for one in study.swept})
    seeds = counted(max(one.seeds for one in study.swept), "seed")
    return (
        f"{seeds} per rate on {listed(sorted(set(frame['device'])))} in "
        f"{listed(sorted(set(frame['precision'])))}, training batch {span(frame['batch_size'])}, "
        f"{span(frame['resolution_px'])} px, {images} training images, "
        f"{span(frame['validation_images'])} validation images, "
        f"{span(budgets, 2)} {scale.unit} per trial"
    )


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
    if study.datasets and study.comparisons:
        return _accuracy_finding(study)
    if study.datasets:
        return _single_family_finding(study)
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


def headline_pair(study: Study) -> tuple[str, str] | None:
    """The two families that the finding is about: CNN and ViT where both were measured."""
    pairs = [(c.first.family, c.second.family) for c in study.comparisons]
    for wanted in (("cnn", "vit"), ("hybrid", "vit"), ("cnn", "hybrid")):
        if wanted in pairs:
            return wanted
    return pairs[0] if pairs else None


def _accuracy_finding(study: Study) -> str:
    pair = headline_pair(study)
    found = {c.dataset: c for c in study.comparisons if (c.first.family, c.second.family) == pair}
    main = [d for d in study.datasets if d.name in found and d.carries_findings]
    side = [d for d in study.datasets if d.name in found and not d.carries_findings]
    if not main:
        alone = [found[d.name] for d in side]
        return f"{_regime(alone, side)}, {_clauses(alone)}; nothing follows from this alone ({_caution(side)})."
    compared = [found[d.name] for d in (*main, *side)]
    sentence = f"{_regime(compared, main)}, {_clauses([found[d.name] for d in main])}"
    if side:
        scores = [score for d in side for score in found[d.name].scores]
        sentence += f"; a side result from {_images_words(scores, side)}: {_clauses([found[d.name] for d in side])}"
        sentence += f" ({_caution(side)})"
    return f"{sentence}. {_who_words(compared)}"


def _who_words(compared: Sequence[Comparison]) -> str:
    """Which models stand for the two families; Markdown, a whole sentence."""
    words = []
    for sides in ([c.first for c in compared], [c.second for c in compared]):
        models = sorted({score.identity.title for side in sides for weight, score in side.weights if weight > 0})
        drawn, candidates = sides[0].drawn, sides[0].candidates
        how = ""
        if drawn < candidates:  # as many as the other family has; of one drawn at random, the mean is expected
            how = "the mean of " if drawn == 1 else f"the expected best of {drawn} drawn from {candidates}, "
        words.append(f"{family_plural(sides[0].family)} are {how}{listed(escape(model) for model in models)}")
    return f"Here {words[0]}; {words[1]}."


def _caution(datasets: Sequence[DatasetIdentity]) -> str:
    texts = [dataset.caution.rstrip(".") for dataset in datasets]
    return escape("; ".join(dict.fromkeys(text[:1].lower() + text[1:] for text in texts)))


def _regime(compared: Sequence[Comparison], told: Sequence[DatasetIdentity]) -> str:
    """`Trained from scratch on 8 190 generated images of 32 px with equal training compute (0.25 TFLOP, 3 seeds)`.

    compared: every difference of the sentence. told: the sets whose images it names first.
    """
    names = {dataset.name for dataset in told}
    scores = [score for comparison in compared for score in comparison.scores]
    images = _images_words([score for score in scores if score.dataset in names], told)
    return f"Trained from scratch on {images} with {_budgets_words(compared)}"


def _images_words(scores: Sequence[Score], datasets: Sequence[DatasetIdentity]) -> str:
    kinds = listed(sorted({"user-given" if d.kind == "given" else d.kind for d in datasets}))
    images = span({score.train_images for score in scores})
    pixels = span({score.key.resolution_px for score in scores})
    return f"{images} {kinds} images of {pixels} px"


def _budgets_words(compared: Sequence[Comparison]) -> str:
    """One budget for all differences, or the budget on each set; only the first is called equal."""
    scores = [score for comparison in compared for score in comparison.scores]
    scale = flop_scale(c.budget_gflop * GIGA for c in compared)
    sets: dict[float, list[str]] = {}
    for comparison in compared:
        sets.setdefault(comparison.budget_gflop * GIGA / scale.factor, []).append(comparison.dataset)
    if len(sets) == 1:
        return f"equal training compute ({span(sets, 2)} {scale.unit}, {seeds_words(scores)})"
    each = listed(f"{fixed(budget, 2)} {scale.unit} on {dataset_words(names)}" for budget, names in sets.items())
    return f"a training compute per run of {each} ({seeds_words(scores)})"


def compute_words(scores: Sequence[Score]) -> str:
    """Training compute of these runs, called equal only where it is; no full stop."""
    scale = flop_scale(score.budget_gflop * GIGA for score in scores)
    budgets = {score.budget_gflop * GIGA / scale.factor for score in scores}
    if len(budgets) == 1:
        return f"equal training compute ({span(budgets, 2)} {scale.unit})"
    return f"training compute that differs between models or sets ({span(budgets, 2)} {scale.unit})"


def sizes_compute_words(study: Study) -> str:
    """Training compute along the axis of training-set sizes: of all lines, or along each one; no full stop."""
    lines: dict[tuple[str, str], list[Score]] = {}
    for score in study.scores:
        if score.budget_rank == 0:
            lines.setdefault((score.dataset, study.labels[score.key]), []).append(score)
    several = [line for line in lines.values() if len({score.train_images for score in line}) > 1]
    scores = [score for line in several for score in line]
    if not scores or len({score.budget_gflop for score in scores}) == 1:
        return f"at {compute_words(scores)}" if scores else ""
    if all(len({score.budget_gflop for score in line}) == 1 for line in several):
        scale = flop_scale(score.budget_gflop * GIGA for score in scores)
        budgets = span({score.budget_gflop * GIGA / scale.factor for score in scores}, 2)
        return f"each model at one training compute, which differs between models or sets ({budgets} {scale.unit})"
    return f"at {compute_words(scores)}"


def _clauses(comparisons: Sequence[Comparison]) -> str:
    """One clause per verdict, the leading family first: `CNNs are ahead of ViTs by ... on ...`."""
    decided = [c if c.verdict == "ahead" else flipped(c) for c in comparisons if c.verdict != "not decided"]
    clauses = []
    for first in dict.fromkeys(c.first.family for c in decided):
        mine = [c for c in decided if c.first.family == first]
        amounts = listed(
            f"{points(c.delta_pp)} {bracketed(c.interval)} on {dataset_words([c.dataset])}"
            for c in mine
            if c.interval is not None
        )
        clauses.append(f"{family_plural(first)} are ahead of {family_plural(mine[0].second.family)} by {amounts}")
    open_ones = [c for c in comparisons if c.verdict == "not decided"]
    if open_ones:
        clauses.append(_open_clause(open_ones))
    return "; ".join(clauses)


def _open_clause(comparisons: Sequence[Comparison]) -> str:
    first = comparisons[0]
    names = f"{family_plural(first.first.family)} and {family_plural(first.second.family)}"
    amounts = listed(
        f"{dataset_words([c.dataset])} ({signed(c.delta_pp, 1)} {bracketed(c.interval)})"
        if c.interval is not None
        else f"{dataset_words([c.dataset])} ({signed(c.delta_pp, 1)}, one seed)"
        for c in comparisons
    )
    return f"the order of {names} is not decided on {amounts}"


def best_words(best: FamilyBest) -> str:
    """Who stands for a family: a model, or the expectation over equally many candidates. Plain text."""
    shown = [(weight, score) for weight, score in best.weights if weight >= 0.005]
    if len(shown) == 1:
        return f"{shown[0][1].identity.title} (of {best.candidates})"
    names = ", ".join(f"{score.identity.title} {fixed(100 * weight, 0)} %" for weight, score in shown[:_MOST_NAMED])
    if len(shown) > _MOST_NAMED:
        names += f", others {fixed(100 * sum(weight for weight, _ in best.weights[_MOST_NAMED:]), 0)} %"
    return f"best of {best.drawn} drawn from {best.candidates}: {names}"


def _single_family_finding(study: Study) -> str:
    best = max(study.main, key=lambda score: (score.validation_pct or 0.0, score.key))
    alone = "" if identify_dataset(best.dataset).carries_findings else ", a set that carries nothing alone"
    several = len({score.identity.family for score in study.main}) > 1
    why = "no two families share a training budget" if several else "only one family was measured"
    regime = f"{_images_words(study.main, study.datasets)} with {compute_words(study.main)}, {seeds_words(study.main)}"
    return (
        f"Trained from scratch on {regime}, the best on validation is {escape(study.labels[best.key])} with "
        f"{percent(best.interval.estimate)} % top-1 {bracketed(best.interval)} on {dataset_words([best.dataset])}"
        f"{alone}; {why}, so families are not compared."
    )


def _sweep_finding(swept: Sequence[SweptModel]) -> str:
    inside = [one for one in swept if not one.edge]
    rates = listed(f"{escape(one.identity.title)} {learning_rate(one.best_rate)}" for one in swept[:12])
    return (
        f"By top-1 on the validation part of {dataset_words(sorted({one.dataset for one in swept}))}, the best peak "
        f"learning rate lies inside the range tried for {len(inside)} of {counted(len(swept), 'model')} ({rates})."
    )


def _speed_finding(study: Study) -> str:
    timed = [row.speed for row in study.rows if row.speed is not None]
    rates = [(speed.throughput_median, speed) for speed in timed if speed.throughput_median is not None]
    if not rates:
        return f"Timed without throughput: {counted(len(timed), 'model')}, and no accuracy."
    best, speed = max(rates, key=lambda pair: (pair[0], pair[1].key))
    return (
        f"Of {counted(len(rates), 'model')} timed at batch {speed.batch_size} on {device_words(study)}, "
        f"{escape(study.labels[speed.key])} has the highest throughput, {fixed(best, 0)} img/s; no accuracy was taken."
    )


def _count_finding(study: Study) -> str:
    counts = [row.count for row in study.rows if row.count is not None]
    certified = sum(count.certificate == "ok" for count in counts)
    sentence = (
        f"Counted, not trained: both counters agree on the MACs of {certified} of {counted(len(counts), 'model')}"
    )
    for family, whose in (("vit", "ViT"), ("hybrid", "hybrid"), ("cnn", "BiT ResNet")):
        gaps = [c.difference_pct for c in study.scaling if c.row.family == family and c.difference_pct is not None]
        if gaps:
            sentence += f", {len(gaps)} {whose} rows of the paper's Table 6 come out {_gap_words(gaps)}"
    if study.timm:
        near = sum(one.is_within_tolerance for one in study.timm)
        sentence += f", and {near} of {len(study.timm)} MACs published by timm are met"
    return f"{sentence}."


def _gap_words(gaps: Sequence[float]) -> str:
    low, high = signed(min(gaps), 1), signed(max(gaps), 1)
    return f"{low} %" if low == high else f"{low} to {high} %"
