"""Rules on published rows made by hand, so that each verdict is reached."""

import pytest
from made_up_claims import claim, scaling, use_table_six

from bench.analyse.claims.ablations import (
    judge_better_on_most,
    judge_stated_gap,
    judge_variant_apart,
    judge_variants_alike,
)
from bench.analyse.claims.attention_cost import judge_attention_grows, judge_attention_share
from bench.analyse.claims.compute import judge_cost_at_equal_accuracy
from bench.analyse.claims.device_cost import judge_fewer_core_days, judge_slower_at_equal_macs
from bench.analyse.claims.figures_only import judge_figure_only
from bench.analyse.claims.patches import judge_larger_patches
from bench.analyse.claims.pretraining import judge_ahead_on_every_set, judge_order_by_data
from bench.analyse.claims.public_weights import judge_public_best, judge_public_cost
from bench.analyse.claims.quoted import quoted
from bench.analyse.claims.scaling import judge_keeps_rising, judge_lead_closes
from bench.errors import UnknownNameError

RESNETS = [scaling("r1", "cnn", 100, 80.0), scaling("r2", "cnn", 400, 90.0)]


def less_compute(over="mean"):
    return judge_cost_at_equal_accuracy(
        claim("cost_at_equal_accuracy", first="vit", second="cnn", at_least=2, at_most=4, over=over)
    )


@pytest.mark.parametrize(
    ("costs", "word"), [((40, 160), "supported"), ((100, 400), "contradicted"), ((60, 300), "inconclusive")]
)
def test_less_compute_is_judged_by_the_ratio_at_equal_accuracy(monkeypatch, costs, word):
    vits = [scaling("v1", "vit", costs[0], 80.0), scaling("v2", "vit", costs[1], 90.0)]
    use_table_six(monkeypatch, [*vits, *RESNETS])
    assert less_compute().word == word


def test_a_ratio_that_rounds_to_two_meets_about_two(monkeypatch):
    vits = [scaling("v1", "vit", 100 / 1.6, 80.0), scaling("v2", "vit", 400 / 1.6, 90.0)]
    use_table_six(monkeypatch, [*vits, *RESNETS])
    assert less_compute("every set").word == "supported"


def test_ratios_wholly_beyond_the_claimed_range_are_counted_in_the_reason(monkeypatch):
    vits = [scaling("v1", "vit", 100 / 8, 80.0), scaling("v2", "vit", 400 / 8, 90.0)]
    use_table_six(monkeypatch, [*vits, *RESNETS])
    verdict = less_compute("every set")
    # six sets, each seen from either family
    assert (verdict.word, "and 12 reach beyond 4 times, 12 of them wholly" in verdict.reason) == ("supported", True)


def test_curves_that_share_no_accuracy_decide_by_their_bounds_or_not_at_all(monkeypatch):
    use_table_six(monkeypatch, [scaling("v", "vit", 10, 95.0), *RESNETS])
    verdict = less_compute()
    assert verdict.word == "supported"  # 95 % costs a ResNet more than 400, 90 % a ViT less than 10
    assert verdict.evidence[0].low == pytest.approx(40.0)
    assert verdict.evidence[0].high is None
    use_table_six(monkeypatch, [scaling("v", "vit", 1000, 95.0), *RESNETS])
    assert less_compute().word == "inconclusive"


@pytest.mark.parametrize(("small", "large", "word"), [(2.0, 0.0, "supported"), (0.0, 2.0, "contradicted")])
def test_a_lead_that_closes_is_there_first_and_gone_last(monkeypatch, small, large, word):
    vits = [scaling("v1", "vit", 100, 80.0), scaling("v2", "vit", 1000, 90.0)]
    hybrids = [scaling("h1", "hybrid", 100, 80.0 + small), scaling("h2", "hybrid", 1000, 90.0 + large)]
    use_table_six(monkeypatch, [*vits, *hybrids])
    asked = claim("lead_closes", first="hybrid", second="vit", closed_within_points=0.1)
    assert judge_lead_closes(asked).word == word


def test_a_lead_outside_the_other_familys_range_is_untestable(monkeypatch):
    use_table_six(monkeypatch, [scaling("v", "vit", 1, 80.0), scaling("h", "hybrid", 2, 90.0)])
    asked = claim("lead_closes", first="hybrid", second="vit", closed_within_points=0.1)
    assert judge_lead_closes(asked).word == "untestable here"


@pytest.mark.parametrize(
    ("last", "rises", "word"),
    [
        (91.0, True, "supported"),
        (90.0, True, "contradicted"),
        (91.0, False, "contradicted"),
        (89.0, False, "supported"),
    ],
)
def test_a_curve_rises_where_its_costliest_model_beats_all_cheaper_ones(monkeypatch, last, rises, word):
    use_table_six(monkeypatch, [*RESNETS, scaling("r3", "cnn", 900, last)])
    assert judge_keeps_rising(claim("keeps_rising", family="cnn", rises=rises)).word == word


