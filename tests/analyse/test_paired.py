"""Two models on the same images: who is compared with whom, what is decided, and what is only told."""

import numpy as np
import pandas as pd
import pytest
from records import evaluated, fewshot, finetuned, trained
from synthetic_pretraining import World

from bench.analyse.compare.paired import comparable_accuracies, compare_models, of_models
from bench.analyse.stats.intervals import SeedGroup, contrast

VIT = "vit_base_patch16_224.augreg_in21k_ft_in1k"
BIT = "resnetv2_50x1_bit.goog_in21k_ft_in1k"  # the same pre-training data
RESNET = "resnet50.a1_in1k"  # trained on ImageNet-1k alone


def frame(right):
    label = np.zeros(len(right), dtype=int)
    keys = [f"{i:04d}" for i in range(len(right))]
    return pd.DataFrame({"key": keys, "label": label, "prediction": np.where(right, 0, 1)})


def head(correct, images=1000, start=0):
    right = np.zeros(images, dtype=bool)
    right[start : start + correct] = True
    return frame(right)


def compare(records, models, read=lambda cell_id: None, **more):
    found = comparable_accuracies("s", records, read)
    return compare_models(of_models(found, models), models, **more)


def by_id(*pairs):
    return {record.cell_id: table for record, table in pairs}.get


def test_one_checkpoint_each_is_decided_by_exact_mcnemar():
    first, second = evaluated(VIT, 900), evaluated(BIT, 880)
    read = by_id((first, head(900)), (second, head(880)))
    [one] = compare([first, second], [VIT, BIT], read)
    [pair] = one.checkpoints
    assert (pair.only_first, pair.only_second, pair.deciding) == (20, 0, 20)
    assert one.p_value == pytest.approx(2 / 2**20)
    assert (one.basis, one.verdict) == ("one run each", "ahead")
    assert one.delta_pp == pytest.approx(2.0)
    assert pair.cell_ids == (first.cell_id, second.cell_id)


def test_few_deciding_images_decide_nothing():
    first, second = evaluated(VIT, 900), evaluated(BIT, 895)
    [one] = compare([first, second], [VIT, BIT], by_id((first, head(900)), (second, head(895))))
    assert one.p_value == pytest.approx(2 / 2**5)  # 0.0625
    assert one.verdict == "not decided"


def test_seeds_are_compared_by_the_t_interval_and_mcnemar_stays_with_the_checkpoints():
    # every seed alone would be decided by McNemar; over seeds that scatter by 10 points nothing is
    records, tables = [], []
    for model, values in (("vit_32px_s", (700, 800, 900)), ("resnet_32px_s", (720, 830, 930))):
        for seed, correct in enumerate(values):
            records.append(trained(model, seed, correct / 10))
            tables.append((records[-1], head(correct)))
    [one] = compare(records, ["vit_32px_s", "resnet_32px_s"], by_id(*tables))
    assert (one.basis, one.verdict) == ("seeds", "not decided")
    assert [pair.run for pair in one.checkpoints] == [0, 1, 2]
    assert [(pair.only_first, pair.only_second) for pair in one.checkpoints] == [(0, 20), (0, 30), (0, 30)]
    assert all(pair.p_holm < 0.001 for pair in one.checkpoints)
    assert one.delta_pp == pytest.approx(-80 / 30)


def test_p_of_seeds_is_the_level_at_which_the_interval_ends_at_zero():
    groups = [SeedGroup(values, 1000) for values in ((90.0, 91.0, 92.5), (88.0, 89.0))]
    found = contrast([(1.0, groups[0]), (-1.0, groups[1])])
    assert found.interval(1 - found.p_value).low == pytest.approx(0.0, abs=1e-9)


def test_a_seed_of_one_side_alone_makes_no_pair():
    records = [trained("vit_32px_s", seed, 80.0 + seed) for seed in (0, 1, 2)]
    records += [trained("resnet_32px_s", seed, 90.0 + seed) for seed in (1, 2, 3)]
    [one] = compare(records, ["vit_32px_s", "resnet_32px_s"], lambda cell_id: head(800))
    assert [pair.run for pair in one.checkpoints] == [1, 2]


