"""Fronts and gaps of public checkpoints against loops over all pairs, and against what can be said by hand."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from statistics import NormalDist
from typing import Literal

import numpy as np
import pytest

from bench.analyse.public.fronts import comparable, family_fronts, front, front_gaps, front_shares, gaps_between
from bench.analyse.public.rows import COSTS, CostAxis, PublicRow, Time, Timing
from bench.catalog.public_counts import public_counts
from bench.catalog.public_results import IMAGENET_IMAGES, public_results
from bench.catalog.strata import STRATA, Stratum

MACS = COSTS["macs"]
VIT, CNN, MIXER = "vit_small_patch16_224.augreg_in1k", "resnet50.a1_in1k", "mixer_b16_224.goog_in21k_ft_in1k"


@cache
def catalog_rows() -> tuple[PublicRow, ...]:
    """All rows, with times that follow MACs up to a factor of the place's own; no time where a draw says so."""
    rng = np.random.default_rng(0)
    own = {result.place: (rng.lognormal(0, 0.5), rng.random()) for result in public_results()}
    rows = []
    for result in public_results():
        count = public_counts().get(result.place)
        factor, chance = own[result.place]
        times: dict[Timing, Time] = {}
        if count is not None and count.macs and chance < 0.95:
            ms = factor * count.macs / 1e8
            kind: Literal["measured", "estimated"] = "measured" if chance < 0.02 else "estimated"
            reach = 1.03 if kind == "measured" else 1.4
            times["latency"] = Time(kind, ms, ms / reach, ms * reach)
            times["throughput"] = Time(kind, 2e3 / ms, 2e3 / ms / reach, 2e3 / ms * reach)
        rows.append(PublicRow(result, count, times))
    return tuple(rows)


def made(model: str, gmacs: float, top1_pct: float, times: dict[Timing, Time] | None = None) -> PublicRow:
    """A row of this family, cost and accuracy."""
    result = next(one for one in public_results() if one.model == model)
    count = replace(public_counts()[result.place], macs=round(gmacs * 1e9))
    return PublicRow(replace(result, imagenet_top1=top1_pct), count, times or {})


def expense(row: PublicRow, cost: CostAxis) -> float:
    value = cost.value(row)
    assert value is not None
    return 1 / value if cost.more_is_better else value


def undominated(rows: Sequence[PublicRow], cost: CostAxis) -> set[str]:
    """By the definition, with two loops."""
    known = [(expense(row, cost), row.top1_pct, row.label) for row in rows if cost.value(row) is not None]
    found = set()
    for own, gain, label in known:
        for other, theirs, _ in known:
            if other <= own and theirs >= gain and (other < own or theirs > gain):
                break
        else:
            found.add(label)
    return found


@pytest.mark.parametrize("cost", COSTS.values(), ids=list(COSTS))
@pytest.mark.parametrize("stratum", STRATA)
def test_fronts_and_gaps_of_the_catalog_are_those_of_loops_over_all_rows(stratum: Stratum, cost: CostAxis) -> None:
    rows = comparable(catalog_rows(), stratum)
    found = front(rows, cost)
    assert {row.label for row in found} == undominated(rows, cost)
    assert [expense(row, cost) for row in found] == sorted(expense(row, cost) for row in found)
    for family, own in family_fronts(rows, cost).items():
        assert {row.label for row in own} == undominated([row for row in rows if row.family == family], cost)
    for gap in front_gaps(rows, cost):
        limit = (1 / gap.at if cost.more_is_better else gap.at) * (1 + 1e-12)
        best = {
            family: max(
                row.top1_pct
                for row in rows
                if row.family == family and cost.value(row) is not None and expense(row, cost) <= limit
            )
            for family in ("vit", "cnn")
        }
        assert (gap.first.top1_pct, gap.second.top1_pct) == (best["vit"], best["cnn"])
        assert gap.gap_pp == best["vit"] - best["cnn"]
        assert gap.low_pp <= gap.gap_pp <= gap.high_pp


def test_a_comparison_takes_one_stratum_and_training_by_labels_alone() -> None:
    alone, all_of_it = (comparable(catalog_rows(), "in1k", by_labels_alone=alone) for alone in (True, False))
    assert {row.training.stratum for row in all_of_it} == {"in1k"}
    assert alone == [row for row in all_of_it if not row.training.marks]
    assert 0 < len(alone) < len(all_of_it)


def test_rows_that_tie_are_on_the_front_together_and_a_dearer_equal_is_not() -> None:
    tied, dearer = [made(VIT, 1, 70), made(CNN, 1, 70)], made(MIXER, 2, 70)
    assert {row.family for row in front([*tied, dearer], MACS)} == {"vit", "cnn"}


def test_rows_without_a_time_are_on_no_front_of_times() -> None:
    timed = made(VIT, 1, 70, {"latency": Time("measured", 5, 5, 5)})
    assert front([timed, made(CNN, 1, 90)], COSTS["latency"]) == [timed]
    assert front_gaps([timed, made(CNN, 1, 90)], COSTS["latency"]) == []
    assert front([made(CNN, 1, 90)], COSTS["latency"]) == []


def test_without_one_of_the_families_or_a_cost_that_both_span_there_is_no_gap() -> None:
    assert front_gaps([made(VIT, 1, 70), made(VIT, 2, 80)], MACS) == []
    assert front_gaps([made(VIT, 1, 70), made(CNN, 2, 80)], MACS) == []