def order(first, second, pretraining, ahead, dataset="ImageNet"):
    return judge_order_by_data(
        claim("order_by_data", first=first, second=second, pretraining=pretraining, ahead=ahead, dataset=dataset)
    )


def test_the_order_after_a_pretraining_is_read_from_table_5():
    assert order("vit", "cnn", "ImageNet", False).word == "supported"  # 77.91 against 81.30
    assert order("vit", "cnn", "ImageNet", True).word == "contradicted"
    # on Flowers both printed 99.56: equal decides nothing
    assert order("ViT-L/16", "ViT-B/16", "JFT-300M", True, "Oxford Flowers-102").word == "inconclusive"


def test_one_data_set_decides_the_order_and_the_others_stand_beside_it():
    verdict = order("ViT-L/16", "ViT-B/16", "ImageNet", False)
    assert verdict.word == "supported"  # 76.53 against 77.91; on Flowers 89.66 against 89.49
    (told,) = [row for row in verdict.evidence if row.bearing != "context"]
    assert told.label == "ViT-L/16 − ViT-B/16, ImageNet, after ImageNet"
    assert "ViT-L/16 − ViT-B/16, Oxford Flowers-102, after ImageNet" in {row.label for row in verdict.evidence}


def test_a_system_without_rows_after_a_pretraining_has_no_differences():
    verdict = order("ViT-H/14", "ViT-B/16", "ImageNet", True)
    assert verdict.word == "inconclusive"
    assert all(row.bearing == "context" for row in verdict.evidence)


def test_ahead_on_every_set_uses_the_printed_spread():
    asked = claim("ahead_on_every_set", first="BiT-L ResNet152x4", second="ViT-H/14", pretraining="JFT-300M")
    verdict = judge_ahead_on_every_set(asked)
    assert verdict.word == "contradicted"  # behind on ImageNet beyond the spread of the runs
    imagenet = verdict.evidence[0]
    # Welch: 0.02 and 0.04 over 3 runs each, 2.94 degrees of freedom, level 1 - 0.05 / 7
    assert imagenet.high - imagenet.low == pytest.approx(2 * 6.6 * (0.02**2 / 3 + 0.04**2 / 3) ** 0.5, rel=0.1)


def test_core_days_are_compared_with_every_cnn():
    word = {
        least: judge_fewer_core_days(
            claim("fewer_core_days", first="ViT-L/16", pretraining="JFT-300M", at_least=least)
        ).word
        for least in (10, 15)
    }
    assert word == {10: "supported", 15: "contradicted"}  # 9900 / 680 = 14.6


def test_differences_of_printed_accuracies_within_the_noise_of_the_images_decide_nothing():
    after_jft = judge_larger_patches(claim("larger_patches", table=6))
    rows = {row.label: row for row in after_jft.evidence}
    small = rows["ViT-L/32 − ViT-L/16, CIFAR-10"]  # 99.19 and 99.38 % of 10,000 images, 12 differences together
    z = 2.8653  # normal quantile of 1 - 0.05 / 24
    half = z * (99.19 * 0.81 / 10_000 + 99.38 * 0.62 / 10_000) ** 0.5
    assert (small.value, small.bearing) == (pytest.approx(-0.19), "undecided")
    assert small.high == pytest.approx(-0.19 + half, abs=1e-4)
    assert rows["ViT-B/32 − ViT-B/16, ImageNet"].bearing == "for"
    assert after_jft.word == "inconclusive"
    after_less = {row.label: row for row in judge_larger_patches(claim("larger_patches", table=5)).evidence}
    assert after_less["ViT-L/32 − ViT-L/16, CIFAR-100, after ImageNet"].bearing == "undecided"  # +0.72
    assert not [row for row in after_less.values() if row.bearing == "against"]


def test_two_patches_of_unequal_epochs_are_no_pair_and_unequal_epochs_are_told():
    labels = [row.label for row in judge_larger_patches(claim("larger_patches", table=5)).evidence]
    assert "ViT-B/32 − ViT-B/16, ImageNet, after JFT-300M" in labels  # both 7 epochs
    assert not [label for label in labels if "ViT-L/32" in label and "JFT" in label]  # 7 and 14
    beside = [row.label for row in order("ViT-L/16", "ViT-B/16", "ImageNet", False).evidence]
    assert "ViT-L/16 − ViT-B/16, ImageNet, after JFT-300M (14 against 7 epochs)" in beside


def test_attention_grows_with_the_square_and_with_nothing_else():
    assert judge_attention_grows(claim("attention_grows", exponent=2)).word == "supported"
    assert judge_attention_grows(claim("attention_grows", exponent=1)).word == "contradicted"


