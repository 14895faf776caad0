"""Holm's correction, and the levels of the intervals that agree with it."""

import pytest

from bench.holm import holm, holm_levels


def test_each_p_is_tested_at_its_own_share_of_the_level() -> None:
    assert holm_levels({"a": 0.001, "b": 0.04, "c": 0.02}, 0.95) == pytest.approx(
        {"a": 1 - 0.05 / 3, "c": 1 - 0.05 / 2, "b": 0.95}
    )


def test_after_the_first_open_one_all_keep_its_level() -> None:
    # 0.03 is not below 0.05 / 2, so 0.04 is not decided either, though it is below 0.05
    p_values = {"a": 0.001, "b": 0.03, "c": 0.04}
    assert holm_levels(p_values, 0.95) == pytest.approx({"a": 1 - 0.05 / 3, "b": 0.975, "c": 0.975})
    assert holm(p_values) == pytest.approx({"a": 0.003, "b": 0.06, "c": 0.06})


def test_a_level_excludes_zero_just_where_holms_p_is_below_it() -> None:
    p_values = dict(enumerate((0.9, 0.012, 0.0124, 0.3, 0.0001, 0.017)))
    adjusted, levels = holm(p_values), holm_levels(p_values, 0.95)
    assert all((p < 1 - levels[i]) == (adjusted[i] < 0.05) for i, p in p_values.items())