def test_p_values_are_corrected_over_all_pairs_that_get_a_verdict():
    # three pairs; alone 0.02148 (9 against 1) would be decided, after Holm over three it is not
    models = [VIT, BIT, "vit_large_patch16_224.augreg_in21k_ft_in1k"]
    rights = [np.r_[np.ones(9), 0, np.ones(90)], np.r_[np.zeros(9), 1, np.ones(90)], np.r_[np.ones(9), 0, np.ones(90)]]
    records = [evaluated(model, int(right.sum()), 100) for model, right in zip(models, rights, strict=True)]
    tables = [frame(right.astype(bool)) for right in rights]
    found = compare(records, models, by_id(*zip(records, tables, strict=True)))
    assert [one.p_value for one in found] == pytest.approx([22 / 1024, 1.0, 22 / 1024])
    assert [one.p_holm for one in found] == pytest.approx([66 / 1024, 1.0, 66 / 1024])
    assert [one.verdict for one in found] == ["not decided"] * 3


def test_other_pretraining_data_or_resolution_get_a_difference_but_no_verdict():
    first, second = evaluated(VIT, 900), evaluated(RESNET, 500)
    [one] = compare([first, second], [VIT, RESNET])
    assert one.verdict is None
    assert one.p_holm is None
    assert one.differs == ("pre-training data (ImageNet-21k then ImageNet-1k and ImageNet-1k)",)
    assert one.delta_pp == pytest.approx(40.0)
    larger = evaluated(BIT, 500, cell={"resolution_px": 480})
    [one] = compare([first, larger], [VIT, BIT])
    assert (one.verdict, one.differs) == (None, ("resolution (224 px and 480 px)",))


def test_weights_of_unknown_origin_are_put_in_no_sentence():
    first = evaluated(VIT, 900)
    other = evaluated(BIT, 500, cell={"weights": "sha256 0123456789abcdef"})
    [one] = compare([first, other], [VIT, BIT])
    assert one.verdict is None
    assert one.differs == ("pre-training data (ImageNet-21k then ImageNet-1k and not stated)",)


def test_other_test_images_give_no_number_at_all():
    first, second = evaluated(VIT, 900), evaluated(BIT, 880)
    other = by_id((first, head(900)), (second, head(880).assign(key=lambda table: "x" + table["key"])))
    [one] = compare([first, second], [VIT, BIT], other)
    assert (one.delta_pp, one.interval, one.verdict) == (None, None, None)
    assert "test images" in one.differs[0]


def test_checkpoints_without_predictions_are_compared_as_if_images_were_drawn_anew():
    [one] = compare([evaluated(VIT, 900), evaluated(BIT, 800)], [VIT, BIT])
    assert (one.basis, one.verdict, one.checkpoints) == ("one run each, not paired", "ahead", ())


def test_trainings_meet_at_the_largest_common_size_and_compute():
    records = [trained("vit_32px_s", s, 80.0 + s, budget=b, images=i)
               for s in (0, 1) for b, i in ((1.0, 1000), (2.0, 1000), (2.0, 500))]  # fmt: skip
    records += [trained("resnet_32px_s", s, 90.0 + s, budget=b, images=i)
                for s in (0, 1) for b, i in ((1.0, 1000), (1.0, 500), (1.0, 2000))]  # fmt: skip
    [one] = compare(records, ["vit_32px_s", "resnet_32px_s"])
    assert [side.regime for side in (one.first, one.second)] == [(1000, 1.0), (1000, 1.0)]
    assert one.told == ()
    [small] = compare(records, ["vit_32px_s", "resnet_32px_s"], train_images=500)
    assert (small.first.regime[1], small.second.regime[1]) == (2.0, 1.0)
    assert small.told == ("training compute differs: 2 GFLOP and 1 GFLOP",)


def test_fewshot_has_draws_and_no_predictions():
    records = [fewshot(VIT, (80.0, 81.0, 82.0)), fewshot(BIT, (60.0, 61.0, 62.0))]
    [one] = compare(records, [VIT, BIT])
    assert (one.basis, one.verdict, one.checkpoints) == ("draws", "ahead", ())


def test_finetuned_weights_meet_those_of_their_own_pretraining_data():
    scratch = {"weights": "random"}
    records = [finetuned(model, seed, top1 + seed, cell=cell)
               for model, cells in ((VIT, ((80.0, {}), (20.0, scratch))), (BIT, ((70.0, {}), (30.0, scratch))))
               for top1, cell in cells for seed in (0, 1, 2)]  # fmt: skip
    found = compare(records, [VIT, BIT])
    told = {one.first.stratum["pre-training data"]: one.delta_pp for one in found}
    assert told == pytest.approx({"ImageNet-21k then ImageNet-1k": 10.0, "none (from scratch)": -10.0})


