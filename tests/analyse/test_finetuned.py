import pandas as pd
import pytest
from records import finetuned
from scipy import stats

from bench.analyse.accuracies.pooling import finetuned_accuracies
from bench.analyse.accuracies.subjects import identify_weights
from bench.analyse.accuracies.trials import recipe_sweeps
from bench.analyse.compare.differences import pretraining_gains
from bench.store.current import failed_trials
from bench.store.rows import task_rows

VIT, CNN = "vit_base_patch16_224.augreg_in21k", "resnetv2_50x1_bit.goog_in21k"
IDENTITIES = {name: identify_weights(name) for name in (VIT, CNN)}
SCRATCH = {"weights": "random"}


def none(cell_id):
    return None


def read(*records, predictions=none):
    return finetuned_accuracies(task_rows(records, "finetune"), IDENTITIES, predictions)


def sweeps(*records, failed=()):
    return recipe_sweeps(task_rows(records, "finetune"), failed)


def test_score_is_the_mean_over_seeds():
    (score,) = read(*(finetuned(VIT, seed, top1) for seed, top1 in enumerate((90.0, 91.0, 92.0))))
    assert (score.group.mean_pct, score.seeds, score.trials) == (91.0, (0, 1, 2), 0)
    assert score.group.values_pct == (90.0, 91.0, 92.0)


def test_validation_chooses_the_recipe_and_the_test_part_does_not():
    records = [
        finetuned(VIT, 0, 95.0, rate=0.03),
        finetuned(VIT, 0, 90.0, rate=0.01),
        finetuned(VIT, 9, 70.0, rate=0.03, part="validation"),
        finetuned(VIT, 9, 80.0, rate=0.01, part="validation"),
    ]
    (score,) = read(*records)
    assert (score.learning_rate, score.group.mean_pct, score.validation_pct) == (0.01, 90.0, 80.0)
    assert (score.trials, score.recipes_tested) == (2, 2)


def test_without_trials_the_most_seeds_count_and_never_the_best_test_score():
    records = [finetuned(VIT, 0, 95.0, rate=0.03), *(finetuned(VIT, seed, 90.0, rate=0.01) for seed in range(2))]
    (score,) = read(*records)
    assert (score.learning_rate, score.group.mean_pct) == (0.01, 90.0)


def test_the_bit_recipe_competes_with_the_sweep_on_validation():
    records = [
        finetuned(CNN, 0, 88.0, rate=0.003, name="bit"),
        finetuned(CNN, 9, 85.0, rate=0.003, name="bit", part="validation"),
        finetuned(CNN, 9, 84.0, rate=0.01, part="validation"),
    ]
    (score,) = read(*records)
    assert (score.recipe_name, score.learning_rate, score.trials) == ("bit", 0.003, 2)
    assert sweeps(*records)[0].best == ("bit", 0.003)
    assert sweeps(*records)[0].edge == ""


def test_gain_is_pretrained_minus_scratch_and_decided_only_by_its_interval():
    records = [finetuned(VIT, seed, 90.0 + seed) for seed in range(3)]
    records += [finetuned(VIT, seed, 60.0 + seed, cell=SCRATCH) for seed in range(3)]
    (gain,) = pretraining_gains(read(*records))
    assert (gain.difference.delta_pp, gain.difference.verdict) == (pytest.approx(30.0), "ahead")
    # seed variance 1 on either side, over 3 seeds; images 91 x 9 / 1000 and 61 x 39 / 1000
    terms = [(1 / 3, 2), (1 / 3, 2), (0.819, 999), (2.379, 999)]
    total = sum(variance for variance, _ in terms)
    told = [(2 * variance if own == 2 else variance, own) for variance, own in terms]  # seeds count twice
    df = sum(variance for variance, _ in told) ** 2 / sum(variance**2 / own for variance, own in told)
    assert gain.difference.interval.half_width == pytest.approx(stats.t.ppf(0.975, df) * total**0.5)


def test_gain_of_single_seeds_has_no_interval_and_no_verdict():
    (gain,) = pretraining_gains(read(finetuned(VIT, 0, 90.0), finetuned(VIT, 0, 60.0, cell=SCRATCH)))
    found = gain.difference
    assert (found.delta_pp, found.interval, found.verdict) == (pytest.approx(30.0), None, "one seed")


def test_a_smaller_gain_than_the_noise_is_not_decided():
    records = [finetuned(VIT, seed, 90.0 + 3 * seed) for seed in range(3)]
    records += [finetuned(VIT, seed, 89.0 + 3 * seed, cell=SCRATCH) for seed in range(3)]
    assert [gain.difference.verdict for gain in pretraining_gains(read(*records))] == ["not decided"]


def test_weights_that_were_trained_on_the_very_set_gain_nothing_on_it():
    after = {"weights": "sha256 0123456789abcdef"}
    records = [finetuned(VIT, seed, 90.0 + seed, name, cell=after) for seed in range(2) for name in ("pets", "own")]
    records += [finetuned(VIT, seed, 60.0, name, cell=SCRATCH) for seed in range(2) for name in ("pets", "own")]
    found = task_rows(records, "finetune")
    for row in found:
        row["trained_on"] = "own" if row["weights"] == after["weights"] else ""
    gains = pretraining_gains(finetuned_accuracies(found, IDENTITIES, none))
    assert [gain.pretrained.dataset for gain in gains] == ["pets"]


def test_sweep_at_its_edge_says_so():
    values = {0.003: 80.0, 0.01: 85.0, 0.03: 88.0}
    (sweep,) = sweeps(*(finetuned(VIT, 9, top1, rate=rate, part="validation") for rate, top1 in values.items()))
    assert (sweep.best, sweep.edge) == (("vit", 0.03), "high")


def test_a_failed_trial_counts_as_tried():
    fine = [finetuned(VIT, 9, top1, rate=rate, part="validation") for rate, top1 in ((0.003, 80.0), (0.01, 85.0))]
    lost = finetuned(VIT, 9, 0.0, rate=0.03, part="validation").model_copy(update={"status": "failed", "values": {}})
    assert sweeps(*fine)[0].edge == "high"
    assert failed_trials("finetune", [*fine, lost], fine) == [lost]
    assert sweeps(*fine, failed=[lost])[0].edge == ""


def test_resumed_runs_and_training_speed_are_kept():
    values = {"resumed": 2, "train_img_per_s": 100.0, "wait_share": 0.04, "micro_batch_size": 64, "processes": 1}
    (score,) = read(finetuned(VIT, 0, 90.0, values=values), finetuned(VIT, 1, 91.0, values=values))
    assert (score.resumed, score.train_img_per_s, score.wait_share) == (4, 100.0, pytest.approx(0.04))
    assert (score.micro_batch_sizes, score.processes, score.pipeline_img_per_s) == ((64,), (1,), None)


def test_predictions_of_all_seeds_are_read():
    frame = pd.DataFrame({"key": ["a", "b"], "label": [0, 1], "prediction": [0, 0]})
    (score,) = read(finetuned(VIT, 0, 50.0), finetuned(VIT, 1, 50.0), predictions=lambda cell_id: frame)
    assert score.group.correctness.right.shape == (2, 2)
