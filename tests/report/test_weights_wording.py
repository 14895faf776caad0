import pytest
from synthetic_protocols import (
    BIT,
    VIT,
    VIT_LARGE,
    crossing,
    evaluate_record,
    fewshot_record,
    finetune_record,
    predictions_of,
    preflight_record,
    transfer_like,
)

from bench.analyse.study import study
from bench.catalog.image_tasks import vtab_tasks
from bench.report.words.training_words import finding

AUGREG, GOOG = "vit_base_patch16_224.augreg_in21k_ft_in1k", "resnetv2_50x1_bit.goog_in21k_ft_in1k"
IMAGENET = "ImageNet (ILSVRC-2012)"


def none(cell_id):
    return None


def told(*records, predictions=none):
    return finding(study("s", records, predictions))


def seeds(model, top1, dataset="pets", step=0.0, **more):
    return [finetune_record(model, top1 + step * seed, dataset, seed, **more) for seed in range(3)]


def lost(record, status="skipped", reason="No weights here."):
    return record.model_copy(update={"status": status, "reason": reason, "values": {}})


def test_evaluated_checkpoints_are_compared_by_the_paired_test():
    better, worse = evaluate_record(AUGREG, 800, 1000), evaluate_record(GOOG, 780, 1000)
    frames = {
        better.cell_id: predictions_of([True] * 800 + [False] * 200),
        worse.cell_id: predictions_of([True] * 780 + [False] * 220),
    }
    assert told(better, worse, predictions=frames.get) == (
        f"Evaluated on {IMAGENET} (2 released checkpoints). Among weights pre-trained on ImageNet-21k then "
        f"ImageNet-1k: ViT-B/16 has 80.0 % on {IMAGENET}, ahead of the other one. None has a published figure to be "
        "checked against."
    )


def test_without_predictions_near_checkpoints_are_not_separable():
    text = told(evaluate_record(AUGREG, 800, 1000), evaluate_record(GOOG, 780, 1000))
    assert f"ViT-B/16 has 80.0 % on {IMAGENET}, not separable from BiT-M R50x1." in text
    assert "ahead" not in text


def test_other_pretraining_data_are_not_compared_in_the_finding():
    text = told(evaluate_record(AUGREG, 900, 1000), evaluate_record("resnet50.a1_in1k", 700, 1000))
    assert "ahead" not in text
    assert f"Among weights pre-trained on ImageNet-1k: ResNet-50 alone has 70.0 % on {IMAGENET}." in text


def test_where_one_of_two_is_unstable_the_other_alone_is_ranked():
    unstable = [finetune_record(VIT, top1, "pets", i) for i, top1 in enumerate((70.0, 88.0, 89.0))]
    assert "only BiT-M R50x1 is ranked on Oxford-IIIT Pets (80.0 %): ViT-B/16 has unstable seeds." in told(
        *unstable, *seeds(BIT, 80.0)
    )
    others = [finetune_record(VIT_LARGE, top1, "pets", i) for i, top1 in enumerate((70.0, 88.0, 89.0))]
    assert "ViT-B/16 and ViT-L/16 have unstable seeds." in told(*unstable, *others, *seeds(BIT, 80.0))
    assert "none is ranked on Oxford-IIIT Pets (unstable seeds)." in told(*unstable)
    assert (
        "BiT-M R50x1 has 80.0 % on Oxford-IIIT Pets, ahead of the other one (not ranked for unstable seeds: ViT-B/16)."
        in told(*unstable, *seeds(BIT, 80.0), *seeds(VIT_LARGE, 60.0))
    )


def test_a_set_with_two_ranked_models_is_told_before_one_where_nothing_is_compared():
    unstable = [finetune_record(VIT, top1, "cifar10", i) for i, top1 in enumerate((70.0, 88.0, 89.0))]
    text = told(*unstable, *seeds(BIT, 80.0, "cifar10"), *seeds(VIT, 90.0), *seeds(BIT, 80.0))
    assert text.index("ViT-B/16 has 90.0 % on Oxford-IIIT Pets") < text.index("only BiT-M R50x1 is ranked on CIFAR-10")


