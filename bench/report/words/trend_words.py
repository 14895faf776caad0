"""Where the gap between two families goes along compute or images, in words; Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analyse.compare.differences import Difference
from bench.analyse.compare.trends import AXES, FARTHEST, STEP, Axis, Outlook, Trend
from bench.analyse.study import Study
from bench.catalog.tuned import tuned_rates
from bench.number_format import Scale, bracketed, counted, fixed, flop_scale, listed, signed, significant
from bench.text import escape
from bench.units import GIGA

_WHY: dict[Outlook, str] = {
    "one seed": "a model has one seed",
    "unstable": "seeds of a model are unstable",
    "not behind": "at the last place nothing is told to be behind",
    "grows": "it grows",
    "not decided": "its change is not told from none",
    "far": f"the interval reaches beyond {fixed(FARTHEST, 0)} times the last place",
}


def scale_of(trend: Trend) -> Scale:
    """The unit of its places."""
    if trend.axis == "images":
        return Scale(1.0, "images")
    found = flop_scale(rung.place * GIGA for rung in trend.rungs)
    return Scale(found.factor / GIGA, found.unit)


def place_words(trend: Trend, places: Sequence[float]) -> str:
    """`1.5, 6 and 24 TFLOP`."""
    scale = scale_of(trend)
    shown = (fixed(p, 0) if trend.axis == "images" else f"{p / scale.factor:.3g}" for p in places)
    return f"{listed(shown)} {scale.unit}"


def fixed_words(trend: Trend) -> str:
    """What is equal along the axis: `54 000 training images`, `1.5 TFLOP`."""
    if trend.axis == "compute":
        return counted(int(trend.fixed), "training image")
    scale = flop_scale([trend.fixed * GIGA])
    return f"{trend.fixed * GIGA / scale.factor:.3g} {scale.unit}"


def rival_words(study: Study, trend: Trend) -> str:
    """The CNN by its label, or that it is the best of each rung; plain."""
    return "best CNN" if trend.against is None else study.labels[trend.against]


def why_nowhere(trend: Trend) -> str:
    """Why no place is told where the gap would be gone."""
    if trend.bend is not None and trend.slope is not None and trend.outlook == "bends":
        slows = trend.bend.estimate * trend.slope.estimate < 0
        return f"its change {'slows' if slows else 'quickens'} from step to step"
    return _WHY[trend.outlook]


def gone_words(trend: Trend) -> str:
    """`260 [120, 800] TFLOP`, or why there is no such place."""
    if trend.gone_at is None:
        return f"cannot be said: {why_nowhere(trend)}"
    scale, at = scale_of(trend), trend.gone_at
    estimate, low, high = (significant(end / scale.factor, 2) for end in (at.estimate, at.low, at.high))
    return f"{estimate} [{low}, {high}] {scale.unit}"


def trend_sentences(study: Study) -> list[str]:
    """Along compute, then along images, of the ViT against the best CNN of its size; of a study of one data set."""
    if len(study.datasets) != 1:
        return []
    leading = [trend for axis in AXES if (trend := _leading(study, axis)) is not None]
    return [*(_sentence(study, trend) for trend in leading), *(_objection(study, trend) for trend in leading[:1])]


def _leading(study: Study, axis: Axis) -> Trend | None:
    """The one of most rungs, then of the largest size, of ViTs against the best CNN, with seeds that tell."""
    found = [
        trend
        for trend in study.trends
        if (trend.axis, trend.against, trend.rungs[0].first.identity.family) == (axis, None, "vit")
        and trend.outlook not in ("one seed", "unstable")
    ]
    return max(found, key=lambda trend: (len(trend.rungs), trend.rungs[0].first.macs), default=None)


def _sentence(study: Study, trend: Trend) -> str:
    gaps, is_behind = [rung.gap for rung in trend.rungs], all(rung.gap.delta_pp < 0 for rung in trend.rungs)
    told = [
        f"{_points(gap, -1 if is_behind else 1)}{' points' if i == 0 else ''} at {place_words(trend, [rung.place])}"
        for i, (gap, rung) in enumerate(zip(gaps, trend.rungs, strict=True))
    ]
    than = "is behind the best CNN of its size by" if is_behind else "minus the best CNN of its size is"
    equal = f" ({fixed_words(trend)})" if trend.axis == "images" else ""
    words = f"{escape(study.labels[trend.first])} {than} {listed(told)}{equal}"
    if trend.slope is None or trend.outlook in ("bends", "not behind"):
        return f"{words}; where the gap would be gone {gone_words(trend)}."
    slope = trend.slope.interval()
    words += (
        f". Each factor of {fixed(STEP, 0)} moves that by {signed(slope.estimate, 1)} {bracketed(slope)} (a line "
        f"through {counted(len(gaps), 'place')})"
    )
    if trend.gone_at is None:
        return f"{words}; where the gap would be gone {gone_words(trend)}."
    return f"{words}; if it went on, the gap would be gone at {gone_words(trend)}."


def _points(gap: Difference, sign: int = 1) -> str:
    """The gap with its interval, turned round for a negative sign."""
    if gap.interval is None:
        return fixed(sign * gap.delta_pp, 1)
    low, high = sorted((sign * gap.interval.low, sign * gap.interval.high))
    return f"{fixed(sign * gap.delta_pp, 1)} [{fixed(low, 1)}, {fixed(high, 1)}]"


def _objection(study: Study, trend: Trend) -> str:
    """What speaks most against it: smaller patches, rates of other budgets, one set. Markdown."""
    points = [*_relatives(study, trend), *_borrowed_rates(trend), f"one data set, {escape(study.datasets[0].title)}"]
    return f"Strongest objections: {'; '.join(points)} (`docs/fairness.md`)."


def _relatives(study: Study, trend: Trend) -> list[str]:
    """Another model of the family and size that is ahead of this one at a place of the ladder."""
    own = {(trend.dataset, trend.fixed, rung.place): rung.first for rung in trend.rungs}
    others = [
        (score, own[place])
        for score in study.scores
        if (place := (score.dataset, score.train_images, score.budget_gflop)) in own
    ]
    return [
        f"{escape(study.labels[other.key])}, of the same family and size, is ahead of "
        f"{escape(study.labels[one.key])} at {place_words(trend, [one.budget_gflop])}"
        for other, one in others
        if (other.identity.family, other.identity.size_class) == (one.identity.family, one.identity.size_class)
        and Difference.of(other.group, one.group).verdict == "ahead"
    ]


def _borrowed_rates(trend: Trend) -> list[str]:
    """Budgets whose learning rate was found at another one."""
    swept = {budget for model, budget in tuned_rates() if model == trend.first.model}
    borrowed = [rung.place for rung in trend.rungs if swept and rung.place not in swept]
    return [f"learning rates at {place_words(trend, borrowed)} were found at another budget"] if borrowed else []
