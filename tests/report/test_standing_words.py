"""What a report says of models that are below the pixels, not trained enough, unstable or still learning."""

from __future__ import annotations

from typing import Any

import pytest
from synthetic_store import make_record, pixels_record, train_cell, train_values

from bench.analyse.study import Study, study
from bench.report.figures.training_figures import accuracy_against_macs, accuracy_against_training_images
from bench.report.tables.main_table import main_table
from bench.report.tables.table import Table
from bench.report.tables.training_tables import differences_table, training_sizes_table
from bench.report.words.training_words import finding
from bench.store.record import Record


def seeded(model: str, *top1: float, **more: Any) -> list[Record]:
    return [make_record(train_cell(model, seed=i, **more), train_values(v)) for i, v in enumerate(top1)]


def studied(*records: list[Record], pixels: float | None = None) -> Study:
    baseline = [] if pixels is None else [pixels_record(pixels)]
    return study("s", [one for group in records for one in group] + baseline, lambda _: None)


VIT = seeded("vit_32px_s", 60.0, 60.2, 60.4)
RESNET = seeded("resnet_32px_s", 90.0, 90.2, 90.4)


def line_of(table: Table | None, name: str) -> list[str]:
    assert table is not None
    return next([cell.text for cell in row] for row in table.rows if row[0].text.startswith(name))


def test_a_model_below_the_pixels_is_compared_with_nobody_and_its_family_is_not_told() -> None:
    said = finding(studied(VIT, RESNET, pixels=70.0))
    below = "below logistic regression on pixels"
    assert said.startswith(
        "1 comparison of a ViT with a CNN of its size on one set: the ViT is ahead in none and behind in none; "
        f"one {below}: 1. On Wave textures ResNet S has 90.2 % top-1 [88.8, 91.5]; not ranked ({below}): 1 model. "
        f"Nothing can be said there of ViTs (ViT S, their best: {below}). Not trained enough (less than three points "
        "above logistic regression on pixels): ViT S on Wave textures. Trained from scratch"
    )


def test_a_model_just_above_the_pixels_is_compared_and_called_not_trained_enough() -> None:
    said = finding(studied(VIT, RESNET, pixels=58.0))
    assert "behind in 1." in said
    assert "Not trained enough (less than three points above logistic regression on pixels): ViT S on" in said
    assert "nothing can be said" not in said


def test_three_points_above_the_pixels_are_enough() -> None:
    said = finding(studied(seeded("vit_32px_s", 60.0, 60.0, 60.0), RESNET, pixels=57.0))
    assert "Not trained" not in said
    assert "was not run" not in said


def test_a_family_whose_best_has_unstable_seeds_is_not_told() -> None:
    said = finding(studied(seeded("vit_32px_s", 40.0, 62.0, 66.0), VIT[:0], RESNET, pixels=20.0))
    assert "Nothing can be said there of ViTs (ViT S, their best: unstable seeds)." in said


def test_a_study_without_the_regression_says_that_it_was_not_run() -> None:
    assert "Logistic regression on pixels was not run, so nothing says which" in finding(studied(VIT, RESNET))


def test_a_study_with_the_regression_on_some_sets_says_where_it_was_not_run() -> None:
    digits = seeded("vit_32px_s", 60.0, 61.0, dataset="digits")
    assert "was not run on Handwritten digits, so" in finding(studied(VIT, digits, pixels=20.0))


@pytest.mark.parametrize(
    ("images_seen", "looks", "is_early"),
    [
        (5 * 8190, [50.0, 80.0], True),
        (5 * 8190, [79.5, 80.0], False),  # one look is off by 100 sqrt(0.8 * 0.2 / 1000) = 1.26 points
        (20 * 8190, [50.0, 80.0], False),
        (5 * 8190, [80.0], True),  # nothing says that it stood still
    ],
)
def test_few_epochs_are_early_learning_unless_validation_stood_still(
    images_seen: int, looks: list[float], is_early: bool
) -> None:
    values = {**train_values(80.0), "images_seen": images_seen}
    runs = [
        make_record(train_cell("vit_32px_s", seed=seed), values).model_copy(
            update={"samples": {"validation_top1_pct": looks}}
        )
        for seed in range(3)
    ]
    found = studied(runs, pixels=20.0)
    said = "Early learning (fewer than ten epochs, and validation accuracy still rose): ViT S on Wave textures."
    assert (said in finding(found)) is is_early
    table = main_table(found)
    assert line_of(table, "ViT S")[5:7] == ["0.25", f"{images_seen / 8190:.1f}"]
    assert any("early learning" in note for note in table.notes) is is_early


def test_the_regression_is_the_last_line_of_the_main_table_with_its_records() -> None:
    table = main_table(studied(VIT, RESNET, pixels=70.0))
    assert table is not None
    place = [column.heading for column in table.columns].index("Wave textures: top-1 [%]")
    assert table.rows[-1][0].text == "Logistic regression on pixels"
    # 1.96 sqrt(0.7 * 0.3 / 2000) = 2.0 points
    assert table.rows[-1][place].text == "70.0 ± 2.0"
    assert table.rows[-1][place].records == (pixels_record(70.0).cell_id,)
    assert "not trained enough: less than 3 points above logistic regression on pixels" in table.notes


def test_a_difference_of_a_model_below_the_pixels_is_marked_and_not_decided() -> None:
    table = differences_table(studied(VIT, RESNET, pixels=70.0))
    assert table is not None
    assert table.rows[0][1].text == "−30.0 (below pixels)"
    assert not table.rows[0][1].is_bold


def sizes(pixels: dict[int, float]) -> Study:
    runs = [seeded("vit_32px_s", 50.0, 51.0, train_images=n) + seeded("vit_32px_m", 60.0, 61.0, train_images=n)
            for n in (512, 8190)]  # fmt: skip
    return studied(*runs, [pixels_record(top1, train_images=n) for n, top1 in pixels.items()])


def test_along_training_images_the_regression_has_each_size() -> None:
    found = sizes({512: 30.0, 8190: 40.0})
    assert [text[:4] for text in line_of(training_sizes_table(found), "Logistic")[2:]] == ["30.0", "40.0"]
    figure = accuracy_against_training_images(found)
    assert figure is not None
    (level,) = (line for line in figure.panels[0].lines if line.is_control)
    assert [(point.x, point.y) for point in level.points] == [(512, 30.0), (8190, 40.0)]
    assert "dotted: logistic regression on pixels" in figure.caption


def test_a_size_without_the_regression_says_so() -> None:
    assert line_of(training_sizes_table(sizes({8190: 40.0})), "Logistic")[2] == "n/a"


def test_the_figure_of_costs_has_the_regression_as_a_level() -> None:
    figure = accuracy_against_macs(sizes({8190: 40.0}))
    assert figure is None or not any(line.is_control for line in figure.panels[0].lines), "both cost the same here"
    runs = [seeded("vit_32px_s", 50.0, 51.0)]
    runs += [[make_record(train_cell("vit_32px_m", seed=i), train_values(60.0 + i, macs=4e6)) for i in range(2)]]
    figure = accuracy_against_macs(studied(*runs, pixels=40.0))
    assert figure is not None
    (level,) = figure.panels[0].lines
    assert {point.y for point in level.points} == {40.0}
    assert len(figure.panels[0].points) == 2
