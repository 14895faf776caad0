"""Words for a pretraining study: what its points, ratios and crossovers are called, and what leads its page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.analyse.identity import identify_dataset
from bench.analyse.pretrained import PretrainStudy, Transfer
from bench.analyse.pretraining_contrasts import (
    ComputeRatio,
    PretrainCrossing,
    compute_ratios,
    gains,
    pretrain_crossings,
    set_crossings,
)
from bench.analyse.transfers import FINETUNED, Way
from bench.report.crossing_words import crossing_words
from bench.report.formats import counted, fixed, flop_scale, listed, percent, signed, significant, span
from bench.report.markdown import escape
from bench.units import EXA


def way_words(way: Way) -> str:
    """`fine-tuned`, `5-shot linear`."""
    return way if way == FINETUNED else f"{way} linear"


def corpus_words(name: str) -> str:
    """`mix-64` as a reader would say it: what is in the images, and how many classes."""
    family, _, classes = name.partition("-")
    titles = {"fractals": "generated fractals", "rings": "generated rings", "mix": "generated fractals and rings"}
    if family in titles and classes.isdecimal():
        return f"{titles[family]} ({int(classes):,} classes)".replace(",", " ")
    return escape(identify_dataset(name).title)


def leading_way(study: PretrainStudy) -> Way | None:
    """Fine-tuning where there is any, else the few-shot fit with the fewest shots; None without a transfer."""
    return study.ways[0] if study.ways else None


def budget_words(transfers: Sequence[Transfer]) -> str:
    """`0.05 to 1.6 TFLOP`."""
    scale = flop_scale(one.point.flop for one in transfers)
    ends = [significant(f(one.point.flop for one in transfers) / scale.factor, 2) for f in (min, max)]
    return f"{ends[0]} {scale.unit}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]} {scale.unit}"


def ratio_words(ratio: ComputeRatio) -> str:
    """`5.2 [3.1, 9.0]`, `at least 32`, `12 [8.0, open)`: how many times the compute."""
    if ratio.estimate is None:
        return (
            f"at least {significant(ratio.at_least, 2)}"
            if ratio.low is not None
            else (f"at least {significant(ratio.at_least, 2)} (not decided)")
        )
    if ratio.low is None and ratio.high is None:
        return f"{significant(ratio.estimate, 2)} (open, open)"
    low = "(open" if ratio.low is None else f"[{significant(ratio.low, 2)}"
    high = "open)" if ratio.high is None else f"{significant(ratio.high, 2)}]"
    return f"{significant(ratio.estimate, 2)} {low}, {high}"


def pretraining_finding(study: PretrainStudy) -> str:
    """What the study found, in a few sentences of Markdown: who leads, whether anyone catches up, what was added."""
    way = leading_way(study)
    if way is None:
        return (
            f"{counted(sum(len(point.seeds) for point in study.points), 'pretraining')} ended, and nothing was "
            "transferred from their weights yet: no accuracy on another set follows."
        )
    along = study.along_compute(way)
    sentences = [_lead_sentence(study, way, along)]
    sentences += _catching_up(study, way)
    sentences += _gain_sentence(study, way)
    return " ".join(sentences)


def _lead_sentence(study: PretrainStudy, way: Way, along: Sequence[Transfer]) -> str:
    models: dict[float, int] = Counter(one.point.key.budget for one in along)
    most = max(models, key=lambda budget: (models[budget], budget))  # the largest that most models have
    top = sorted((one for one in along if one.point.key.budget == most), key=lambda one: -one.mean.mean_pct)
    families = list(dict.fromkeys(one.point.identity.family for one in top))
    best = [next(one for one in top if one.point.identity.family == family) for family in families]
    named = listed(
        f"{escape(one.point.identity.title)} {percent(one.mean.mean_pct)} % "
        f"[{fixed(one.interval.low, 1)}, {fixed(one.interval.high, 1)}]"
        for one in best
    )
    where = f"{counted(study.most_images, 'image')} of {corpus_words(along[0].point.key.corpus)}"
    seeds = span({len(one.point.seeds) for one in top})
    return (
        f"Pretrained on {where} with {budget_words(top)} each ({seeds} seeds), then {way_words(way)} on "
        f"{len(study.datasets)} other sets, the best of each family reach on the mean: {named} (95 % over seeds and "
        f"test images).{_further(along, most)}"
    )


def _further(along: Sequence[Transfer], budget: float) -> str:
    """What the few models reach that have a larger budget."""
    more = [one for one in along if one.point.key.budget > budget]
    if not more:
        return ""
    largest = max(one.point.key.budget for one in more)
    named = listed(
        f"{escape(one.point.identity.title)} {percent(one.mean.mean_pct)} % "
        f"[{fixed(one.interval.low, 1)}, {fixed(one.interval.high, 1)}]"
        for one in sorted(more, key=lambda one: -one.mean.mean_pct)
        if one.point.key.budget == largest
    )
    return f" With {budget_words([one for one in more if one.point.key.budget == largest])}: {named}."


def _catching_up(study: PretrainStudy, way: Way) -> list[str]:
    """Whether the ViTs pass the CNNs within the budgets, and how much more compute they took."""
    found = [one for one in pretrain_crossings(study, way) if one.axis == "pretraining compute"]
    vits = [
        one for one in found if (one.first.point.identity.family, one.second.point.identity.family) == ("vit", "cnn")
    ]
    if not vits:
        return []
    sentences = []
    behind = [one for one in vits if one.crossing.state == "behind throughout"]
    passing = [one for one in vits if one.crossing.state == "passes"]
    if len(behind) == len(vits):
        sentences.append(
            f"On the mean, no ViT catches up with a CNN of its size within these budgets{_gap_words(vits)}."
        )
    elif passing:
        sentences.append(f"On the mean, within these budgets, {listed(map(_passing_words, passing))}.")
    sentences += _single_sets(study, way)
    ratios = [r for r in compute_ratios(study, way) if r.slower.point.identity.family == "vit"
              and r.faster.point.identity.family == "cnn"]  # fmt: skip
    if ratios:
        named = listed(
            f"{escape(r.slower.point.identity.title)} {ratio_words(r)} times that of "
            f"{escape(r.faster.point.identity.title)}"
            for r in ratios
        )
        sentences.append(
            "For the accuracy that it has at its largest budget, a ViT took the compute of a CNN's so many times over: "
            f"{named}."
        )
    return sentences


def _single_sets(study: PretrainStudy, way: Way) -> list[str]:
    """Where a ViT passes a CNN of its size on one set by itself."""
    passing = [
        one
        for one in set_crossings(study, way)
        if one.crossing.state == "passes"
        and (one.first.point.identity.family, one.second.point.identity.family) == ("vit", "cnn")
    ]
    if not passing:
        return []
    named = listed(f"{_passing_words(one)} on {escape(identify_dataset(one.dataset).title)}" for one in passing)
    return [f"On single sets, by the estimates, {named}."]


def _gap_words(crossings: Sequence[PretrainCrossing]) -> str:
    """How the differences move from the smallest to the largest budget: said, and not drawn out beyond."""
    gaps = [(one.crossing.differences[0][1], one.crossing.differences[-1][1]) for one in crossings]
    first, last = (sorted(gap[i] for gap in gaps) for i in (0, 1))
    return (
        f" (differences of {signed(first[0], 1)} to {signed(first[-1], 1)} points at the smallest and "
        f"{signed(last[0], 1)} to {signed(last[-1], 1)} at the largest)"
    )


def _passing_words(one: PretrainCrossing) -> str:
    """`ViT S passes ResNet S at 860 [510, 1 100] GFLOP`."""
    scale = flop_scale([one.crossing.low_x, one.crossing.high_x])
    titles = [escape(side.point.identity.title) for side in (one.first, one.second)]
    return f"{titles[0]} passes {titles[1]} {crossing_words(one.crossing, scale)} {scale.unit}"


def _gain_sentence(study: PretrainStudy, way: Way) -> list[str]:
    """What pretraining added to the mean over sets, and where it took something away."""
    found = gains(study, way)
    means = [gain for gain in found if not gain.dataset]
    if not means:
        return []
    against = "features of random weights"
    if way == FINETUNED:
        against = f"the same {span(study.tuning_steps)} steps of fine-tuning from random weights"
    named = listed(
        f"{escape(gain.transfer.point.identity.title)} {signed(gain.delta_pp, 1)}"
        f"{'' if gain.verdict != 'not decided' else ' (not decided)'}"
        for gain in means
    )
    sentence = f"Over {against}, the largest pretraining of each changes the mean by, in points: {named}."
    lost = [gain for gain in found if gain.dataset and gain.verdict == "behind"]
    if lost:
        worst = listed(
            f"{escape(gain.transfer.point.identity.title)} on {escape(identify_dataset(gain.dataset).title)} "
            f"({signed(gain.delta_pp, 1)})"
            for gain in lost
        )
        sentence += f" It takes accuracy away from {worst}."
    return [sentence]


def exaflops(flop: float) -> str:
    """Training compute in exaFLOPs, to three digits, as the paper's Table 6 has it: `1.6e-6`."""
    return f"{flop / EXA:.3g}"
