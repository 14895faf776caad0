import pandas as pd
import pytest
from records import trained

from bench.analyse.correctness import read_correctness
from bench.analyse.frame import training_frame
from bench.analyse.identity import identify_model
from bench.analyse.scores import main_scores, trained_scores


def scores_of(records, predictions=lambda cell_id: None):
    frame = training_frame(records)
    return trained_scores(frame, {name: identify_model(name) for name in frame["model"].unique()}, predictions)


def test_a_score_is_the_mean_over_its_seeds():
    (score,) = scores_of([trained("vit_32px_s", seed, top1) for seed, top1 in ((0, 80.0), (1, 82.0), (2, 87.0))])
    assert score.interval.estimate == pytest.approx(83.0)
    assert score.seeds == (0, 1, 2)


def test_few_seeds_share_the_variance_of_their_family():
    records = [trained("vit_32px_s", seed, top1) for seed, top1 in ((0, 80.0), (1, 82.0))]
    records += [trained("vit_32px_m", seed, top1) for seed, top1 in ((0, 90.0), (1, 90.0))]
    records += [trained("resnet_32px_s", seed, top1) for seed, top1 in ((0, 50.0), (1, 60.0))]
    by_model = {score.key.model: score.group.spread for score in scores_of(records)}
    assert by_model["vit_32px_s"] == by_model["vit_32px_m"]
    assert (by_model["vit_32px_s"].variance, by_model["vit_32px_s"].df) == (1.0, 2)
    assert by_model["resnet_32px_s"].variance == pytest.approx(50.0)


def test_the_recipe_is_chosen_on_validation():
    records = [trained("vit_32px_s", 0, 80.0, validation=70.0, rate=0.001)]
    records += [trained("vit_32px_s", 0, 75.0, validation=90.0, rate=0.01)]
    (score,) = scores_of(records)
    assert (score.learning_rate, score.interval.estimate) == (0.01, 75.0)


def test_main_scores_are_at_the_largest_set_and_the_largest_budget_of_the_size():
    records = [trained("vit_32px_s", 0, 80.0, images=n, budget=b) for n in (100, 1000) for b in (1.0, 2.0)]
    records += [trained("vit_32px_m", 0, 85.0, images=1000, budget=4.0)]
    main = main_scores(scores_of(records))
    assert [(s.key.model, s.train_images, s.budget_gflop) for s in main] == [
        ("vit_32px_m", 1000, 4.0),
        ("vit_32px_s", 1000, 2.0),
    ]


def test_validation_scores_are_no_scores():
    assert scores_of([trained("vit_32px_s", 0, 80.0, part="validation")]) == []


def predictions_frame(keys, right):
    return pd.DataFrame({"key": keys, "label": [1] * len(keys), "prediction": [1 if r else 0 for r in right]})


def test_correctness_lines_images_up_by_key():
    frames = {"a": predictions_frame(["x", "y"], [True, False]), "b": predictions_frame(["y", "x"], [True, False])}
    found = read_correctness(["a", "b"], frames.get)
    assert found.images == ("x", "y")
    assert found.right.tolist() == [[True, False], [False, True]]
    assert found.mean_over_seeds().tolist() == [0.5, 0.5]


def test_correctness_is_unknown_when_seeds_scored_different_images():
    frames = {"a": predictions_frame(["x"], [True]), "b": predictions_frame(["y"], [True])}
    assert read_correctness(["a", "b"], frames.get) is None
    assert read_correctness(["a", "missing"], frames.get) is None
