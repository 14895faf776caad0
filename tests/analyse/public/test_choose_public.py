"""Which public checkpoint to take: filters, what is timed next, and what is said to be as good and cheaper."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from analyse.records import record

from bench.analyse.public.choose import (
    CALIBRATION,
    CLEARLY,
    Choice,
    Here,
    Wanted,
    filtered,
    is_distinguishable,
    learned,
    untimed,
    untried,
)
from bench.analyse.public.estimates import fit_times
from bench.analyse.public.rows import COSTS, Place, Time, Timing
from bench.analyse.public.study import public_study
from bench.catalog.public_counts import public_counts
from bench.catalog.public_results import TEST_SETS

ROWS = public_study([]).rows
IMAGES = 50_000


def latency_ms(place: Place, noise: float = 0.0) -> float:
    """A law that estimates can find: a power of multiply-adds and of activations."""
    count = public_counts()[place]
    assert count.macs and count.activations  # noqa: PT018
    return float(6 * (count.macs / 1e9) ** 0.7 * (count.activations / 1e6) ** 0.2 * math.exp(noise))


def here(times: Mapping[Place, float], failed: Mapping[Place, str] | None = None) -> Here:
    measured: dict[Timing, dict[Place, Time]] = {
        "latency": {place: Time("measured", time, time, time) for place, time in times.items()},
        "throughput": {},
    }
    return Here(measured, {"latency": fit_times(times), "throughput": None}, failed or {})


def searched(wanted: Wanted, clock: Callable[[Place], float], tries: int) -> tuple[Choice, list[Place]]:
    """The choice after so many timings by the clock beyond those that calibrate, and what was timed in order."""
    times = {place: clock(place) for place in CALIBRATION}
    asked: list[Place] = []
    while True:
        choice = Choice(wanted, filtered(ROWS, wanted).rows, here(times), COSTS["latency"])
        following = choice.next_to_time()
        if following is None or len(asked) == tries:
            return choice, asked
        assert following[0] not in times
        asked.append(following[0])
        times[following[0]] = clock(following[0])


def test_exact_limits_leave_what_a_plain_loop_leaves() -> None:
    wanted = Wanted({"macs": 5.0, "params": 30.0}, min_top1_pct=80.0, stratum="in1k", families=("vit", "cnn"))
    found = filtered(ROWS, wanted)
    expected = {
        row.label
        for row in ROWS
        if row.macs is not None
        and row.macs <= 5e9
        and row.params is not None
        and row.params <= 30e6
        and row.top1_pct >= 80
        and row.training.stratum == "in1k"
        and row.family in ("vit", "cnn")
    }
    assert {row.label for row in found.rows} == expected
    assert len(expected) > 10
    tops = [row.top1_pct for row in found.rows]
    assert tops == sorted(tops, reverse=True)


def test_each_filter_says_how_many_rows_it_left() -> None:
    found = filtered(ROWS, Wanted({"macs": 0.01}, min_top1_pct=85.0))
    assert found.rows == ()
    assert [left for _, left in found.left] == [len(ROWS), 0, 0]
    assert found.left[1][0] == "at most 0.01 GMACs"


def test_rows_without_an_accuracy_on_the_wanted_test_set_are_left_out() -> None:
    found = filtered(ROWS, Wanted({}, test_set="imagenet_a_top1"))
    assert 0 < len(found.rows) < len(ROWS)
    assert found.rows[0].result.imagenet_a_top1 == max(row.result.imagenet_a_top1 or 0.0 for row in ROWS)


@pytest.mark.parametrize("limit", [30.0, 100.0])
@pytest.mark.parametrize("stratum", [None, "in1k"])
def test_where_estimates_are_good_the_best_that_fits_is_found_in_five_timings(
    limit: float, stratum: str | None
) -> None:
    wanted = Wanted({"latency": limit}, stratum=stratum)  # type: ignore[arg-type]
    choice, asked = searched(wanted, latency_ms, 5)
    fitting = [row for row in filtered(ROWS, wanted).rows if latency_ms(row.place) <= limit]
    assert choice.best is not None
    assert choice.best.top1_pct == fitting[0].top1_pct
    assert len(asked) <= 5


def test_the_best_was_timed_within_the_limit_also_where_estimates_are_rough() -> None:
    for seed in range(3):
        noise = dict(
            zip(public_counts(), np.random.default_rng(seed).normal(0, 0.3, len(public_counts())), strict=True)
        )
        choice, asked = searched(Wanted({"latency": 30.0}), lambda place, n=noise: latency_ms(place, n[place]), 5)  # type: ignore[misc]
        assert choice.best is not None
        assert latency_ms(choice.best.place, noise[choice.best.place]) <= 30.0
        assert choice.best.place in (*asked, *CALIBRATION)


def test_the_alternative_is_clearly_faster_and_within_the_noise_of_the_test_images() -> None:
    choice, _ = searched(Wanted({"latency": 150.0}, stratum="in1k"), latency_ms, 5)
    best, other = choice.best, choice.alternative
    assert best is not None
    assert other is not None
    assert choice.times_cheaper(other, best) == pytest.approx(latency_ms(best.place) / latency_ms(other.place))
    assert choice.times_cheaper(other, best) >= CLEARLY
    spread = math.sqrt(sum(p / 100 * (1 - p / 100) / IMAGES for p in (best.top1_pct, other.top1_pct)))
    assert 0 <= best.top1_pct - other.top1_pct < 1.97 * 100 * spread


def test_a_finalist_that_misses_does_not_end_the_search() -> None:
    slow = filtered(ROWS, Wanted({})).rows

    def clock(place: Place) -> float:  # nothing is as fast as its estimate but what calibrates
        return latency_ms(place) * (1.0 if place in CALIBRATION else 1.2)

    choice, asked = searched(Wanted({"latency": 30.0}), clock, 10)
    assert len(choice.missed) > 0
    assert choice.best is not None
    assert choice.best.place in asked
    assert slow[0].place not in asked


def test_what_cannot_be_timed_is_neither_asked_for_nor_taken() -> None:
    wanted = Wanted({"latency": 30.0})
    times = {place: latency_ms(place) for place in CALIBRATION}
    rows = filtered(ROWS, wanted).rows
    first = Choice(wanted, rows, here(times), COSTS["latency"]).next_to_time()
    assert first is not None
    second = Choice(wanted, rows, here(times, {first[0]: "oom"}), COSTS["latency"]).next_to_time()
    assert second is not None
    assert second != first


def test_nothing_is_asked_for_where_no_model_is_likely_to_fit() -> None:
    choice, asked = searched(Wanted({"latency": 0.01}), latency_ms, 5)
    assert asked == []
    assert choice.best is None


def test_without_timings_nothing_is_called_faster() -> None:
    wanted = Wanted({"latency": 30.0})
    times = {place: latency_ms(place) for place in CALIBRATION}
    choice = Choice(wanted, filtered(ROWS, wanted).rows, here(times), COSTS["latency"], by_estimate=True)
    assert choice.best is not None
    assert choice.best.times["latency"].kind == "estimated"
    assert choice.alternative is None


def test_by_counts_alone_the_alternative_takes_fewer_macs() -> None:
    wanted = Wanted({}, test_set="imagenet_r_top1")
    choice = Choice(wanted, filtered(ROWS, wanted).rows, here({}), COSTS["macs"])
    best, other = choice.best, choice.alternative
    assert best is not None
    assert other is not None
    assert best.macs is not None
    assert other.macs is not None
    equal = [
        row
        for row in choice.equals
        if row.macs is not None and not is_distinguishable(wanted.top1_pct(best), wanted.top1_pct(row), 30_000)
    ]
    assert other.macs == min(row.macs for row in equal if row.macs is not None)
    assert choice.next_to_time() is None


def test_both_limits_on_time_must_hold_and_the_first_miss_settles_it() -> None:
    wanted = Wanted({"latency": 30.0, "throughput": 50.0})
    times = {place: latency_ms(place) for place in CALIBRATION}
    latencies = {place: Time("measured", time, time, time) for place, time in times.items()}
    rates = {place: Time("measured", 1000 / time, 1000 / time, 1000 / time) for place, time in times.items()}
    fitted: Mapping[Timing, object] = {
        "latency": fit_times(times),
        "throughput": fit_times({place: 1000 / time for place, time in times.items()}),
    }
    known = Here({"latency": latencies, "throughput": rates}, fitted, {})  # type: ignore[arg-type]
    choice = Choice(wanted, filtered(ROWS, wanted).rows, known, COSTS["latency"])
    assert {row.place for row in choice.within} == {place for place, time in times.items() if time <= 20.0}
    following = choice.next_to_time()
    assert following is not None
    assert following[1] == "latency"
    slow = {**latencies, following[0]: Time("measured", 31.0, 31.0, 31.0)}
    after = replace(choice, here=replace(known, measured={"latency": slow, "throughput": rates}))
    assert after.next_to_time() != (following[0], "throughput")


def test_two_shares_are_told_apart_from_two_standard_errors_on() -> None:
    spread = 100 * math.sqrt(2 * 0.8 * 0.2 / IMAGES)
    assert not is_distinguishable(80.0, 80.0 - 1.9 * spread, IMAGES)
    assert is_distinguishable(80.0, 80.0 - 2.1 * spread, IMAGES)
    assert TEST_SETS["imagenet_top1"][1] == IMAGES


def test_contenders_are_what_decided_and_not_what_another_limit_had_timed() -> None:
    wanted = Wanted({"latency": 30.0})
    choice, asked = searched(wanted, latency_ms, 5)
    far = next(row for row in filtered(ROWS, wanted).rows if latency_ms(row.place) > 100).place
    times = {place: latency_ms(place) for place in (*CALIBRATION, *asked, far)}
    after = Choice(wanted, filtered(ROWS, wanted).rows, here(times), COSTS["latency"])
    assert {row.place for row in after.contenders} & {*asked, far} == set(asked)
    assert choice.best in choice.contenders


def test_a_timing_that_all_others_contradict_is_not_learned_from() -> None:
    times = {place: latency_ms(place) for place in CALIBRATION}
    clean = learned(times)
    assert clean is not None
    mended = learned({**times, ("levit_256", 224): 100 * latency_ms(("levit_256", 224))})
    assert mended is not None
    assert set(mended.factors) == set(CALIBRATION)
    assert mended.times == clean.times


def test_calibration_is_small_published_and_asked_for_only_where_it_is_not_known() -> None:
    assert set(CALIBRATION) <= set(public_counts())
    assert all((public_counts()[place].macs or 0) < 9e9 for place in CALIBRATION)
    assert {row.family for row in ROWS if row.place in CALIBRATION} == {"vit", "hierarchical", "hybrid", "cnn"}
    known = here({CALIBRATION[0]: 1.0}, {CALIBRATION[1]: "too slow"})
    assert untried(CALIBRATION, known, "latency") == list(CALIBRATION[2:])


def test_what_could_not_be_timed_is_named_with_its_reason() -> None:
    def speed(model: str, metrics: list[str], **more: object) -> object:
        return record({"task": "speed", "model": model, "resolution_px": 224, "metrics": metrics}, **more)  # type: ignore[arg-type]

    records = [
        speed("a.tag", ["latency"], status="failed", reason="it died"),
        speed("b", ["latency", "throughput"], values={"absent": {"throughput": "one image alone was too slow"}}),
        speed("c", ["throughput"], status="oom", reason="no memory"),
    ]
    assert untimed(records, ["latency"]) == {("a", 224): "failed: it died"}  # type: ignore[arg-type]
    both = untimed(records, ["latency", "throughput"])  # type: ignore[arg-type]
    assert both["b", 224] == "one image alone was too slow"
    assert both["c", 224] == "oom: no memory"
