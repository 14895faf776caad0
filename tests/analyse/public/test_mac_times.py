"""Time against multiply-adds: exact where time is a power of them, and each place once."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from analyse.public_rows import architectures

from bench.analyse.public.mac_times import HERE, mac_times
from bench.analyse.public.rows import PublicRow, Time
from bench.catalog.identity import PublicFamily
from bench.catalog.public_counts import public_counts
from bench.catalog.public_results import PUBLISHED_DEVICES

DEVICE = "rtx5090_amp_nchw_img_per_s"
FACTORS: dict[PublicFamily, float] = {"cnn": 1.0, "vit": 1.6, "hybrid": 0.8}


def timed_rows(power: float) -> list[PublicRow]:
    """Nine architectures of three families, 1 to 9 GMACs, whose time is a power of MACs times the family's factor."""
    rows: list[PublicRow] = []
    for family, factor in FACTORS.items():
        for gmacs, result in enumerate((row.result for row in architectures(family, 9)), 1):
            seconds = 1e-3 * factor * gmacs**power
            count = replace(public_counts()[result.place], macs=gmacs * 10**9)
            known = replace(result, **{**dict.fromkeys(PUBLISHED_DEVICES), DEVICE: 1 / seconds})
            rows.append(PublicRow(known, count, {}))
    return rows


def test_times_at_equal_macs_are_the_families_factors() -> None:
    (found,) = mac_times(timed_rows(0.7)).values()
    assert (found.device, found.places, found.slope) == (DEVICE, 27, pytest.approx(0.7))
    ratios = {family: (one.estimate, one.low, one.high, one.n) for family, one in found.at_equal_macs.items()}
    assert ratios["vit"] == pytest.approx((1.6, 1.6, 1.6, 9))
    assert ratios["hybrid"] == pytest.approx((0.8, 0.8, 0.8, 9))


def test_time_per_mac_is_relative_to_the_median_cnn() -> None:
    (found,) = mac_times(timed_rows(0.5)).values()
    per_mac = found.per_mac["vit"]
    assert found.per_mac["cnn"].median == pytest.approx(1)
    assert (per_mac.median, per_mac.places) == (pytest.approx(1.6), 9)
    # of nine places the tenths are 0.8 of a place from either end
    assert per_mac.p10 == pytest.approx(1.6 * math.sqrt(5) * (0.2 / math.sqrt(9) + 0.8 / math.sqrt(8)))
    assert per_mac.p90 == pytest.approx(1.6 * math.sqrt(5) * (0.2 / math.sqrt(1) + 0.8 / math.sqrt(2)))


def test_macs_rank_times_fully_where_times_follow_them_alone() -> None:
    (found,) = mac_times([row for row in timed_rows(0.7) if row.family == "cnn"]).values()
    assert found.rank_correlation == pytest.approx(1)
    assert found.spread > 1


def test_checkpoints_of_one_architecture_and_size_count_once() -> None:
    rows = timed_rows(0.7)
    (once,), (twice,) = mac_times(rows).values(), mac_times([*rows, *rows]).values()
    assert once == twice


def test_here_only_measured_times_count() -> None:
    rows = timed_rows(0.7)
    measured, estimated = (
        [replace(row, times={"throughput": Time(kind, 100.0 - i, 90.0, 110.0)}) for i, row in enumerate(rows)]
        for kind in ("measured", "estimated")
    )
    here = mac_times([*measured[:4], *estimated[4:]])[HERE]
    assert (here.places, here.slope, here.at_equal_macs) == (4, None, {})


def test_a_device_that_timed_no_cnn_is_left_out() -> None:
    assert mac_times([row for row in timed_rows(0.7) if row.family == "vit"]) == {}
    assert mac_times([]) == {}