def test_unstable_draws_of_few_shots_are_called_draws():
    text = told(fewshot_record(VIT, 60.0, spread=9.0), fewshot_record(BIT, 60.0, spread=0.1))
    assert "ViT-B/16 has unstable draws." in text


def test_public_weights_of_unknown_origin_lead_nothing():
    text = told(evaluate_record("vit_base_patch16_224.robbyant", 900, 1000))
    assert "None has pre-training data that the catalog knows, so nothing is compared" in text


def test_a_users_file_is_in_the_finding_with_its_owners_words_or_that_there_are_none():
    own = {"weights": "sha256 0123456789abcdef"}
    assert "Among files whose pre-training data are not stated: ViT-B/16 file 01234567 alone has 90.0 %" in told(
        evaluate_record(AUGREG, 900, 1000, **own)
    )
    said = evaluate_record(AUGREG, 900, 1000, values={"pretraining": "our shop"}, **own)
    assert "Among files pre-trained, as their owner says, on our shop: ViT-B/16 file" in told(said)


def test_a_few_shot_line_says_which_sets_have_classes_with_fewer_images():
    record = fewshot_record()
    for row in record.values["results"]:
        row.update({"short_classes": 2, "fewest_images": 3})
    assert "5-shot (CIFAR-100: 2 classes have fewer: 3 at least) on frozen features" in told(record)


def test_a_self_check_that_differs_is_in_the_finding():
    values = {"published_top1_pct": 84.5, "delta_pp": -2.0, "self_check": "differs"}
    text = told(evaluate_record(values=values))
    assert "0 of 1 figure with a published one agree with it within tolerance. **The others differ" in text


def test_pretraining_helps_as_far_as_the_interval_allows():
    text = told(*seeds(VIT, 90.0), *seeds(VIT, 50.0, weights="random"))
    assert (
        "Pretrained weights against the same model from scratch: ahead for ViT-B/16 on Oxford-IIIT Pets (+40.0 points "
        "[38.1, 41.9])."
    ) in text


def test_pretraining_that_does_not_help_is_told_too():
    def scratch(pretrained, random, step=0.0):
        return told(*seeds(VIT, pretrained, step=step), *seeds(VIT, random, step=step, weights="random"))

    said = "Pretrained weights against the same model from scratch: "
    assert f"{said}behind for ViT-B/16 on Oxford-IIIT Pets (−40.0 points" in scratch(50.0, 90.0)
    assert f"{said}undecided for ViT-B/16 on Oxford-IIIT Pets (+1.0 points" in scratch(90.0, 89.0, step=3.0)
    assert f"{said}unstable seeds for ViT-B/16 on Oxford-IIIT Pets." in scratch(60.0, 50.0, step=6.0)
    alone = told(finetune_record(VIT, 90.0, "pets"), finetune_record(VIT, 50.0, "pets", weights="random"))
    assert f"{said}one seed for ViT-B/16 on Oxford-IIIT Pets." in alone


def test_the_mean_of_the_five_sets_comes_first():
    text = told(*transfer_like())
    assert text.startswith(
        "Fine-tuned on 5 data sets (5 models, 3 seeds). Among weights pre-trained on ImageNet-21k: ViT-L/16 has "
    )
    assert text.index("on the mean of the five sets") < text.index("on CIFAR-10")


def test_few_shot_speaks_of_five_shots_and_overlap():
    text = told(fewshot_record(VIT, 80.0, spread=0.1), fewshot_record(BIT, 60.0, spread=0.1, values={"overlap": True}))
    assert text.startswith(
        "Linear 5-shot on frozen features (λ by leave-one-out; 2 checkpoints on CIFAR-100). Among weights "
    )
    assert "ViT-B/16 has 81.0 % on CIFAR-100, ahead of the other one." in text
    assert text.endswith("Rows marked overlap have seen images or classes of the set before.")


def vtab(model, top1, count=19):
    return [finetune_record(model, top1, name, seed) for name in vtab_tasks()[:count] for seed in range(2)]


