from records import trained

from bench.analyse.accuracies.trials import swept_models
from bench.catalog.identity import identify_model
from bench.store.current import failed_trials
from bench.store.rows import task_rows


def sweep(*rates_and_scores):
    records = [trained("vit_32px_s", 0, top1, rate=rate, part="validation") for rate, top1 in rates_and_scores]
    return swept_models(task_rows(records, "train"), {"vit_32px_s": identify_model("vit_32px_s")})


def test_the_best_rate_is_the_one_with_the_best_validation_accuracy():
    (swept,) = sweep((0.001, 80.0), (0.003, 85.0), (0.009, 70.0))
    assert (swept.best_rate, swept.edge) == (0.003, "")


def test_an_optimum_at_an_end_of_the_grid_is_an_edge():
    assert sweep((0.001, 90.0), (0.003, 85.0))[0].edge == "low"
    assert sweep((0.001, 80.0), (0.003, 85.0))[0].edge == "high"


def test_one_rate_is_no_sweep():
    assert sweep((0.001, 80.0)) == []


def test_a_failed_trial_counts_as_tried_and_bounds_the_range():
    done = [
        trained("vit_32px_s", 0, top1, rate=rate, part="validation") for rate, top1 in ((0.001, 80.0), (0.003, 85.0))
    ]
    failed = trained("vit_32px_s", 0, 0.0, rate=0.009, part="validation", status="failed", reason="NaN")
    (swept,) = swept_models(
        task_rows(done, "train"),
        {"vit_32px_s": identify_model("vit_32px_s")},
        failed_trials("train", [*done, failed], done),
    )
    assert (swept.tried, swept.edge) == ((0.001, 0.003, 0.009), "")


def test_a_dip_is_told_by_how_far_it_falls_below_both_neighbours():
    (swept,) = sweep((0.001, 80.0), (0.003, 70.0), (0.009, 85.0))
    assert swept.largest_dip_pp == 10.0
    assert sweep((0.001, 80.0), (0.003, 85.0))[0].largest_dip_pp == 0.0
