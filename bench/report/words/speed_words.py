"""The finding of a suite about speed alone, in sentences that go no further than their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analyse.speed.speed_study import Fall, ResolutionPoint, series_of
from bench.analyse.stats.intervals import PROCESSES_FOR_INTERVAL
from bench.analyse.study import Study
from bench.number_format import counted, fixed, listed, span, whole
from bench.report.figures.speed_series import macs_growth, model_order, series_label, short_batches_words
from bench.report.words.conditions import device_words
from bench.text import escape

_MOST_NAMED = 4  # models named one by one; with more, the range of them


def speed_finding(study: Study) -> str:
    """One sentence for each axis that the suite has; Markdown."""
    where = f"On {device_words(study)} in {listed(sorted({key.precision for key in study.speed.keys}))}"
    makers = (_leaders_words, _falls_words, _near_words, _training_words, _largest_words)
    first, *more = [words for make in makers if (words := make(study))] or [""]
    if not first:
        return f"{where}, {counted(len(study.speed.keys), 'model')} gave no figure that can be compared."
    others = [f"{words[:1].upper()}{words[1:]}." for words in more]
    return " ".join([f"{where}, {first}.", *others, "No accuracy was taken."])


def _leaders_words(study: Study) -> str:
    """Which model is fastest at each resolution, or that the intervals do not say."""
    points = [point for point in study.speed.resolutions if point.best is not None]
    if len({(point.key.device, point.key.precision) for point in study.speed.resolutions}) > 1:
        return ""  # no ranking over devices or precisions
    leaders: dict[str, list[str]] = {}
    for pixels in sorted({point.key.resolution_px for point in points}):
        there = [point for point in points if point.key.resolution_px == pixels]
        if len(there) > 1:
            leaders.setdefault(_leader(study, there), []).append(whole(pixels))
    told = [f"{name} at {listed(sizes)} px" for name, sizes in leaders.items() if name != _NOBODY]
    models = counted(len(study.speed.series()), "model")
    parts = [f"the fastest of {models} {short_batches_words(study)} is {listed(told)}"] if told else []
    if _NOBODY in leaders:
        few = any(point.best is not None and point.best.peak.rate.interval is None for point in points)
        why = f"fewer than {PROCESSES_FOR_INTERVAL} processes" if few else "ranges over processes overlap"
        parts.append(f"no model is told to be the fastest at {listed(leaders[_NOBODY])} px ({why})")
    return ", and ".join(parts)


_NOBODY = ""


def _leader(study: Study, points: Sequence[ResolutionPoint]) -> str:
    """The model whose range over processes lies above all others'; _NOBODY where there is none."""
    timed = [point.best for point in points if point.best is not None]
    best, *others = sorted(timed, key=lambda curve: -curve.peak.rate.median)
    if len(timed) < len(points) or not all(best.peak.rate.surely_exceeds(one.peak.rate) for one in others):
        return _NOBODY
    return escape(series_label(study, best.key))


def _falls_words(study: Study) -> str:
    falls = sorted(study.speed.falls(), key=lambda fall: model_order(study, fall.series))
    ends = {(fall.low_px, fall.high_px) for fall in falls}
    if not falls or len(ends) > 1:
        return ""
    low, high = ends.pop()
    pixels = fixed((high / low) ** 2, 0 if high % low == 0 else 1)
    factors = span((fall.factor for fall in falls), 1)
    if len(falls) <= _MOST_NAMED:
        labels = [escape(study.series_labels[fall.series]) + _macs_words(study, fall) for fall in falls]
        factors = listed(f"{fixed(fall.factor, 1)} for {label}" for fall, label in zip(falls, labels, strict=True))
    return (
        f"from {whole(low)} to {whole(high)} px, {pixels} times the pixels, throughput "
        f"{short_batches_words(study)} falls by a factor of {factors}"
    )


def _macs_words(study: Study, fall: Fall) -> str:
    """By which factor the multiply-adds of an image grow meanwhile, where both were counted."""
    grown = macs_growth(study, fall)
    return "" if grown is None else f" (its MACs grow {fixed(grown[0], 1)}-fold)"


def _near_words(study: Study) -> str:
    ordered = sorted(study.speed.curves, key=lambda curve: model_order(study, curve.key))
    if not ordered or len(ordered) > _MOST_NAMED or any(c.processes < PROCESSES_FOR_INTERVAL for c in ordered):
        return ""
    several = len({curve.key.resolution_px for curve in ordered}) > 1
    models: dict[str, list[str]] = {}
    for curve in ordered:
        at = f" at {curve.key.resolution_px} px" if several else ""
        last = " (the largest tried)" if curve.near_from == curve.points[-1].batch_size else ""
        models.setdefault(whole(curve.near_from) + last, []).append(series_label(study, curve.key) + at)
    named = listed(f"batch {batch} for {listed(own)}" for batch, own in models.items())
    tried = listed(whole(batch) for batch in sorted({p.batch_size for c in ordered for p in c.points}))
    return f"of the batch sizes {tried}, throughput is within 5 % of its peak from {named}"


def _training_words(study: Study) -> str:
    steps = [(step, step.times) for step in study.speed.training if step.times is not None]
    if not steps:
        return ""
    if len(steps) > _MOST_NAMED:
        return f"a training step takes {span((times.median for _, times in steps), 1)} times as long as inference"
    named = listed(
        f"{fixed(times.median, 1)} ({escape(series_label(study, step.key))})"
        for step, times in sorted(steps, key=lambda one: model_order(study, one[0].key))
    )
    return f"a training step takes {named} times as long as inference"


def _largest_words(study: Study) -> str:
    found = study.speed.largest
    limits = {one.limit for one in found}
    if len(limits) != 1 or len({series_of(one.key) for one in found}) > _MOST_NAMED:
        return ""
    budget = next(iter(limits))[1]
    within = f"within {whole(budget)} MiB" if budget is not None else "in the device's memory"
    at = max(one.key.resolution_px for one in found)
    named = listed(
        f"{whole(one.largest)}{' or more' if one.stopped_by == 'cap' else ''} for "
        f"{escape(series_label(study, one.key))}"
        for one in sorted(found, key=lambda one: model_order(study, one.key))
        if one.key.resolution_px == at
    )
    return f"the largest batch {within} at {whole(at)} px is {named}"
