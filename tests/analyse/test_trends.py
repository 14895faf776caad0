"""Trends of the gap between two families: slopes, bends and the place where the gap would be gone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy import stats

from bench.analyse.compare.trends import Trend, gap_trends
from bench.analyse.study import study
from tests.analyse.records import trained

VIT, RESNET, MBCONV = "vit_32px_m", "resnet_32px_m", "mbconv_32px_m"
SPREAD = (-0.4, 0.1, 0.3)
IMAGES = 10_000


def trends_of(
    top1: Mapping[str, Mapping[float, float]], spread: Sequence[float] = SPREAD, *, axis: str = "budget",
    validation: Mapping[tuple[str, float], float] | None = None,
) -> list[Trend]:  # fmt: skip
    """Trends of these models: accuracy by place along the axis, every seed off it by its spread."""
    records = [
        trained(model, seed, value + off, validation=(validation or {}).get((model, place)), **{axis: place})
        for model, by_place in top1.items()
        for place, value in by_place.items()
        for seed, off in enumerate(spread)
    ]
    many = [one.model_copy(update={"values": {**one.values, "test_images": IMAGES}}) for one in records]
    made = study("s", many, lambda cell_id: None)
    return gap_trends(made.scores, made.differences)


def against(trends: Sequence[Trend], rival: str | None, axis: str = "compute") -> Trend:
    (found,) = (one for one in trends if (one.against and one.against.model) == rival and one.axis == axis)
    return found


def ladder(*gaps: float, spread: Sequence[float] = SPREAD, budgets: Sequence[float] = (2, 8, 32)) -> Trend:
    """The ViT behind the ResNet by these gaps at rising budgets."""
    cnn = dict.fromkeys(budgets[: len(gaps)], 80.0)
    vit = {budget: 80.0 + gap for budget, gap in zip(budgets, gaps, strict=False)}
    (found,) = (one for one in trends_of({VIT: vit, RESNET: cnn}, spread) if one.axis == "compute")
    return found


def test_the_slope_is_least_squares_per_factor_of_four() -> None:
    budgets, gaps = (1.5, 6.0, 48.0, 100.0), (-9.0, -6.5, -3.0, -2.5)
    trend = ladder(*gaps, budgets=budgets)
    slope, _ = np.polyfit(np.log(budgets) / math.log(4), gaps, 1)
    assert trend.slope is not None
    assert trend.slope.estimate == pytest.approx(slope)


def test_the_slopes_error_is_that_of_a_weighted_sum_of_independent_models() -> None:
    trend = ladder(-8.0, -5.0, -2.0)
    seeds = np.var(SPREAD, ddof=1) / 3  # of each model
    images = sum(p * (1 - p) for p in (0.80, 0.80, 0.72, 0.78)) * 1e4 / IMAGES  # end rungs, weights -1/2, 0 and 1/2
    assert trend.slope is not None
    assert trend.slope.standard_error == pytest.approx(math.sqrt((4 * seeds + images) / 4))


def test_a_gap_that_closes_evenly_is_gone_where_the_line_crosses_zero() -> None:
    trend = ladder(-9.0, -6.0, -3.0, spread=(-0.01, 0.0, 0.01))
    assert trend.outlook == "closes"
    assert trend.gone_at is not None
    assert trend.gone_at.estimate == pytest.approx(128)
    assert trend.gone_at.low < 128 < trend.gone_at.high


def test_fiellers_ends_are_where_the_lines_own_interval_begins_and_ends_to_hold_zero() -> None:
    trend = ladder(-9.0, -5.6, -3.0)
    assert trend.gone_at is not None
    assert trend.slope is not None
    t = stats.t.ppf(0.975, trend.slope.df)
    places = np.linspace(math.log(8, 4), math.log(4096, 4), 20001)
    x = np.log([2, 8, 32]) / math.log(4)
    holds = []
    for place in places:
        weights = 1 / 3 + (place - x.mean()) * (x - x.mean()) / ((x - x.mean()) ** 2).sum()
        line = trend._sum(weights)
        assert line is not None
        holds.append(abs(line.estimate) <= t * line.standard_error)
    inside = 4.0 ** places[holds]
    assert (trend.gone_at.low, trend.gone_at.high) == pytest.approx((inside.min(), inside.max()), rel=1e-3)


def test_the_interval_of_the_place_holds_the_truth_in_about_95_percent_of_studies() -> None:
    drawn = np.random.default_rng(0)
    held = told = 0
    for _ in range(400):
        trend = ladder(*(np.array([-9.0, -6.0, -3.0]) + drawn.normal(0, 0.57, 3)), spread=(-0.01, 0.0, 0.01))
        assert trend.slope is not None
        if trend.gone_at is not None:
            told += 1
            held += trend.gone_at.low <= 128 <= trend.gone_at.high
    assert told > 300
    assert held / told > 0.9


@pytest.mark.parametrize(
    ("gaps", "outlook"),
    [
        ((-9.0, -6.0, -3.0), "closes"),
        ((-3.0, -6.0, -9.0), "grows"),
        ((-7.0, -7.1, -6.9), "not decided"),
        ((-30.0, -6.0, -5.0), "bends"),
        ((-6.0, -3.0, 0.1), "not behind"),
        ((-6.0, -3.0, 8.0), "not behind"),
    ],
)
def test_what_may_be_said_of_where_the_gap_goes(gaps: Sequence[float], outlook: str) -> None:
    trend = ladder(*gaps)
    assert trend.outlook == outlook
    assert (trend.gone_at is not None) == (outlook == "closes")


def test_one_seed_and_unstable_seeds_tell_no_trend() -> None:
    assert ladder(-9.0, -6.0, -3.0, spread=(0.0,)).outlook == "one seed"
    assert ladder(-40.0, -30.0, -20.0, spread=(-15.0, 0.0, 15.0)).outlook == "unstable"


def test_two_rungs_make_a_line_whose_bend_nobody_knows() -> None:
    trend = ladder(-9.0, -5.0)
    assert trend.bend is None
    assert trend.slope is not None
    assert trend.slope.estimate == pytest.approx(4.0)


def test_a_single_rung_is_no_trend() -> None:
    assert trends_of({VIT: {2: 70.0}, RESNET: {2: 80.0}}) == []


def test_the_best_cnn_of_each_rung_is_chosen_by_validation_and_never_by_test() -> None:
    top1 = {VIT: {2: 70.0, 8: 75.0}, RESNET: {2: 80.0, 8: 81.0}, MBCONV: {2: 79.0, 8: 84.0}}
    validation = {(RESNET, 2): 70.0, (RESNET, 8): 90.0, (MBCONV, 2): 71.0, (MBCONV, 8): 80.0}
    trends = trends_of(top1, validation=validation)
    assert [rung.second.key.model for rung in against(trends, None).rungs] == [MBCONV, RESNET]
    assert [rung.gap.delta_pp for rung in against(trends, RESNET).rungs] == pytest.approx([-10.0, -6.0])


def test_along_images_the_compute_is_equal_and_along_compute_all_images_are_used() -> None:
    top1 = {VIT: {100: 50.0, 400: 60.0}, RESNET: {100: 70.0, 400: 72.0}}
    (trend,) = trends_of(top1, axis="images")
    assert (trend.axis, trend.fixed, [rung.place for rung in trend.rungs]) == ("images", 1.0, [100, 400])
    assert trend.slope is not None
    assert trend.slope.estimate == pytest.approx(8.0)
