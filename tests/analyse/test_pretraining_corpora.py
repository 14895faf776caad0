"""The same pretraining on different images: what stands apart from the main study, and differences by hand."""

from __future__ import annotations

import pytest
from analyse.synthetic_pretraining import SETS, World, on_photographs_and_drawn
from scipy import stats

from bench.analyse.accuracies.pretrained import FINETUNED, PretrainStudy, pretrain_study
from bench.analyse.compare.pretraining_contrasts import corpus_meetings
from bench.store.record import Record

VIT, RESNET = "vit_32px_s", "resnet_32px_s"
MAIN = World(lambda model, budget, images: 50.0, sets=(*SETS, "unseen"))
# of each seed on each of SETS, so that means over these are 70, 73, 76 and 60, 61, 62
ON_PHOTOGRAPHS = {"digits": (80.0, 83.0, 86.0), "textures": (70.0, 73.0, 76.0), "counts": (60.0, 63.0, 66.0)}
ON_DRAWN = {"digits": (70.0, 72.0, 74.0), "textures": (60.0, 61.0, 62.0), "counts": (50.0, 50.0, 50.0)}


def records(models: tuple[str, ...] = (VIT,)) -> list[Record]:
    return on_photographs_and_drawn(
        lambda name, seed: ON_PHOTOGRAPHS.get(name, (10.0, 10.0, 10.0))[seed],
        lambda name, seed: ON_DRAWN.get(name, (90.0, 90.0, 90.0))[seed],
        models,
        test_images=10**9,
    )


def studied(found: list[Record]) -> PretrainStudy:
    study = pretrain_study(found, lambda cell_id: None)
    assert study is not None
    return study


def test_what_met_on_several_sets_stands_apart_and_leaves_the_main_study_as_it_was() -> None:
    alone, both = studied(MAIN.records()), studied([*MAIN.records(), *records()])
    assert (both.points, both.datasets, both.averaged) == (alone.points, alone.datasets, alone.averaged)
    assert [one.mean for one in both.transfers] == [one.mean for one in alone.transfers]
    assert both.most_images == 65536
    assert list(both.by_corpus) == ["fashion_mnist", "mix-64"], "real images first"
    assert {one.point.key.corpus for one in both.everything} == {"fashion_mnist", "mix-64"}
    assert len(both.everything) == len(alone.transfers) + 2
    assert alone.by_corpus == {}


def test_both_average_the_sets_in_the_domain_of_neither_and_keep_their_own() -> None:
    photographs, drawn = studied(records()).by_corpus.values()
    assert set(photographs.averaged) == set(drawn.averaged) == set(SETS)
    assert set(photographs.datasets) == {*SETS, "unseen"}
    assert set(drawn.datasets) == {*SETS, "unseen", "fashion_mnist"}


def test_the_difference_of_the_means_is_welchs_over_seeds() -> None:
    mean, *each = corpus_meetings(studied(records()), FINETUNED)
    assert (mean.first.point.key.corpus, mean.second.point.key.corpus) == ("fashion_mnist", "mix-64")
    assert mean.first.mean.values_pct == pytest.approx((70.0, 73.0, 76.0))
    assert mean.difference.delta_pp == pytest.approx(73.0 - 61.0)
    ends = stats.ttest_ind((70, 73, 76), (60, 61, 62), equal_var=False).confidence_interval(0.95)
    assert mean.difference.interval is not None
    assert (mean.difference.interval.low, mean.difference.interval.high) == pytest.approx(
        (ends.low, ends.high), abs=0.01
    )
    assert mean.difference.verdict == "ahead"
    assert len(set(mean.cell_ids)) == 2 * 3 * len(SETS)
    by_set = {one.dataset: one.difference.delta_pp for one in each}
    assert by_set == pytest.approx({"digits": 11.0, "textures": 12.0, "counts": 13.0, "unseen": -80.0})


def test_each_model_meets_itself_alone() -> None:
    found = [one for one in corpus_meetings(studied(records((VIT, RESNET))), FINETUNED) if not one.dataset]
    assert [(one.first.point.key.model, one.second.point.key.model) for one in found] == [(VIT, VIT), (RESNET, RESNET)]


def test_another_number_of_images_is_no_meeting() -> None:
    fewer = [
        one.model_copy(update={"cell": {**one.cell, "train_images": 16384}})
        if one.cell["task"] == "pretrain" and one.cell["dataset"] == "fashion_mnist" else one
        for one in records()
    ]  # fmt: skip
    study = studied(fewer)
    assert study.by_corpus == {}
    assert corpus_meetings(study, FINETUNED) == []


def test_a_suite_of_nothing_but_meetings_is_told_along_its_first_set() -> None:
    study = studied(records())
    assert {point.key.corpus for point in study.points} == {"fashion_mnist"}
    assert len(study.transfers) == 1
    assert [one.point.key.corpus for one in study.everything] == ["fashion_mnist", "mix-64"]
