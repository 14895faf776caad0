"""How an accuracy and a difference are told: mean with its interval, or every seed where they are unstable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.analyse.accuracies.accuracy import Accuracy, PixelBaseline
from bench.analyse.compare.differences import Difference
from bench.analyse.compare.means import SetMean
from bench.analyse.stats.intervals import NEAR_BEST_PP, UNSTABLE_PP, Interval, SeedGroup
from bench.number_format import bracketed, ends, first_few, fixed, listed, percent, plus_minus, signed
from bench.report.tables.columns import each
from bench.report.tables.table import DASH, C, Cell, ColumnSpec, K, Notes, Table, make_table

UNSTABLE = (
    f"unstable (95 % interval over runs wider than {fixed(UNSTABLE_PP, 0)} points, or one run more than "
    f"{fixed(UNSTABLE_PP / 2, 0)} from their median), so in no ranking: every run is shown, and how many come within "
    f"{fixed(NEAR_BEST_PP, 0)} points of the best of them"
)
ALONE = "one run: the interval is over test images alone"
PIXELS = "logistic regression on pixels"
BELOW_PIXELS = f"below {PIXELS}"


def accuracy_cell(
    group: SeedGroup,
    interval: Interval,
    ids: tuple[str, ...],
    notes: Notes,
    *,
    is_bold: bool = False,
    note: str = "",
) -> Cell:
    """Mean over seeds with its interval; every seed, with the median as the value, where they are unstable.

    note: a footnote, or nothing.
    """
    if group.is_unstable:
        seeds = tuple((f"seed {i}", value) for i, value in enumerate(group.values_pct))
        mark = notes.mark("; ".join(filter(None, [UNSTABLE, note])))
        return Cell(seeds_words(group), group.median_pct, ids, mark=mark, more=seeds)
    mark = notes.mark(note or ("" if group.has_spread else ALONE))
    return replace(interval_cell(interval, ids, 1, mark), is_bold=is_bold)


def score_cell(score: Accuracy | PixelBaseline | None, notes: Notes, missing: str) -> Cell:
    """An accuracy as above, or why there is none."""
    if score is None:
        return notes.missing(missing)
    return accuracy_cell(score.group, score.interval, score.cell_ids, notes)


def interval_cell(interval: Interval, ids: tuple[str, ...], decimals: int, mark: int | None = None) -> Cell:
    """An estimate with its interval."""
    return Cell(plus_minus(interval, decimals), interval.estimate, ids, mark=mark, more=ends(interval))


def mean_cell(mean: SetMean, *, mark: int | None = None, is_bold: bool = False) -> Cell:
    """A mean over data sets, with its interval where it has one."""
    text = percent(mean.mean_pct) if mean.interval is None else plus_minus(mean.interval, 1)
    return Cell(text, mean.mean_pct, mean.cell_ids, is_bold=is_bold, mark=mark, more=ends(mean.interval))


def tried_cell(top1_pct: float | None, ids: tuple[str, ...], *, was_tried: bool, is_best: bool) -> Cell:
    """Validation top-1 of a learning rate that a sweep may have tried; bold: the best one."""
    if top1_pct is None:
        return Cell("failed") if was_tried else DASH
    return Cell(percent(top1_pct), top1_pct, ids, is_bold=is_best)


def edge_words(edge: str) -> str:
    """Whether the best rate of a sweep is the lowest or the highest that was tried."""
    return {"low": "at the lower edge: extend the grid", "high": "at the upper edge: extend the grid"}.get(edge, "")


def seeds_words(group: SeedGroup) -> str:
    """`74.4 / 91.8 / 92.0 (2 of 3)`: every seed, and how many are near the best of them."""
    shown = " / ".join(percent(value) for value in sorted(group.values_pct))
    return f"{shown} ({group.near_best} of {len(group.values_pct)})"


def difference_cell(one: Difference, ids: tuple[str, ...], notes: Notes) -> Cell:
    """The difference with its 95 % interval, bold where that leaves zero out; a word where seeds are unstable."""
    if one.verdict == "unstable":
        why = "seeds of one of the two are unstable: no difference is told"
        return Cell("unstable", None, ids, mark=notes.number(why))
    if one.verdict == "below pixels":
        why = f"one of the two is {BELOW_PIXELS}, so not trained enough to be compared"
        return Cell(
            f"{signed(one.delta_pp, 1)} (below pixels)",
            one.delta_pp,
            ids,
            mark=notes.number(why),
            more=ends(one.interval),
        )
    text = signed(one.delta_pp, 1) if one.interval is None else f"{signed(one.delta_pp, 1)} {bracketed(one.interval)}"
    mark = notes.number("one seed: no interval") if one.interval is None else None
    return Cell(text, one.delta_pp, ids, is_bold=one.is_decided, mark=mark, more=ends(one.interval))


def pairs_table(
    name: str,
    rows: Mapping[K, Mapping[C, tuple[Difference, tuple[str, ...]]]],
    leading: Sequence[ColumnSpec[K]],
    headings: Mapping[C, str],
    missing: str,
) -> Table | None:
    """A row per pair of what is compared, a column per place where the two may have met: differences with records."""

    def cell(pair: K, place: C, notes: Notes) -> Cell:
        met = rows[pair].get(place)
        return notes.missing(missing) if met is None else difference_cell(*met, notes)

    return make_table(name, rows, [*leading, *each(headings, lambda place: headings[place], cell)])


def verdicts_words(differences: Iterable[Difference]) -> str:
    """`ahead in none and behind in 14; undecided: 1; unstable seeds: 3`: the first of each two; no full stop."""
    counts: Counter[str] = Counter(one.verdict for one in differences)
    ahead, behind = (fixed(counts[verdict], 0) if counts[verdict] else "none" for verdict in ("ahead", "behind"))
    rest = (("not decided", "undecided"), ("unstable", "unstable seeds"), ("below pixels", f"one {BELOW_PIXELS}"))
    told = [f"{words}: {fixed(counts[verdict], 0)}" for verdict, words in rest if counts[verdict]]
    return "; ".join([f"ahead in {ahead} and behind in {behind}", *told])


def rivals_words(others: Sequence[str], compared: int, *, most: int = 4) -> str:
    """What follows the best of a ranking: `, not separable from A and B`, `, ahead of all 7 others`, or nothing."""
    if others:
        return f", not separable from {listed(first_few(others, most))}"
    if compared < 2:
        return ""
    return f", ahead of {'the other one' if compared == 2 else f'all {fixed(compared - 1, 0)} others'}"


def unranked_words(groups: Iterable[SeedGroup], run: str = "seed") -> str:
    """Why models are in no ranking: `unstable seeds`, `one seed`, or both. run: what their runs are."""
    kinds = {f"unstable {run}s" if group.has_spread else f"one {run}" for group in groups}
    return " or ".join(sorted(kinds, reverse=True))
