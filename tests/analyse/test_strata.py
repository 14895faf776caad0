"""Checkpoints of one pre-training on a set or on the mean of several: who cannot be told from the best."""

import numpy as np
import pandas as pd
import pytest
from records import evaluated, fewshot, finetuned
from scipy import stats

from bench.analyse.accuracies.pooling import evaluated_accuracies, fewshot_accuracies, finetuned_accuracies
from bench.analyse.accuracies.subjects import identify_weights
from bench.analyse.compare.differences import mean_strata, strata
from bench.store.rows import task_rows

VIT, BIT = "vit_base_patch16_224.augreg_in21k", "resnetv2_50x1_bit.goog_in21k"  # both ImageNet-21k
LARGE = "vit_large_patch16_224.augreg_in21k"
RESNET = "resnet50.a1_in1k"  # ImageNet-1k
NOBODYS = "somebodys_model.x"  # of an origin that nothing tells
IDENTITIES = {name: identify_weights(name) for name in (VIT, BIT, LARGE, RESNET, NOBODYS)}


def tuned(*records, predictions=lambda cell_id: None):
    return finetuned_accuracies(task_rows(records, "finetune"), IDENTITIES, predictions)


def seeds(model, *values, **more):
    return [finetuned(model, seed, value, **more) for seed, value in enumerate(values)]


def told(found):
    return [(one.datasets, one.pretraining, [s.key.model for s in one.best.members]) for one in found]


def test_checkpoints_are_ranked_among_those_of_the_same_pretraining_alone():
    records = [*seeds(VIT, 90.0, 91.0, 92.0), *seeds(BIT, 60.0, 61.0, 62.0), *seeds(RESNET, 70.0, 71.0, 72.0)]
    found = strata(tuned(*records))
    assert told(found) == [(("pets",), "ImageNet-1k", [RESNET]), (("pets",), "ImageNet-21k", [VIT])]
    assert {subject.key.model: mean for subject, mean in found[1].means.items()} == {VIT: 91.0, BIT: 61.0}
    assert sorted(found[1].all_ids) == sorted(record.cell_id for record in records[:6])


def test_one_within_noise_of_the_best_stays_beside_it():
    records = [*seeds(VIT, 88.0, 90.0, 92.0), *seeds(BIT, 87.0, 89.0, 91.0), *seeds(LARGE, 60.0, 62.0, 64.0)]
    # Welch, with 1,000 images drawn anew for each: no p below 0.05 between the first two
    error = (4 / 3 + 4 / 3 + 0.9 + 0.979) ** 0.5
    assert 2 * stats.norm.sf(1.0 / error) > 0.05
    assert told(strata(tuned(*records))) == [(("pets",), "ImageNet-21k", [VIT, BIT])]


def test_weights_of_unknown_origin_are_in_no_stratum():
    assert strata(tuned(*seeds(NOBODYS, 90.0, 91.0))) == []
    assert mean_strata(tuned(*seeds(NOBODYS, 90.0, 91.0)), ("pets",)) == []


def test_strata_stand_in_the_order_of_sets():
    records = [r for name in ("imagenet", "own", "pets", "cifar10") for r in seeds(VIT, 90.0, 91.0, dataset=name)]
    assert [one.datasets for one in strata(tuned(*records))] == [("cifar10",), ("pets",), ("own",), ("imagenet",)]


def test_another_precision_is_not_ranked_with_the_most():
    half = {"settings": {"precision": "bf16", "memory_format": "contiguous", "compile": False}}
    records = [*seeds(VIT, 80.0, 81.0), *seeds(BIT, 70.0, 71.0), *seeds(LARGE, 99.0, 99.5, cell=half)]
    assert told(strata(tuned(*records))) == [(("pets",), "ImageNet-21k", [VIT])]


def head(correct):
    right = np.arange(1000) < correct
    keys = [f"{i:04d}" for i in range(1000)]
    return pd.DataFrame({"key": keys, "label": 0, "prediction": np.where(right, 0, 1)})


