from __future__ import annotations

import pytest
from speed.gate_rates import counted_share

from bench.gate.selftest import count_bounds


def test_none_and_all_have_a_bound_on_one_side() -> None:
    assert counted_share(0, 30) == "0 of 30 (95 %: at most 10 %)"
    assert counted_share(30, 30) == "30 of 30 (95 %: at least 90 %)"
    assert count_bounds(0, 30)[1] == pytest.approx(1 - 0.05 ** (1 / 30))


def test_a_bound_is_never_shown_as_none_or_all() -> None:
    assert counted_share(0, 2_000) == "0 of 2000 (95 %: at most 0.15 %)"
    assert counted_share(2_000, 2_000) == "2000 of 2000 (95 %: at least 99.85 %)"


def test_some_have_two() -> None:
    assert counted_share(7, 10) == "7 of 10 (95 %: 35 to 93 %)"
