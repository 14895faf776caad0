"""What the page on public checkpoints says in sentences; Markdown. Every sentence compares rows of one stratum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.analyse.public.fronts import Gap, Share
from bench.analyse.public.mac_times import HERE, MacTimes
from bench.analyse.public.published_counts import PublishedCount
from bench.analyse.public.rows import COSTS, CostAxis, PublicRow, Timing
from bench.analyse.public.study import Estimates, PublicStudy
from bench.analyse.stats.intervals import Interval
from bench.catalog.identity import family_rank
from bench.catalog.public_results import IMAGENET_IMAGES, PUBLISHED_DEVICES
from bench.catalog.strata import STRATUM_TITLES, Stratum
from bench.number_format import bracketed, counted, fixed, listed, percent, significant, span, whole
from bench.report.figures.style import family_style
from bench.report.public.figures import Gaps
from bench.report.public.picks import (
    COMPARED,
    LEAST_PCT,
    best_within,
    leading_cost,
    round_limits,
    rows_of,
    stratum_front,
    stratum_title,
)
from bench.report.public.rows_file import ROWS_FILE
from bench.report.public.tables import time_words
from bench.text import code

ONE_TRAINING = "published accuracies, one training each: recipes differ"
_COMPARED_FIRST: tuple[Stratum, ...] = ("in1k", "in21k")  # of ViT and CNN on the first screen; the figures show all
_LIMIT_UNITS = {"macs": "G multiply-adds", "latency": "ms"}
_EQUAL = {"macs": "equal MACs", "latency": "equal latency here"}


def finding_words(shares: Mapping[tuple[Stratum, str], Sequence[Share]]) -> str:
    """Over which part of the range of multiply-adds each family has the most accurate row, by stratum."""
    told = []
    for stratum in COMPARED:
        own = shares.get((stratum, "macs"), ())
        held = [one for one in own if one.span >= 0.005]
        parts = [f"a {family_style(one.family).name} for {fixed(100 * one.span, 0)} %" for one in held]
        absent = [one.family for one in own if one.family in ("vit", "cnn") and not one.on_front]
        nowhere = f" and nowhere a {family_style(absent[0]).name}" if absent else ""
        if parts:
            told.append(f"from {STRATUM_TITLES[stratum]} {listed(parts)} of the range{nowhere}")
    return (
        f"Among public checkpoints trained by labels alone, the most accurate for its multiply-adds is, "
        f"{'; '.join(told)} (in log MACs; {ONE_TRAINING})."
    )


def _nested(head: str, items: Sequence[str]) -> str:
    """A bullet with bullets of its own under it."""
    return "\n".join([head, *(f"  - {item}" for item in items)])


def answer_words(study: PublicStudy) -> str:
    """The most accurate row within two round costs, and the best of the other families."""
    cost = leading_cost(study)
    limits = round_limits(stratum_front(study, "in1k", cost), cost)
    told = []
    for stratum in COMPARED:
        rows = rows_of(study, stratum, by_labels_alone=False)
        told += [
            f"*{stratum_title(stratum)}*, {words}" for limit in limits if (words := _best_words(rows, cost, limit))
        ]
    within = f"{listed(significant(one, 1) for one in limits)} {_LIMIT_UNITS[cost.name]}"
    if cost.time is None:
        return _nested(f"**Most accurate within {within}** an image (nothing was timed here):", told)
    head = f"**Most accurate within {within}** an image at batch 1 on {machine_words(study)}"
    if any(cost.is_estimated(row) for row in study.rows):
        head += (
            ", estimates (~) by the upper end of their 90 % interval (`vitbench choose` times a model before naming it)"
        )
    return _nested(f"{head}:", told)


def machine_words(study: PublicStudy) -> str:
    """Where and how the models were timed."""
    timed = next(record for record in study.records if record.cell.get("task") == "speed")
    conditions, settings = timed.conditions, timed.cell.get("settings") or {}
    device = conditions.get("gpu_model") or conditions.get("cpu_model") or timed.cell.get("device")
    threads = (
        f"{conditions['threads']} threads, " if not conditions.get("gpu_model") and "threads" in conditions else ""
    )
    compiled = "compiled" if settings.get("compile") else "eager"
    return f"this machine ({device}, {threads}{settings.get('precision', 'fp32')}, {compiled})"


def _best_words(rows: Sequence[PublicRow], cost: CostAxis, limit: float) -> str:
    best = best_within(rows, cost, limit)
    if best is None:
        return ""
    others = []
    for family in sorted({row.family for row in rows} - {best.family, "other"}, key=family_rank):
        one = best_within([row for row in rows if row.family == family], cost, limit)
        if one is not None:
            others.append(f"{family_style(family).name} {percent(one.top1_pct)}")
    told = [family_style(best.family).name, best.training.marks]
    if best.result.is_larger_than_trained:
        told.append("above its training size")
    if cost.time is not None:
        time = best.times[cost.time]
        told.append(f"{time.kind} {time_words(time)} {cost.unit}")
    named = f"{code(best.model)} at {best.result.img_size} px ({', '.join(filter(None, told))})"
    beside = f"; best {', '.join(others)}" if others else ""
    return f"within {significant(limit, 1)} {cost.unit} {named}: {percent(best.top1_pct)} %{beside}."


def gap_words(gaps: Gaps) -> str:
    """Where the fronts of ViTs and CNNs part, by stratum and cost."""
    told = [
        f"*{stratum_title(stratum)}*, at {_EQUAL[name]}: {_lead_words(own['vit'], COSTS[name])}."
        for stratum in _COMPARED_FIRST
        for (one, name), own in gaps.items()
        if one == stratum and own.get("vit")
    ]
    estimated = ", errors of estimated latencies included" if "latency" in {name for _, name in gaps} else ""
    return _nested(
        "**ViT (one grid throughout) against CNN**, trained by labels alone: share of the log-cost range where one "
        f"front leads beyond its pointwise 95 % interval{estimated}.",
        told,
    )


def _lead_words(gaps: Sequence[Gap], cost: CostAxis) -> str:
    """Over which part of the range either is ahead, and the gap at a third and two thirds of it."""
    ahead = [gap.ahead for gap in gaps]
    parts = [
        f"{who} {fixed(100 * ahead.count(sign) / len(ahead), 0)} %"
        for who, sign in (("CNNs", -1), ("ViTs", 1), ("neither", 0))
        if ahead.count(sign)
    ]
    quoted = [gaps[len(gaps) // 3], gaps[2 * len(gaps) // 3]]
    return f"{', '.join(parts)} ({'; '.join(_gap_words(gap, cost) for gap in quoted)})"


def _gap_words(gap: Gap, cost: CostAxis) -> str:
    who, sign = ("ViTs", 1) if gap.gap_pp > 0 else ("CNNs", -1)
    ends = sorted((sign * gap.low_pp, sign * gap.high_pp))
    value = f"{fixed(sign * gap.gap_pp, 1)} [{fixed(ends[0], 1)}, {fixed(ends[1], 1)}]"
    return f"{who} +{value} points at {significant(gap.at, 3)} {cost.unit}"


def mac_words(found: Mapping[str, MacTimes], estimates: Mapping[Timing, Estimates]) -> str:
    """How far MACs mislead, and how good the estimates are."""
    here = found.get(HERE)
    told = []
    if here is not None:
        ratio = here.at_equal_macs.get("vit")
        slower = "" if ratio is None else f" At equal MACs a ViT takes {_ratio(ratio)} times as long as a CNN."
        told.append(
            f"Here, by the throughput of {counted(here.places, 'timed model')}: time per MAC spans "
            f"{fixed(here.spread, 1)}-fold (90th over 10th percentile), and the rank correlation of MACs and time is "
            f"{fixed(here.rank_correlation, 2)}.{slower}"
        )
    published = [found[device] for device in PUBLISHED_DEVICES if device in found]
    ratios = [one.at_equal_macs["vit"].estimate for one in published if "vit" in one.at_equal_macs]
    if ratios:
        devices = {PUBLISHED_DEVICES[one.device].partition(",")[0] for one in published}
        told.append(
            f"In timm's published timings of all models on {counted(len(devices), 'device')}: "
            f"{span((one.spread for one in published), 1)}-fold, and "
            f"{span((one.rank_correlation for one in published), 2)}. At equal MACs a ViT takes {span(ratios, 2)} "
            "times as long as a CNN."
        )
    told += [_error_words(name, one) for name, one in estimates.items() if one.estimator is not None]
    return _nested(f"**How far MACs mislead{' and estimates err' if here is not None else ''}.**", told)


def _ratio(interval: Interval) -> str:
    return f"{fixed(interval.estimate, 2)} {bracketed(interval, 2)}"


def _error_words(name: str, one: Estimates) -> str:
    """On the further models; on the anchors where none was timed."""
    assert one.estimator is not None
    factors, held = one.factors, f"; its 90 % interval held {whole(one.held)} of them{_fast_words(name, one)}"
    models = counted(len(factors), "further model")
    if not factors:
        factors, held = sorted(max(factor, 1 / factor) for factor in one.estimator.factors.values()), ""
        models = (
            f"{counted(len(factors), 'anchor')}, each left out in turn (`vitbench run public --check-estimates` times "
            "30 further models)"
        )
    return (
        f"An *estimated* {name} is off by a factor of {fixed(float(np.median(factors)), 2)} in the median and "
        f"{fixed(float(np.quantile(factors, 0.9)), 2)} at the 90th percentile of {models}{held}."
    )


def _fast_words(name: str, one: Estimates) -> str:
    """How the interval does on the fastest quarter, where errors are largest."""
    quarter = len(one.checked) // 4
    by_speed = sorted(one.checked, key=lambda place: one.checked[place].value, reverse=COSTS[name].more_is_better)
    fastest = by_speed[:quarter]
    held = sum(one.holds(place) for place in fastest)
    return f", and {whole(held)} of the {whole(quarter)} fastest" if quarter else ""


def front_words(fronts: Mapping[Stratum, Sequence[PublicRow]], cost: CostAxis, shown: int) -> str:
    """What the first table holds."""
    told = listed(f"{len(own)} from {STRATUM_TITLES[stratum]}" for stratum, own in fronts.items())
    timed = ""
    if cost.time is not None:
        timed = " Times in italics are *estimated*, with the 90 % prediction interval; the others were measured here."
    title = cost.title if cost.name == "macs" else cost.title.lower()
    return (
        f"{shown} of the {sum(map(len, fronts.values()))} rows on their stratum's front of top-1 and {title}, however "
        f"trained, from {fixed(LEAST_PCT, 0)} % up ({told}), spread evenly over the log cost. The teacher of a "
        f"distilled row may have seen more data. Top-1 with the 95 % sampling interval of {whole(IMAGENET_IMAGES)} "
        f"test images; {ONE_TRAINING}.{timed} Every row: [`{ROWS_FILE}`]({ROWS_FILE})."
    )


def counts_words(compared: Sequence[PublishedCount], different: Sequence[PublishedCount]) -> str:
    """How our counts meet timm's, and by which rule."""
    macs, activations = sum(one.macs_are_met for one in compared), sum(one.activations_are_met for one in compared)
    unexplained = [code(f"{one.place[0]} @{one.place[1]}") for one in different if not one.cause]
    rest = f"No cause is known for {listed(unexplained)}." if unexplained else "Every difference has a known cause."
    return (
        f"Of {whole(len(compared))} architectures and sizes, {whole(macs)} meet timm's multiply-adds and "
        f"{whole(activations)} its activations within 0.5 % or half its last digit. timm's figures include norm "
        f"layers, so ours do in this comparison alone; attention counts in full however it is fused. {rest}"
    )


def limit_words(study: PublicStudy) -> tuple[str, ...]:
    """What a reader might conclude from public checkpoints and must not."""
    larger = sum(row.result.is_larger_than_trained for row in study.rows)
    if any(row.times for row in study.rows):
        timed = (
            "Times are of random weights in the settings of the conditions above; another device, batch size or "
            "precision may order models differently. An estimated time is no measurement: time a model before "
            "relying on it."
        )
    else:
        timed = "Nothing was timed here, and multiply-adds are not time."
    return (
        "Accuracies are published ones, each of one training. Epochs, augmentation and teachers differ along with "
        "architectures, and no interval on this page holds that.",
        "A front is the best of many tries, and a family with more rows has had more of them. Intervals of gaps "
        "hold the sampling of test images and the error of times.",
        f"{counted(larger, 'row')} were tested on larger images than those that their weights' configuration names.",
        timed,
    )
