import pytest
from synthetic_store import complexity_record, desk_like, make_record, speed_record, train_cell, train_values, tune_like

from bench.analyse.study import study
from bench.report.words.training_words import finding


def runs(model, dataset, mean, seeds=3, **more):
    return [
        make_record(train_cell(model, dataset, seed, **more), train_values(mean + 0.1 * (seed - 1)))
        for seed in range(seeds)
    ]


def said(records):
    return finding(study("s", records, lambda cell_id: None))


def seeded(model, *top1, dataset="textures", **more):
    return [make_record(train_cell(model, dataset, i, **more), train_values(v)) for i, v in enumerate(top1)]


def test_the_answer_comes_first_then_the_best_and_last_how_it_was_trained():
    assert said(runs("vit_32px_s", "textures", 80.0) + runs("resnet_32px_s", "textures", 90.0)) == (
        "1 comparison of a ViT with a CNN of its size on one set: the ViT is ahead in none and behind in 1. "
        "On Wave textures ResNet S has 90.0 % top-1 [88.6, 91.2], ahead of the other one. "
        "Logistic regression on pixels was not run, so nothing says which models were trained enough. "
        "Trained from scratch on 8\u202f190 generated images of 32 px, equal training compute (0.25 TFLOP), 3 seeds."
    )


def test_a_vit_that_is_ahead_is_said_to_be():
    sentence = said(runs("vit_32px_s", "textures", 90.0) + runs("resnet_32px_s", "textures", 80.0))
    assert "the ViT is ahead in 1 and behind in none." in sentence
    assert "ViT S has 90.0 % top-1" in sentence


def test_within_noise_nothing_is_ahead_and_the_cheapest_is_told():
    sentence = said(runs("vit_32px_s", "textures", 80.0) + runs("resnet_32px_s", "textures", 80.2))
    assert "the ViT is ahead in none and behind in none; undecided: 1." in sentence
    assert "ResNet S has 80.2 % top-1 [78.4, 81.9], not separable from ViT S (fewest MACs of these: " in sentence
    assert ", ahead of" not in sentence


def test_a_leader_is_named_just_where_the_difference_is_decided():
    # images alone: 1.96 sqrt(2 x 0.8 x 0.2 / 2000) = 2.48 points
    for gap, words in ((2.4, "not separable from ResNet S"), (2.6, "ahead of the other one")):
        records = seeded("vit_32px_s", *[80.0] * 3) + seeded("resnet_32px_s", *[80.0 - gap] * 3)
        assert words in said(records), gap


def test_an_unstable_model_leads_nothing_and_is_named_as_not_ranked():
    records = seeded("vit_32px_s", 74.4, 99.9, 99.8) + seeded("resnet_32px_s", 80.0, 80.2, 80.4)
    records += seeded("mbconv_32px_s", 70.0, 70.2, 70.4)
    sentence = said(records)
    assert sentence.startswith("2 comparisons of a ViT with a CNN of its size on one set: the ViT is ahead in none and "
                               "behind in none; unstable seeds: 2. On Wave textures ResNet S has 80.2 %")  # fmt: skip
    assert ", ahead of the other one; not ranked (unstable seeds): 1 model." in sentence


def test_where_every_model_is_unstable_none_is_ranked():
    records = seeded("vit_32px_s", 74.4, 99.9, 99.8) + seeded("resnet_32px_s", 60.0, 80.2, 80.4)
    assert "On Wave textures no model is ranked: unstable seeds." in said(records)


def test_digits_come_second_with_their_caution():
    records = [
        record
        for dataset in ("digits", "textures")
        for model, mean in (("vit_32px_s", 80.0), ("resnet_32px_s", 90.0))
        for record in runs(model, dataset, mean)
    ]
    sentence = said(records)
    assert sentence.index("Wave textures") < sentence.index("Handwritten digits")
    assert "the other one. The same writers are in all parts, so scores say little about new writers. Logi" in sentence


def test_one_seed_ranks_nothing():
    sentence = said(runs("vit_32px_s", "textures", 60.0, seeds=1) + runs("resnet_32px_s", "textures", 90.0, seeds=1))
    assert sentence.startswith("On Wave textures no model is ranked: one seed. Logistic regression on pixels was not")
    assert "ahead" not in sentence


