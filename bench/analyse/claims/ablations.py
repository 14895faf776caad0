"""Claims that rest on a few printed numbers: stated gaps, settings that win most often, variants that do alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

from scipy import stats

from bench.analyse.claims.combine import p_words, sign_test_p, word_of
from bench.analyse.claims.contrasts import bonferroni
from bench.analyse.claims.image_noise import NOTE, Printed, printed_difference
from bench.analyse.claims.quoted import quoted
from bench.analyse.claims.verdicts import Bearing, Evidence, Verdict
from bench.analyse.claims.words import figure_words, named, tally
from bench.analyse.intervals import LEVEL
from bench.catalog.claims import Claim
from bench.catalog.papers import read_table
from bench.shown import counted, fixed, significant

TABLE_7, TABLE_8 = "arXiv 2010.11929v2, Table 7", "arXiv 2010.11929v2, Table 8"
PERCENT = 100.0


def judge_stated_gap(claim: Claim) -> Verdict:
    """Whether differences of printed accuracies lie where the claim puts them, by more than the images' noise.

    Parameters: gaps, each with `first` and `second` (keys of `quoted`) and `low`, `high` (points, both included).
    """
    rows = []
    for gap in _gaps(claim):
        ours, theirs = quoted(str(gap["first"])), quoted(str(gap["second"]))
        source = "; ".join(dict.fromkeys((ours.source, theirs.source)))
        label = f"{ours.title} {fixed(ours.value_pct, 2)} % − {theirs.title} {fixed(theirs.value_pct, 2)} %"
        images = ours.test_images if ours.test_images == theirs.test_images else None
        figure = printed_difference(
            Printed(label, ours.value_pct, theirs.value_pct, images, source), bonferroni(len(_gaps(claim)))
        )
        rows.append(replace(figure, bearing=_lies(figure, float(gap["low"]), float(gap["high"]))))
    return Verdict(word_of([row.bearing for row in rows], "every"), tally(rows, "gap", "gaps", NOTE), tuple(rows))


def _lies(figure: Evidence, low: float, high: float) -> Bearing:
    """For where the whole interval lies within the claimed range, against where it lies wholly outside."""
    if figure.low is None or figure.high is None:
        return "undecided"
    if low <= figure.low and figure.high <= high:
        return "for"
    return "against" if figure.high < low or figure.low > high else "undecided"


def _gaps(claim: Claim) -> Sequence[dict[str, Any]]:
    return list(claim.parameters["gaps"])


def judge_better_on_most(claim: Claim) -> Verdict:
    """Table 7: one setting minus another for each model and set; the claim holds where most differences agree.

    The table prints no spread, so what can be tested is whether the signs agree more often than by chance: an exact
    sign test over all of them. Parameters: ablation, first, second (settings), leave_out (rows that are means).
    """
    wanted = [row for row in read_table("paper_ablations") if row["ablation"] == claim.parameters["ablation"]]
    value = {(row["model"], row["dataset"], row["setting"]): float(row["value"]) for row in wanted}
    first, second = str(claim.parameters["first"]), str(claim.parameters["second"])
    rows = []
    for model, dataset in dict.fromkeys((row["model"], row["dataset"]) for row in wanted):
        delta = round(value[model, dataset, first] - value[model, dataset, second], 6)
        bearing: Bearing = "undecided" if delta == 0 else "for" if delta > 0 else "against"
        if dataset == claim.parameters["leave_out"]:
            bearing = "context"
        label = f"{first} − {second}, {model}, {dataset}"
        rows.append(Evidence(label, delta, "points", None, None, bearing, "published", TABLE_7))
    told = [row for row in rows if row.bearing != "context"]
    ours, theirs = (sum(row.bearing == bearing for row in told) for bearing in ("for", "against"))
    means = [row for row in rows if row.bearing == "context"]
    reason = (
        f"{first} is ahead in {ours} of {counted(len(told), 'printed difference')} and behind in {theirs} (exact sign "
        f"test {p_words(sign_test_p(ours, theirs))}); on the printed averages: {named(means)}."
    )
    return Verdict(word_of([row.bearing for row in rows], "most"), reason, tuple(rows))


def judge_variants_alike(claim: Claim) -> Verdict:
    """Table 8: whether the variants with position embeddings differ by no more than a margin.

    Parameters: ablation, apart (the setting that is not one of them), margin_points.
    """
    variants, _ = _variants(claim)
    margin = float(claim.parameters["margin_points"])
    values = sorted(variants.values())
    spread = values[-1] - values[0]
    bearing: Bearing = "for" if spread <= margin else "against"
    summary = Evidence(
        f"best minus worst of {len(values)} variants", spread, "points", None, None, bearing, "published", TABLE_8
    )
    rows = [summary, *_rows_of(variants)]
    reason = (
        f"The {len(values)} variants lie within {significant(spread, 2)} points of one another, and the claim allows "
        f"{significant(margin, 2)}; no spread over trainings is printed, so their order says nothing."
    )
    return Verdict(word_of([bearing], "every"), reason, tuple(rows))


def judge_variant_apart(claim: Claim) -> Verdict:
    """Table 8: whether one setting lies below what the spread of the others leaves room for.

    The others' own spread bounds the noise from above: it holds noise and any real differences between them. The
    setting is apart if it lies outside the two-sided 95 % prediction interval of one more such value (t).
    Parameters: ablation, apart, margin_points (how far below counts as much worse).
    """
    variants, apart = _variants(claim)
    values = list(variants.values())
    mean, spread = fmean(values), stdev(values)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1)) * spread * math.sqrt(1 + 1 / len(values))
    margin = float(claim.parameters["margin_points"])
    gap = apart - mean
    bearing: Bearing = "undecided"
    if gap + reach < -margin:
        bearing = "for"
    elif gap - reach > -margin:
        bearing = "against"
    setting = str(claim.parameters["apart"])
    summary = Evidence(
        f"{setting} minus the mean of the others", gap, "points", gap - reach, gap + reach, bearing, "computed",
        f"{TABLE_8}; prediction interval from the spread of the others",
    )  # fmt: skip
    nearest = apart - min(values)
    closest = Evidence(
        f"{setting} minus the worst other", nearest, "points", None, None, "context", "published", TABLE_8
    )
    reason = (
        f"{figure_words(summary)}, the interval from the spread of the {len(values)} others (no noise is printed), "
        f"and {figure_words(closest)}; much worse is taken as {significant(margin, 2)} points."
    )
    return Verdict(word_of([bearing], "every"), reason, (summary, closest, *_rows_of(variants)))


def _variants(claim: Claim) -> tuple[dict[str, float], float]:
    """Accuracy in percent of every setting but the one apart, and of that one."""
    found = {
        row["setting"]: float(row["value"]) * (PERCENT if row["unit"] == "fraction" else 1.0)
        for row in read_table("paper_ablations")
        if row["ablation"] == claim.parameters["ablation"]
    }
    return found, found.pop(str(claim.parameters["apart"]))


def _rows_of(variants: dict[str, float]) -> list[Evidence]:
    return [
        Evidence(setting, value, "%", None, None, "context", "published", TABLE_8)
        for setting, value in variants.items()
    ]
