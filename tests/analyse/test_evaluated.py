import pandas as pd
import pytest
from records import evaluated

from bench.analyse.accuracies.pooling import evaluated_accuracies
from bench.analyse.accuracies.subjects import identify_weights
from bench.store.rows import task_rows

MODEL = "resnet50.a1_in1k"


def none(cell_id):
    return None


def read(*records, predictions=none):
    return evaluated_accuracies(task_rows(records, "evaluate"), {MODEL: identify_weights(MODEL)}, predictions)


def test_interval_of_one_checkpoint_is_wilsons():
    # 800 of 1 000: centre (0.8 + 1.92073 / 1000) / 1.0038415, half width 2.4779 points
    (one,) = read(evaluated(MODEL, 800))
    assert one.top1.estimate == 80.0
    assert (one.top1.low, one.top1.high) == (pytest.approx(77.408, abs=1e-3), pytest.approx(82.363, abs=1e-3))


def test_counts_are_used_where_the_percentage_is_rounded():
    (one,) = read(evaluated(MODEL, 801, values={"top1_pct": 80.0}))
    assert one.top1.estimate == pytest.approx(80.1)


def test_real_has_the_images_that_have_labels():
    (one,) = read(evaluated(MODEL, 800, values={"real_top1_pct": 90.0, "real_images": 500}))
    assert (one.real.estimate, one.real.n) == (pytest.approx(90.0), 500)
    assert read(evaluated(MODEL, 800))[0].real is None


def test_of_two_records_of_one_checkpoint_the_newest_counts():
    old = evaluated(MODEL, 700, started_at="2026-01-01T00:00:00Z")
    new = evaluated(MODEL, 800, started_at="2026-02-01T00:00:00Z", cell={"metric_version": 2})
    assert [one.top1.estimate for one in read(new, old)] == [80.0]


def test_resolution_device_and_weights_make_rows_of_their_own():
    records = [
        evaluated(MODEL, 800),
        evaluated(MODEL, 810, cell={"resolution_px": 288}),
        evaluated(MODEL, 820, cell={"weights": "sha256 0123456789abcdef"}),
    ]
    assert sorted(one.top1.estimate for one in read(*records)) == [80.0, 81.0, 82.0]


def test_missing_values_stay_missing():
    (one,) = read(evaluated(MODEL, 800, values={"macs": None, "notes": None, "preprocessing": None}))
    assert (one.macs, one.top5_pct, one.published_pct, one.notes, one.preprocessing) == (None, None, None, (), {})


def test_predictions_are_read_for_the_paired_test():
    frame = pd.DataFrame({"key": ["a", "b"], "label": [0, 1], "prediction": [0, 0]})
    (one,) = read(evaluated(MODEL, 1, 2), predictions=lambda cell_id: frame)
    assert one.group.correctness.right.tolist() == [[True, False]]
