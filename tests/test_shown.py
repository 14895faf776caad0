import pytest

from bench import shown


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
    assert shown.fixed(value, decimals) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(3.8912, 3, "3.89"), (0.27751, 3, "0.278"), (1234.5, 3, "1\u202f230"), (0, 3, "0"), (9.996, 3, "10.0")],
)
def test_significant_digits_without_exponents(value, digits, text):
    assert shown.significant(value, digits) == text


def test_signed_marks_gains_and_losses_but_not_zero():
    assert [shown.signed(value, 1) for value in (1.25, -1.25, 0.01)] == ["+1.2", "−1.2", "0.0"]


def test_lists_read_as_english():
    assert [shown.listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"], [])] == [
        "a",
        "a and b",
        "a, b and c",
        "",
    ]
