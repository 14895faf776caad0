import re

import pytest
from synthetic_store import desk_like, with_predictions

from bench.analyse.study import study
from bench.report.choices_section import choices_table, limits_words, round_numbers, typical_limits
from bench.report.fronts_section import chance_words, fronts_table


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
        assert row["Best: top-1 [%]"].value >= (row["Next: top-1 [%]"].value or 0)
        assert row["Best: chance of best [%]"].records
    unlimited = [row for row in rows if row["Budget"].text == "none"]
    assert [row["Data set"].value for row in unlimited] == ["shapes", "textures", "digits"]
    assert all(row["Qualify"].text == "12" for row in unlimited)


def test_a_tighter_budget_never_has_a_better_best(analysed):
    rows = [row for row in by_heading(choices_table(analysed)) if row["Data set"].value == "textures"]
    best = {row["Budget"].text: row["Best: top-1 [%]"].value for row in rows}
    assert all(value <= best["none"] for value in best.values())
    assert len(best) > 3


def test_limits_are_round_and_split_the_models(analysed):
    own = [one for one in analysed.candidates if one.dataset == "textures"]
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


@pytest.mark.parametrize(
    ("chance", "words"), [(0.0, "< 1"), (0.0099, "< 1"), (0.01, "1"), (0.5, "50"), (0.99, "99"), (1.0, "> 99")]
)
def test_a_chance_never_claims_more_than_its_draws(chance, words):
    assert chance_words(chance) == words


def test_the_front_table_lists_every_axis_with_records(analysed):
    rows = by_heading(fronts_table(analysed))
    axes = [heading for heading in rows[0] if heading.startswith("Accuracy and")]
    assert axes == [
        f"Accuracy and {cost} [%]" for cost in ("MACs", "training compute", "latency", "throughput", "peak memory")
    ]
    for row in rows:
        assert max(row[axis].value for axis in axes) >= 0.05
        assert all(row[axis].records for axis in axes)
    assert any(row[axis].is_bold for row in rows for axis in axes)


def test_the_front_table_says_how_many_it_leaves_out(analysed):
    table = fronts_table(analysed)
    left = int(re.match(r"(\d+)", table.notes[-1]).group(1))
    assert left + len(table.rows) == 36
