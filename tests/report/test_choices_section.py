import pytest
from synthetic_store import desk_like, make_record, train_cell, train_values, with_predictions

from bench.analyse.study import study
from bench.report.sections.choices_section import choices_table, limits_words, round_numbers, typical_limits


@pytest.fixture(scope="module")
def analysed():
    records = desk_like()
    return study("desk", records, with_predictions(records).get)


def by_heading(table):
    headings = [column.heading for column in table.columns]
    return [dict(zip(headings, row, strict=True)) for row in table.rows]


def test_the_decision_table_has_the_best_of_each_budget(analysed):
    rows = by_heading(choices_table(analysed))
    for row in rows:
        assert row["Best: top-1 [%]"].records
        assert row["Best"].text not in row["Not separable from it"].text.split(", ")
        assert row["Cheapest of these"].text in f"{row['Best'].text}, {row['Not separable from it'].text}"
    unlimited = [row for row in rows if row["Budget"].text == "none"]
    assert [row["Data set"].value for row in unlimited] == ["shapes", "textures", "digits"]
    assert all(row["Qualify"].text == "12" for row in unlimited)


def test_a_tighter_budget_never_has_a_better_best(analysed):
    rows = [row for row in by_heading(choices_table(analysed)) if row["Data set"].value == "textures"]
    best = {row["Budget"].text: row["Best: top-1 [%]"].value for row in rows}
    assert all(value <= best["none"] for value in best.values())
    assert len(best) > 3


def test_limits_are_round_and_split_the_models(analysed):
    own = [one for one in analysed.candidates if one.accuracy.dataset == "textures"]
    for limits in typical_limits(own):
        ((name, limit),) = limits.items()
        values = [one.costs[name].value for one in own]
        assert min(values) < limit < max(values)
        assert all(abs(limit / value - 1) >= 0.02 for value in values)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.9, 30, [1, 2, 5, 10, 20]),
        (1.1, 1.9, [1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8]),
        (3e12, 9e12, [3e12, 4e12, 5e12, 6e12, 8e12]),
    ],
)
def test_round_numbers(low, high, expected):
    assert round_numbers(low, high) == pytest.approx(expected)


def test_limits_are_said_with_their_units():
    assert limits_words({"latency_p50_ms": 2.0, "train_flop": 5e11}) == (
        "latency at most 2 ms and training compute at most 0.5 TFLOP"
    )
    assert limits_words({"throughput_img_per_s": 300.0}) == "throughput at least 300 img/s"
    assert limits_words({}) == "none"


def runs(model, *top1, macs=2e6):
    return [make_record(train_cell(model, seed=i), train_values(v, macs=macs)) for i, v in enumerate(top1)]


def chosen(*records):
    (row,) = by_heading(choices_table(study("s", records, lambda cell_id: None)))
    return {heading: cell for heading, cell in row.items() if heading not in ("Data set", "Budget")}


def test_the_best_the_ones_like_it_and_the_cheapest_of_these():
    row = chosen(
        *runs("vit_32px_s", 80.0, 80.0, 80.0, macs=1e6),
        *runs("mbconv_32px_s", 90.0, 90.0, 90.0, macs=2e6),
        *runs("resnet_32px_s", 91.0, 91.0, 91.0, macs=3e6),
    )
    assert {heading: cell.text for heading, cell in row.items()} == {
        "Qualify": "3",
        "Best": "ResNet S",
        "Best: top-1 [%]": "91.0 ± 1.3",
        "Not separable from it": "MBConv S",
        "Cheapest of these": "MBConv S",
    }


def test_an_unstable_model_qualifies_and_is_not_ranked():
    row = chosen(*runs("vit_32px_s", 74.4, 99.0, 99.0), *runs("resnet_32px_s", 80.0, 80.0, 80.0))
    assert (row["Qualify"].text, row["Best"].text, row["Not separable from it"].text) == ("2", "ResNet S", "none")
    assert row["Qualify"].mark is not None


def test_where_all_seeds_are_unstable_none_is_best():
    row = chosen(*runs("vit_32px_s", 74.4, 99.0, 99.0), *runs("resnet_32px_s", 60.0, 80.0, 80.0))
    assert {cell.text for heading, cell in row.items() if heading != "Qualify"} == {"n/a"}
