"""Sentences on given weights, each made from statistics and claiming no more, and what they cannot show."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from bench.analyse.accuracies.accuracy import Accuracy, FewShot
from bench.analyse.accuracies.pooling import headline_setting
from bench.analyse.accuracies.protocols import PROTOCOL_TASKS, Protocols
from bench.analyse.accuracies.subjects import NOT_STATED, OWNERS_WORDS, UNKNOWN_PRETRAINING, pretraining_of
from bench.analyse.compare.differences import PretrainingGain, Stratum
from bench.analyse.stats.intervals import Interval
from bench.catalog.identity import identify_dataset
from bench.catalog.image_tasks import VTAB_TASKS, in_order
from bench.number_format import bracketed, counted, first_few, fixed, listed, percent, signed
from bench.report.tables.accuracy_cells import rivals_words
from bench.report.tables.finetune_tables import across_tasks
from bench.report.tables.weights_tables import mean_words, row_order, rule_words, why_unranked
from bench.report.words.conditions import dataset_words, seeds_words
from bench.store.preflights import Checked
from bench.store.record import Record
from bench.text import escape

_MOST_TOLD = 4  # clauses in the finding; the tables hold the rest
_MOST_REASON = 240  # characters of a reason that the first screen quotes
_NAMES = {"evaluate": "evaluated", "fewshot": "measured few-shot", "finetune": "fine-tuned", "preflight": "checked"}
_STATUSES = {"failed": "failed", "oom": "ran out of memory", "skipped": "skipped", "ok": "have an older result"}


def weights_finding(protocols: Protocols, failures: Sequence[Record]) -> str:
    """What the protocols found: a sentence for each, one for each that gave nothing, one on the data. Markdown."""
    sentences = [_finetune_sentence(protocols)] if protocols.finetuned else []
    if protocols.gains:  # ahead of the rest where the suite did the pretraining itself: that is what it asks
        is_own = any(gain.pretrained.subject.trained_on for gain in protocols.gains)
        sentences.insert(0 if is_own else 1, gain_sentence(protocols))
    if protocols.evaluated:
        sentences.append(_evaluate_sentence(protocols))
    if protocols.fewshot:
        sentences.append(_fewshot_sentence(protocols))
    sentences += nothing_sentences(protocols, failures)
    if protocols.checked:
        sentences.append(_preflight_sentence(protocols.checked))
    return " ".join(sentences)


def nothing_sentences(protocols: Protocols, failures: Sequence[Record]) -> list[str]:
    """For each protocol that was asked for and gave no result: how many cells, and why; Markdown."""
    done = {
        "evaluate": protocols.evaluated,
        "fewshot": protocols.fewshot,
        "finetune": protocols.finetuned or protocols.sweeps,
        "preflight": protocols.checked,
    }
    sentences = []
    for task in PROTOCOL_TASKS:
        lost = [record for record in failures if record.cell.get("task") == task]
        if done[task] or not lost:
            continue
        statuses = Counter(record.status for record in lost)
        how = listed(f"{fixed(statuses[status], 0)} {_STATUSES[status]}" for status in sorted(statuses))
        reasons = Counter(record.reason or "no reason was recorded" for record in lost)
        reason = max(sorted(reasons), key=lambda text: reasons[text])
        short = reason if len(reason) <= _MOST_REASON else f"{reason[: _MOST_REASON - 1]}…"
        others = f" ({counted(len(reasons) - 1, 'other reason')} below)" if len(reasons) > 1 else ""
        noun = "data set" if task == "preflight" else "model"
        sentences.append(
            f"**Nothing was {_NAMES[task]}**, so no {noun} has a result: of {counted(len(lost), 'cell')}, {how}. "
            f"Reason: {escape(short.rstrip('.'))}{others}."
        )
    return sentences


def _sets_words(scores: Iterable[Accuracy]) -> str:
    names = in_order(score.dataset for score in scores)
    return dataset_words(names) if len(names) <= _MOST_TOLD else counted(len(names), "data set")


def _evaluate_sentence(protocols: Protocols) -> str:
    ones = protocols.evaluated
    noun = "released checkpoint" if protocols.evaluates_released_alone else "checkpoint"
    count = counted(len({one.subject for one in ones}), noun)
    words = f"Evaluated on {_sets_words(ones)} ({count}). {_strata_words(protocols, 'evaluated')}"
    checked = [one for one in ones if one.self_check != "no reference"]
    if not checked:
        return f"{words} None has a published figure to be checked against."
    agree = sum(one.self_check == "ok" for one in checked)
    words += (
        f" {fixed(agree, 0)} of {counted(len(checked), 'figure')} with a published one agree with it within tolerance."
    )
    if agree < len(checked):
        words += " **The others differ: see the self-check before trusting any of them.**"
    return words


def _fewshot_sentence(protocols: Protocols) -> str:
    shots, rule = headline_setting(list(protocols.fewshot))
    told = [one for one in protocols.fewshot if (one.shots, one.rule) == (shots, rule)]
    count = counted(len({one.subject for one in protocols.fewshot}), "checkpoint")
    words = f"Linear {shots}-shot{shortage_sets(told)} on frozen features ({rule_words(rule)}; {count} on "
    words += f"{_sets_words(protocols.fewshot)}). {_strata_words(protocols, 'few-shot')}"
    if any(one.overlap for one in protocols.fewshot):
        words += " Rows marked overlap have seen images or classes of the set before."
    return words


def shortage_sets(scores: Sequence[FewShot]) -> str:
    """` (Birds: 2 classes have fewer: 12 at least)`, or nothing where every class has as many images as shots."""
    short = {score.dataset: score.short for score in scores if score.short}
    told = [f"{escape(identify_dataset(name).title)}: {short[name]}" for name in in_order(short)]
    return f" ({'; '.join(told)})" if told else ""


def _finetune_sentence(protocols: Protocols) -> str:
    apart = protocols.table_sets
    words = ""
    if apart:
        models = counted(len({one.subject.key.model for one in apart}), "model")
        words = f"Fine-tuned on {_sets_words(apart)} ({models}, {seeds_words(protocols.finetuned)}). "
        words += _strata_words(protocols, "fine-tuned")
    vtab = _vtab_sentence(protocols)
    return f"{words} {vtab}".strip()


def _vtab_sentence(protocols: Protocols) -> str:
    """Mean rank and interquartile mean of each model over many tasks, else its mean; in the order of rows."""
    vtab = protocols.vtab
    if vtab is None:
        return ""
    order, ranked = row_order(protocols), across_tasks(vtab)
    if ranked:
        what = f"VTAB, mean rank and interquartile mean over {len(vtab.common)} tasks (bootstrap over tasks)"
        told = {s: f"{fixed(one.mean_rank, 1)} and {_with_interval(one.iqm)}" for s, one in ranked.items()}
    else:
        means = {s: vtab.score(s) for s in vtab.subjects}
        what = f"VTAB ({VTAB_TASKS} tasks)"
        if not any(means.values()):
            means = {s: vtab.common_mean(s) for s in vtab.subjects}
            what = f"The mean of {counted(len(vtab.common), 'VTAB task')}, which is no VTAB score"
        told = {s: _with_interval(m.interval, m.mean_pct) for s, m in means.items() if m is not None}
    if not told:
        return f"{counted(len(vtab.tasks), 'VTAB task')} measured, fewer than two of them for every model: no mean."
    named = sorted(told, key=lambda subject: order[subject])
    clauses = [f"{escape(protocols.labels[subject])} {told[subject]}" for subject in named]
    more = " in the table" if len(named) > _MOST_TOLD else ""
    return f"{what}: {'; '.join(first_few(clauses, _MOST_TOLD))}{more}."


def _with_interval(interval: Interval | None, mean: float = 0.0) -> str:
    return f"{percent(mean)} %" if interval is None else f"{percent(interval.estimate)} % {bracketed(interval)}"


def _strata_words(protocols: Protocols, protocol: str) -> str:
    """`Among weights pre-trained on X: A has 90.1 % on S, not separable from B and C; ...`, a sentence for each X."""
    found = protocols.strata[protocol]
    if not found:
        return "None has pre-training data that the catalog knows, so nothing is compared."
    ordered = sorted(found, key=lambda one: one.best.compared < 2)  # what decides something comes first
    by_pretraining: dict[str, list[str]] = defaultdict(list)
    for one in ordered[:_MOST_TOLD]:
        by_pretraining[one.pretraining].append(stratum_words(protocols, one))
    sentences = [f"Among {_pretraining_words(name)}: {'; '.join(clauses)}." for name, clauses in by_pretraining.items()]
    more = [f"{len(found) - _MOST_TOLD} more are in the tables."] if len(found) > _MOST_TOLD else []
    return " ".join([*sentences, *more])


def _pretraining_words(pretraining: str) -> str:
    if pretraining.startswith("none"):
        return "models without pre-training"
    if pretraining == NOT_STATED:
        return "files whose pre-training data are not stated"
    if pretraining.startswith(OWNERS_WORDS):
        return f"files pre-trained, as their owner says, on {escape(pretraining.removeprefix(OWNERS_WORDS))}"
    return f"weights pre-trained on {escape(pretraining)}"


def stratum_words(protocols: Protocols, one: Stratum) -> str:
    """Who is best among checkpoints of one pre-training on a set, and who cannot be told from it; Markdown."""
    several = len(one.datasets) > 1
    where = mean_words(one.datasets).replace("Mean", "the mean", 1) if several else dataset_words(one.datasets)
    unranked = listed(escape(protocols.labels[subject]) for subject in one.best.unranked)
    if not one.best.members:
        return f"none is ranked on {where} ({why_unranked(protocols, one)})"
    best, *others = one.best.members
    label, value = escape(protocols.labels[best]), f"{percent(one.means[best])} %"
    if one.best.compared == 1 and unranked:
        has = "has" if len(one.best.unranked) == 1 else "have"
        return f"only {label} is ranked on {where} ({value}): {unranked} {has} {why_unranked(protocols, one)}"
    words = f"{label}{' alone' if one.best.compared == 1 else ''} has {value} on {where}"
    words += rivals_words([escape(protocols.labels[subject]) for subject in others], one.best.compared)
    return f"{words} (not ranked for {why_unranked(protocols, one)}: {unranked})" if unranked else words


_VERDICTS = {"ahead": "ahead", "behind": "behind", "not decided": "undecided", "unstable": "unstable seeds",
             "one seed": "one seed"}  # fmt: skip


def gain_sentence(protocols: Protocols) -> str:
    """Whether pretraining helps, for each model and set that has both, as far as the intervals allow; Markdown."""
    by_verdict: dict[str, list[PretrainingGain]] = defaultdict(list)
    for gain in protocols.gains:
        by_verdict[gain.difference.verdict].append(gain)
    verdicts = [verdict for verdict in _VERDICTS if verdict in by_verdict]
    clauses = [f"{_VERDICTS[verdict]} for {_gain_list(protocols, by_verdict[verdict])}" for verdict in verdicts]
    return f"Pretrained weights against the same model from scratch: {'; '.join(clauses)}."


def _gain_list(protocols: Protocols, gains: Sequence[PretrainingGain]) -> str:
    told = []
    for gain in gains:
        one, score = gain.difference, gain.pretrained
        points = ""
        if one.interval is not None and one.verdict != "unstable":
            points = f" ({signed(one.delta_pp, 1)} points {bracketed(one.interval)})"
        told.append(f"{escape(protocols.labels[score.subject])} on {dataset_words([score.dataset])}{points}")
    return listed(first_few(told, _MOST_TOLD))


def _preflight_sentence(checked: Sequence[Checked]) -> str:
    images, bad = sum(one.images for one in checked), sum(len(one.bad) for one in checked)
    crossing = dataset_words(one.dataset for one in checked if one.crosses_parts)
    files = counted(bad, "bad file") if bad else "every image decodes"
    words = f"{counted(len(checked), 'data set')} checked, {counted(images, 'image')}: {files}"
    if crossing:
        return f"{words}; **the same pictures stand in several parts of {crossing}**."
    return f"{words}; no picture was found in two parts."


def weights_limits(protocols: Protocols) -> list[str]:
    """What a reader might conclude from these protocols and must not; Markdown."""
    scores: list[Accuracy] = [*protocols.evaluated, *protocols.fewshot, *protocols.finetuned]
    pretraining = {score.subject: pretraining_of(score.subject) for score in scores}

    def named(kind: str) -> str:
        return listed(sorted(escape(protocols.labels[one]) for one, words in pretraining.items() if words == kind))

    unknown, untold = named(UNKNOWN_PRETRAINING), named(NOT_STATED)
    corrected = sum(len(one.means) > 1 for own in protocols.strata.values() for one in own)
    adapted: list[Accuracy] = [*protocols.fewshot, *protocols.finetuned]
    limits = (
        (scores, "Comparisons are of one checkpoint with another, not of families: their compute, resolution and "
         "training recipes differ. Only weights pre-trained on the same data are compared."),
        (unknown, f"Nothing is known of what {unknown} saw before: in the tables, compared with nothing."),
        (untold, f"What {untold} saw before is not stated: such files are compared with one another alone."),
        (corrected > 1, f"{corrected} sets of checkpoints, each corrected for the checkpoints on its own data set, not "
         "for their number."),
        (protocols.evaluated, "One checkpoint each: intervals are over test images. Another training of the same model "
         "gives other weights, and their top-1 may differ by more than these intervals say."),
        (any(one.dataset == "imagenet" for one in protocols.evaluated), "Released ImageNet checkpoints are commonly "
         "tuned on the validation images that they are scored on here, so their top-1 may be too high for new images."),
        (protocols.fewshot, "A fixed λ acts differently on features of different width; the column by leave-one-out is "
         "the fairer comparison. Draws count as independent between models although they hold the same images, so "
         "intervals of differences are rather too wide than too narrow."),
        *_finetune_limits(protocols),
        (any(not one.subject.is_from_scratch for one in adapted), "Nothing here checked whether the pre-training data "
         "hold test images of these sets; the paper removed them, public weights need not have."),
        (protocols.checked, "The preflight finds equal files and near-copies of a picture; mirrored, turned and "
         "cropped copies it does not find. Near-copies are looked for between parts; all images are compared only "
         "where the source is one part."),
    )  # fmt: skip
    cautions: dict[str, list[str]] = defaultdict(list)  # sets with the same one share a line
    for dataset in map(identify_dataset, in_order(score.dataset for score in scores)):
        if dataset.caution:
            cautions[dataset.caution].append(dataset.title)
    told = [f"{escape(listed(titles))}: {escape(caution)}" for caution, titles in cautions.items()]
    return [words for holds, words in limits if holds] + told


def _finetune_limits(protocols: Protocols) -> tuple[tuple[object, str], ...]:
    """Whether each holds, and its words."""
    scores = protocols.finetuned
    edges = listed(sorted({escape(protocols.labels[one.subject]) for one in protocols.sweeps if one.edge}))
    resumed = sum(one.resumed for one in scores)
    return (
        (any(not one.group.has_spread for one in scores), "One seed for some fine-tuned models: their intervals are "
         "over test images alone, not over seeds."),
        (protocols.gains, "From scratch means the fine-tuning recipe on random weights: far fewer steps than a "
         "training from scratch is given elsewhere, so the gain of pretraining is that at this number of steps."),
        (scores and protocols.sweeps, "The compute of the learning-rate sweep is not in any column."),
        (scores and edges, f"The best learning rate is at the edge of what was tried for {edges}: a better one may lie "
         "outside."),
        (resumed, f"Runs were continued from a checkpoint {counted(resumed, 'time')}."),
    )  # fmt: skip
