import pytest
from synthetic_store import complexity_record, desk_like, make_record, speed_record, train_cell, train_values, tune_like

from bench.analyse.study import study
from bench.report.wording import finding


def runs(model, dataset, mean, seeds=3, **more):
    return [
        make_record(train_cell(model, dataset, seed, **more), train_values(mean + 0.1 * (seed - 1)))
        for seed in range(seeds)
    ]


def said(records):
    return finding(study("s", records, lambda cell_id: None))


def test_finding_names_the_regime_the_lead_and_its_interval():
    sentence = said(runs("vit_32px_s", "textures", 80.0) + runs("resnet_32px_s", "textures", 90.0))
    assert sentence.startswith(
        "Trained from scratch on 8\u202f190 generated images of 32 px with equal training compute "
        "(0.25 TFLOP, 3 seeds), "
    )
    assert "CNNs are ahead of ViTs by 10.0 points [" in sentence
    assert sentence.endswith("] on Wave textures. Here CNNs are ResNet S; ViTs are ViT S.")


def test_finding_puts_the_leading_family_first():
    sentence = said(runs("vit_32px_s", "textures", 90.0) + runs("resnet_32px_s", "textures", 80.0))
    assert "ViTs are ahead of CNNs by 10.0 points" in sentence


def test_finding_does_not_decide_within_noise():
    sentence = said(runs("vit_32px_s", "textures", 80.0) + runs("resnet_32px_s", "textures", 80.2))
    assert "the order of CNNs and ViTs is not decided on Wave textures (+0.2 [" in sentence
    assert "ahead" not in sentence


def test_digits_come_second_with_their_caution():
    records = [
        record
        for dataset in ("digits", "textures")
        for model, mean in (("vit_32px_s", 80.0), ("resnet_32px_s", 90.0))
        for record in runs(model, dataset, mean)
    ]
    sentence = said(records)
    assert sentence.index("Wave textures") < sentence.index("Handwritten digits")
    assert "a side result from 798 real images of 32 px: CNNs are ahead" in sentence
    assert "(the same writers are in all parts" in sentence


def test_the_finding_says_which_models_stand_for_a_family():
    records = [
        *runs("vit_32px_s", "textures", 80.0),
        *runs("resnet_32px_s", "textures", 90.0),
        *runs("mbconv_32px_s", "textures", 88.0),
    ]
    assert said(records).endswith("Here CNNs are the mean of MBConv S and ResNet S; ViTs are ViT S.")


def test_digits_alone_carry_nothing():
    sentence = said(runs("vit_32px_s", "digits", 80.0) + runs("resnet_32px_s", "digits", 90.0))
    assert "nothing follows from this alone (the same writers are in all parts" in sentence


def test_one_seed_decides_nothing():
    sentence = said(runs("vit_32px_s", "textures", 60.0, seeds=1) + runs("resnet_32px_s", "textures", 90.0, seeds=1))
    assert "not decided on Wave textures (+30.0, one seed)" in sentence


def test_one_family_is_not_compared():
    assert "families are not compared" in said(runs("vit_32px_s", "textures", 60.0))


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "no results yet"),
        ([r for r in desk_like() if r.status != "ok"], "none of 2 cells gave a result"),
        ([complexity_record("vit_32px_s", 1e6)], "both counters agree on the MACs of 1 of 1 model"),
        ([speed_record("vit_32px_s", 0, 123.0)], "ViT S has the highest throughput, 123 img/s"),
        (tune_like(), "inside the range tried for 9 of 12 models"),
    ],
)
def test_every_kind_of_suite_has_a_finding_of_one_sentence(records, words):
    sentence = said(records)
    assert words in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


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
    assert "0.50 TFLOP on Contours and 0.25 TFLOP on Wave textures" in sentence


def test_families_without_a_common_budget_are_not_compared():
    sentence = said(runs("vit_32px_s", "textures", 80.0) + runs("resnet_32px_m", "textures", 90.0, budget_gflop=500.0))
    assert "no two families share a training budget, so families are not compared" in sentence
    assert "equal" not in sentence