def test_models_of_one_title_are_told_apart_by_name():
    records = [evaluated(VIT, 900), evaluated("vit_base_patch16_224.augreg_in1k", 800)]
    found = of_models(comparable_accuracies("s", records, lambda cell_id: None), [r.cell["model"] for r in records])
    assert len({one.identity.title for one in found}) == 2


def checkpoint_pair(only_first, only_second):
    first, second = evaluated(VIT, 900), evaluated(BIT, 900 - only_first + only_second)
    tables = by_id((first, head(900)), (second, head(900 - only_first + only_second, start=only_first)))
    [one] = compare([first, second], [VIT, BIT], tables)
    assert (one.checkpoints[0].only_first, one.checkpoints[0].only_second) == (only_first, only_second)
    return one


def test_an_interval_holds_zero_just_where_its_verdict_is_open():
    # exact McNemar: 5 to 0 gives 2/32 = 0.0625, 6 to 0 gives 2/64 = 0.03125; Tango's score decides both
    undecided, decided = checkpoint_pair(5, 0), checkpoint_pair(6, 0)
    assert (undecided.verdict, undecided.interval.low) == ("not decided", 0.0)
    assert decided.verdict == "ahead"
    assert decided.interval.low > 0


def test_an_interval_has_the_level_at_which_holm_tested_its_pair():
    # p = 22/1024, 1 and 22/1024: the smallest is tested at 0.05 / 3 and not decided, so are all after it
    models = [VIT, BIT, "vit_large_patch16_224.augreg_in21k_ft_in1k"]
    rights = [np.r_[np.ones(9), 0, np.ones(90)], np.r_[np.zeros(9), 1, np.ones(90)], np.r_[np.ones(9), 0, np.ones(90)]]
    records = [evaluated(model, int(right.sum()), 100) for model, right in zip(models, rights, strict=True)]
    tables = [frame(right.astype(bool)) for right in rights]
    found = compare(records, models, by_id(*zip(records, tables, strict=True)))
    assert [one.level for one in found] == pytest.approx([1 - 0.05 / 3] * 3)
    assert all(one.interval.low <= 0 <= one.interval.high for one in found)


def test_what_other_data_sets_hold_changes_no_verdict_of_a_pair():
    def on(dataset, gap):
        sides = (("vit_32px_s", 80.0 + gap), ("resnet_32px_s", 80.0))
        return [trained(model, s, value + s, dataset) for model, value in sides for s in (0, 1, 2)]

    pair = ["vit_32px_s", "resnet_32px_s"]
    alone = compare(on("textures", 3.0), pair)
    beside = compare([*on("textures", 3.0), *on("shapes", 0.1), *on("digits", 0.2)], pair)
    [same] = [one for one in beside if one.first.dataset == "textures"]
    assert (same.verdict, same.p_holm, same.interval) == (alone[0].verdict, alone[0].p_holm, alone[0].interval)
    assert same.tests == 1


def test_pretrained_points_meet_at_the_largest_budget_beside_models_from_scratch():
    records = World(lambda model, budget, images: 80.0 if model.startswith("vit") else 90.0, own_noise=0.5).records()
    found = compare(records, ["vit_32px_s", "resnet_32px_s"])
    tuned = [one for one in found if one.first.protocol == "fine-tuned" and one.first.dataset == "digits"]
    assert [(one.first.is_from_scratch, one.first.regime[1]) for one in tuned] == [(True, None), (False, 1600.0)]
    assert [one.verdict for one in tuned] == ["not decided", "behind"]
    assert tuned[1].first.told == {"pretraining": "1600 GFLOP on 65536 images"}
    assert len(tuned[1].first.group.values_pct) == 3


def test_pretrained_weights_without_a_partner_are_told_and_not_left_out():
    scratch = {"weights": "random"}
    records = [finetuned(VIT, seed, 80.0 + seed) for seed in (0, 1)]
    records += [finetuned(model, seed, 20.0 + seed, cell=scratch) for model in (VIT, BIT) for seed in (0, 1)]
    found = compare(records, [VIT, BIT])
    assert [one.verdict is None for one in found] == [False, True]
    assert found[1].differs == ("pre-training data (ImageNet-21k then ImageNet-1k and none (from scratch))",)
