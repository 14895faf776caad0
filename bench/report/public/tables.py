"""Tables of public checkpoints: the front, shares, robustness, MACs and time, counts beside timm's, estimates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.analyse.public.fronts import Share
from bench.analyse.public.mac_times import HERE, MacTimes
from bench.analyse.public.robustness import FURTHER_TEST_SETS, Robustness
from bench.analyse.public.rows import COSTS, CostAxis, Place, PublicRow, Time, Timing
from bench.analyse.public.study import Estimates
from bench.analyse.stats.intervals import Interval, wilson_interval
from bench.catalog.identity import PublicFamily
from bench.catalog.public_results import IMAGENET_IMAGES, PUBLISHED_DEVICES, SOURCE, TEST_SETS
from bench.catalog.strata import STRATUM_TITLES, Stratum
from bench.number_format import bracketed, digits, ends, fixed, plus_minus, rounded, signed, significant, whole
from bench.report.figures.style import family_style
from bench.report.tables.columns import condition, each, family_column, no_records, number, words
from bench.report.tables.main_table import millions
from bench.report.tables.table import DASH, Cell, ColumnSpec, Notes, Table, make_table, rooted
from bench.units import GIGA

TIMINGS: tuple[Timing, ...] = ("latency", "throughput")
COUNTED = "counted here: bench/catalog/public_counts.csv"


def ids_of(times: Mapping[Place, Time]) -> tuple[str, ...]:
    """The records behind these times."""
    return tuple(sorted({cell_id for time in times.values() for cell_id in time.cell_ids}))


def top1_interval(row: PublicRow) -> Interval:
    """Published top-1 with the 95 % sampling interval of the test images."""
    share = wilson_interval(round(row.top1_pct / 100 * IMAGENET_IMAGES), IMAGENET_IMAGES)
    return Interval(row.top1_pct, share.low, share.high, share.n, share.method)


def time_words(time: Time) -> str:
    """`28.1`, or of an estimate `~27 [19, 38]`."""
    if time.kind == "measured":
        return significant(time.value, 3)
    told = f"~{significant(time.value, 2)}"
    if not math.isfinite(time.high):
        return f"{told} [?]"
    return f"{told} [{significant(time.low, 2)}, {significant(time.high, 2)}]"


def _time_column(timing: Timing, estimates: Estimates) -> ColumnSpec[PublicRow]:
    """A time here. Behind an estimate stand the records of all anchors."""
    anchors = ids_of(estimates.anchors)

    def entry(row: PublicRow, notes: Notes) -> Cell:
        time = row.times.get(timing)
        if time is None:
            return DASH
        more = (("low", time.low), ("high", time.high))
        return Cell(
            time_words(time), time.value, time.cell_ids or anchors, is_estimate=time.kind == "estimated", more=more
        )

    title = {"latency": "Latency, batch 1 [ms] (here)", "throughput": "Throughput [img/s] (here)"}[timing]
    return ColumnSpec(title, entry)


def _top1_cell(row: PublicRow, notes: Notes) -> Cell:
    interval = top1_interval(row)
    return Cell(plus_minus(interval, 1), row.top1_pct, more=ends(interval), source=row.result.source)


TOP1 = ColumnSpec("Top-1 [%] (published)", _top1_cell)


def _stratum_words(row: PublicRow) -> str:
    return ", ".join(word for word in (STRATUM_TITLES[row.training.stratum], row.training.marks) if word)


def front_table(rows: Sequence[PublicRow], estimates: Mapping[Timing, Estimates]) -> Table | None:
    """Checkpoints on the fronts of their strata, with their times here where there are any."""
    columns: list[ColumnSpec[PublicRow]] = [
        words("Checkpoint", lambda row: row.model),
        family_column(lambda row: row.family),
        condition("Size [px]", lambda row: row.result.img_size),
        words("Pre-training", _stratum_words, lambda row: row.training.pretraining),
        TOP1,
        number("MACs [G] (counted)", lambda row: row.macs, digits(3, GIGA), records=no_records, missing="not counted",
               source=lambda row: COUNTED),
        number("Params [M] (counted)", lambda row: row.params, millions, records=no_records, missing="not counted",
               source=lambda row: COUNTED),
        *(_time_column(timing, estimates[timing]) for timing in TIMINGS if estimates[timing].anchors),
    ]  # fmt: skip
    return rooted(make_table("front", rows, columns), SOURCE)


@dataclass(frozen=True)
class _Share:
    stratum: Stratum
    cost: CostAxis
    share: Share
    cell_ids: tuple[str, ...]


def shares_table(
    shares: Mapping[tuple[Stratum, str], Sequence[Share]], estimates: Mapping[Timing, Estimates]
) -> Table | None:
    """Each family's part of the front, by stratum and cost."""
    behind = {timing: ids_of(found.anchors) for timing, found in estimates.items()}
    rows = [
        _Share(stratum, COSTS[cost], share, behind[timing] if (timing := COSTS[cost].time) else ())
        for (stratum, cost), own in shares.items()
        for share in own
    ]
    columns: list[ColumnSpec[_Share]] = [
        words("Pre-training", lambda row: STRATUM_TITLES[row.stratum]),
        words("Cost", lambda row: row.cost.title),
        family_column(lambda row: row.share.family),
        condition("Rows", lambda row: row.share.rows),
        number("On the front", lambda row: row.share.on_front, str),
        number("Of the front's range, log [%]", lambda row: 100 * row.share.span, rounded(0)),
    ]
    return rooted(make_table("front_shares", rows, columns), SOURCE)


