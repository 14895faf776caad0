"""Compute at equal accuracy, crossovers and gains, on made-up studies whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from analyse.synthetic_pretraining import World, times_the_compute

from bench.analyse.pretrained import PretrainStudy, pretrain_study
from bench.analyse.pretraining_contrasts import ComputeRatio, compute_ratios, gains, pretrain_crossings
from bench.analyse.transfers import FINETUNED


def studied(world: World) -> PretrainStudy:
    found = pretrain_study(world.records(), lambda cell_id: None)
    assert found is not None
    return found


def ratio_of(world: World) -> ComputeRatio:
    (ratio,) = compute_ratios(studied(world), FINETUNED)
    return ratio


def test_three_times_the_compute_is_told_as_three_times() -> None:
    ratio = ratio_of(World(times_the_compute(3.0)))
    assert ratio.slower.point.identity.title == "ViT S"
    assert ratio.faster.point.identity.title == "ResNet S"
    assert ratio.estimate == pytest.approx(3.0, rel=0.01)
    assert ratio.is_decided
    noisy = ratio_of(World(times_the_compute(3.0), shared_noise=1.0, own_noise=0.5, random=np.random.default_rng(2)))
    assert noisy.low is not None
    assert noisy.high is not None
    assert noisy.low < 3.0 < noisy.high


def test_the_weaker_one_may_be_the_cnn() -> None:
    ratio = ratio_of(World(times_the_compute(0.25)))
    assert ratio.slower.point.identity.title == "ResNet S"
    assert ratio.estimate == pytest.approx(4.0, rel=0.01)


def test_an_accuracy_that_the_other_had_from_the_start_gives_a_lower_bound() -> None:
    world = World(
        lambda model, budget, images: 20.0 if model.startswith("vit") else 60.0 + np.log(budget), own_noise=0.5
    )
    ratio = ratio_of(world)
    assert ratio.estimate is None
    assert ratio.at_least == pytest.approx(1600 / 50)
    assert ratio.low == pytest.approx(ratio.at_least)
    assert ratio.high is None


def test_curves_that_lie_together_have_a_ratio_near_one_that_is_not_decided() -> None:
    ratio = ratio_of(World(times_the_compute(1.0), own_noise=1.0, random=np.random.default_rng(4)))
    assert not ratio.is_decided
    assert ratio.low is None or ratio.low < 1.2


def test_one_seed_has_an_estimate_and_no_ends() -> None:
    ratio = ratio_of(World(times_the_compute(3.0), seeds=(0,)))
    assert ratio.estimate == pytest.approx(3.0, rel=0.01)
    assert (ratio.low, ratio.high) == (None, None)


def test_crossings_along_compute_and_images() -> None:
    def truth(model: str, budget: float, images: int) -> float:
        slope, start = (14.0, 15.0) if model.startswith("vit") else (6.0, 35.0)
        return start + slope * float(np.log(budget / 50) / np.log(3.2)) + 2 * float(np.log2(images / 65536))

    world = World(truth, fewer_images=(1024, 4096), own_noise=0.3, random=np.random.default_rng(5))
    found = {one.axis: one for one in pretrain_crossings(studied(world), "5-shot")}
    along = found["pretraining compute"].crossing
    assert along.state == "passes"
    assert along.estimate == pytest.approx(50e9 * 3.2**2.5, rel=0.1), "15 + 14 k = 35 + 6 k at k = 2.5"
    assert found["pretraining images"].crossing.low_x == 1024
    behind = pretrain_crossings(studied(World(times_the_compute(3.0))), FINETUNED)
    assert [one.crossing.state for one in behind] == ["behind throughout"]


def test_gains_are_over_the_control_of_the_same_model_and_way() -> None:
    found = gains(studied(World(lambda model, budget, images: 50.0 if model.startswith("vit") else 20.0)), FINETUNED)
    by_model = {(g.transfer.point.key.model, g.dataset): g for g in found}
    assert by_model["vit_32px_s", ""].delta_pp == pytest.approx(20.0)
    assert by_model["vit_32px_s", ""].verdict == "ahead"
    assert by_model["resnet_32px_s", "digits"].delta_pp == pytest.approx(-10.0)
    assert by_model["resnet_32px_s", "digits"].verdict == "behind"
    linear = gains(studied(World(lambda model, budget, images: 50.0)), "5-shot")
    assert {g.control.kind for g in linear} == {"random features"}
    assert {round(g.delta_pp, 6) for g in linear} == {15.0}


def coverage(factor: float, stores: int, **noise: float) -> tuple[float, float]:
    """Share of the stores whose interval holds the ratio, and of those whose interval has both ends."""
    held, bounded = 0, 0
    for store in range(stores):
        ratio = ratio_of(World(times_the_compute(factor), random=np.random.default_rng(1000 + store), **noise))
        slower_is_vit = ratio.slower.point.identity.title == "ViT S"
        truth = factor if slower_is_vit else 1 / factor
        held += (ratio.low is None or ratio.low <= truth) and (ratio.high is None or truth <= ratio.high)
        bounded += ratio.low is not None and ratio.high is not None
    return held / stores, bounded / stores


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factor", "noise"),
    [
        (3.0, {"shared_noise": 1.5, "own_noise": 0.5}),
        (6.0, {"shared_noise": 1.5, "own_noise": 0.5}),
        (3.0, {"own_noise": 1.0}),
        (3.0, {"shared_noise": 4.0}),
    ],
)
def test_the_interval_of_the_ratio_holds_it_in_about_19_of_20_stores(factor: float, noise: dict[str, float]) -> None:
    held, bounded = coverage(factor, 300, **noise)
    print(f"factor {factor}, {noise}: {100 * held:.1f} % of 300 intervals, {100 * bounded:.0f} % with both ends")  # noqa: T201
    assert 0.92 <= held <= 1.0
