"""Paired comparisons as a table, as sentences that claim no more than was decided, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bench.analyse.accuracies.accuracy import Accuracy
from bench.analyse.compare.paired import Basis, CheckpointPair, PairedComparison, of_draws
from bench.analyse.stats.intervals import Interval
from bench.catalog.identity import identify_dataset
from bench.cli.words import table
from bench.number_format import bracketed, counted, fixed, listed, p_value, signed
from bench.text import printable

_PROTOCOL_WORDS = {
    "trained": "trained from scratch",
    "fine-tuned": "fine-tuned",
    "evaluated": "evaluated",
    "few-shot": "few-shot on frozen features",
}
_BASIS_WORDS: dict[Basis, str] = {
    "seeds": "t interval over seeds and test images",
    "draws": "t interval over draws; no predictions are kept for few-shot, so test images count as drawn anew",
    "one run each": "of these two checkpoints, not of architectures: exact McNemar, Tango's score interval",
    "one run each, not paired": "of these two checkpoints; no per-image predictions are kept, so images are not paired "
    "(Newcombe's hybrid score interval)",
    "": "",
}


def comparison_table(comparisons: Sequence[PairedComparison]) -> str:
    """One line per pair, protocol and data set; interval, p and verdict are of one level."""
    header = ["Data set", "Protocol", "First", "Second", "First [%]", "Second [%]", "Difference [points]",
              "Interval", "Level [%]", "Runs", "Deciding images", "p (Holm)", "First is"]  # fmt: skip
    lines = [
        [_plain(dataset_title(one)), f"{one.first.protocol} ({_plain(one.first.suite)})", _title(one.first),
         _title(one.second), fixed(one.first.group.mean_pct, 1), fixed(one.second.group.mean_pct, 1),
         "n/a" if one.delta_pp is None else signed(one.delta_pp, 1),
         "n/a" if one.interval is None else bracketed(one.interval), _level(one),
         "/".join(str(len(side.group.values_pct)) for side in (one.first, one.second)),
         "/".join(str(pair.deciding) for pair in one.checkpoints) or "n/a",
         _p(one.p_holm), one.verdict or "not like with like"]
        for one in comparisons
    ]  # fmt: skip
    return table(header, lines, right=tuple(range(4, 12)))


def checkpoint_table(comparisons: Iterable[PairedComparison]) -> str:
    """One line per seed that both models of a trained pair have: McNemar, which speaks of these checkpoints alone."""
    header = ["Data set", "First", "Second", "Seed", "Only first right", "Only second right", "Deciding images",
              "Of images", "Difference [points]", "95 % interval", "McNemar p", "p (Holm)"]  # fmt: skip
    lines = [
        [_plain(dataset_title(one)), _title(one.first), _title(one.second), str(pair.run), str(pair.only_first),
         str(pair.only_second), str(pair.deciding), str(pair.images), signed(pair.interval.estimate, 1),
         bracketed(pair.interval), _p(pair.p_value), _p(pair.p_holm)]
        for one in comparisons
        for pair in one.checkpoints
        if one.basis == "seeds" or one.why_open
    ]  # fmt: skip
    return table(header, lines, right=tuple(range(3, 12))) if lines else ""


def sentences(comparisons: Sequence[PairedComparison]) -> list[str]:
    """One sentence for each comparison; what was not decided is called so."""
    return [_sentence(one) for one in comparisons]


def _sentence(one: PairedComparison) -> str:
    first, second = _title(one.first), _title(one.second)
    place = f"on {_plain(dataset_title(one))}"
    if one.verdict is None:
        return f"{first} and {second} are not put in one sentence {place}. What differs: {_plain(listed(one.differs))}."
    what = f"{_regime(one)}{_corrected_words(one)}"
    whose = _whose(one)
    told = f" {_sentence_start(_plain(listed(one.told)))}." if one.told else ""
    if one.interval is None or one.verdict == "not decided":
        amount = one.why_open
        if one.interval is not None:
            amount = f"{signed(one.delta_pp or 0.0, 1)} points {bracketed(one.interval)}"
        open_order = _sentence_start(f"{whose}the order of {first} and {second} is not decided {place}")
        return f"{open_order}: {amount} ({what}).{told}"
    ahead, behind, interval = first, second, one.interval
    if one.verdict == "behind":
        ahead, behind = second, first
        interval = Interval(-interval.estimate, -interval.high, -interval.low, interval.n, interval.method)
    amount = f"{fixed(abs(one.delta_pp or 0.0), 1)} points {bracketed(interval)}"
    return f"{_sentence_start(whose)}{ahead} is ahead of {behind} by {amount} {place} ({what}).{told}"


def _sentence_start(text: str) -> str:
    return text[:1].upper() + text[1:]


def _whose(one: PairedComparison) -> str:
    return "of these two checkpoints, " if one.basis.startswith("one run") else ""


def _regime(one: PairedComparison) -> str:
    first = one.first
    words = [_PROTOCOL_WORDS[first.protocol]]
    if first.protocol == "trained":
        words.append(f"{fixed(first.train_images or 0, 0)} training images")
    for compute, before in (("training compute", ""), ("pretraining", "pretrained with ")):
        if first.told.get(compute) and not one.told:
            words.append(f"{before}{first.told[compute]} each")
    runs = sorted({len(side.group.values_pct) for side in (one.first, one.second)})
    noun = "draw" if of_draws(first) else "seed"
    if first.protocol != "evaluated":
        words.append(f"{counted(runs[0], noun)} each" if len(runs) == 1 else f"{runs[0]} and {runs[1]} {noun}s")
    return _plain(", ".join(words))


def _corrected_words(one: PairedComparison) -> str:
    if one.p_holm is None:
        return ""
    if one.tests == 1:
        return f"; {_p_words(one.p_holm)}"
    return f"; {_p_words(one.p_holm)} after Holm over {one.tests} comparisons here, interval at {_level(one)} %"


def _level(one: PairedComparison) -> str:
    return "n/a" if one.interval is None else f"{100 * one.level:.3g}"


def method_lines(comparisons: Sequence[PairedComparison]) -> list[str]:
    """What the intervals rest on, once for each kind that is shown, and what they are corrected for."""
    kinds = dict.fromkeys(one.basis for one in comparisons if one.basis)
    lines = [f"{basis}: {_BASIS_WORDS[basis]}." for basis in kinds]
    places = {one.place for one in comparisons if one.p_holm is not None}
    if any(one.tests > 1 for one in comparisons):
        lines.append(
            "Holm corrects over the comparisons of these models on one suite, protocol and data set, and each interval "
            "has the level that its verdict was tested at."
        )
    if len(places) > 1:
        lines.append(
            f"Nothing is corrected over the {len(places)} places: by chance one in twenty of them would seem decided."
        )
    if any(one.checkpoints and one.basis == "seeds" for one in comparisons):
        lines.append("McNemar is of the two checkpoints of one seed alone; it never speaks of architectures.")
    sets = dict.fromkeys(one.first.dataset for one in comparisons)
    cautions = {identify_dataset(name).title: identify_dataset(name).caution for name in sets}
    return lines + [_plain(f"{title}: {caution}") for title, caution in cautions.items() if caution]


def as_json(comparisons: Sequence[PairedComparison]) -> list[dict[str, Any]]:
    """Everything unrounded, with the ids of the records."""
    return [
        {
            "suite": one.first.suite,
            "dataset": one.first.dataset,
            "protocol": one.first.protocol,
            "first": _side(one.first),
            "second": _side(one.second),
            "delta_pp": one.delta_pp,
            "interval_pp": _ends(one.interval),
            "interval_level": one.level if one.interval else None,
            "tests_corrected_for": one.tests,
            "method": one.interval.method if one.interval else "",
            "basis": one.basis,
            "p_value": one.p_value,
            "p_holm": one.p_holm,
            "verdict": one.verdict,
            "why_open": one.why_open,
            "differs": list(one.differs),
            "told": list(one.told),
            "checkpoints": [_checkpoint(pair) for pair in one.checkpoints],
        }
        for one in comparisons
    ]


def _side(one: Accuracy) -> dict[str, Any]:
    return {
        "model": one.model,
        "top1_pct": one.group.mean_pct,
        "runs_pct": dict(zip(map(str, one.seeds), one.group.values_pct, strict=True)),
        "test_images": one.group.test_images,
        "stratum": one.stratum,
        "told": one.told,
        "record_ids": list(one.cell_ids),
    }


def _checkpoint(pair: CheckpointPair) -> dict[str, Any]:
    return {
        "run": pair.run,
        "only_first": pair.only_first,
        "only_second": pair.only_second,
        "deciding_images": pair.deciding,
        "test_images": pair.images,
        "delta_pp": pair.interval.estimate,
        "interval_pp": _ends(pair.interval),
        "mcnemar_p": pair.p_value,
        "mcnemar_p_holm": pair.p_holm,
        "record_ids": list(pair.cell_ids),
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def dataset_title(one: PairedComparison) -> str:
    """The set's title."""
    return identify_dataset(one.first.dataset).title


def _title(one: Accuracy) -> str:
    """The model's title, with what its weights are where they are pre-trained ones of this suite, or none."""
    pretraining = one.stratum.get("pre-training data", "")
    after = f" after {pretraining.removesuffix(' (trained here)')}" if pretraining.endswith("(trained here)") else ""
    if one.is_from_scratch and one.protocol != "trained":
        after = " from scratch"
    return _plain(one.identity.title + after)


def _plain(text: str) -> str:
    return " ".join(printable(text).split())


def _p(value: float | None) -> str:
    return "n/a" if value is None else p_value(value)


def _p_words(value: float) -> str:
    text = p_value(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"
