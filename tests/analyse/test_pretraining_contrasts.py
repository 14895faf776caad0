"""Differences at each budget that was run, and gains over controls, on made-up studies whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from analyse.synthetic_pretraining import SETS, World
from scipy import stats

from bench.analyse.accuracies.pretrained import FINETUNED, PretrainStudy, pretrain_study
from bench.analyse.compare.pretraining_contrasts import Meeting, at_largest, curves, gains, meetings, place_of

COMPUTE, IMAGES = "pretraining compute", "pretraining images"


def studied(world: World) -> PretrainStudy:
    found = pretrain_study(world.records(), lambda cell_id: None)
    assert found is not None
    return found


def crossing(model: str, budget: float, images: int) -> float:
    """A ViT that is 20 points behind at 50 GFLOP and 4 points ahead at 1 600."""
    slope, start = (14.0, 15.0) if model.startswith("vit") else (6.0, 35.0)
    return start + slope * round(math.log(budget / 50) / math.log(3.2)) + math.log2(images / 65536)


def test_two_models_meet_at_every_budget_that_both_have_and_each_difference_stands_alone() -> None:
    found = meetings(studied(World(crossing)), FINETUNED, COMPUTE)
    assert [one.budget for one in found] == [50.0, 160.0, 500.0, 1600.0]
    assert [one.difference.delta_pp for one in found] == pytest.approx([-20.0, -12.0, -4.0, 4.0])
    assert {(one.first.point.key.model, one.second.point.key.model) for one in found} == {
        ("vit_32px_s", "resnet_32px_s")
    }
    assert {one.train_images for one in found} == {65536}


def test_a_difference_is_welchs_over_seeds_and_so_is_its_verdict() -> None:
    world = World(crossing, own_noise=1.0, random=np.random.default_rng(5), test_images=10**7)
    found = meetings(studied(world), FINETUNED, COMPUTE)
    for one in found:
        first, second = (side.mean.values_pct for side in (one.first, one.second))
        expected = stats.ttest_ind(first, second, equal_var=False)
        ends = expected.confidence_interval(0.95)
        assert one.difference.interval is not None
        assert (one.difference.interval.low, one.difference.interval.high) == pytest.approx(
            (ends.low, ends.high), abs=0.02
        )
        assert one.difference.is_decided == (expected.pvalue < 0.05)
    assert [one.difference.verdict for one in found][:2] == ["behind", "behind"]


def test_a_difference_names_the_records_of_both_models_on_its_sets() -> None:
    study = studied(World(crossing))
    (one, *_) = meetings(study, FINETUNED, COMPUTE)
    assert len(set(one.cell_ids)) == 2 * 3 * len(SETS), "two models, three seeds"
    on_digits = [m for m in meetings(study, FINETUNED, COMPUTE, ("digits",)) if m.budget == 50.0]
    assert [len(m.cell_ids) for m in on_digits] == [2 * 3]


def test_along_images_models_meet_at_each_size_of_the_pretraining_set() -> None:
    found = meetings(studied(World(crossing, fewer_images=(1024, 4096))), "5-shot", IMAGES)
    assert [(one.train_images, one.budget) for one in found] == [(1024, 500.0), (4096, 500.0), (65536, 500.0)]
    assert [one.difference.delta_pp for one in found] == pytest.approx([-4.0] * 3)


def test_families_meet_in_their_order_and_models_of_one_family_do_not() -> None:
    models = ("vit_32px_s", "resnet_32px_s", "mbconv_32px_s", "hybrid_32px_s")

    def pair(one: Meeting) -> tuple[str, str]:
        return one.first.point.key.model.split("_")[0], one.second.point.key.model.split("_")[0]

    found = meetings(studied(World(crossing, models=models, budgets=(50.0, 160.0))), FINETUNED, COMPUTE)
    assert list(dict.fromkeys(pair(one) for one in found)) == [
        ("vit", "mbconv"), ("vit", "resnet"), ("hybrid", "mbconv"), ("hybrid", "resnet"), ("vit", "hybrid")
    ]  # fmt: skip


def test_a_budget_that_one_of_the_two_lacks_is_no_meeting() -> None:
    records = [
        record
        for record in World(crossing).records()
        if not (record.cell["task"] == "pretrain" and record.cell["model"].startswith("vit")
                and record.cell["budget"]["amount"] == 160.0)
    ]  # fmt: skip
    study = pretrain_study(records, lambda cell_id: None)
    assert study is not None
    assert [one.budget for one in meetings(study, FINETUNED, COMPUTE)] == [50.0, 500.0, 1600.0]


def test_one_seed_has_a_difference_and_no_verdict() -> None:
    found = meetings(studied(World(crossing, seeds=(0,))), FINETUNED, COMPUTE)
    assert {(one.difference.verdict, one.difference.interval) for one in found} == {("one seed", None)}


def test_a_curve_has_two_places_or_more_in_rising_order() -> None:
    study = studied(World(crossing))
    by_model = curves(study, FINETUNED, COMPUTE)
    assert [place_of(one, COMPUTE) for one in by_model["vit_32px_s"]] == [50e9, 160e9, 500e9, 1600e9]
    assert curves(study, FINETUNED, IMAGES) == {}
    assert curves(studied(World(crossing, budgets=(50.0,), with_trials=False)), FINETUNED, COMPUTE) == {}


def test_gains_are_over_the_control_of_the_same_model_and_way() -> None:
    found = gains(studied(World(lambda model, budget, images: 50.0 if model.startswith("vit") else 20.0)), FINETUNED)
    by_model = {(g.transfer.point.key.model, g.dataset): g for g in found}
    assert set(by_model) == {(m, name) for m in ("vit_32px_s", "resnet_32px_s") for name in ("", *SETS)}
    assert by_model["vit_32px_s", ""].difference.delta_pp == pytest.approx(20.0)
    assert by_model["vit_32px_s", ""].difference.verdict == "ahead"
    assert by_model["resnet_32px_s", "digits"].difference.delta_pp == pytest.approx(-10.0)
    assert by_model["resnet_32px_s", "digits"].difference.verdict == "behind"
    linear = gains(studied(World(lambda model, budget, images: 50.0)), "5-shot")
    assert {g.control.kind for g in linear} == {"random features"}
    assert {round(g.difference.delta_pp, 6) for g in linear} == {15.0}


def test_a_gain_is_told_at_the_largest_budget_alone() -> None:
    study = studied(World(crossing))
    assert {one.point.key.budget for one in at_largest(study, FINETUNED)} == {1600.0}
    (gain,) = [g for g in gains(study, FINETUNED) if g.dataset == "digits" and g.control.identity.title == "ViT S"]
    assert gain.difference.delta_pp == pytest.approx(15.0 + 14.0 * 3 - 30.0)
    assert len(gain.cell_ids) == 3 + 3
