"""How the gap between a ViT and a CNN moves with one setting at a time."""

from __future__ import annotations

from typing import Any

import pytest

from bench.analyse.compare.sensitivity import Sensitivity
from bench.analyse.study import study
from bench.store.record import Record
from tests.analyse.records import trained

VIT, RESNET = "vit_32px_s", "resnet_32px_s"
SPREAD = (-0.2, 0.0, 0.2)


def runs(
    vit: float, cnn: float, *, seeds: int = 3, rates: tuple[float, float] = (0.003, 0.009), **more: Any
) -> list[Record]:
    return [
        trained(model, seed, top1 + SPREAD[seed], rate=rate, part="validation", **more)
        for model, top1, rate in ((VIT, vit, rates[0]), (RESNET, cnn, rates[1]))
        for seed in range(seeds)
    ]


SWEEP = [
    *runs(86.0, 90.0),
    *runs(80.0, 88.0, seeds=1, rates=(0.001, 0.003)),
    *runs(82.0, 84.0, seeds=1, rates=(0.009, 0.027)),
]
SHIFTED = runs(81.0, 89.0, recipe={"augmentation": "shift"})
SMALL_BATCH = runs(85.0, 90.5, recipe={"batch_size": 32})
SHORT = runs(70.0, 84.0, budget=0.25)


def found(*records: list[Record]) -> tuple[Sensitivity, ...]:
    return study("s", [one for own in (SWEEP, *records) for one in own], lambda cell_id: None).sensitivities


def gaps(one: Sensitivity, knob: str) -> dict[object, float]:
    return {getattr(step.setting, knob): round(step.gap.delta_pp, 6) for step in one.knobs[knob]}


def test_each_setting_is_turned_alone_around_the_chosen_one() -> None:
    (one,) = found(SHIFTED, SMALL_BATCH, SHORT)
    assert (one.first.model, one.second.model) == (VIT, RESNET)
    assert gaps(one, "augmentation") == {"flip": -4.0, "shift": -8.0}
    assert gaps(one, "batch_size") == {32: -5.5, 64: -4.0}
    assert gaps(one, "budget_gflop") == {0.25: -14.0, 1.0: -4.0}
    assert "weight_decay" not in one.knobs


def test_learning_rates_are_multiples_of_each_models_own_best() -> None:
    (one,) = found(SHIFTED)
    assert gaps(one, "rate") == {0.333: pytest.approx(-8.0), 1.0: -4.0, 3.0: pytest.approx(-2.0)}
    assert [step.gap.verdict for step in one.knobs["rate"]] == ["one seed", "behind", "one seed"]


def test_a_rate_with_more_seeds_is_chosen_before_a_lucky_single_one() -> None:
    lucky = [trained(VIT, 0, 99.0, rate=0.03, part="validation")]
    (one,) = found(SHIFTED, lucky)
    assert one.chosen.rate == 1.0
    assert gaps(one, "augmentation") == {"flip": -4.0, "shift": -8.0}


def test_what_only_one_of_the_two_was_trained_with_is_no_step() -> None:
    (one,) = found(SHIFTED, [trained(VIT, 0, 90.0, rate=0.003, part="validation", recipe={"augmentation": "none"})])
    assert set(gaps(one, "augmentation")) == {"flip", "shift"}


def test_a_sweep_of_rates_alone_is_no_study_of_settings() -> None:
    assert found() == ()


def test_trainings_scored_on_the_test_part_are_not_looked_at() -> None:
    tested = [trained(model, seed, 95.0, recipe={"augmentation": "none"}) for model in (VIT, RESNET) for seed in (0, 1)]
    (one,) = found(SHIFTED, tested)
    assert set(gaps(one, "augmentation")) == {"flip", "shift"}


def test_rates_tried_with_another_recipe_are_another_sweep() -> None:
    other = runs(70.0, 75.0, recipe={"augmentation": "shift"}, rates=(0.003, 0.009))
    swept = study("s", [*SWEEP, *other], lambda cell_id: None).swept
    assert {one.identity.name: one.top1_pct[one.best_rate] for one in swept} == pytest.approx({VIT: 86.0, RESNET: 90.0})


def test_weight_decays_are_multiples_of_each_models_own_best() -> None:
    """A setting that was turned at each model's own decay is compared, though the decays differ."""
    own = {VIT: 0.1, RESNET: 0.01}
    records = [
        trained(model, seed, top1 + SPREAD[seed], part="validation",
                recipe={"weight_decay": own[model], "augmentation": augmentation})
        for augmentation, tops in (("flip", (86.0, 90.0)), ("shift", (81.0, 89.0)))
        for model, top1 in zip((VIT, RESNET), tops, strict=True)
        for seed in range(3)
    ]  # fmt: skip
    records += [
        trained(model, 0, top1, part="validation", recipe={"weight_decay": 10 * own[model]})
        for model, top1 in ((VIT, 85.0), (RESNET, 88.0))
    ]
    (one,) = study("s", records, lambda cell_id: None).sensitivities
    assert gaps(one, "augmentation") == {"flip": -4.0, "shift": -8.0}
    assert gaps(one, "weight_decay") == {1.0: -4.0, 10.0: -3.0}
