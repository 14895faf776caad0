import math

import pytest
from records import fewshot

from bench.analyse.accuracies.pooling import fewshot_accuracies, headline_setting
from bench.analyse.accuracies.subjects import identify_weights
from bench.store.rows import task_rows

VIT, CNN = "vit_base_patch16_224.augreg_in21k", "resnetv2_50x1_bit.goog_in21k"


def read(*records):
    return fewshot_accuracies(task_rows(records, "fewshot"), {name: identify_weights(name) for name in (VIT, CNN)})


def test_interval_is_over_draws_and_test_images():
    # draws 58, 60, 62: variance 4, over 3 draws 4/3, 2 degrees of freedom; images 60 x 40 / 1000 = 2.4, 999
    (score,) = read(fewshot(VIT, (58.0, 60.0, 62.0)))
    total = 4 / 3 + 2.4
    assert score.group.mean_pct == 60.0
    df = (8 / 3 + 2.4) ** 2 / ((8 / 3) ** 2 / 2 + 2.4**2 / 999)  # draws count twice in the degrees of freedom
    assert 7.2 < df < 7.3
    # t quantile at 7.2; Wilson's reach for the images differs a little from the symmetric one
    assert score.interval.half_width == pytest.approx(2.351 * math.sqrt(total), rel=3e-3)


def test_one_draw_has_the_interval_of_the_test_images_alone():
    (score,) = read(fewshot(VIT, (60.0,)))
    assert not score.group.has_spread
    assert score.interval.method == "test images alone"


def test_shots_and_rules_are_scores_of_their_own():
    records = [fewshot(VIT, (60.0, 61.0)), fewshot(CNN, (50.0, 51.0), rule="loo")]
    assert [(s.subject.key.model, s.shots, s.rule) for s in read(*records)] == [(CNN, 5, "loo"), (VIT, 5, "fixed")]


def test_sentences_speak_of_five_shots_and_leave_one_out_where_they_are_there():
    assert headline_setting(read(fewshot(VIT, (1.0,)), fewshot(CNN, (1.0,), rule="loo"))) == (5, "loo")
    assert headline_setting(read(fewshot(VIT, (1.0,), shots=1), fewshot(CNN, (1.0,), shots=10))) == (10, "fixed")
    with pytest.raises(ValueError, match="no few-shot scores"):
        headline_setting([])
