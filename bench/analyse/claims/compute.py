"""Claims on the pre-training compute that two families need for equal accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from bench.analyse.claims.combine import Seen, conclude, word_of
from bench.analyse.claims.contrasts import (
    Contrast,
    corrected_tally,
    family_title,
    from_scratch,
    judged,
    mean_of,
)
from bench.analyse.claims.interpolate import CostRatio, Point, ratios_at_first, ratios_at_second
from bench.analyse.claims.measurements import Measurements
from bench.analyse.claims.scope import Conditions
from bench.analyse.claims.table_six import INTERPOLATED, MEAN_SETS, SET_TITLES, TABLE_6_TITLES, table_six
from bench.analyse.claims.verdicts import Bearing, Evidence, Verdict
from bench.analyse.claims.words import named
from bench.analyse.study import Study
from bench.catalog.claims import Claim
from bench.shown import counted, listed, significant

_LEAD = "a lead at equal compute does not say how many times less compute"
ROUNDS_TO = 0.5  # "about 2 times" is met by what rounds to 2 or more


def judge_cost_at_equal_accuracy(claim: Claim) -> Verdict:
    """Table 6: how much more the second family costs at equal accuracy, on means of sets or on every set.

    Parameters: first, second (families), at_least (the claimed factor), at_most (beyond which the reason counts the
    spans: a ViT that needs even less is not one that needs more), over (`mean` or `every set`).
    over = mean: the five-set mean and the means that leave one set out decide, single sets are context.
    """
    least = float(claim.parameters["at_least"])
    first, second = str(claim.parameters["first"]), str(claim.parameters["second"])
    every_set = claim.parameters["over"] == "every set"
    evidence: list[Evidence] = []
    for title, sets in _targets():
        is_mean = len(sets) > 1
        ours, theirs = (table_six(family, sets) for family in (first, second))
        for ratios, at in ((ratios_at_second(ours, theirs), second), (ratios_at_first(ours, theirs), first)):
            label = f"{title}, at the accuracies of the {TABLE_6_TITLES[at]}s"
            evidence.append(_ratio_evidence(label, ratios, least, decides=is_mean is not every_set))
    word = word_of([one.bearing for one in evidence], "every")
    return Verdict(word, _ratio_words(evidence, claim), tuple(evidence))


def _targets() -> list[tuple[str, tuple[str, ...]]]:
    """Means first: of all five sets, then leaving one out; then every single set."""
    means: list[tuple[str, tuple[str, ...]]] = [("mean of 5 sets", MEAN_SETS)]
    means += [
        (f"mean without {SET_TITLES[name]}", tuple(other for other in MEAN_SETS if other != name)) for name in MEAN_SETS
    ]
    return [*means, *((title, (name,)) for name, title in SET_TITLES.items())]


def _ratio_evidence(label: str, ratios: Sequence[CostRatio], least: float, *, decides: bool) -> Evidence:
    """The span of the ratios in range; where none is, the strongest bound that a censored one gives."""
    known = [ratio for ratio in ratios if ratio.is_known]
    told: list[Bearing] = ["for" if r.low >= least - ROUNDS_TO else "against" for r in ratios if _tells(r, least)]
    bearing: Bearing = "context"
    if decides and told:
        bearing = told[0] if len(set(told)) == 1 else "undecided"
    low: float | None
    high: float | None
    if known:
        low, high = min(r.low for r in known), max(r.high for r in known)
    else:
        low = max((r.low for r in ratios if r.low > 0), default=None)
        high = min((r.high for r in ratios if math.isfinite(r.high)), default=None)
        low, high = (low, None) if "for" in told else (None, high)
    words = f"{label} ({len(known)} of {len(ratios)} in range)"
    return Evidence(words, None, "times", low, high, bearing, "computed", INTERPOLATED)


def _tells(ratio: CostRatio, least: float) -> bool:
    """Whether the ratio, or the bound that a censored one gives, lies on one side of the claimed factor."""
    return ratio.is_known or ratio.low >= least - ROUNDS_TO or ratio.high < least - ROUNDS_TO


def _ratio_words(evidence: Sequence[Evidence], claim: Claim) -> str:
    """The counts, and the spans that tell against it or are nearest to doing so."""
    deciding = [one for one in evidence if one.bearing != "context"]
    if not deciding:
        return "The two families share no accuracy here, and no bound lies on one side of the claimed factor."
    words = []
    for bearing, verb in (("for", "meet it"), ("against", "miss it"), ("undecided", "lie on both sides")):
        number = sum(one.bearing == bearing for one in deciding)
        if number:
            words.append(f"{number} {verb}")
    order = {"against": 0, "undecided": 1, "for": 2}
    first, *rest = deciding
    weakest = [first, *sorted(rest, key=lambda one: (order[one.bearing], one.low or 0.0))]
    most = float(claim.parameters["at_most"])
    beyond = sum(max(one.low or 0.0, one.high or 0.0) > most for one in deciding)
    above = sum((one.low or 0.0) > most for one in deciding)
    return (
        f"Of {counted(len(deciding), 'span')}, {listed(words)} (what rounds to {claim.parameters['at_least']} meets "
        f"it), and {beyond} reach beyond {significant(most, 1)} times, {above} of them wholly: {named(weakest)}."
    )


def measure_cost_at_equal_accuracy(claim: Claim, measurements: Measurements) -> Verdict:
    """First minus second at equal training compute: behind there, it needs more compute at equal accuracy, not less.

    Ahead there it needs less, but how many times less no lead says, so a lead is undecided; ratios of compute decide.

    over = mean: the mean over each suite's sets that carry findings; else every set.
    """
    first, second = str(claim.parameters["first"]), str(claim.parameters["second"])
    every_set = claim.parameters["over"] == "every set"
    found: list[Contrast] = []
    for study in measurements.studies:
        own = from_scratch(study, study.scores, first, second)
        mean = mean_of(own)
        found += own if every_set else [] if mean is None else [mean]
    seen = judged(claim.scope, found, positive="undecided", negative="against")
    if not every_set:
        least = float(claim.parameters["at_least"])
        seen += [one for study in measurements.studies for one in _public_ratios(study, first, second, least)]
    sets = "" if every_set else " on two sets or more"
    absent = f"No suite read here trains both {family_title(first)}s and {family_title(second)}s at one budget{sets}."
    return conclude(claim, seen, "every", corrected_tally("comparison", "comparisons", _LEAD), absent)


def _public_ratios(study: Study, first: str, second: str, least: float) -> list[Seen]:
    """Computed pre-training compute at equal measured mean accuracy, of released ImageNet-21k checkpoints."""
    points: dict[str, list[Point]] = {first: [], second: []}
    ids: list[str] = []
    known = [point for point in study.protocols.public.points if point.mean is not None and point.exaflops]
    for one in known:
        if one.row.family in points and one.mean is not None and one.exaflops is not None:
            points[one.row.family].append(Point(one.row.title, one.exaflops, one.mean.mean_pct))
            ids += [*one.count_ids, *one.mean.cell_ids]
    seen = []
    for ratios, at in (
        (ratios_at_second(points[first], points[second]), second),
        (ratios_at_first(points[first], points[second]), first),
    ):
        if ratios:
            label = f"mean of {len(study.protocols.public.datasets)} sets, released ImageNet-21k weights"
            label = f"{label}, at the accuracies of the {family_title(at)}s"
            figure = _ratio_evidence(label, ratios, least, decides=True)
            figure = replace(
                figure, source="", origin="measured", suite=study.suite, record_ids=tuple(sorted(set(ids)))
            )
            largest = max(point.exaflops or 0.0 for point in known)
            images = float(max(point.row.images for point in known))
            resolution = max(point.row.resolution_px for point in known)
            where = Conditions(images, largest, resolution, None, "", "public")
            seen.append(Seen(figure, where))
    return seen