def test_one_family_has_its_best_and_no_comparison():
    records = runs("vit_32px_s", "textures", 60.0) + runs("vit_32px_m", "textures", 90.0)
    assert said(records).startswith("On Wave textures ViT M has 90.0 % top-1 [88.6, 91.2], ahead of the other one. Lo")
    assert "On Wave textures ViT S has 60.0 % top-1 [57.8, 62.1]. Logistic" in said(
        runs("vit_32px_s", "textures", 60.0)
    )


def test_no_more_than_four_are_named_beside_the_best():
    models = [f"{series}_32px_{size}" for series in ("vit", "resnet") for size in "sml"]
    sentence = said([record for model in models for record in seeded(model, *[80.0] * 3)])
    assert "and 1 more (fewest MACs of these: " in sentence


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "no results yet"),
        ([r for r in desk_like() if r.status != "ok"], "none of 2 cells gave a result"),
        ([complexity_record("vit_32px_s", 1e6)], "both counters agree on the MACs of 1 of 1 model"),
        ([speed_record("vit_32px_s", 0, 123.0)], "ViT S has 123 img/s, timed at batch 64 on"),
        (tune_like(), "inside the range tried for 9 of 12 sweeps"),
    ],
)
def test_every_kind_of_suite_has_a_finding_of_one_sentence(records, words):
    sentence = said(records)
    assert words in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_counts_begin_with_what_an_image_costs_at_the_size_that_most_models_were_counted_at():
    sizes = {"vit_32px_s": 2e9, "vit_32px_m": 8.04e9, "resnet_32px_s": 0.5e9}
    records = [complexity_record(model, macs) for model, macs in sizes.items()]
    records += [complexity_record("vit_32px_l", 90e9, resolution=64)]
    assert said(records).startswith(
        "An image of 32 px costs a ViT 2.00 (ViT S) to 8.04 (ViT M) and a CNN 0.500 (ResNet S) G multiply-adds. "
        "Counted, not trained: "
    )


def test_a_fastest_model_is_told_just_where_its_range_lies_above_all_others():
    def timed(slow, processes=5):
        rates = {"vit_32px_s": (100.0, 104.0, 102.0, 101.0, 103.0), "resnet_32px_s": slow}
        return said([speed_record(m, r, rate) for m, own in rates.items() for r, rate in enumerate(own[:processes])])

    assert "Of 2 models timed at batch 64 on " in timed((90.0, 95.0, 99.0, 98.0, 97.0))
    assert "ViT S has 102 [100, 104] img/s, more than all others" in timed((90.0, 95.0, 99.0, 98.0, 97.0))
    assert "none is told to be the fastest" in timed((90.0, 95.0, 100.1, 98.0, 97.0))
    assert "none is told to be the fastest" in timed((10.0, 11.0, 12.0, 13.0, 14.0), processes=4)


def test_a_users_data_set_is_called_user_given_and_escaped():
    sentence = said(runs("vit_32px_s", "my|cats", 60.0) + runs("resnet_32px_s", "my|cats", 90.0))
    assert "1\u202f000 user-given images" in sentence
    assert r"my\|cats" in sentence


def test_budgets_that_differ_between_sets_are_never_called_equal():
    sentence = said(
        [
            record
            for dataset, gflop in (("textures", 250.0), ("shapes", 500.0))
            for model, mean in (("vit_32px_s", 80.0), ("resnet_32px_s", 90.0))
            for record in runs(model, dataset, mean, budget_gflop=gflop)
        ]
    )
    assert "equal" not in sentence
    assert "training compute that differs between models or sets (0.25–0.50 TFLOP)" in sentence
    assert "2 comparisons of a ViT with a CNN of its size" in sentence


def test_models_without_a_common_budget_are_not_compared():
    sentence = said(runs("vit_32px_s", "textures", 80.0) + runs("resnet_32px_m", "textures", 90.0, budget_gflop=500.0))
    assert "comparison" not in sentence
    assert "equal" not in sentence
