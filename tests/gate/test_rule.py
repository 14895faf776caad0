from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.gate.rule import SPREAD_FLOOR, estimate_all, look, percent, worst

STEADY = [0.000, 0.004, -0.004, 0.002, -0.002]  # of mean 0


def around(center: float, pairs: int = 5) -> list[float]:
    return [center + value for value in STEADY * (pairs // 5)]


def test_the_spread_is_pooled_over_models_and_the_a_a_arm() -> None:
    values = {"one": [0.00, 0.02], "two": [0.01, 0.03]}
    noise = [0.00, 0.01]
    found = estimate_all(values, noise)["one"]
    # squares around each own mean: 2 x 0.0002 and 0.00005, over three values that are free
    spread = math.sqrt((0.0002 + 0.0002 + 0.00005) / 3)
    # worth fewer degrees of freedom: of three pairs of groups one shares both processes, two share one
    worth = 3 / (1 + 2 * (0.75 + 0.25 + 0.25) / 3)
    assert found.degrees == pytest.approx(worth)
    assert found.mean == pytest.approx(0.01)
    assert found.standard_error == pytest.approx(spread / math.sqrt(2))
    assert found.p == pytest.approx(stats.t.sf(0.01 / (spread / math.sqrt(2)), worth))


def test_a_spread_below_the_floor_is_the_floor() -> None:
    found = estimate_all({"one": [0.01, 0.01, 0.01, 0.01]})["one"]
    assert found.standard_error == pytest.approx(SPREAD_FLOOR / 2)


def test_a_noisier_model_keeps_its_own_spread() -> None:
    noisy = [0.10, -0.10, 0.08, -0.09, 0.01]
    found = estimate_all({"calm": STEADY, "other": STEADY, "noisy": noisy})
    assert found["noisy"].degrees == 4
    assert found["noisy"].standard_error == pytest.approx(np.std(noisy, ddof=1) / math.sqrt(5))


def test_the_others_are_not_told_that_they_are_as_calm_as_the_calmest() -> None:
    found = estimate_all({"calm": STEADY, "other": [0.02, -0.02, 0.01, -0.01, 0.0]})
    assert found["calm"].degrees == pytest.approx(8 / 1.75)  # pooled: it is calmer than both together


def test_one_pair_says_nothing_of_a_spread() -> None:
    with pytest.raises(ValueError, match="No model has two pairs"):
        estimate_all({"one": [0.01]})


def test_no_difference_passes_at_the_first_look() -> None:
    seen = look({"net": around(0.0)}, STEADY, threshold=0.05)["net"]
    assert seen.verdict == "PASS"
    assert seen.reason == "at most +0.8 % (99.5 % bound)"


def test_a_first_suspicion_never_fails_and_never_passes() -> None:
    seen = look({"net": around(0.03)}, STEADY, threshold=0.05)["net"]
    assert seen.verdict is None
    assert "to be confirmed by fresh pairs" in seen.reason


def test_a_confirmed_slowdown_fails() -> None:
    assert look({"net": around(0.05, pairs=10)}, STEADY * 2, threshold=0.05)["net"].verdict == "FAIL"


def test_a_suspicion_that_fresh_pairs_do_not_confirm_passes() -> None:
    assert look({"net": [*around(0.03), *around(0.0)]}, STEADY * 2, threshold=0.05)["net"].verdict == "PASS"


def test_a_slowdown_found_late_needs_two_blocks_too() -> None:
    values = [*around(0.0), *around(0.05)]
    assert look({"net": values}, [], threshold=0.05)["net"].verdict is None
    assert look({"net": [*values, *around(0.05)]}, [], threshold=0.05)["net"].verdict == "FAIL"


def test_scattered_pairs_end_inconclusive_and_never_pass() -> None:
    scattered = [0.12, -0.10, 0.09, -0.12, 0.02] * 3
    first = look({"net": scattered[:5]}, [], threshold=0.05)["net"]
    last = look({"net": scattered}, [], threshold=0.05)["net"]
    assert (first.verdict, last.verdict) == (None, "INCONCLUSIVE")
    assert "not below 5.0 %" in last.reason


def test_a_runner_that_slows_base_against_itself_decides_nothing() -> None:
    noisy = [0.03 + value for value in STEADY]
    for center in (0.0, 0.10):
        at_10 = look({"net": around(center, pairs=10)}, noisy * 2, threshold=0.05)["net"]
        at_15 = look({"net": around(center, pairs=15)}, noisy * 3, threshold=0.05)["net"]
        assert (at_10.verdict, at_15.verdict) == (None, "INCONCLUSIVE")
        assert at_15.reason.startswith("too noisy: base against itself came out +3.0 %")


def test_a_speed_up_passes() -> None:
    assert look({"net": around(-0.20)}, STEADY, threshold=0.05)["net"].verdict == "PASS"


def test_only_the_undecided_are_looked_at_and_the_others_still_count() -> None:
    values = {"done": around(0.0), "open": around(0.05, pairs=10)}
    seen = look(values, [], threshold=0.05, undecided=["open"])
    assert list(seen) == ["open"]
    assert seen["open"].estimate.degrees == pytest.approx((4 + 9) / 1.75)


def test_a_look_in_the_middle_of_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="every 5 pairs, not after 4"):
        look({"net": STEADY[:4]}, [], threshold=0.05)


def test_percent_is_the_slowdown() -> None:
    assert percent(math.log(1.05)) == pytest.approx(5.0)


def test_a_run_is_as_bad_as_its_worst_model() -> None:
    assert worst(["PASS", "INCONCLUSIVE", "FAIL"]) == "FAIL"
    assert worst(["PASS", "INCONCLUSIVE"]) == "INCONCLUSIVE"
    assert worst(["PASS"]) == "PASS"
    assert worst([]) == "INCONCLUSIVE"


def test_one_model_without_an_a_a_arm_has_its_own_degrees_of_freedom() -> None:
    assert estimate_all({"one": STEADY})["one"].degrees == 4


def share_of(verdict: str, slowdown: float, head_spread: float, base_spread: float, runs: int = 1_500) -> float:
    """How often the rule says so on simulated pairs whose processes scatter by so much."""
    random = np.random.default_rng(7)
    said = 0
    for _ in range(runs):
        head = random.normal(0, head_spread, 15)
        base, again = random.normal(0, base_spread, (2, 15))
        values, noise = (math.log1p(slowdown) + head - base), again - base
        for pairs in (5, 10, 15):
            seen = look({"net": values[:pairs].tolist()}, noise[:pairs].tolist(), threshold=0.05)["net"]
            if seen.verdict is not None:
                said += seen.verdict == verdict
                break
    return said / runs


@pytest.mark.parametrize("spreads", [(0.005, 0.005), (0.015, 0.015), (0.03, 0.03), (0.03, 0.01), (0.04, 0.01)])
def test_false_fail_and_false_pass_stay_below_one_percent_whatever_the_noise(spreads: tuple[float, float]) -> None:
    assert share_of("FAIL", 0.0, *spreads) <= 0.01
    assert share_of("PASS", 0.05, *spreads) <= 0.01


def test_models_that_share_their_processes_pass_no_more_often_than_they_may() -> None:
    """Four models whose pair values correlate by 0.85: a spread pooled as if they did not would be trusted too much."""
    random = np.random.default_rng(1)
    passed, runs = 0, 800
    for _ in range(runs):
        base, head = random.normal(0, 0.03 * math.sqrt(0.85), (2, 15, 1)) + random.normal(
            0, 0.03 * math.sqrt(0.15), (2, 15, 4)
        )
        values = head - base
        values[:, 0] += math.log1p(0.05)
        for pairs in (5, 10, 15):
            names = {str(model): values[:pairs, model].tolist() for model in range(4)}
            seen = look(names, [], threshold=0.05, undecided=["0"])["0"]
            if seen.verdict is not None:
                passed += seen.verdict == "PASS"
                break
    assert passed / runs <= 0.01


def test_processes_that_scatter_by_one_and_a_half_percent_leave_enough_power() -> None:
    assert share_of("FAIL", 0.05, 0.015, 0.015) >= 0.95
    assert share_of("FAIL", 0.10, 0.015, 0.015) >= 0.99
    assert share_of("INCONCLUSIVE", 0.0, 0.015, 0.015) <= 0.05
