import math

import pytest
from records import finetuned

from bench.analyse.accuracies.pooling import finetuned_accuracies
from bench.analyse.accuracies.subjects import identify_weights
from bench.analyse.compare.means import by_subject, set_mean, sets_to_average, vtab_of
from bench.catalog.image_tasks import vtab_tasks
from bench.store.rows import task_rows

VIT, CNN = "vit_base_patch16_224.augreg_in21k", "resnetv2_50x1_bit.goog_in21k"


def read(*records):
    identities = {name: identify_weights(name) for name in (VIT, CNN)}
    return finetuned_accuracies(task_rows(records, "finetune"), identities, lambda cell_id: None)


def test_mean_over_sets_is_unweighted_with_the_errors_of_all_sets():
    # seed variance 2 on each set over 2 seeds, images 50 x 50 / 1000 each: (1 + 2.5) / 2 for the mean of two
    scores = read(*(finetuned(VIT, s, 49.0 + 2 * s + d, n) for s in range(2) for n, d in (("pets", 0), ("dtd", 0))))
    mean = set_mean(by_subject(scores)[scores[0].subject], ("pets", "dtd"))
    assert mean.mean_pct == pytest.approx(50.0)
    variance = (2 / 2 + 2.5) / 2
    assert mean.interval.half_width > 1.96 * math.sqrt(variance)
    assert mean.interval.half_width == pytest.approx(2.1 * math.sqrt(variance), rel=0.25)
    assert len(mean.cell_ids) == 4


def test_mean_needs_every_set_and_its_interval_needs_seeds():
    (score,) = read(finetuned(VIT, 0, 90.0))
    assert set_mean({"pets": score}, ("pets", "dtd")) is None
    assert set_mean({"pets": score}, ()) is None
    assert set_mean({"pets": score}, ("pets",)).interval is None


def test_a_scratch_run_on_one_set_does_not_end_the_mean():
    records = [finetuned(VIT, 0, 90.0, name) for name in ("pets", "cifar10")]
    scratch = finetuned(VIT, 0, 60.0, "pets", cell={"weights": "random"})
    assert sets_to_average(read(*records, scratch)) == ("cifar10", "pets")


def test_vtab_score_is_the_mean_of_all_nineteen_tasks():
    vtab = vtab_of(read(*(finetuned(VIT, 0, 50.0 + i, name) for i, name in enumerate(vtab_tasks()))))
    (subject,) = vtab.subjects
    assert vtab.score(subject).mean_pct == pytest.approx(59.0)  # mean of 50 .. 68
    assert vtab.group_mean(subject, "Natural").mean_pct == pytest.approx(53.0)  # the first seven
    assert vtab.group_mean(subject, "Structured").mean_pct == pytest.approx(64.5)  # the last eight


def test_with_a_task_missing_there_is_no_score_but_a_mean_of_the_common_ones():
    records = [finetuned(VIT, 0, 50.0 + i, name) for i, name in enumerate(vtab_tasks())]
    records += [finetuned(CNN, 0, 40.0, name) for name in vtab_tasks()[:3]]
    vtab = vtab_of(read(*records))
    cnn, vit = vtab.subjects
    assert vtab.score(cnn) is None
    assert vtab.group_mean(cnn, "Natural") is None
    assert (vtab.common_mean(cnn).mean_pct, vtab.common_mean(vit).mean_pct) == (40.0, 51.0)
    assert vtab.common == tuple(vtab_tasks()[:3])


def test_without_a_task_there_is_no_vtab():
    assert vtab_of(read(finetuned(VIT, 0, 90.0))) is None