def test_vtab_is_told_by_mean_rank_and_interquartile_mean_without_a_leader():
    assert told(*vtab(BIT, 60.0), *vtab(VIT, 70.0)) == (
        "VTAB, mean rank and interquartile mean over 19 tasks (bootstrap over tasks): ViT-B/16 1.0 and 70.0 % "
        "[70.0, 70.0]; BiT-M R50x1 2.0 and 60.0 % [60.0, 60.0]."
    )


def test_fewer_than_eight_tasks_are_a_mean_that_is_no_vtab_score():
    text = told(*vtab(BIT, 60.0, 7), *vtab(VIT, 70.0, 7))
    assert text.startswith("The mean of 7 VTAB tasks, which is no VTAB score: ViT-B/16 70.0 % [")
    assert "; BiT-M R50x1 60.0 % [" in text


def test_one_model_on_all_tasks_has_its_vtab_score():
    assert told(*vtab(VIT, 70.0)).startswith("VTAB (19 tasks): ViT-B/16 70.0 % [69.")


def test_all_skipped_says_so_with_the_reason():
    skipped = [lost(evaluate_record(model)) for model in (AUGREG, GOOG)]
    assert told(*skipped) == (
        "**Nothing was evaluated**, so no model has a result: of 2 cells, 2 skipped. Reason: No weights here."
    )
    assert "1 other reason below" in told(*skipped, lost(evaluate_record(AUGREG, resolution_px=1), reason="Another."))


def test_one_protocol_without_results_does_not_hide_behind_another():
    text = told(fewshot_record(), lost(evaluate_record(), "failed", "Broken."), lost(finetune_record(), "oom", "Full."))
    assert "**Nothing was evaluated**" in text
    assert "of 1 cell, 1 failed. Reason: Broken." in text
    assert "**Nothing was fine-tuned**, so no model has a result: of 1 cell, 1 ran out of memory. Reason: Full." in text


def test_checked_data_are_told_without_any_model():
    assert told(preflight_record()) == (
        "1 data set checked, 1\u202f000 images: 1 bad file; no picture was found in two parts."
    )
    assert "**the same pictures stand in several parts of birds**" in told(
        preflight_record(exact_duplicates=crossing())
    )


@pytest.mark.parametrize(
    "records",
    [
        [finetune_record(VIT, 90.0)],
        [finetune_record("a|<script>*x*", 90.0, "set|<script>*y*")],
        [finetune_record(VIT, 90.0, part="validation")],
        [fewshot_record(VIT_LARGE, draws=1, shots=(1,))],
        [evaluate_record(dataset="set|<script>")],
        [finetune_record(VIT, 70.0, "vtab_dtd")],
        [finetune_record(VIT, 0.0), finetune_record(BIT, 100.0)],
    ],
    ids=["one run", "hostile", "trials alone", "one draw", "evaluated own set", "one task", "0 and 100"],
)
def test_partial_data_make_a_sentence(records):
    text = told(*records)
    assert text.endswith((".", "**"))
    assert "<script>" not in text
    assert "None" not in text.replace("None has", "")
    assert "nan" not in text


def test_what_was_asked_of_own_trainings_comes_before_what_they_reached(monkeypatch):
    from types import SimpleNamespace

    from bench.report.words import training_words as wording

    monkeypatch.setattr(wording, "_own_finding", lambda study: "Trained.")
    monkeypatch.setattr(wording, "weights_finding", lambda protocols, failures: "Adapted.")

    def found(*datasets, trained_on):
        subjects = (SimpleNamespace(trained_on=trained_on),)
        return wording.finding(
            SimpleNamespace(
                datasets=[SimpleNamespace(name=name) for name in datasets],
                protocols=SimpleNamespace(records=("one",), subjects=subjects),
                failures=(),
                pretraining=None,
            )
        )

    assert found("shapes", trained_on="shapes") == "Adapted. Trained."
    assert found("shapes", "digits", trained_on="shapes") == "Trained. Adapted."
    assert found("shapes", trained_on="") == "Trained. Adapted."
