import math

import numpy as np
import pandas as pd
import pytest
from records import trained
from scipy import stats

from bench.analyse.accuracies.pooling import along_images, main_scores, trained_accuracies
from bench.analyse.compare.differences import score_differences
from bench.catalog.identity import identify_model
from bench.store.correctness import read_correctness
from bench.store.rows import task_rows


def scores_of(records, predictions=lambda cell_id: None):
    frame = task_rows(records, "train")
    return trained_accuracies(frame, {row["model"]: identify_model(row["model"]) for row in frame}, predictions)


def test_a_score_is_the_mean_over_its_seeds():
    (score,) = scores_of([trained("vit_32px_s", seed, top1) for seed, top1 in ((0, 80.0), (1, 82.0), (2, 87.0))])
    assert score.interval.estimate == pytest.approx(83.0)
    assert score.seeds == (0, 1, 2)


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


def test_the_axis_of_training_images_is_walked_at_one_budget():
    """1,000 images were trained to more compute, too; a line from 100 to 1,000 images has to leave that out."""
    records = [trained("vit_32px_s", 0, 80.0, images=n, budget=1.0) for n in (100, 1000)]
    records += [trained("vit_32px_s", 0, 90.0, images=1000, budget=b) for b in (4.0, 16.0)]
    records += [trained("vit_32px_m", 0, 85.0, images=1000, budget=b) for b in (4.0, 16.0)]
    assert [(s.key.model, s.train_images, s.budget_gflop) for s in along_images(scores_of(records))] == [
        ("vit_32px_m", 1000, 16.0),
        ("vit_32px_s", 100, 1.0),
        ("vit_32px_s", 1000, 1.0),
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


FAMILIES = ("vit_32px_s", "hybrid_32px_s", "resnet_32px_s")


def met(records):
    found = score_differences(scores_of(records))
    return {(p.first.model, p.second.model, p.dataset, p.train_images, p.budget_gflop): d for p, d in found.items()}


def test_models_of_different_families_meet_wherever_both_were_run():
    records = [trained(model, s, 80.0 + i + s, budget=budget, images=images)
               for i, model in enumerate(FAMILIES) for s in (0, 1, 2)
               for budget, images in ((1.0, 1000), (2.0, 1000), (1.0, 500))]  # fmt: skip
    records += [trained("vit_32px_s", s, 90.0 + s, "shapes") for s in (0, 1, 2)]  # there it is alone
    found = met(records)
    places = [(500, 1.0), (1000, 1.0), (1000, 2.0)]
    pairs = [("vit_32px_s", "resnet_32px_s"), ("hybrid_32px_s", "resnet_32px_s"), ("vit_32px_s", "hybrid_32px_s")]
    assert list(found) == [(*pair, "textures", *place) for place in places for pair in pairs]
    assert {round(found[*pairs[0], "textures", *place].delta_pp, 9) for place in places} == {-2.0}


def test_a_difference_of_two_models_is_welchs_over_their_own_seeds():
    ours, theirs = (80.0, 81.0, 82.0), (77.0, 81.0, 76.0)
    records = [trained("vit_32px_s", s, v) for s, v in enumerate(ours)]
    records += [trained("resnet_32px_s", s, v) for s, v in enumerate(theirs)]
    (difference,) = met(records).values()
    seeds = [np.var(values, ddof=1) / 3 for values in (ours, theirs)]
    images = [1e4 * p * (1 - p) / 1000 for p in (0.81, 0.78)]  # no predictions: 1,000 images drawn anew for each
    total = sum(seeds) + sum(images)
    told = [2 * s for s in seeds]  # seeds count twice in the degrees of freedom
    df = sum(told + images) ** 2 / (sum(s**2 for s in told) / 2 + sum(i**2 for i in images) / 999)
    half = stats.t.ppf(0.975, df) * math.sqrt(total)
    assert difference.delta_pp == pytest.approx(3.0)
    assert (difference.interval.low, difference.interval.high) == pytest.approx((3.0 - half, 3.0 + half))
    assert (difference.verdict, difference.is_decided) == ("not decided", False)
    assert half > 3.0


def test_models_of_another_size_or_setting_do_not_meet():
    def pair(second, **cell):
        one = [trained("vit_32px_s", s, 80.0 + s) for s in (0, 1)]
        other = [trained(second, s, 70.0 + s) for s in (0, 1)]
        for r in other:
            r.cell.update(cell)
        return met([*one, *other])

    assert len(pair("resnet_32px_s")) == 1
    assert pair("resnet_32px_m") == {}
    assert pair("vit_32px_s") == {}
    assert pair("resnet_32px_s", device="cuda") == {}
    assert pair("resnet_32px_s", resolution_px=64) == {}
    assert pair("resnet_32px_s", train_images=999) == {}
