"""The section on settings that no sweep chose: its table and a panel for each setting."""

from __future__ import annotations

from bench.analyse.study import Study, study
from bench.report.figures.drawing import draw_panels
from bench.report.sections.sensitivity_section import sensitivity_figure, sensitivity_section
from tests.analyse.test_sensitivity import SHIFTED, SHORT, SMALL_BATCH, SWEEP


def turned() -> Study:
    return study("s", [*SWEEP, *SHIFTED, *SMALL_BATCH, *SHORT], lambda cell_id: None)


def test_the_table_has_a_row_for_each_value_with_the_chosen_one_marked() -> None:
    table = sensitivity_section(turned()).table
    assert table is not None
    told = {(row[1].text, row[2].text): row[3].text for row in table.rows}
    assert told["Augmentation", "flip (chosen)"].startswith("−4.0 [")
    assert told["Augmentation", "shift"].startswith("−8.0 [")
    assert told["Learning rate, times the chosen one", "3"] == "−2.0"
    assert ("Training compute", "1 GFLOP, 0.1 epochs (chosen)") in told
    assert {row[0].text for row in table.rows} == {"ViT S − ResNet S"}
    assert all(row[3].records for row in table.rows)


def test_the_figure_has_a_panel_for_each_setting_with_names_where_there_are_no_numbers() -> None:
    (figure,) = sensitivity_section(turned()).figures
    assert "ViT S − ResNet S" in figure.caption
    assert "not chosen anew" in figure.caption


def test_a_panel_of_names_has_them_as_ticks() -> None:
    figure = sensitivity_figure(turned())
    assert figure is not None
    assert [panel.title for panel in figure.panels] == [
        "Learning rate, times the chosen one", "Augmentation", "Batch size", "Epochs",
    ]  # fmt: skip
    drawn = draw_panels(figure.panels)
    assert [tick.get_text() for tick in drawn.axes[1].get_xticklabels()] == ["flip", "shift"]


def test_without_settings_there_is_no_table_and_no_figure() -> None:
    section = sensitivity_section(study("s", SWEEP, lambda cell_id: None))
    assert (section.table, section.figures) == (None, ())
