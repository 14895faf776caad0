"""Sentences on evaluated, few-shot and fine-tuned weights, each made from statistics and claiming no more."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from bench.analyse.fewshots import FewshotScore, headline_setting
from bench.analyse.finetuned import PretrainingGain
from bench.analyse.identity import identify_dataset
from bench.analyse.leads import Lead, Scored, Side
from bench.analyse.preflights import Checked
from bench.analyse.protocols import PROTOCOL_TASKS, Protocols
from bench.analyse.task_sets import VTAB_TASKS, in_order
from bench.analyse.weights import NOT_STATED, OWNERS_WORDS
from bench.report.finetune_tables import mean_words, seeds_words
from bench.report.formats import (
    bracketed,
    counted,
    fixed,
    listed,
    percent,
    points,
    signed,
    significant,
)
from bench.report.markdown import escape
from bench.report.style import family_style
from bench.report.weights_tables import rule_words
from bench.store.record import Record

_MOST_LEADS = 4  # told in the finding; the tables hold the rest
_MOST_REASON = 240  # characters of a reason that the first screen quotes
_NAMES = {"evaluate": "evaluated", "fewshot": "measured few-shot", "finetune": "fine-tuned", "preflight": "checked"}
_STATUSES = {"failed": "failed", "oom": "ran out of memory", "skipped": "skipped", "ok": "have an older result"}


def weights_finding(protocols: Protocols, failures: Sequence[Record]) -> str:
    """What the protocols found: a sentence for each, one for each that gave nothing, one on the data. Markdown."""
    sentences = []
    if protocols.finetuned:
        sentences.append(_finetune_sentence(protocols))
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
        "evaluate": bool(protocols.evaluated),
        "fewshot": bool(protocols.fewshot),
        "finetune": bool(protocols.finetuned or protocols.sweeps),
        "preflight": bool(protocols.checked),
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


def _sets_words(scores: Iterable[Scored]) -> str:
    names = in_order({score.dataset for score in scores})
    titles = [escape(identify_dataset(name).title) for name in names]
    return listed(titles) if len(titles) <= _MOST_LEADS else counted(len(titles), "data set")


def _evaluate_sentence(protocols: Protocols) -> str:
    ones = protocols.evaluated
    noun = "released checkpoint" if protocols.evaluates_released_alone else "checkpoint"
    count = counted(len({one.subject for one in ones}), noun)
    words = f"Of {count} evaluated on {_sets_words(ones)}{_leads_words(protocols, protocols.evaluated_leads)}."
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
    leads = protocols.fewshot_leads
    shots, rule = headline_setting(list(protocols.fewshot))
    told = [one for one in protocols.fewshot if (one.shots, one.rule) == (shots, rule)]
    words = f"Linear {shots}-shot{shortage_sets(told)} on frozen features ({rule_words(rule)}): of "
    words += (
        f"{counted(len({one.subject for one in protocols.fewshot}), 'checkpoint')} on {_sets_words(protocols.fewshot)}"
    )
    words += f"{_leads_words(protocols, leads)}."
    if any(one.overlap for one in protocols.fewshot):
        words += " Rows marked overlap have seen images or classes of the set before."
    return words


def shortage_sets(scores: Sequence[FewshotScore]) -> str:
    """` (Birds: 2 classes have fewer: 12 at least)`, or nothing where every class has as many images as shots."""
    short = {score.dataset: score.short for score in scores if score.short}
    told = [f"{escape(identify_dataset(name).title)}: {short[name]}" for name in in_order(short)]
    return f" ({'; '.join(told)})" if told else ""


def _finetune_sentence(protocols: Protocols) -> str:
    apart = protocols.table_sets
    words = ""
    if apart:
        models = counted(len({one.subject.key.model for one in apart}), "model")
        words = f"Of {models} fine-tuned on {_sets_words(apart)} ({seeds_words(protocols)})"
        words += f"{_leads_words(protocols, protocols.finetuned_leads)}."
    vtab = _vtab_sentence(protocols)
    return f"{words} {vtab}".strip()


def _vtab_sentence(protocols: Protocols) -> str:
    vtab = protocols.vtab
    if vtab is None:
        return ""
    scores = [mean for subject in vtab.subjects if (mean := vtab.score(subject)) is not None]
    what = f"VTAB ({VTAB_TASKS} tasks)"
    if not scores:
        scores = [mean for subject in vtab.subjects if (mean := vtab.common_mean(subject)) is not None]
        what = f"the mean of {counted(len(vtab.common), 'VTAB task')}, which is no VTAB score"
    if not scores:
        return f"{counted(len(vtab.tasks), 'VTAB task')} measured, fewer than two of them for every model: no mean."
    best = max(scores, key=lambda mean: (mean.mean_pct, mean.subject))
    interval = f" {bracketed(best.interval)}" if best.interval is not None else ""
    if len(scores) == 1:
        return f"{escape(protocols.labels[best.subject])} alone has {what}: {percent(best.mean_pct)} %{interval}."
    models = counted(len(scores), "model")
    return (
        f"Highest on {what}, of {models}: {escape(protocols.labels[best.subject])} with "
        f"{percent(best.mean_pct)} %{interval}; the order is not tested."
    )


def _leads_words(protocols: Protocols, leads: Sequence[Lead]) -> str:
    """`, among weights pre-trained on X, A leads ...; ...`; says it where nothing can be compared."""
    if not leads:
        return ", none has pre-training data that the catalog knows, so nothing is compared"
    told = [*(one for one in leads if one.second is not None), *(one for one in leads if one.second is None)]
    by_pretraining: dict[str, dict[tuple[object, ...], list[Lead]]] = defaultdict(lambda: defaultdict(list))
    for one in told[:_MOST_LEADS]:
        rival = None if one.second is None else one.second.subject
        by_pretraining[one.pretraining][one.first.subject, rival, one.verdict].append(one)
    groups = []
    for pretraining, pairs in by_pretraining.items():
        clauses = "; ".join(lead_words(protocols, own) for own in pairs.values())
        groups.append(f"{_stratum_words(pretraining)}, {clauses}")
    more = (
        f"; {fixed(len(told) - _MOST_LEADS, 0)} more comparisons are in the tables" if len(told) > _MOST_LEADS else ""
    )
    return ", " + "; ".join(groups) + more


def _stratum_words(pretraining: str) -> str:
    if pretraining.startswith("none"):
        return "among models without pre-training"
    if pretraining == NOT_STATED:
        return "among files whose pre-training data are not stated"
    if pretraining.startswith(OWNERS_WORDS):
        return f"among files pre-trained, as their owner says, on {escape(pretraining.removeprefix(OWNERS_WORDS))}"
    return f"among weights pre-trained on {escape(pretraining)}"


def lead_words(protocols: Protocols, leads: Sequence[Lead]) -> str:
    """Leads of one pair of checkpoints as a clause of Markdown: who, on what, by how much, whether it is decided."""
    one = leads[0]
    first = _side_words(protocols, one.first)
    if one.second is None:
        values = listed(f"{percent(lead.first.mean_pct)} %{_bracket(lead.first)} on {_where(lead)}" for lead in leads)
        if one.candidates == 1:
            return f"{first} alone has {values}"
        return f"{first} has the highest top-1 of {one.candidates} checkpoints of one family, {values}"
    second = _side_words(protocols, one.second)
    if one.verdict != "ahead":
        values = listed(f"{_where(lead)} ({signed(lead.delta_pp, 1)} points{_why(lead)})" for lead in leads)
        return f"the order of {first} and {second} is not decided on {values}"
    values = listed(f"{points(lead.delta_pp)} on {_where(lead)} ({_why(lead).removeprefix(', ')})" for lead in leads)
    return f"{first} is ahead of {second} by {values}"


def _side_words(protocols: Protocols, side: Side) -> str:
    return f"{escape(protocols.labels[side.subject])} ({escape(family_style(side.family).name)})"


def _where(lead: Lead) -> str:
    if len(lead.datasets) > 1:
        return mean_words(lead.datasets).replace("Mean", "the mean", 1)
    return escape(identify_dataset(lead.datasets[0]).title)


def _bracket(side: Side) -> str:
    return f" {bracketed(side.interval)}" if side.interval is not None else ""


def _why(lead: Lead) -> str:
    """The statistic behind a verdict, with the number of pairs that it is corrected for."""
    pairs = f", corrected for {counted(lead.pairs, 'pair')}" if lead.pairs > 1 else ""
    if lead.interval is not None:
        return f", {bracketed(lead.interval)}{pairs}"
    if lead.p_value is not None:
        p = "p &lt; 0.001" if lead.p_value < 0.001 else f"p = {significant(lead.p_value, 2)}"
        return f", exact McNemar test, {p}{pairs}"
    if lead.basis == "intervals apart":
        return f", Wilson intervals apart{pairs}; no per-image predictions"
    if lead.first.runs == 1:
        return ", one run each and no paired predictions to test"
    return ", nothing says how far runs differ"


def gain_sentence(protocols: Protocols) -> str:
    """Whether pretraining helps, for each model and set that has both, as far as the intervals allow; Markdown."""
    gains = protocols.gains
    by_verdict: dict[str, list[PretrainingGain]] = defaultdict(list)
    for gain in gains:
        by_verdict[gain.verdict].append(gain)
    clauses = []
    for verdict, words in (
        ("ahead", "pretrained weights beat the same model from scratch"),
        ("behind", "pretrained weights are behind the same model from scratch"),
        ("not decided", "whether pretrained weights beat the same model from scratch is not decided"),
    ):
        if by_verdict[verdict]:
            clauses.append(f"{words} for {_gain_list(protocols, by_verdict[verdict])}")
    return "; ".join(clauses)[:1].upper() + "; ".join(clauses)[1:] + "."


def _gain_list(protocols: Protocols, gains: Sequence[PretrainingGain]) -> str:
    told = [
        f"{escape(protocols.labels[gain.pretrained.subject])} on "
        f"{escape(identify_dataset(gain.pretrained.dataset).title)} "
        f"({signed(gain.delta_pp, 1)} points{f' {bracketed(gain.interval)}' if gain.interval else ', one seed'})"
        for gain in gains[:_MOST_LEADS]
    ]
    return listed([*told, *([f"{len(gains) - _MOST_LEADS} more"] if len(gains) > _MOST_LEADS else [])])


def _preflight_sentence(checked: Sequence[Checked]) -> str:
    images, bad = sum(one.images for one in checked), sum(len(one.bad) for one in checked)
    crossing = [escape(identify_dataset(one.dataset).title) for one in checked if one.crosses_parts]
    words = (
        f"{counted(len(checked), 'data set')} checked, {counted(images, 'image')}: "
        f"{'every image decodes' if not bad else counted(bad, 'bad file')}"
    )
    if crossing:
        return f"{words}; **the same pictures stand in several parts of {listed(crossing)}**."
    return f"{words}; no picture was found in two parts."
