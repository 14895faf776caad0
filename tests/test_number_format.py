import pytest

from bench import number_format
from bench.analyse.speed.speeds import Timed
from bench.analyse.stats.intervals import Interval


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (2510.4, 0, "2\u202f510"),
        (-0.04, 1, "0.0"),
        (-1.25, 1, "−1.2"),
        (81.449, 1, "81.4"),
        (1234567.8, 1, "1\u202f234\u202f567.8"),
    ],
)
def test_fixed_groups_thousands_and_has_no_minus_zero(value, decimals, text):
    assert number_format.fixed(value, decimals) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(3.8912, 3, "3.89"), (0.27751, 3, "0.278"), (1234.5, 3, "1\u202f230"), (0, 3, "0"), (9.996, 3, "10.0")],
)
def test_significant_digits_without_exponents(value, digits, text):
    assert number_format.significant(value, digits) == text


def test_signed_marks_gains_and_losses_but_not_zero():
    assert [number_format.signed(value, 1) for value in (1.25, -1.25, 0.01)] == ["+1.2", "−1.2", "0.0"]


def test_lists_read_as_english():
    assert [number_format.listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"], [])] == [
        "a",
        "a and b",
        "a, b and c",
        "",
    ]


def test_training_compute_is_shown_in_the_largest_unit_that_shows_the_smallest():
    assert number_format.flop_scale([250e9, 900e9]).unit == "TFLOP"
    assert number_format.flop_scale([50e9, 900e9]).unit == "GFLOP"
    assert number_format.flop_scale([55e18]).unit == "exaFLOP"
    assert number_format.flop_scale([]).unit == "MFLOP"


def test_an_interval_that_excludes_zero_is_not_shown_as_touching_it():
    assert number_format.bracketed(Interval(0.8, 0.03, 1.5, 3, "t")) == "[0.03, 1.50]"
    assert number_format.bracketed(Interval(0.8, 0.1, 1.5, 3, "t")) == "[0.1, 1.5]"


def test_spans_collapse_when_equal():
    assert number_format.span([3, 3]) == "3"
    assert number_format.span([250, 450]) == "250–450"


def test_points_have_a_singular():
    assert (number_format.points(1.0), number_format.points(-2.14)) == ("1.0 point", "2.1 points")


def test_an_interval_clipped_at_the_end_of_the_scale_holds_its_other_end():
    assert number_format.plus_minus(Interval(99.5, 98.0, 100.0, 3, "t"), 1) == "99.5 [98.0, 100.0]"
    assert number_format.plus_minus(Interval(99.5, 98.9, 100.0, 3, "t"), 1) == "99.5 ± 0.6"


def test_an_interval_that_spans_a_factor_is_told_by_its_ends():
    assert number_format.plus_minus(Interval(100.0, 25.0, 400.0, 2, "t"), 0) == "100 [25, 400]"


def test_fewer_than_five_processes_are_told_without_a_range():
    assert number_format.timed_words(Timed.of((100.0, 104.0, 90.0))) == "100"
    assert number_format.timed_words(Timed.of((100.0, 104.0, 90.0, 101.0, 150.0))) == "101 [90.0, 150]"
    assert number_format.times_words(Timed.of((1.5, 1.7))) == "1.60 ×"
    assert number_format.times_words(Timed.of((1.5, 1.7, 1.6, 1.4, 1.6))) == "1.60 × [1.40, 1.70]"
