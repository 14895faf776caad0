import numpy as np
import pandas as pd
import pytest
from records import evaluated, finetuned

from bench.analyse.evaluated import evaluations
from bench.analyse.finetuned import finetune_scores
from bench.analyse.frame import evaluate_frame, finetune_frame
from bench.analyse.leads import compare_pair, leads, mcnemar_p, mean_leads
from bench.analyse.weights import identify_weights

VIT, VIT_LARGE, CNN = (
    "vit_base_patch16_224.augreg_in21k_ft_in1k",
    "vit_large_patch16_224.augreg_in21k_ft_in1k",
    "resnetv2_50x1_bit.goog_in21k_ft_in1k",
)
OTHER = "resnet50.a1_in1k"  # trained on ImageNet-1k alone
IDENTITIES = {name: identify_weights(name) for name in (VIT, VIT_LARGE, CNN, OTHER, "own.file")}


def none(cell_id):
    return None


def predictions(right):
    label = np.zeros(len(right), dtype=int)
    return pd.DataFrame({"key": [f"{i:04d}" for i in range(len(right))], "label": label,
                         "prediction": np.where(right, 0, 1)})  # fmt: skip


def evaluated_leads(*records, read=none):
    return leads(evaluations(evaluate_frame(records), IDENTITIES, read))


def test_mcnemar_is_the_exact_binomial_test():
    # 9 against 1 of 10: 2 x (1 + 10) / 1024
    assert mcnemar_p(9, 1) == pytest.approx(22 / 1024)
    assert mcnemar_p(5, 5) == 1.0
    assert mcnemar_p(0, 0) == 1.0


def test_paired_predictions_decide_what_intervals_cannot():
    # the CNN is right on 780 images, the ViT on those and on 20 more: p = 2 x 0.5 ** 20
    better, worse = evaluated(VIT, 800), evaluated(CNN, 780)
    frames = {
        better.cell_id: predictions([True] * 800 + [False] * 200),
        worse.cell_id: predictions([True] * 780 + [False] * 220),
    }
    (lead,) = evaluated_leads(better, worse, read=frames.get)
    assert (lead.first.subject.key.model, lead.verdict, lead.basis) == (VIT, "ahead", "exact McNemar")
    assert lead.p_value == pytest.approx(2 * 0.5**20)
    assert lead.delta_pp == pytest.approx(2.0)
    (unpaired,) = evaluated_leads(better, worse)
    assert (unpaired.verdict, unpaired.basis, unpaired.p_value) == ("not decided", "", None)


def test_predictions_on_other_images_are_not_paired():
    better, worse = evaluated(VIT, 3, 4), evaluated(CNN, 1, 4)
    other = predictions([True, False, False, False]).assign(key=["a", "b", "c", "d"])
    frames = {better.cell_id: predictions([True, True, True, False]), worse.cell_id: other}
    assert evaluated_leads(better, worse, read=frames.get)[0].basis == ""


def test_intervals_apart_decide_without_predictions():
    (lead,) = evaluated_leads(evaluated(VIT, 900), evaluated(CNN, 700))
    assert (lead.verdict, lead.basis) == ("ahead", "intervals apart")


def test_a_lead_is_corrected_for_all_pairs_of_families():
    # 14 against 4 discordant images: p = 0.0309 for one pair, twice that for two
    first = evaluated(VIT, 514)
    frames = {
        first.cell_id: predictions([True] * 514 + [False] * 486),
        (second := evaluated(CNN, 504)).cell_id: predictions([True] * 500 + [False] * 14 + [True] * 4 + [False] * 482),
        (third := evaluated(VIT_LARGE, 400)).cell_id: predictions([True] * 400 + [False] * 600),
    }
    (one,) = evaluated_leads(first, second, read=frames.get)
    (two,) = evaluated_leads(first, second, third, read=frames.get)
    assert (one.pairs, one.p_value, one.verdict) == (1, pytest.approx(0.030884, abs=1e-6), "ahead")
    assert (two.pairs, two.p_value, two.verdict) == (2, pytest.approx(0.061768, abs=1e-6), "not decided")


def test_other_pretraining_data_are_never_compared():
    found = evaluated_leads(evaluated(VIT, 900), evaluated(OTHER, 700))
    assert [(lead.pretraining, lead.second) for lead in found] == [
        ("ImageNet-1k", None),
        ("ImageNet-21k then ImageNet-1k", None),
    ]


def test_public_weights_of_unknown_origin_are_in_no_lead():
    assert evaluated_leads(evaluated("own.file", 800)) == []


def test_files_are_compared_with_the_stratum_that_their_owner_names():
    file = evaluated(CNN, 990, cell={"weights": "sha256 0123456789abcdef"})
    file.values["pretraining"] = "ImageNet-21k then ImageNet-1k"
    (lead,) = evaluated_leads(file, evaluated(VIT, 800))
    assert (lead.first.subject.weights, lead.second.subject.weights) == ("sha256 0123456789abcdef", "public")


def test_files_of_which_nothing_is_said_are_compared_with_one_another_alone():
    first, second = (
        evaluated(name, right, cell={"weights": f"sha256 {digit * 16}"})
        for name, right, digit in ((CNN, 990, "a"), (VIT, 700, "b"))
    )
    found = {lead.pretraining: lead for lead in evaluated_leads(first, second, evaluated(VIT, 800))}
    assert found.keys() == {"not stated", "ImageNet-21k then ImageNet-1k"}
    assert (found["not stated"].candidates, found["not stated"].first.subject.key.model) == (2, CNN)


def test_another_precision_is_not_ranked_with_the_rest():
    fast = evaluated(CNN, 990, cell={"settings": {"precision": "bf16"}})
    (lead,) = evaluated_leads(evaluated(VIT, 800), evaluated(VIT_LARGE, 810), fast)
    assert (lead.candidates, lead.second) == (2, None)


def test_one_family_alone_leads_nobody():
    (lead,) = evaluated_leads(evaluated(VIT, 800), evaluated(VIT_LARGE, 900))
    assert (lead.first.subject.key.model, lead.second, lead.pairs, lead.verdict) == (VIT_LARGE, None, 0, "not decided")


def test_seeds_decide_by_the_t_interval():
    records = [finetuned(m, s, v + 0.1 * s) for m, v in ((VIT, 95.0), (CNN, 85.0)) for s in range(3)]
    (lead,) = leads(finetune_scores(finetune_frame(records), IDENTITIES, none))
    assert (lead.verdict, lead.basis, lead.interval.estimate) == ("ahead", "t interval", pytest.approx(10.0))
    wider = compare_pair(*(s.group for s in finetune_scores(finetune_frame(records), IDENTITIES, none)), 20)[0]
    assert wider.half_width > lead.interval.half_width


def test_mean_over_sets_is_compared_only_where_all_sets_are_there():
    records = [
        finetuned(m, s, v + s, d) for m, v in ((VIT, 90.0), (CNN, 80.0)) for s in range(2) for d in ("pets", "dtd")
    ]
    records.append(finetuned(VIT_LARGE, 0, 99.0, "pets"))
    (lead,) = mean_leads(finetune_scores(finetune_frame(records), IDENTITIES, none), ("pets", "dtd"))
    assert (lead.datasets, lead.candidates, lead.verdict) == (("pets", "dtd"), 2, "ahead")
    assert (lead.first.mean_pct, lead.delta_pp) == (pytest.approx(90.5), pytest.approx(10.0))
