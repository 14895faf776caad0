"""What a report says of where a gap goes: the sentence, the table, the figure, and published trainings beside ours."""

from __future__ import annotations

import pytest

from bench.analyse.study import Study, study
from bench.report.sections.trend_section import trend_section, trends_figure, trends_table
from bench.report.tables.published_tables import trainings_table
from bench.report.words.training_words import finding
from bench.report.words.trend_words import trend_sentences
from bench.store.record import Record
from tests.report.synthetic_store import make_record, pixels_record, train_cell, train_values

SPREAD = (-0.2, 0.0, 0.2)
EVEN = {1500.0: (80.0, 89.0), 6000.0: (84.0, 90.0), 24000.0: (88.0, 91.0)}  # budget -> ViT, ResNet


def runs(model: str, top1: float, budget: float = 1500.0, **more: object) -> list[Record]:
    cells = [
        train_cell(model, "fashion_mnist", seed, budget_gflop=budget, **{"train_images": 54_000, **more})
        for seed in range(3)
    ]
    values = [train_values(top1 + off, gflop=budget, test_images=100_000) for off in SPREAD]
    return [make_record(cell, value) for cell, value in zip(cells, values, strict=True)]


def ladder(places: dict[float, tuple[float, float]], *more: list[Record]) -> Study:
    records = [
        record
        for budget, (vit, cnn) in places.items()
        for model, top1 in (("vit_32px_m", vit), ("resnet_32px_m", cnn))
        for record in runs(model, top1, budget)
    ]
    return study("s", [*records, *(one for own in more for one in own)], lambda cell_id: None)


def test_the_finding_says_the_gaps_first_then_the_slope_and_where_it_would_be_gone() -> None:
    words = finding(ladder(EVEN))
    assert words.startswith("ViT M is behind the best CNN of its size by 9.0 [")
    assert "points at 1.5 TFLOP, 6.0 [" in words
    assert "at 24 TFLOP. Each factor of 4 moves that by +3.0 [" in words
    assert "(a line through 3 places); if it went on, the gap would be gone at 96 [" in words


@pytest.mark.parametrize(
    ("vit", "why"),
    [
        ((70.0, 84.0, 86.0), "cannot be said: its change slows from step to step"),
        ((84.0, 84.5, 89.5), "cannot be said: its change quickens from step to step"),
        ((84.0, 85.0, 86.0), "cannot be said: its change is not told from none"),
        ((84.0, 83.0, 82.0), "cannot be said: it grows"),
        ((84.0, 88.0, 92.0), "cannot be said: at the last place nothing is told to be behind"),
    ],
)
def test_where_no_place_can_be_said_the_finding_says_why(vit: tuple[float, ...], why: str) -> None:
    places = {budget: (own, cnn) for own, (budget, (_, cnn)) in zip(vit, EVEN.items(), strict=True)}
    assert why in trend_sentences(ladder(places))[0]


def test_a_model_that_is_ahead_somewhere_is_told_by_signed_differences() -> None:
    (told, *_) = trend_sentences(ladder({**EVEN, 24000.0: (93.0, 91.0)}))
    assert told.startswith("ViT M minus the best CNN of its size is −9.0 [")


def test_the_strongest_objections_stand_beside_the_finding() -> None:
    smaller_patches = runs("vit_p4_32px_m", 87.0, 6000.0)
    objection = trend_sentences(ladder(EVEN, smaller_patches))[-1]
    assert objection.startswith(
        "Strongest objections: ViT/4 M, of the same family and size, is ahead of ViT M at 6 TFLOP;"
    )
    assert "one data set, Fashion-MNIST (`docs/fairness.md`)." in objection


def test_two_sets_make_no_finding_of_a_trend_and_two_budgets_say_that_they_are_two() -> None:
    two = ladder({budget: EVEN[budget] for budget in (1500.0, 6000.0)})
    assert "(a line through 2 places)" in trend_sentences(two)[0]
    table = trends_table(two)
    assert table is not None
    assert [cell.text for cell in table.rows[0]][:2] == [
        "ViT M − best CNN",
        "1.5 and 6 TFLOP (54\u202f000 training images)",
    ]
    other = [make_record(train_cell("vit_32px_m", "digits"), train_values(80.0))]
    assert trend_sentences(ladder(EVEN, other)) == []


def test_every_number_of_the_table_names_its_records_and_the_ends_of_its_interval() -> None:
    table = trends_table(ladder(EVEN))
    assert table is not None
    (row,) = table.rows
    slope, gone = row[-2:]
    assert len(slope.records) == len(gone.records) == 18
    assert slope.value == pytest.approx(3.0)
    assert gone.value == pytest.approx(96_000.0)  # GFLOP
    assert dict(gone.more)["low"] < 96_000.0 < dict(gone.more)["high"]


def test_the_figure_has_accuracies_with_published_levels_beside_the_gaps() -> None:
    figure = trends_figure(ladder(EVEN))
    assert figure is not None
    accuracies, gaps = figure.panels
    assert [line.label for line in accuracies.lines] == [
        "ViT M",
        "ResNet M",
        "published CNN: 92.5",
        "published ViT: 92.3",
    ]
    assert [point.y for point in gaps.lines[0].points] == pytest.approx([-9.0, -6.0, -3.0])
    assert gaps.level == 0.0


def test_without_a_second_place_there_is_no_section() -> None:
    assert trend_section(ladder({1500.0: (80.0, 89.0)})).table is None


def test_published_trainings_stand_below_ours_with_their_sources() -> None:
    table = trainings_table(ladder(EVEN))
    assert table is not None
    ours, published = table.rows[:2], table.rows[2:]
    assert [row[0].text for row in ours] == ["ViT M", "ResNet M"]
    assert [row[-1].text for row in ours] == ["–", "–"]
    assert all(row[-1].source.startswith("https://") and not row[-1].records for row in published)
    rootless = [
        cell.text for row in published for cell in row[1:] if any(map(str.isdigit, cell.text)) and not cell.source
    ]
    assert rootless == []
    assert {row[0].text: row[-1].text for row in published}["ResNet18"] == "94.9"


def test_a_set_that_nobody_published_of_has_no_such_table() -> None:
    records = [make_record(train_cell("vit_32px_m", "textures"), train_values(80.0))]
    assert trainings_table(study("s", records, lambda cell_id: None)) is None


def test_a_place_below_the_regression_on_pixels_is_no_rung_and_the_regression_is_a_level() -> None:
    pixels = [pixels_record(82.0, "fashion_mnist", seed, 54_000) for seed in range(2)]
    made = ladder(EVEN, pixels)
    (trend,) = made.trends
    assert [rung.place for rung in trend.rungs] == [6000.0, 24000.0]
    figure = trends_figure(made)
    assert figure is not None
    assert [line.label for line in figure.panels[0].lines][-1] == "pixels"
