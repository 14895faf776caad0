import pytest
from synthetic_store import desk_like, with_predictions

from bench.analyse.crossover import Crossing
from bench.analyse.study import study
from bench.report.crossing_words import crossing_value, crossing_words
from bench.report.crossovers_section import crossovers_figure, crossovers_table
from bench.report.formats import Scale

IMAGES = Scale(1.0, "")


def crossing(state, estimate=None, low=None, high=None, has_interval=True):
    return Crossing(500.0, 8000.0, state, estimate, low, high, has_interval, (), ("a",))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (crossing("passes", 1234.5, 900.0, 2000.0), "at 1 230 [900, 2 000]"),
        (crossing("passes", 1234.5, 900.0, None), "at 1 230 [900, open)"),
        (crossing("passes", 1234.5, None, 2000.0), "at 1 230 (open, 2 000]"),
        (crossing("falls behind", 1234.5, 900.0, 2000.0), "falls behind at 1 230 [900, 2 000]"),
        (crossing("behind throughout", None, 8000.0, None), "none seen; not below 8 000"),
        (crossing("behind throughout", None, None, None), "none seen; 500 to 8 000 not decided"),
        (crossing("ahead throughout", None, None, 500.0), "ahead from 500 on; not above 500"),
        (crossing("ahead throughout"), "ahead from 500 on; not decided"),
        (crossing("crosses several times"), "more than one; not decided"),
        (crossing("crosses several times", None, 700.0, 900.0), "more than one; not below 700 and not above 900"),
        (crossing("passes", 1234.5, has_interval=False), "at 1 230 (one seed: no interval)"),
        (crossing("falls behind", 1234.5, has_interval=False), "falls behind at 1 230 (one seed: no interval)"),
        (crossing("equal throughout"), "no difference seen"),
    ],
)
def test_a_crossing_is_told_no_further_than_its_interval_goes(found, words):
    assert crossing_words(found, IMAGES).replace(" ", " ").replace("\N{NARROW NO-BREAK SPACE}", " ") == words


def test_the_sidecar_keeps_everything_unrounded():
    assert crossing_value(crossing("passes", 1234.5, 900.0, None)) == "passes 1234.5 900.0 open in 500.0 8000.0"


@pytest.fixture(scope="module")
def analysed():
    records = desk_like()
    return study("desk", records, with_predictions(records).get)


def test_each_pair_and_set_is_a_row_and_each_axis_a_column(analysed):
    table = crossovers_table(analysed)
    assert [column.heading for column in table.columns][:3] == ["First passes second", "Data set", "Training images"]
    firsts = list(dict.fromkeys(row[0].text for row in table.rows))
    assert firsts == [
        "ViT passes MBConv",
        "ViT passes ResNet",
        "R+ViT passes MBConv",
        "R+ViT passes ResNet",
        "ViT passes R+ViT",
    ]
    assert all(cell.records for row in table.rows for cell in row[2:] if cell.text != "n/a")


def test_the_figure_draws_the_differences_that_the_crossovers_rest_on(analysed):
    figure = crossovers_figure(analysed)
    (one,) = [
        c for c in analysed.crossovers
        if (c.axis, c.datasets, c.first_series, c.second_series) == ("training images", ("shapes",), "ViT", "ResNet")
    ]  # fmt: skip
    panel = next(one for one in figure.panels if one.title == "Contours: minus ResNet" and one.log_base == 2)
    line = next(line for line in panel.lines if line.family == "vit")
    assert [(point.x, point.y) for point in line.points] == [(x, delta) for x, delta, _ in one.crossing.differences]
    assert panel.level == 0.0
