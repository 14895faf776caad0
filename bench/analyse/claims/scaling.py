"""Claims on how accuracy goes on with pre-training compute: leads that close, curves that still rise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from bench.analyse.claims.combine import Seen, apart, conclude, word_of
from bench.analyse.claims.contrasts import (
    Contrast,
    bonferroni,
    corrected_tally,
    family_title,
    from_scratch,
    judged,
    scratch_conditions,
    sign_bearing,
)
from bench.analyse.claims.interpolate import gain_at, rising_front
from bench.analyse.claims.measurements import Measurements
from bench.analyse.claims.table_six import INTERPOLATED, MEAN_SETS, TABLE_6, TABLE_6_TITLES, table_six
from bench.analyse.claims.verdicts import Bearing, Evidence, Verdict
from bench.analyse.claims.words import named
from bench.analyse.identity import identify_dataset
from bench.analyse.intervals import contrast_interval
from bench.analyse.scores import Score
from bench.analyse.study import Study
from bench.catalog.claims import Claim
from bench.shown import signed, significant
from bench.units import GIGA, TERA


def judge_lead_closes(claim: Claim) -> Verdict:
    """Table 6: the first family's lead over the second's curve at equal compute, five-set mean, small to large.

    Parameters: first, second (families), closed_within_points (a lead no larger than this counts as closed).
    """
    first, second = str(claim.parameters["first"]), str(claim.parameters["second"])
    closed = float(claim.parameters["closed_within_points"])
    curve = rising_front(table_six(second, MEAN_SETS))
    leads = []
    for point in sorted(table_six(first, MEAN_SETS), key=lambda point: point.cost):
        there = gain_at(curve, point.cost)
        if there is not None:
            leads.append((point, point.gain - there))
    if len(leads) < 2:
        return Verdict("untestable here", "Fewer than two points lie in the range of the other family.")
    rows = []
    for i, (point, lead) in enumerate(leads):
        bearing: Bearing = "context"
        if i == 0:
            bearing = "for" if lead > closed else "against"
        elif i == len(leads) - 1:
            bearing = "for" if lead <= closed and lead < leads[0][1] else "against"
        label = f"{point.name} against the {TABLE_6_TITLES[second]}s at {significant(point.cost, 3)} exaFLOP"
        rows.append(Evidence(label, lead, "points", None, None, bearing, "computed", INTERPOLATED))
    reason = (
        f"On the mean of 5 sets the lead goes from {signed(leads[0][1], 2)} points at "
        f"{significant(leads[0][0].cost, 3)} exaFLOP to {signed(leads[-1][1], 2)} at "
        f"{significant(leads[-1][0].cost, 3)}; the paper prints no spread for these rows."
    )
    return Verdict(word_of([row.bearing for row in rows], "every"), reason, tuple(rows))


def measure_lead_closes(claim: Claim, measurements: Measurements) -> Verdict:
    """From scratch: the first family is ahead at the smallest budget, and less so at the largest, on every set."""
    first, second = str(claim.parameters["first"]), str(claim.parameters["second"])
    pairs: list[tuple[Contrast, Contrast]] = []
    for study in measurements.studies:
        by_set: dict[str, list[Contrast]] = {}
        for contrast in _by_budget(study, first, second):
            by_set.setdefault(contrast.dataset, []).append(contrast)
        pairs += [(rows[0], rows[-1]) for rows in by_set.values() if len(rows) > 1]
    seen = apart(claim.scope, pairs, lambda pair: pair[1].conditions, _closing)
    absent = f"No suite read here trains both {first} and {second} at two budgets or more."
    return conclude(claim, seen, "every", corrected_tally("difference", "differences"), absent)


def _closing(pairs: Sequence[tuple[Contrast, Contrast]]) -> list[Seen]:
    """The lead at the smaller budget and by how much it shrinks to the larger, for each pair of these."""
    level = bonferroni(2 * sum(small.decides for small, _ in pairs))
    seen = []
    for small, large in pairs:
        for parts, words in (
            (small.parts, small.words),
            ((*small.parts, *((-w, g) for w, g in large.parts)), f"by how much this lead shrinks: {large.words}"),
        ):
            interval = contrast_interval(parts, level)
            bearing = sign_bearing(interval) if small.decides else "context"
            value = sum(weight * group.mean_pct for weight, group in parts)
            low, high = (None, None) if interval is None else (interval.low, interval.high)
            ids = tuple(sorted({*small.record_ids, *large.record_ids}))
            figure = Evidence(words, value, "points", low, high, bearing, "measured", "", small.suite, ids)
            seen.append(Seen(figure, large.conditions))
    return seen


def _by_budget(study: Study, first: str, second: str) -> list[Contrast]:
    """Contrasts on every set at its full size, at each budget that both families have, rising."""
    budgets = sorted({score.budget_gflop for score in study.scores})
    full = _at_full_size(study.scores)
    return [
        contrast
        for budget in budgets
        for contrast in from_scratch(study, [s for s in full if s.budget_gflop == budget], first, second)
    ]


def _at_full_size(scores: Sequence[Score]) -> list[Score]:
    largest: dict[str, int] = {}
    for score in scores:
        largest[score.dataset] = max(largest.get(score.dataset, 0), score.train_images)
    return [score for score in scores if score.train_images == largest[score.dataset]]


def judge_keeps_rising(claim: Claim) -> Verdict:
    """Table 6: the gain per doubling of compute along a family's front, five-set mean; the last step decides.

    Parameters: family, rises (whether the claim is that it still rises).
    """
    family, rises = str(claim.parameters["family"]), bool(claim.parameters["rises"])
    front = rising_front(table_six(family, MEAN_SETS))
    tops = sorted(table_six(family, MEAN_SETS), key=lambda point: point.cost)
    rows = []
    for left, right in pairwise(front):
        slope = (right.gain - left.gain) / math.log2(right.cost / left.cost)
        label = f"per doubling, {left.name} to {right.name}"
        rows.append(Evidence(label, slope, "points", None, None, "context", "computed", INTERPOLATED))
    still = front[-1] is tops[-1] or front[-1] == tops[-1]
    last = tops[-1].gain - max(point.gain for point in tops[:-1])
    bearing: Bearing = "for" if (last > 0) is rises else "against"
    label = f"{tops[-1].name} minus the best cheaper {TABLE_6_TITLES[family]}"
    rows.insert(0, Evidence(label, last, "points", None, None, bearing, "published", TABLE_6))
    slopes = f"; {named(rows[-1:])}" if still and len(rows) > 1 else ""
    reason = (
        f"On the mean of 5 sets the costliest {TABLE_6_TITLES[family]} is {signed(last, 2)} points from the best "
        f"cheaper one{slopes}; the paper prints no spread for these rows."
    )
    return Verdict(word_of([bearing], "every"), reason, tuple(rows))


def measure_keeps_rising(claim: Claim, measurements: Measurements) -> Verdict:
    """From scratch: the family's best by validation at its largest budget minus that at the next, on every set."""
    family, rises = str(claim.parameters["family"]), bool(claim.parameters["rises"])
    positive: Bearing = "for" if rises else "against"
    negative: Bearing = "against" if rises else "for"
    contrasts = []
    for study in measurements.studies:
        full = [score for score in _at_full_size(study.scores) if score.identity.family == family]
        for dataset in dict.fromkeys(score.dataset for score in full):
            best: dict[float, Score] = {}
            for score in sorted((s for s in full if s.dataset == dataset), key=lambda s: s.validation_pct or 0.0):
                best[score.budget_gflop] = score
            if len(best) < 2:
                continue
            below, top = (best[budget] for budget in sorted(best)[-2:])
            words = (
                f"best {family_title(family)} on {identify_dataset(dataset).title} with {_tflop(top)} TFLOP minus that "
                f"with {_tflop(below)}"
            )
            parts = ((1.0, top.group), (-1.0, below.group))
            ids = (*below.cell_ids, *top.cell_ids)
            contrasts.append(Contrast(study.suite, dataset, words, parts, scratch_conditions(top), ids))
    seen = judged(claim.scope, contrasts, positive=positive, negative=negative)
    absent = f"No suite read here trains {family_title(family)}s at two budgets or more."
    return conclude(claim, seen, "every", corrected_tally("difference", "differences"), absent)


def _tflop(score: Score) -> str:
    return significant(score.budget_gflop * GIGA / TERA, 3)