@pytest.mark.parametrize(("correct", "members"), [(895, [VIT, BIT]), (894, [VIT])], ids=["5 images", "6 images"])
def test_checkpoints_of_one_run_each_are_compared_on_their_common_images(correct, members):
    # exact McNemar: 5 to 0 gives 2 / 2^5 = 0.0625, 6 to 0 gives 2 / 2^6 = 0.03125
    records = [evaluated(VIT, 900), evaluated(BIT, correct)]
    tables = {record.cell_id: head(int(record.values["correct_top1"])) for record in records}
    found = strata(evaluated_accuracies(task_rows(records, "evaluate"), IDENTITIES, tables.get))
    assert told(found) == [(("imagenet",), "ImageNet-21k", members)]
    assert found[0].best.unranked == ()


def test_draws_of_few_shots_are_compared_by_welchs_t():
    records = [fewshot(VIT, (80.0, 81.0, 82.0)), fewshot(BIT, (60.0, 61.0, 62.0))]
    found = fewshot_accuracies(task_rows(records, "fewshot"), IDENTITIES)
    assert told(strata(found)) == [(("pets",), "ImageNet-21k", [VIT])]


def test_a_mean_is_of_the_checkpoints_that_have_all_sets():
    records = [r for name in ("pets", "cifar10") for r in seeds(VIT, 90.0, 91.0, dataset=name)]
    records += seeds(BIT, 99.0, 99.5)  # cifar10 is missing
    (one,) = mean_strata(tuned(*records), ("cifar10", "pets"))
    assert (one.datasets, one.pretraining) == (("cifar10", "pets"), "ImageNet-21k")
    assert [(subject.key.model, mean) for subject, mean in one.means.items()] == [(VIT, 90.5)]
    assert sorted(one.all_ids) == sorted(record.cell_id for record in records[:4])


def test_a_mean_tells_apart_what_no_set_alone_does():
    # three seeds that scatter by 1 point and 10^6 images: 2.0 points ahead on each of four sets
    sets, values = ("a", "b", "c", "d"), {VIT: (81.0, 82.0, 83.0), BIT: (79.0, 80.0, 81.0)}
    images = {"scored_images": 10**6}
    scores = tuned(*(r for m, v in values.items() for name in sets for r in seeds(m, *v, dataset=name, values=images)))
    alone = stats.ttest_ind(*values.values(), equal_var=False).pvalue
    error = (4 * 2 * (1 / 3)) ** 0.5 / 4  # of the mean over four sets, with 4 x 2 x 2 degrees of freedom
    assert alone > 0.05 > 2 * stats.t.sf(2.0 / error, 16)
    assert {tuple(s.key.model for s in one.best.members) for one in strata(scores)} == {(VIT, BIT)}
    (mean,) = mean_strata(scores, sets)
    assert [subject.key.model for subject in mean.best.members] == [VIT]


def test_seeds_that_collapse_on_one_set_leave_the_model_unranked_in_the_mean():
    records = [*seeds(VIT, 74.0, 92.0, 92.0), *seeds(VIT, 90.0, 90.5, 91.0, dataset="cifar10")]
    records += [r for name in ("pets", "cifar10") for r in seeds(BIT, 70.0, 70.5, 71.0, dataset=name)]
    (one,) = mean_strata(tuned(*records), ("cifar10", "pets"))
    assert [subject.key.model for subject in one.best.unranked] == [VIT]
    assert [subject.key.model for subject in one.best.members] == [BIT]


def test_checkpoints_of_one_run_each_have_no_rank_in_a_mean_over_sets():
    records = [finetuned(model, 0, value, name) for model, value in ((VIT, 90.0), (BIT, 60.0))
               for name in ("pets", "cifar10")]  # fmt: skip
    (one,) = mean_strata(tuned(*records), ("cifar10", "pets"))
    assert one.best.members == ()
    assert {subject.key.model for subject in one.best.unranked} == {VIT, BIT}
