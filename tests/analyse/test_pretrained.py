"""Pretraining studies taken apart: points, trials, transfers, controls, and what has to be the same for a mean."""

from __future__ import annotations

import numpy as np
import pytest
from analyse.synthetic_pretraining import SETS, World, linear, pretrained, times_the_compute, tuned

from bench.analyse.accuracies.pretrained import FINETUNED, PretrainStudy, pretrain_study
from bench.analyse.study import study
from bench.store.record import Record


def studied(records: list[Record]) -> PretrainStudy:
    found = pretrain_study(records, lambda cell_id: None)
    assert found is not None
    return found


FLAT = World(lambda model, budget, images: 50.0)


def test_without_a_pretraining_that_ended_there_is_no_study() -> None:
    assert pretrain_study([], lambda cell_id: None) is None
    failed = pretrained("vit_32px_s", 50, 1000, 0, status="failed", reason="no")
    assert pretrain_study([failed], lambda cell_id: None) is None


def test_points_are_of_a_model_a_budget_and_a_number_of_images() -> None:
    study = studied(World(FLAT.truth, fewer_images=(1024, 4096)).records())
    assert len(study.points) == 2 * (4 + 2)
    assert {point.seeds for point in study.points} == {(0, 1, 2)}
    assert study.most_images == 65536
    assert len(study.along_compute(FINETUNED)) == 2 * 4
    assert {t.point.key.train_images for t in study.along_images("5-shot")} == {1024, 4096, 65536}
    assert {t.point.key.budget for t in study.along_images("5-shot")} == {500.0}


def test_runs_that_nothing_started_from_are_trials() -> None:
    study = studied(FLAT.records())
    assert study.trials == 2 * 2
    assert study.trial_device_hours == pytest.approx(2 * (50 + 1600) / 25 / 3600)
    assert all(point.key.learning_rate == 0.004 for point in study.points)
    assert study.edges == (
        "ViT S at 50 GFLOP", "ViT S at 1600 GFLOP", "ResNet S at 50 GFLOP", "ResNet S at 1600 GFLOP"
    )  # fmt: skip


def test_before_anything_is_transferred_all_runs_are_points() -> None:
    records = [r for r in FLAT.records() if r.cell["task"] == "pretrain"]
    study = studied(records)
    assert study.transfers == ()
    assert study.datasets == ()
    assert study.trials == 0
    assert len(study.points) == 2 * (4 + 2)


def test_the_mean_over_sets_is_taken_for_each_seed() -> None:
    """One pretraining is one draw for all its sets: what it shares must not average out over them."""
    shared = studied(World(FLAT.truth, shared_noise=4.0, test_images=10**6, random=np.random.default_rng(1)).records())
    alone = studied(World(FLAT.truth, own_noise=4.0, test_images=10**6, random=np.random.default_rng(1)).records())
    widths = [np.mean([t.interval.half_width for t in study.of(FINETUNED)]) for study in (shared, alone)]
    assert widths[0] > 1.5 * widths[1], "independent errors shrink by the root of three sets"
    transfer = shared.of(FINETUNED)[0]
    by_seed = np.array([transfer.groups[name].values_pct for name in SETS])
    assert transfer.mean.values_pct == pytest.approx(by_seed.mean(axis=0))


def test_sets_of_the_corpus_own_kind_are_in_no_mean() -> None:
    # unseen: other fractals and rings, of the kind that the corpus mix-64 is made of
    sets = ("digits", "textures", "unseen")
    study = studied(World(lambda model, budget, images: 50.0, sets=sets).records())
    assert study.datasets == ("digits", "textures", "unseen")
    assert study.averaged == ("digits", "textures")
    (first, *_) = study.of(FINETUNED)
    assert set(first.groups) == set(sets)
    raised = [
        r.model_copy(update={"values": {**r.values, "top1_pct": 90.0}})
        if r.cell["task"] == "finetune" and r.cell["dataset"] == "unseen" else r
        for r in World(lambda model, budget, images: 50.0, sets=sets).records()
    ]  # fmt: skip
    assert {one.mean.mean_pct for one in studied(raised).of(FINETUNED)} == {50.0}


def test_where_every_set_is_of_the_corpus_kind_all_are_averaged() -> None:
    study = studied(World(FLAT.truth, sets=("unseen",)).records())
    assert study.averaged == study.datasets == ("unseen",)


def test_images_behind_a_mean_are_those_that_have_its_variance() -> None:
    transfer = studied(FLAT.records()).of(FINETUNED)[0]
    assert transfer.mean.test_images == 3 * 2000, "three sets alike"


def test_draws_of_support_images_are_averaged_with_the_l2_by_leave_one_out() -> None:
    transfer = studied(FLAT.records()).of("5-shot")[0]
    assert transfer.groups["digits"].values_pct == (45.0, 45.0, 45.0)


def test_a_set_that_not_all_have_is_left_out() -> None:
    extra = next(r for r in FLAT.records() if r.cell["task"] == "pretrain")
    records = [*FLAT.records(), tuned("vit_32px_s", str(extra.values["weights_sha256"]), "shapes", 0, 99.0)]
    assert set(studied(records).datasets) == set(SETS)


def test_a_seed_that_is_missing_on_one_set_leaves_the_point_without_a_mean() -> None:
    records = FLAT.records()
    gone = next(r for r in records if r.cell["task"] == "finetune" and r.cell["weights"] != "random")
    study = studied([r for r in records if r is not gone])
    assert len(study.of(FINETUNED)) == 2 * 4 - 1
    assert len(study.of("5-shot")) == 2 * 4, "the other way has all"


def test_controls_are_told_apart() -> None:
    study = studied(FLAT.records())
    found = {(c.kind, c.way, c.identity.name if c.identity else "") for c in study.controls}
    assert found == {
        ("from scratch", FINETUNED, "vit_32px_s"),
        ("from scratch", FINETUNED, "resnet_32px_s"),
        ("random features", "5-shot", "vit_32px_s"),
        ("random features", "5-shot", "resnet_32px_s"),
        ("pixels", "", ""),
    }
    pixels = next(c for c in study.controls if c.kind == "pixels")
    assert pixels.mean.mean_pct == 25.0


def test_one_seed_gives_numbers_without_a_spread() -> None:
    study = studied(World(times_the_compute(3.0), seeds=(0,)).records())
    assert not any(t.mean.has_spread for t in study.transfers)
    assert all("test images alone" in t.interval.method for t in study.transfers)


def test_a_record_that_was_made_again_counts_once() -> None:
    records = FLAT.records()
    again = [
        linear(str(r.cell["model"]), str(r.cell["weights"]), str(r.cell["dataset"]), 60.0).model_copy(
            update={"started_at": "2026-02-02T00:00:00Z"}
        )
        for r in records
        if r.cell["task"] == "fewshot" and r.cell["dataset"] == "digits"
    ]
    transfer = studied([*records, *again]).of("5-shot")[0]
    assert transfer.groups["digits"].values_pct == (60.0, 60.0, 60.0)


def test_what_started_from_other_weights_is_told_beside_the_pretrainings() -> None:
    file = f"sha256 {'a' * 16}"
    own = FLAT.records()
    others = [tuned("vit_32px_s", file, "digits", 0, 80.0), linear("vit_32px_s", file, "digits", 71.0)]
    found, alone = (study("made", records, lambda cell_id: None) for records in ([*own, *others], own))
    assert [one.group.mean_pct for one in found.protocols.finetuned] == [80.0]
    assert {one.subject.weights for one in found.protocols.fewshot} == {file}
    assert not alone.protocols.records
    assert found.pretraining is not None
    assert found.pretraining == alone.pretraining
