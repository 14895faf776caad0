"""Which rows and which costs a page names."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from bench.analyse.public.fronts import comparable
from bench.analyse.public.rows import COSTS, PublicRow, Time
from bench.analyse.public.study import public_study
from bench.report.public.picks import best_within, round_limits, stratum_front, thinned

STUDY, MACS = public_study([]), COSTS["macs"]
FRONT = stratum_front(STUDY, "in1k", MACS)


def cost(row: object) -> float:
    value = MACS.value(row)  # type: ignore[arg-type]
    assert value is not None
    return value


def test_a_thinned_front_keeps_its_ends_and_its_order() -> None:
    few = thinned(FRONT, MACS, 5)
    assert len(few) <= 5
    assert (few[0], few[-1]) == (FRONT[0], FRONT[-1])
    assert few == [row for row in FRONT if row in few]
    assert thinned(FRONT, MACS, len(FRONT)) == FRONT


def test_the_best_within_a_cost_is_the_most_accurate_of_all_that_cost_no_more() -> None:
    rows = comparable(STUDY.rows, "in1k", by_labels_alone=False)
    for limit in (0.5, 3.0, 40.0):
        best = best_within(FRONT, MACS, limit)
        assert best is not None
        assert best.top1_pct == max(row.top1_pct for row in rows if cost(row) <= limit)
    assert best_within(FRONT, MACS, cost(FRONT[0]) / 2) is None


def test_an_estimate_is_within_a_limit_only_if_its_whole_interval_is() -> None:
    def timed(row: PublicRow, kind: Literal["measured", "estimated"], ms: float) -> PublicRow:
        return replace(row, times={"latency": Time(kind, ms, ms / 1.3, ms * 1.3)})

    worse, better = FRONT[0], FRONT[-1]
    rows = [timed(worse, "estimated", 20), timed(better, "estimated", 25)]
    assert best_within(rows, COSTS["latency"], 30) == rows[0]
    assert best_within(rows, COSTS["latency"], 33) == rows[1]
    measured = [rows[0], timed(better, "measured", 30)]
    assert best_within(measured, COSTS["latency"], 30) == measured[1]


def test_limits_are_round_and_lie_inside_the_front() -> None:
    limits = round_limits(FRONT, MACS)
    assert len(limits) == 2
    assert all(cost(FRONT[0]) <= limit <= cost(FRONT[-1]) for limit in limits)
    assert all(f"{limit:.0e}"[0] in "13" for limit in limits)
    assert round_limits([], MACS) == []
