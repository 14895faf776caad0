from __future__ import annotations

from pathlib import Path

import pytest

from bench.catalog import papers
from bench.catalog.datasets import dataset_rows
from bench.catalog.image_tasks import image_tasks
from bench.catalog.papers import JFT_IMAGES, implied_tflops_per_core, training_exaflops
from bench.catalog.tables import read_csv

PUBLISHED_TABLES = [
    path.stem for path in sorted(Path(papers.__file__).parent.glob("*.csv"))
    if path.stem.startswith("paper_")
    or path.stem in ("cnn_published", "timm_published", "trained_published", "vtab_tasks")
]  # fmt: skip


@pytest.mark.parametrize("table", PUBLISHED_TABLES)
def test_every_published_row_has_a_source_and_a_status(table: str) -> None:
    rows = read_csv(table)
    assert rows
    assert [row for row in rows if not row["source"].startswith("https://") or not row["status"]] == []


def test_rows_with_compute_say_whether_it_is_macs_or_flops() -> None:
    assert {row.compute_unit for row in papers.paper_scaling()} == {"FLOPs"}
    assert {row.compute_unit for row in papers.timm_published().values()} == {"MACs"}
    assert all((row.gmacs is None) == (row.compute_unit is None) for row in papers.cnn_published())
    assert {row.compute_unit for row in papers.cnn_published()} == {"MACs", None}


def test_table_6_has_seven_resnets_six_vits_and_five_hybrids() -> None:
    families = [row.family for row in papers.paper_scaling()]
    assert {family: families.count(family) for family in families} == {"vit": 6, "cnn": 7, "hybrid": 5}


def test_table_6_averages_are_the_mean_of_five_data_sets() -> None:
    for row in papers.paper_scaling():
        five = [row.top1_pct[name] for name in ("imagenet", "cifar10", "cifar100", "pets", "flowers")]
        assert row.average5_pct == pytest.approx(sum(five) / 5, abs=0.006)


def test_table_2_keeps_missing_accuracies_missing() -> None:
    missing = [row for row in papers.paper_sota() if row.accuracy_pct is None]
    assert {row.system for row in missing} == {"Noisy Student EfficientNet-L2"}


def test_table_2_systems_have_their_pretraining() -> None:
    ours = {(row.system, row.pretraining, row.tpuv3_core_days) for row in papers.paper_pretraining()}
    assert ours == {(row.system, row.pretraining, row.tpuv3_core_days) for row in papers.paper_sota()}


def test_noisy_student_has_no_image_count() -> None:
    [row] = [row for row in papers.paper_pretraining() if "Noisy" in row.system]
    assert row.images_seen is None


def test_vit_means_over_vtab_tasks_are_the_published_ones() -> None:
    rows = papers.paper_vtab()
    for system, pretraining in (("ViT-H/14", "JFT-300M"), ("ViT-L/16", "JFT-300M"), ("ViT-L/16", "ImageNet-21k")):
        own = [row for row in rows if (row.system, row.pretraining) == (system, pretraining)]
        tasks = [row.accuracy_pct for row in own if not row.task.startswith("(")]
        [mean] = [row.accuracy_pct for row in own if row.task == "(mean of 19)"]
        assert len(tasks) == 19
        assert sum(tasks) / 19 == pytest.approx(mean, abs=0.06)


def test_training_exaflops_are_six_times_macs_times_images() -> None:
    assert training_exaflops(1e9, 1e9) == pytest.approx(6.0)


def test_vit_h14_at_14_epochs_costs_what_table_6_prints() -> None:
    macs = 167.295e9  # ViT-H/14 at 224 px, closed form
    assert training_exaflops(macs, 14 * JFT_IMAGES) == pytest.approx(4262, rel=0.025)


def test_implied_speed_of_vit_h14_is_20_tflops_per_core() -> None:
    assert implied_tflops_per_core(167.295e9, 14 * JFT_IMAGES, 2500) == pytest.approx(19.7, abs=0.1)


def test_implied_speed_needs_core_days() -> None:
    with pytest.raises(ValueError, match="core_days"):
        implied_tflops_per_core(1e9, 1e9, 0)


def test_published_trainings_are_of_catalogued_sets_and_say_what_they_saw() -> None:
    rows = [row for name in dataset_rows() | image_tasks() for row in papers.trained_published(name)]
    assert len(rows) == len(read_csv("trained_published"))
    assert {row.family for row in rows} == {"vit", "cnn", "other"}
    assert all(row.augmentation and 0 < row.top1_pct < 100 for row in rows)
    assert papers.trained_published("digits") == ()