def test_a_gap_is_between_the_best_within_the_cost_and_its_interval_is_that_of_two_proportions() -> None:
    rows = [made(VIT, 1, 70), made(VIT, 4, 80), made(CNN, 1, 74), made(CNN, 4, 60)]
    gaps = front_gaps(rows, MACS, points=3)
    assert [round(gap.at, 6) for gap in gaps] == [1, 2, 4]
    assert [gap.gap_pp for gap in gaps] == [-4, -4, 6]
    assert [gap.ahead for gap in gaps] == [-1, -1, 1]
    half = NormalDist().inv_cdf(0.975) * 100 * math.sqrt((0.7 * 0.3 + 0.74 * 0.26) / IMAGENET_IMAGES)
    assert gaps[0].high_pp - gaps[0].low_pp == pytest.approx(2 * half, rel=0.15)  # 500 draws
    assert gaps[0].low_pp == pytest.approx(-4 - half, abs=0.2 * half)


def test_the_error_of_estimated_times_widens_the_interval_and_an_unknown_error_takes_it_away() -> None:
    def gap_at_ten_ms(reach: float) -> tuple[float, float]:
        def timed(model: str, ms: float, top1_pct: float) -> PublicRow:
            return made(model, 1, top1_pct, {"latency": Time("estimated", ms, ms / reach, ms * reach)})

        rows = [timed(VIT, 1, 60), timed(VIT, 8.5, 80), timed(VIT, 30, 81), timed(CNN, 1, 70), timed(CNN, 30, 71)]
        gap = min(front_gaps(rows, COSTS["latency"]), key=lambda gap: abs(gap.at - 10))
        assert gap.gap_pp == 10
        return gap.low_pp, gap.high_pp

    sure, unsure = gap_at_ten_ms(1.01), gap_at_ten_ms(1.5)
    assert sure[0] > 9
    assert unsure[0] < -9  # the ViT of 80 % is slower than that in a quarter of the draws, and the next has 60 %
    assert gap_at_ten_ms(math.inf) == (-math.inf, math.inf)


def test_the_interval_is_not_shifted_by_the_best_of_many_equals_being_lucky() -> None:
    rows = [made(VIT, 1, 80)] * 200 + [made(CNN, 1, 80)]
    (gap,) = front_gaps(rows, MACS)
    assert gap.gap_pp == 0
    assert gap.low_pp < 0 < gap.high_pp


def test_a_family_s_share_is_where_on_the_front_its_rows_are_the_best() -> None:
    rows = [made(CNN, 1, 60), made(CNN, 3, 65), made(VIT, 10, 70), made(CNN, 100, 80), made(MIXER, 200, 70)]
    shares = {share.family: share for share in front_shares(rows, MACS)}
    assert list(shares) == ["cnn", "vit", "other"]  # a tie of spans goes to more rows on the front
    assert {family: (one.on_front, one.rows) for family, one in shares.items()} == {
        "cnn": (3, 3),
        "vit": (1, 1),
        "other": (0, 1),
    }
    assert [one.span for one in shares.values()] == pytest.approx([0.5, 0.5, 0.0])


@pytest.mark.parametrize("name", ["macs", "throughput"])
def test_shares_of_the_catalog_are_those_of_a_walk_along_the_front(name: str) -> None:
    rows, cost = comparable(catalog_rows(), "in21k"), COSTS[name]
    points = sorted((expense(row, cost), row.family) for row in rows if row.label in undominated(rows, cost))
    lengths: dict[str, float] = {}
    for (start, family), (end, _) in pairwise(points):
        lengths[family] = lengths.get(family, 0) + math.log(end / start)
    for share in front_shares(rows, cost):
        assert share.on_front == sum(family == share.family for _, family in points)
        assert share.span == pytest.approx(lengths.get(share.family, 0) / math.log(points[-1][0] / points[0][0]))
        assert 0 <= share.low <= share.span <= share.high <= 1
    assert front_shares([], cost) == []


def test_a_share_is_unsure_where_the_rows_are_within_the_noise_and_unknown_without_an_error_of_the_times() -> None:
    def share_of_vit(reach: float, lead_pp: float) -> tuple[float, float]:
        def timed(model: str, ms: float, top1_pct: float) -> PublicRow:
            return made(model, 1, top1_pct, {"latency": Time("estimated", ms, ms / reach, ms * reach)})

        rows = [timed(CNN, 1, 70), timed(VIT, 2, 70 + lead_pp), timed(CNN, 4, 80)]
        (share,) = [one for one in front_shares(rows, COSTS["latency"]) if one.family == "vit"]
        assert share.span == pytest.approx(0.5)
        return share.low, share.high

    sure, unsure = share_of_vit(1.0001, 3), share_of_vit(1.0001, 0.2)
    assert sure == pytest.approx((0.5, 0.5), abs=0.001)
    assert unsure[0] < 0.01
    assert share_of_vit(math.inf, 3) == (0, 1)


def test_gaps_at_given_costs_are_those_that_both_span_from_the_cheapest() -> None:
    ours, theirs = [made(VIT, 1, 70), made(VIT, 4, 80)], [made(CNN, 2, 74), made(CNN, 8, 76)]
    gaps = gaps_between(ours, theirs, MACS, at=[8, 1, 4, 2])
    assert [(gap.at, gap.gap_pp) for gap in gaps] == [(pytest.approx(2), -4), (pytest.approx(4), 6)]
    assert gaps_between(ours, theirs, MACS, at=[100]) == []
    wide, narrow = (gaps_between(ours, theirs, MACS, [4], level)[0] for level in (0.99, 0.9))
    assert wide.low_pp < narrow.low_pp < narrow.high_pp < wide.high_pp


def test_all_rows_take_less_than_a_second() -> None:
    rows = catalog_rows()
    start = time.process_time()
    assert front_gaps(rows, COSTS["latency"])
    assert front_shares(rows, COSTS["latency"])
    assert time.process_time() - start < 1