@dataclass(frozen=True)
class _Ahead:
    stratum: Stratum
    family: PublicFamily
    by_set: Mapping[str, Robustness]

    @property
    def architectures(self) -> int:
        return max(one.architectures.get(self.family, 0) for one in self.by_set.values())


def robustness_table(found: Mapping[Stratum, Mapping[str, Robustness]]) -> Table | None:
    """How far each family is above the CNNs at equal ImageNet accuracy, by stratum and test set."""
    rows = [
        _Ahead(stratum, family, by_set)
        for stratum, by_set in found.items()
        for family in dict.fromkeys(family for one in by_set.values() for family in one.ahead_pp)
    ]

    def entry(row: _Ahead, test_set: str, notes: Notes) -> Cell:
        found = row.by_set.get(test_set)
        interval = None if found is None else found.ahead_pp.get(row.family)
        if found is None or interval is None:
            return DASH
        text = f"{signed(interval.estimate, 1)} {bracketed(interval)}"
        return Cell(text, interval.estimate, is_bold=interval.low > 0 or interval.high < 0, more=ends(interval))

    columns: list[ColumnSpec[_Ahead]] = [
        words("Pre-training", lambda row: STRATUM_TITLES[row.stratum]),
        family_column(lambda row: row.family),
        condition("Architectures", lambda row: row.architectures),
        *each(FURTHER_TEST_SETS, lambda name: f"{TEST_SETS[name][0]} [points]", entry),
    ]
    return rooted(make_table("robustness", rows, columns), SOURCE)


_TIMED_FAMILIES: tuple[PublicFamily, ...] = ("vit", "hierarchical", "hybrid", "other")


def mac_times_table(found: Sequence[MacTimes], timed: tuple[str, ...]) -> Table | None:
    """How well MACs tell time on each device, and each family's time at equal MACs. timed: records of this machine."""

    def ids(row: MacTimes) -> tuple[str, ...]:
        return timed if row.device == HERE else ()

    def ratio(row: MacTimes, family: PublicFamily, notes: Notes) -> Cell:
        interval = row.at_equal_macs.get(family)
        if interval is None:
            few = row.too_few.get(family, 0)
            return notes.missing(f"too few architectures ({few}) for a line") if few else DASH
        text = f"{fixed(interval.estimate, 2)} {bracketed(interval, 2)}"
        return Cell(
            text, interval.estimate, ids(row), is_bold=not interval.low <= 1 <= interval.high, more=ends(interval)
        )

    def per_mac(row: MacTimes, family: PublicFamily, notes: Notes) -> Cell:
        one = row.per_mac.get(family)
        if one is None:
            return DASH
        text = f"{fixed(one.median, 2)} [{fixed(one.p10, 2)}, {fixed(one.p90, 2)}]"
        return Cell(text, one.median, ids(row), more=(("p10", one.p10), ("p90", one.p90)))

    def name(family: PublicFamily) -> str:
        return family_style(family).name

    columns: list[ColumnSpec[MacTimes]] = [
        words("Device", lambda row: device_title(row.device)),
        condition("Architectures and sizes", lambda row: row.places, whole),
        number("Rank correlation of MACs and time", lambda row: row.rank_correlation, rounded(2), records=ids),
        number("Time per MAC, 90th over 10th percentile", lambda row: row.spread, rounded(1), records=ids),
        *each(_TIMED_FAMILIES, lambda family: f"{name(family)}: time at equal MACs [× CNN]", ratio),
        *each(_TIMED_FAMILIES, lambda family: f"{name(family)}: time per MAC [× median CNN]", per_mac),
    ]
    return rooted(make_table("mac_times", found, columns), SOURCE)


def device_title(device: str) -> str:
    """A published device, or this machine."""
    return "this machine (measured)" if device == HERE else f"{PUBLISHED_DEVICES[device]} (published)"


def unknown_table(rows: Iterable[PublicRow]) -> Table | None:
    """Rows that no rule gives a stratum or a family, by name."""
    unknown = [row for row in rows if row.training.stratum == "unknown" or row.family == "unknown"]
    columns: list[ColumnSpec[PublicRow]] = [
        words("Checkpoint", lambda row: row.model),
        condition("Size [px]", lambda row: row.result.img_size),
        family_column(lambda row: row.family),
        TOP1,
    ]
    return rooted(make_table("unknown", unknown, columns), SOURCE)