def test_the_share_of_attention_is_below_a_half_up_to_512_px_but_not_up_to_2048():
    assert judge_attention_share(claim("attention_share", resolution_px=512, share=0.5)).word == "supported"
    assert judge_attention_share(claim("attention_share", resolution_px=2048, share=0.5)).word == "contradicted"


def test_stated_gaps_hold_one_by_one():
    b16, b32 = "table5:JFT-300M:ViT-B/16:ImageNet", "table5:JFT-300M:ViT-B/32:ImageNet"  # 84.15 and 80.73
    met = {"first": b16, "second": b32, "low": 2.5, "high": 4.5}
    missed = {"first": b16, "second": b32, "low": 4.5, "high": 5.0}
    near = {"first": b16, "second": b32, "low": 3.4, "high": 5.0}  # 3.42 in half a point of noise
    assert judge_stated_gap(claim("stated_gap", gaps=[met])).word == "supported"
    assert judge_stated_gap(claim("stated_gap", gaps=[met, missed])).word == "contradicted"
    assert judge_stated_gap(claim("stated_gap", gaps=[near])).word == "inconclusive"


def test_a_number_that_no_table_has_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match="JFT-300M:ViT-B/16:ImageNet"):
        quoted("table5:JFT-300M:ViT-B/16:ImageNett")
    with pytest.raises(UnknownNameError, match="table55"):
        quoted("table55:x")


def test_better_on_most_needs_more_agreement_than_chance_gives(monkeypatch):
    rows = [
        {"ablation": "a", "model": "m", "dataset": str(i), "setting": setting, "value": value}
        for i in range(8)
        for setting, value in (("new", "2"), ("old", "1"))
    ]
    monkeypatch.setattr("bench.analyse.claims.ablations.read_table", lambda name: tuple(rows))
    asked = {"ablation": "a", "leave_out": "mean"}
    assert judge_better_on_most(claim("better_on_most", first="new", second="old", **asked)).word == "supported"
    assert judge_better_on_most(claim("better_on_most", first="old", second="new", **asked)).word == "contradicted"
    rows[:] = rows[:6]
    assert judge_better_on_most(claim("better_on_most", first="new", second="old", **asked)).word == "inconclusive"


POSITIONS = {"ablation": "position embedding", "apart": "none / stem (default)"}


def test_variants_are_alike_within_a_margin_and_one_is_apart_beyond_it():
    assert judge_variants_alike(claim("variants_alike", **POSITIONS, margin_points=0.2)).word == "contradicted"
    assert judge_variant_apart(claim("variant_apart", **POSITIONS, margin_points=2.7)).word == "inconclusive"
    assert judge_variant_apart(claim("variant_apart", **POSITIONS, margin_points=5.0)).word == "contradicted"


def test_speed_at_equal_macs_is_tested_over_pairs_of_architectures():
    asked = {"within": 1.25}
    slower = judge_slower_at_equal_macs(claim("slower_at_equal_macs", slower=True, **asked))
    faster = judge_slower_at_equal_macs(claim("slower_at_equal_macs", slower=False, **asked))
    assert (slower.word, faster.word) == ("contradicted", "supported")
    names = [row.label.split(" over ")[0] for row in slower.evidence]
    assert len(names) == len(set(names))  # tags share their throughput


STRATUM = {"first": "EfficientNetV2", "second": "ViT-", "stratum": "ImageNet-21k then ImageNet-1k"}


@pytest.mark.parametrize(("least", "word"), [(1, "supported"), (1.9, "inconclusive"), (5, "contradicted")])
def test_public_cost_is_judged_within_the_noise_of_the_images(least, word):
    assert judge_public_cost(claim("public_cost", **STRATUM, axis="macs", at_least=least)).word == word


def test_public_cost_without_a_common_accuracy_is_untestable():
    asked = {**STRATUM, "stratum": "ImageNet-1k"}  # every EfficientNetV2 is above every ViT here
    assert judge_public_cost(claim("public_cost", **asked, axis="macs", at_least=1)).word == "untestable here"


def test_the_best_of_two_systems_is_decided_by_more_than_the_noise():
    assert judge_public_best(claim("public_best", **STRATUM)).word == "inconclusive"
    asked = {**STRATUM, "stratum": "ImageNet-1k"}
    assert judge_public_best(claim("public_best", **asked)).word == "supported"
    swapped = {**asked, "first": "ViT-", "second": "EfficientNetV2"}
    assert judge_public_best(claim("public_best", **swapped)).word == "contradicted"


def test_a_figure_without_numbers_is_untestable():
    assert judge_figure_only(claim("figure_only")).word == "untestable here"
