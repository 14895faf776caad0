"""Words for a pretraining study: what its points are called, what leads its page, and what it cannot show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.analyse.accuracies.pretrained import FINETUNED, Control, PretrainStudy, Transfer, TransferStudy, Way
from bench.analyse.compare.differences import not_separable
from bench.analyse.compare.pretraining_contrasts import Meeting, at_largest, corpus_meetings, gains, meetings
from bench.catalog.identity import corpus_title, identify_dataset
from bench.number_format import bracketed, counted, flop_scale, listed, percent, signed, significant, span
from bench.report.tables.accuracy_cells import rivals_words, unranked_words, verdicts_words
from bench.report.words.conditions import dataset_words
from bench.text import escape
from bench.units import EXA


def way_words(way: Way) -> str:
    """`fine-tuned`, `5-shot linear`."""
    return way if way == FINETUNED else f"{way} linear"


def corpus_words(name: str) -> str:
    """A pretraining set as a reader would say it."""
    return corpus_title(name) or escape(identify_dataset(name).title)


def budget_words(transfers: Sequence[Transfer]) -> str:
    """`0.05 to 1.6 TFLOP`."""
    scale = flop_scale(one.point.flop for one in transfers)
    low, high = (significant(end(one.point.flop for one in transfers) / scale.factor, 2) for end in (min, max))
    return f"{low} {scale.unit}" if low == high else f"{low} to {high} {scale.unit}"


def mean_words(study: TransferStudy) -> str:
    """`the mean of 4 sets out of domain`, `the mean of 5 sets` where none is in the domain of pretraining; or a set."""
    if len(study.averaged) == 1:
        return dataset_words(study.averaged)
    out = " out of domain" if len(study.averaged) < len(study.datasets) else ""
    return f"the mean of {counted(len(study.averaged), 'set')}{out}"


def pretraining_finding(study: PretrainStudy) -> str:
    """ViT against CNN at the same compute, who is best, and what pretraining added; Markdown."""
    if not study.ways:
        return (
            f"{counted(sum(len(point.seeds) for point in study.points), 'pretraining')} ended, and nothing was "
            "transferred from their weights yet: no accuracy on another set follows."
        )
    way = study.ways[0]  # fine-tuning where there is any, else the few-shot fit with the fewest shots
    return " ".join(
        [
            *_meeting_sentences(study, way),
            _best_sentence(study, way),
            *_gain_sentences(study, way),
            *_corpus_sentences(study, way),
        ]
    )


def _best_sentence(study: PretrainStudy, way: Way) -> str:
    along = study.along_compute(way)
    models: dict[float, int] = Counter(one.point.key.budget for one in along)
    most = max(models, key=lambda budget: (models[budget], budget))  # the largest that most models have
    top = {one.point.key.model: one for one in along if one.point.key.budget == most}
    best = not_separable({model: one.mean for model, one in top.items()})
    where = f"{counted(study.most_images, 'image')} of {corpus_words(along[0].point.key.corpus)}"
    seeds = span({len(one.point.seeds) for one in top.values()})
    words = f"Pretrained with {budget_words(list(top.values()))} on {where}, {way_words(way)}, {seeds} seeds: "
    why = unranked_words(top[model].mean for model in best.unranked)
    if not best.members:
        return f"{words}no model is ranked on {mean_words(study)}: {why}."
    first, *others = (top[model] for model in best.members)
    words += f"{_title(first)} has {percent(first.mean.mean_pct)} % {bracketed(first.interval)} on "
    words += mean_words(study) + rivals_words([_title(one) for one in others], best.compared)
    if best.unranked:
        words += f"; not ranked for {why}: {listed(_title(top[model]) for model in best.unranked)}"
    return f"{words}."


def _title(one: Transfer) -> str:
    return escape(one.point.identity.title)


def _meeting_sentences(study: PretrainStudy, way: Way) -> list[str]:
    """At how many budgets a ViT is ahead of or behind a CNN of its size on the mean, and by how much at the largest."""
    found = [
        one
        for one in meetings(study, way, "pretraining compute")
        if (one.first.point.identity.family, one.second.point.identity.family) == ("vit", "cnn")
        and one.difference.verdict != "one seed"
    ]
    if not found:
        return []
    last: dict[tuple[str, str], Meeting] = {(_title(one.first), _title(one.second)): one for one in found}
    told = [
        f"{first} − {second} {signed(one.difference.delta_pp, 1)} {bracketed(one.difference.interval)}"
        f" ({budget_words([one.first])})"
        for (first, second), one in last.items()
        if one.difference.is_decided and one.difference.interval is not None
    ]
    sentences = [
        f"{counted(len(found), 'comparison')} of a ViT with a CNN of its size after the same pretraining compute "
        f"({budget_words([one.first for one in found])}), on {mean_words(study)}: the ViT is "
        f"{verdicts_words(one.difference for one in found)}."
    ]
    if told:
        sentences.append(f"Decided at the largest budget of a pair, in points: {listed(told)}.")
    return sentences


_EFFECTS = {"ahead": "raises", "behind": "lowers", "not decided": "undecided for", "unstable": "unstable seeds:"}


def _gain_sentences(study: PretrainStudy, way: Way) -> list[str]:
    """For whom pretraining is decided to help or to hurt, against each kind of control, out of and in domain."""
    found = [gain for gain in gains(study, way) if gain.difference.verdict != "one seed"]
    inside = [name for name in study.datasets if name not in study.averaged]
    sentences = []
    for title in dict.fromkeys(gain.control.title for gain in found):
        own_kind = [gain for gain in found if gain.control.title == title]
        over = f"Pretraining over {control_words(own_kind[0].control)}, on {mean_words(study)}"
        for name in ("", *inside):
            own = [gain for gain in own_kind if gain.dataset == name]
            whom = {v: listed(_title(g.transfer) for g in own if g.difference.verdict == v) for v in _EFFECTS}
            told = [f"{word} {whom[verdict]}" for verdict, word in _EFFECTS.items() if whom[verdict]]
            if told:
                sentences.append(f"{f'In domain ({dataset_words([name])})' if name else over}: {'; '.join(told)}.")
    return sentences


def _corpus_sentences(study: PretrainStudy, way: Way) -> list[str]:
    """What pretraining on one set gave over another, as many images and as much compute: each model with its points."""
    pairs: dict[tuple[str, str, int], list[Meeting]] = {}
    for one in corpus_meetings(study, way):
        if not one.dataset and one.difference.verdict != "one seed":
            key, other = one.first.point.key, one.second.point.key
            pairs.setdefault((key.corpus, other.corpus, key.train_images), []).append(one)
    sentences = []
    for (first, second, images), found in pairs.items():
        own = study.by_corpus[first]
        told = [
            f"{word} {listed(_told(one) for one in found if one.difference.verdict == verdict)}"
            for verdict, word in _EFFECTS.items()
            if any(one.difference.verdict == verdict for one in found)
        ]
        sentences.append(
            f"Pretraining on {counted(images, 'image')} of {corpus_words(first)} in place of {corpus_words(second)}, "
            f"as many and for the same compute ({budget_words([one.first for one in found])}), {way_words(way)}, on "
            f"{mean_words(own)}: {'; '.join(told)}."
        )
    return sentences


def _told(one: Meeting) -> str:
    """The model, with the points of a difference that its seeds can carry."""
    if one.difference.interval is None or one.difference.verdict == "unstable":
        return _title(one.first)
    return f"{_title(one.first)} ({signed(one.difference.delta_pp, 1)} {bracketed(one.difference.interval)})"


def control_words(control: Control) -> str:
    """What a control is, for a sentence."""
    if control.budget_gflop is not None:
        return f"training from random weights at equal total compute ({control.budget_gflop:g} GFLOP)"
    return {
        "from scratch": "the same fine-tuning steps from random weights",
        "random features": "features of random weights",
        "pixels": "logistic regression on pixels",
    }[control.kind]


def pretraining_limits(study: PretrainStudy | None) -> list[str]:
    """What a reader might conclude from a pretraining study and must not; Markdown."""
    if study is None or not study.transfers:
        return []
    models = at_largest(study, study.ways[0])
    macs_m = significant(max(one.point.flop / one.point.images_seen for one in models) / 6e6, 2)
    inside = dataset_words(name for name in study.datasets if name not in study.averaged)
    limits = (
        (True, f"A corpus of generated images and models of at most {macs_m} million multiply-adds stand in for the "
         "paper's JFT-300M and ViT-H: shapes of curves compare with its figures, values do not."),
        (True, "All seeds pretrain on the same images: intervals hold nothing of drawing another corpus."),
        (study.by_corpus, "Pretraining sets differ in classes, colours and how alike their images are, not alone in "
         "being real or generated."),
        (inside, f"{inside} holds images of the kind that was pretrained on: it is in no mean."),
        (all(control.kind != "equal compute" for control in study.controls), "From scratch means the same few "
         "fine-tuning steps from random weights: what the compute of pretraining would give on the set itself was not "
         "measured."),
        (study.trials, "Learning rates were chosen at the smallest and largest budget; others have the nearer one's."),
        (study.edges, "The chosen rate is at an end of what was tried for "
         f"{listed(map(escape, study.edges))}."),
    )  # fmt: skip
    return [words for holds, words in limits if holds]


def exaflops(flop: float) -> str:
    """Training compute in exaFLOPs, to three digits, as the paper's Table 6 has it: `1.6e-6`."""
    return f"{flop / EXA:.3g}"
