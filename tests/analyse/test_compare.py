import itertools
from statistics import fmean

import pytest
from records import trained

from bench.analyse.compare import best_of_weights, compare_families, flipped
from bench.analyse.frame import training_frame
from bench.analyse.identity import identify_model
from bench.analyse.scores import main_scores, trained_scores


def scores_of(records):
    frame = training_frame(records)
    identities = {name: identify_model(name) for name in frame["model"].unique()}
    return main_scores(trained_scores(frame, identities, lambda cell_id: None))


def runs(model, mean, validation=None, **more):
    return [
        trained(model, seed, mean + shift, validation=validation, **more) for seed, shift in enumerate((-0.2, 0, 0.2))
    ]


def test_weights_of_candidates_are_the_chance_to_be_best_of_a_draw():
    values, drawn = [9, 7, 4, 1], 2
    expected = fmean(max(draw) for draw in itertools.combinations(values, drawn))
    assert sum(w * v for w, v in zip(best_of_weights(4, 2), values, strict=False)) == pytest.approx(expected)
    assert best_of_weights(3, 3) == [1.0]


def test_the_best_of_a_family_is_chosen_on_validation_not_on_test():
    records = runs("vit_32px_s", 80.0, validation=90.0) + runs("vit_32px_m", 85.0, validation=70.0)
    records += runs("resnet_32px_s", 82.0, validation=90.0) + runs("resnet_32px_m", 70.0, validation=70.0)
    (found,) = compare_families(scores_of(records))
    assert (found.first.family, found.second.family) == ("cnn", "vit")
    assert found.delta_pp == pytest.approx(2.0)


def test_a_family_with_more_models_stands_for_as_many_candidates_as_the_other():
    records = runs("vit_32px_s", 80.0) + runs("resnet_32px_s", 90.0) + runs("mbconv_32px_s", 70.0)
    (found,) = compare_families(scores_of(records))
    assert found.first.mean_pct == pytest.approx((90.0 + 70.0) / 2)
    assert (found.first.candidates, found.first.drawn) == (2, 1)


def test_a_clear_difference_is_ahead_and_seen_from_the_other_side_behind():
    (found,) = compare_families(scores_of(runs("vit_32px_s", 70.0) + runs("resnet_32px_s", 90.0)))
    assert found.verdict == "ahead"
    assert flipped(found).verdict == "behind"
    assert flipped(found).interval.low == pytest.approx(-found.interval.high)


def test_a_difference_within_its_interval_is_not_decided():
    (found,) = compare_families(scores_of(runs("vit_32px_s", 80.0) + runs("resnet_32px_s", 80.3)))
    assert found.verdict == "not decided"


def test_one_seed_decides_nothing():
    (found,) = compare_families(scores_of([trained("vit_32px_s", 0, 10.0), trained("resnet_32px_s", 0, 90.0)]))
    assert (found.verdict, found.interval) == ("not decided", None)


def test_families_meet_only_at_budgets_that_both_have():
    records = runs("vit_32px_s", 80.0, budget=1.0) + runs("resnet_32px_s", 90.0, budget=1.0)
    records += runs("resnet_32px_m", 99.0, budget=2.0)
    (found,) = compare_families(scores_of(records))
    assert found.first.mean_pct == pytest.approx(90.0)


def test_families_without_a_common_budget_are_not_compared():
    records = runs("vit_32px_s", 80.0, budget=1.0) + runs("resnet_32px_m", 99.0, budget=2.0)
    assert compare_families(scores_of(records)) == []


def test_a_pair_meets_at_its_largest_common_budget_alone():
    records = runs("vit_32px_s", 80.0, budget=1.0) + runs("resnet_32px_s", 70.0, budget=1.0)
    records += runs("vit_32px_s", 90.0, budget=2.0) + runs("resnet_32px_s", 95.0, budget=2.0)
    records += runs("resnet_32px_m", 99.0, budget=4.0)
    frame = training_frame(records)
    identities = {name: identify_model(name) for name in frame["model"].unique()}
    (found,) = compare_families(trained_scores(frame, identities, lambda cell_id: None))
    assert (found.budget_gflop, found.delta_pp) == (2.0, pytest.approx(5.0))
    assert {score.budget_gflop for score in found.scores} == {2.0}
