"""Claims along pre-training data: which side leads after little and after much of it, and on how many sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scipy import stats

from bench.analyse.claims.combine import Seen, apart, conclude, word_of
from bench.analyse.claims.contrasts import (
    FAMILY_TITLES,
    Contrast,
    bonferroni,
    corrected_tally,
    family_title,
    from_scratch,
    interval_evidence,
    judged,
    leads_between,
    scratch_conditions,
)
from bench.analyse.claims.figures_only import no_records_decide
from bench.analyse.claims.image_noise import Printed, images_tested, judge_signs
from bench.analyse.claims.measurements import Measurements
from bench.analyse.claims.quoted import Quoted, quoted
from bench.analyse.claims.scope import Conditions
from bench.analyse.claims.table_six import jft_epochs
from bench.analyse.claims.verdicts import Bearing, Evidence, Verdict
from bench.analyse.claims.words import figure_words, tally
from bench.analyse.identity import identify_dataset
from bench.analyse.intervals import contrast_interval
from bench.analyse.scores import RunKey, Score
from bench.analyse.study import Study
from bench.catalog.claims import Claim
from bench.catalog.papers import cnn_published, paper_sota, paper_transfer
from bench.shown import counted, fixed

TABLE_2, TABLE_5 = "arXiv 2010.11929v2, Table 2", "arXiv 2010.11929v2, Table 5"
BIT_PAPER = "arXiv 1912.11370, Tables 1 and 2"
FINE_TUNING_RUNS = 3  # behind each mean and standard deviation of Table 2
_STRATA = {"ImageNet": "none (ImageNet-1k)", "ImageNet-21k": "ImageNet-21k", "JFT-300M": "JFT-300M"}
_Table = Mapping[str, float]  # data set -> percent


def judge_order_by_data(claim: Claim) -> Verdict:
    """Table 5, and BiT's own paper: first minus second after pre-training on one set of images, on one data set.

    Parameters: first, second (`vit`: the best ViT of Table 5; `cnn`: BiT with ResNet152x4; or a model of Table 5),
    pretraining and dataset (that decide; the others are context), ahead (whether the first is claimed to be ahead
    there).
    """
    first, second, dataset = (str(claim.parameters[key]) for key in ("first", "second", "dataset"))
    positive, negative = _bearings(ahead=bool(claim.parameters["ahead"]))
    source = f"{TABLE_5}; {BIT_PAPER}" if "cnn" in (first, second) else TABLE_5
    rows: list[Evidence] = []
    for pretraining in _STRATA:
        epochs = _unequal_epochs(first, second) if pretraining == "JFT-300M" else ""
        ours, theirs = _top1(first, pretraining), _top1(second, pretraining)
        for name in ours:
            if name in theirs:
                label = f"{_side(first)} − {_side(second)}, {name}, after {pretraining}{epochs}"
                printed = Printed(label, ours[name], theirs[name], images_tested(name), source)
                (row,) = judge_signs([printed], positive=positive, negative=negative)
                decides = (pretraining, name) == (claim.parameters["pretraining"], dataset)
                rows.append(row if decides else replace(row, bearing="context"))
    beside = [figure_words(row) for row in rows if row.bearing == "context" and f", {dataset}, " in row.label]
    reason = tally(rows, "difference", "differences", "95 %, by the images' noise")
    if beside:
        reason = f"{reason[:-1]}; beside it {'; '.join(beside)}."
    return Verdict(word_of([row.bearing for row in rows], "every"), reason, tuple(rows))


def _bearings(*, ahead: bool) -> tuple[Bearing, Bearing]:
    """What a first decided ahead, and decided behind, says of a claim that it is ahead (or that it is not)."""
    return ("for", "against") if ahead else ("against", "for")


def _unequal_epochs(first: str, second: str) -> str:
    """How the JFT-300M epochs of two models differ, for a label; empty where they do not or are not known."""
    epochs = [jft_epochs(first), jft_epochs(second)]
    if None in epochs or epochs[0] == epochs[1]:
        return ""
    return f" ({epochs[0]} against {epochs[1]} epochs)"


def _side(name: str) -> str:
    return {"vit": "best ViT", "cnn": "BiT ResNet152x4"}.get(name, name)


def _top1(side: str, pretraining: str) -> _Table:
    """By data set, after this pre-training."""
    if side == "cnn":
        rows = [row for row in cnn_published() if row.family == "BiT" and "1912.11370 Table" in row.source]
        own = [row.top1_pct for row in rows if row.pretraining == _STRATA[pretraining] and row.top1_pct is not None]
        return {"ImageNet": max(own)} if own else {}
    found: dict[str, float] = {}
    for one in paper_transfer():
        if one.pretraining == pretraining and side in ("vit", one.model) and one.top1_pct is not None:
            found[one.dataset] = max(one.top1_pct, found.get(one.dataset, -math.inf))
    return found


def measure_order_by_data(claim: Claim, measurements: Measurements) -> Verdict:
    """Two families from scratch along the training images of every set that has several sizes.

    The first is claimed to be ahead after much data: it must be behind at the smallest number of images and ahead at
    the largest. Claimed to be behind after little: whether it is behind at the smallest.
    """
    first, second = str(claim.parameters["first"]), str(claim.parameters["second"])
    if first not in FAMILY_TITLES or second not in FAMILY_TITLES:
        return no_records_decide(claim, measurements)
    curves = [curve for study in measurements.studies for curve in _curves(study, first, second)]
    pair = f"{family_title(first)}s and {family_title(second)}s"
    absent = f"No suite read here trains {pair} on several numbers of images."
    if not claim.parameters["ahead"]:
        say = corrected_tally("difference", "differences")
        seen = judged(claim.scope, [curve[0] for curve in curves], positive="against", negative="for")
    else:
        say = corrected_tally("largest size", "largest sizes", intervals_each=2)
        overtakings = apart(claim.scope, curves, lambda curve: curve[-1].conditions, _overtakings)
        seen = [*overtakings, *_crossovers(measurements.studies, first, second)]
    return conclude(claim, seen, "every", say, absent)


def _curves(study: Study, first: str, second: str) -> list[list[Contrast]]:
    """First minus second by rising number of training images, for each set with several, at one training compute.

    The largest budget at which both families have two sizes or more counts, and the models that have all of these.
    """
    found = []
    for dataset in dict.fromkeys(score.dataset for score in study.scores):
        on_set = [s for s in study.scores if s.dataset == dataset and s.identity.family in (first, second)]
        for budget in sorted({score.budget_gflop for score in on_set}, reverse=True):
            at_budget = [score for score in on_set if score.budget_gflop == budget]
            sizes = _common_sizes(at_budget, first, second)
            own: dict[RunKey, set[int]] = {}
            for score in at_budget:
                own.setdefault(score.key, set()).add(score.train_images)
            kept = [score for score in at_budget if own[score.key] >= set(sizes)]
            rows = [from_scratch(study, [s for s in kept if s.train_images == size], first, second) for size in sizes]
            if len(sizes) > 1 and all(rows):
                found.append([row[0] for row in rows])
                break
    return found


def _common_sizes(scores: Sequence[Score], first: str, second: str) -> list[int]:
    sides = [{s.train_images for s in scores if s.identity.family == family} for family in (first, second)]
    return sorted(sides[0] & sides[1])


def _crossovers(studies: Sequence[Study], first: str, second: str) -> list[Seen]:
    """Training images at which the first passes the second, on each set and size class, as context."""
    seen = []
    for study in studies:
        for one in study.crossovers:
            if (one.axis, one.first, one.second) != ("training images", first, second) or len(one.datasets) > 1:
                continue
            found, dataset = one.crossing, one.datasets[0]
            low, high = (found.low, found.high) if found.has_interval else (None, None)
            label = (
                f"images at which the {one.first_series or family_title(first)} {one.size_class} passes the "
                f"{one.second_series or family_title(second)}, "
                f"{identify_dataset(dataset).title} ({found.state} from {fixed(found.low_x, 0)} to "
                f"{fixed(found.high_x, 0)})"
            )
            figure = Evidence(
                label, found.estimate, "images", low, high, "context", "measured", "", study.suite, found.cell_ids
            )
            where = next((s for s in study.scores if set(s.cell_ids) & set(found.cell_ids)), None)
            seen.append(Seen(figure, Conditions() if where is None else scratch_conditions(where)))
    return seen


def _overtakings(curves: Sequence[Sequence[Contrast]]) -> list[Seen]:
    """The first minus the second at the largest size of each curve, which decides, and at the smallest as context.

    For: behind at the smallest and ahead at the largest, all differences together at 95 %. Against: behind at the
    largest. Gaining on the second while still behind it is no overtaking.
    """
    level = bonferroni(2 * sum(curve[0].decides for curve in curves))
    seen = []
    for curve in curves:
        small, large = curve[0], curve[-1]
        before, there = contrast_interval(small.parts, level), contrast_interval(large.parts, level)
        bearing: Bearing = "undecided"
        if there is not None and there.high < 0:
            bearing = "against"
        elif there is not None and before is not None and before.high < 0 < there.low:
            bearing = "for"
        if not (small.decides and large.decides):
            bearing = "context"
        seen.append(Seen(interval_evidence(large, there, bearing), large.conditions))
        seen.append(Seen(interval_evidence(small, before, "context"), large.conditions))
    return seen


def judge_ahead_on_every_set(claim: Claim) -> Verdict:
    """Table 2: first minus second on every data set, with the printed spread of three fine-tuning runs.

    Welch's t from the printed means and standard deviations, at 95 % for all sets together (Bonferroni). Where one
    is printed without a spread, nothing is decided. Parameters: first, second, pretraining.
    """
    names = [str(claim.parameters[key]) for key in ("pretraining", "first", "second")]
    pretraining, first, second = names
    datasets = list(dict.fromkeys(row.dataset for row in paper_sota()))
    pairs = [
        (name, quoted(f"table2:{pretraining}:{first}:{name}"), quoted(f"table2:{pretraining}:{second}:{name}"))
        for name in datasets
    ]
    rows = []
    for dataset, ours, theirs in pairs:
        delta = ours.value_pct - theirs.value_pct
        half = _welch_half_width(ours, theirs, bonferroni(len(pairs)))
        low, high = (None, None) if half is None else (delta - half, delta + half)
        bearing: Bearing = "undecided"
        if low is not None and high is not None and not low <= 0 <= high:
            bearing = "for" if low > 0 else "against"
        label = f"{first} − {second}, {dataset}"
        rows.append(Evidence(label, round(delta, 6), "points", low, high, bearing, "published", TABLE_2))
    days = {row.system: row.tpuv3_core_days for row in paper_sota() if row.pretraining == pretraining}
    times = days[second] / days[first]
    cost: Bearing = "for" if times > 1 else "against"
    rows.append(Evidence(f"core-days of {second} over those of {first}", times, "times", None, None, cost, "published",
                         TABLE_2))  # fmt: skip
    not_above = [row for row in rows[:-1] if (row.value or 0.0) <= 0]
    printed = (
        f"as printed it is not ahead on {counted(len(not_above), 'set')} ({'; '.join(map(figure_words, not_above))})"
        if not_above
        else "as printed it is ahead on all"
    )
    decided = sum(row.bearing == "for" for row in rows[:-1])
    reason = (
        f"{first} is ahead of {second} beyond the printed spread of {FINE_TUNING_RUNS} runs on {decided} of "
        f"{counted(len(pairs), 'set')} (Welch, 95 % for all together) and {printed}; it took {figure_words(rows[-1])}."
    )
    return Verdict(word_of([row.bearing for row in rows], "every"), reason, tuple(rows))


def _welch_half_width(ours: Quoted, theirs: Quoted, level: float) -> float | None:
    """Half of Welch's interval from two printed standard deviations; None where one is missing or both are zero."""
    if ours.std_pp is None or theirs.std_pp is None:
        return None
    squares = [std**2 / FINE_TUNING_RUNS for std in (ours.std_pp, theirs.std_pp)]
    total = sum(squares)
    if total == 0:
        return None
    df = total**2 / sum(square**2 / (FINE_TUNING_RUNS - 1) for square in squares)
    return float(stats.t.ppf((1 + level) / 2, df)) * math.sqrt(total)


def measure_ahead_on_every_set(claim: Claim, measurements: Measurements) -> Verdict:
    """The best ViT against the best CNN of one stratum of pre-training data, on every fine-tuned or evaluated set."""
    seen = leads_between(claim.scope, measurements.studies, "vit", "cnn")
    note = "corrected for the sets, and on each for the checkpoints that could have led"
    absent = "No suite read here adapts or evaluates weights of ViTs and CNNs of one pre-training."
    return conclude(claim, seen, "every", lambda rows: tally(rows, "comparison", "comparisons", note), absent)
