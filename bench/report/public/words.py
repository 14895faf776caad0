"""What the page on public checkpoints says in sentences; Markdown. Every sentence compares rows of one stratum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.analyse.public.fronts import Gap, Share, front
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
_NAMED_STRATA: tuple[Stratum, ...] = ("in1k", "in21k")  # on the first screen; the figures and tables show all
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
    return f"The most accurate public checkpoint for its multiply-adds is, {'; '.join(told)} ({ONE_TRAINING})."


def _nested(head: str, items: Sequence[str]) -> str:
    """A bullet with bullets of its own under it."""
    return "\n".join([head, *(f"  - {item}" for item in items)])


def answer_words(study: PublicStudy) -> str:
    """The most accurate row within two round costs, and the best of the other families."""
    cost = leading_cost(study)
    limits = round_limits(stratum_front(study, "in1k", cost), cost)
    where = "an image at batch 1 on this machine" if cost.time else "an image (nothing was timed here)"
    told = []
    for stratum in _NAMED_STRATA:
        rows = rows_of(study, stratum, by_labels_alone=False)
        told += [
            f"*{stratum_title(stratum)}*, {words}" for limit in limits if (words := _best_words(rows, cost, limit))
        ]
    if any(cost.is_estimated(row) for row in study.rows):
        told.append(
            "~: the latency is *estimated*, with its 90 % interval. `vitbench choose` times it before naming one."
        )
    within = f"{listed(significant(one, 1) for one in limits)} {_LIMIT_UNITS[cost.name]}"
    return _nested(f"**Most accurate within {within}** {where}:", told)


def _best_words(rows: Sequence[PublicRow], cost: CostAxis, limit: float) -> str:
    best = best_within(front(rows, cost), cost, limit)
    if best is None:
        return ""
    others = []
    for family in sorted({row.family for row in rows} - {best.family, "other"}, key=family_rank):
        one = best_within(front((row for row in rows if row.family == family), cost), cost, limit)
        if one is not None:
            mark = "~" if cost.is_estimated(one) else ""
            others.append(f"{family_style(family).name} {mark}{percent(one.top1_pct)}")
    told = [family_style(best.family).name, best.training.marks]
    if cost.time is not None:
        time = best.times[cost.time]
        told.append(f"{time.kind} {time_words(time)} {cost.unit}")
    named = f"{code(best.model)} at {best.result.img_size} px ({', '.join(filter(None, told))})"
    beside = f"; best {', '.join(others)}" if others else ""
    return f"within {significant(limit, 1)} {cost.unit} {named}: {percent(best.top1_pct)} %{beside}."


def gap_words(gaps: Gaps) -> str:
    """Where the fronts of plain ViTs and CNNs part, by stratum and cost."""
    told = [
        f"*{stratum_title(stratum)}*, at {_EQUAL[name]}: {_lead_words(own['vit'], COSTS[name])}."
        for stratum in _NAMED_STRATA
        for (one, name), own in gaps.items()
        if one == stratum and own.get("vit")
    ]
    estimated = "; its interval holds the errors of estimated latencies" if "latency" in {n for _, n in gaps} else ""
    return _nested(
        f"**Plain ViT against CNN**, trained by labels alone: over which part of the (log) costs from "
        f"{fixed(LEAST_PCT, 0)} % up one front is ahead beyond its 95 % interval{estimated}.",
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
    return f"{who} +{value} points at {significant(gap.at, 2)} {cost.unit}"


def mac_words(found: Mapping[str, MacTimes], estimates: Mapping[Timing, Estimates]) -> str:
    """How far MACs mislead, and how good the estimates are."""
    here = found.get(HERE)
    told = []
    if here is not None:
        ratio = here.at_equal_macs.get("vit")
        slower = "" if ratio is None else f" At equal MACs a ViT takes {_ratio(ratio)} times as long as a CNN."
        told.append(
            f"Here, over {counted(here.places, 'timed model')}: time per MAC varies {fixed(here.spread, 1)}-fold, and "
            f"the rank correlation of MACs and time is {fixed(here.rank_correlation, 2)}.{slower}"
        )
    devices = [found[device] for device in PUBLISHED_DEVICES if device in found]
    ratios = [one.at_equal_macs["vit"].estimate for one in devices if "vit" in one.at_equal_macs]
    if ratios:
        told.append(
            f"On {counted(len(devices), 'published device')}: {span((one.spread for one in devices), 1)}-fold, and "
            f"{span((one.rank_correlation for one in devices), 2)}. At equal MACs a ViT takes {span(ratios, 2)} times "
            "as long as a CNN."
        )
    told += [_error_words(name, one) for name, one in estimates.items() if one.estimator is not None]
    return _nested(f"**How far MACs mislead{' and estimates err' if here is not None else ''}.**", told)


def _ratio(interval: Interval) -> str:
    return f"{fixed(interval.estimate, 2)} {bracketed(interval, 2)}"


def _error_words(name: str, one: Estimates) -> str:
    """On the further models; on the anchors where none was timed."""
    assert one.estimator is not None
    factors, held = one.factors, f"; its 90 % interval held {whole(one.held)} of them"
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


def front_words(fronts: Mapping[Stratum, Sequence[PublicRow]], cost: CostAxis, shown: int) -> str:
    """What the first table holds."""
    told = listed(f"{len(own)} from {STRATUM_TITLES[stratum]}" for stratum, own in fronts.items())
    timed = ""
    if cost.time is not None:
        timed = " Times in italics are *estimated*, with the 90 % prediction interval; the others were measured here."
    title = cost.title if cost.name == "macs" else cost.title.lower()
    return (
        f"Rows that none of their own stratum beats in top-1 and {title}, however they were trained, from "
        f"{fixed(LEAST_PCT, 0)} % up: {shown} of {sum(map(len, fronts.values()))} ({told}), spread evenly over the log "
        f"cost. Top-1 with the 95 % sampling interval of {whole(IMAGENET_IMAGES)} test images; {ONE_TRAINING}.{timed} "
        f"Every row: [`{ROWS_FILE}`]({ROWS_FILE})."
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
