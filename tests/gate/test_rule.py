from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.gate.rule import LEVEL, PAIRS_PER_LOOK, AgainstItself, are_alike, estimate, look, percent, worst

STEADY = [0.001, 0.004, -0.004, 0.002, -0.002, 0.003, -0.003, -0.001]  # of median 0


def around(center: float, pairs: int = 8) -> list[float]:
    return [center + value for value in STEADY * (pairs // 8)]


def arm(base: float, head: float, pairs: int = 8) -> list[AgainstItself]:
    """An A/A arm in which the sides differ from themselves by so much."""
    values: list[AgainstItself] = []
    for value in STEADY * (pairs // 16 + 1):
        values += [("base", base + value), ("head", head + value)]
    return values[:pairs]


def test_the_estimate_is_the_median_with_the_interval_of_the_sign_test() -> None:
    found = estimate(list(range(1, 17)))
    assert (found.median, found.low, found.high) == (8.5, 3, 14)
    assert stats.binom.cdf(2, 16, 0.5) <= LEVEL < stats.binom.cdf(3, 16, 0.5)
    assert found.p == pytest.approx(1 / 2**16)


def test_the_interval_ends_above_zero_just_where_p_is_at_the_level() -> None:
    for slower in range(17):
        found = estimate([1.0] * slower + [-1.0] * (16 - slower))
        assert (found.low > 0) == (found.p <= LEVEL)


def test_eight_pairs_are_the_fewest_that_have_an_interval() -> None:
    assert estimate(STEADY).high == max(STEADY)
    with pytest.raises(ValueError, match="7 pairs: fewer than 8"):
        estimate(STEADY[:7])


def test_no_difference_passes_at_the_first_look() -> None:
    seen = look({"net": around(0.0)}, arm(0, 0), threshold=0.05)["net"]
    assert (seen.verdict, seen.reason) == ("PASS", "at most +0.4 %")


def test_a_first_suspicion_never_fails_and_never_passes() -> None:
    seen = look({"net": around(0.03)}, arm(0, 0), threshold=0.05)["net"]
    assert seen.verdict is None
    assert "to be confirmed by fresh pairs" in seen.reason


def test_a_confirmed_slowdown_fails() -> None:
    assert look({"net": around(0.05, pairs=16)}, arm(0, 0), threshold=0.05)["net"].verdict == "FAIL"


def test_a_suspicion_that_fresh_pairs_do_not_confirm_passes() -> None:
    up_and_down = [0.03, -0.03] * 8
    suspicious, calm = [0.03, *up_and_down[:7]], [*up_and_down[1:8], -0.03]
    assert look({"net": suspicious}, arm(0, 0), threshold=0.05)["net"].verdict is None
    assert look({"net": [*suspicious, *calm]}, arm(0, 0), threshold=0.05)["net"].verdict == "PASS"


def test_a_process_in_ten_that_is_faster_hides_no_slowdown_and_makes_none() -> None:
    def with_two_modes(center: float) -> list[float]:
        values = around(center, pairs=16)
        values[3], values[9] = center - 0.165, center + 0.165
        return values

    assert look({"net": with_two_modes(0.0)}, [], threshold=0.05)["net"].verdict == "PASS"
    assert look({"net": with_two_modes(0.05)}, [], threshold=0.05)["net"].verdict == "FAIL"


def test_scattered_pairs_end_inconclusive_and_never_pass() -> None:
    scattered = [0.12, -0.10, 0.09, -0.12, 0.02, -0.03, 0.08, -0.07] * 4
    first = look({"net": scattered[:8]}, [], threshold=0.05)["net"]
    last = look({"net": scattered}, [], threshold=0.05)["net"]
    assert (first.verdict, last.verdict) == (None, "INCONCLUSIVE")
    assert "not below 5.0 %" in last.reason


@pytest.mark.parametrize(("base", "head"), [(0.03, 0.0), (0.0, 0.03), (0.0, -0.03), (0.03, -0.03)])
def test_a_runner_on_which_a_side_differs_from_itself_decides_nothing(base: float, head: float) -> None:
    for center in (0.0, 0.10):
        at_16 = look({"net": around(center, pairs=16)}, arm(base, head, 16), threshold=0.05)["net"]
        at_32 = look({"net": around(center, pairs=32)}, arm(base, head, 32), threshold=0.05)["net"]
        assert (at_16.verdict, at_32.verdict) == (None, "INCONCLUSIVE")
        assert at_32.reason.startswith(f"too noisy: {'base' if base else 'head'} against itself came out ")


def test_pairs_that_resemble_the_one_before_decide_nothing() -> None:
    for center in (0.0, 0.10):
        drifting = [center + step / 1_000 for step in range(32)]
        seen = look({"net": drifting}, [], threshold=0.05)["net"]
        assert seen.verdict == "INCONCLUSIVE"
        assert seen.reason.startswith("successive pairs are alike")


@pytest.mark.parametrize("pairs", [8, 16, 32])
def test_independent_pairs_are_seldom_called_alike(pairs: int) -> None:
    random = np.random.default_rng(0)
    assert sum(are_alike(random.standard_t(2, pairs)) for _ in range(1_000)) <= 65  # of 1,000, at a level of 5 %


def test_equal_pairs_are_not_alike() -> None:
    assert not are_alike([0.0] * PAIRS_PER_LOOK)


def test_a_speed_up_passes() -> None:
    assert look({"net": around(-0.20)}, arm(0, 0), threshold=0.05)["net"].verdict == "PASS"


def test_only_the_undecided_are_looked_at_and_the_others_still_count() -> None:
    values = {"done": around(0.0), "open": around(0.05, pairs=16)}
    seen = look(values, [], threshold=0.05, undecided=["open"])
    assert list(seen) == ["open"]
    assert seen["open"].p_holm == pytest.approx(2 * seen["open"].estimate.p)


def test_a_look_in_the_middle_of_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="every 8 pairs, not after 12"):
        look({"net": [*STEADY, *STEADY[:4]]}, [], threshold=0.05)


def test_percent_is_the_slowdown() -> None:
    assert percent(math.log(1.05)) == pytest.approx(5.0)


def test_a_run_is_as_bad_as_its_worst_model() -> None:
    assert worst(["PASS", "INCONCLUSIVE", "FAIL"]) == "FAIL"
    assert worst(["PASS", "INCONCLUSIVE"]) == "INCONCLUSIVE"
    assert worst(["PASS"]) == "PASS"
    assert worst([]) == "INCONCLUSIVE"


def test_models_that_share_their_processes_pass_no_more_often_than_they_may() -> None:
    """Four models whose pair values correlate by 0.85, one of them slower by the threshold."""
    random = np.random.default_rng(1)
    passed, runs = 0, 400
    for _ in range(runs):
        base, head = random.normal(0, 0.03 * math.sqrt(0.85), (2, 32, 1)) + random.normal(
            0, 0.03 * math.sqrt(0.15), (2, 32, 4)
        )
        values = head - base
        values[:, 0] += math.log1p(0.05)
        for pairs in (8, 16, 24, 32):
            names = {str(model): values[:pairs, model].tolist() for model in range(4)}
            seen = look(names, [], threshold=0.05, undecided=["0"])["0"]
            if seen.verdict is not None:
                passed += seen.verdict == "PASS"
                break
    assert passed / runs <= 0.013
