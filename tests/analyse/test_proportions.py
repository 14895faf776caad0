import numpy as np
import pytest
from scipy import optimize, stats

from bench.analyse.stats.intervals import SeedGroup
from bench.analyse.stats.proportions import (
    checkpoint_difference,
    counts_of_runs,
    discordant,
    mcnemar_p,
    paired_interval,
    unpaired_interval,
)
from bench.store.correctness import Correctness


def correctness(*runs):
    return Correctness(tuple(map(str, range(len(runs[0])))), np.array(runs, dtype=bool))


def test_discordant_images_are_counted_for_each_side():
    first, second = correctness([1, 1, 1, 0, 0]), correctness([1, 0, 0, 1, 0])
    assert discordant(first, second) == (2, 1)
    assert discordant(first, Correctness(("other",) * 5, second.right)) is None
    assert discordant(first, correctness([1, 0, 0, 1, 0], [1, 1, 1, 1, 1])) is None


def test_counts_are_of_the_runs_that_were_asked_for():
    first, second = correctness([0, 0], [1, 1]), correctness([1, 0], [0, 0])
    assert counts_of_runs(first, 1, second, 0) == (1, 0)
    assert counts_of_runs(first, 0, second, 0) == (0, 1)


def test_tangos_interval_of_a_published_example():
    # airway hyper-responsiveness before and after transplantation: 1 and 7 of 21 changed
    # (Fagerland, Lydersen and Laake 2014: -0.517 to -0.026)
    interval = paired_interval(1, 7, 21)
    assert (interval.low, interval.high) == pytest.approx((-51.7, -2.6), abs=0.05)
    assert interval.estimate == pytest.approx(-100 * 6 / 21)


def test_tangos_ends_are_where_the_likelihood_score_is_the_normal_quantile():
    b, c, n = 12, 5, 60

    def score(delta):
        def minus_log_likelihood(q):
            return -(b * np.log(q + delta) + c * np.log(q) + (n - b - c) * np.log(1 - 2 * q - delta))

        low = max(1e-9, -delta + 1e-9)
        q = optimize.minimize_scalar(
            minus_log_likelihood, bounds=(low, (1 - delta) / 2 - 1e-9), method="bounded", options={"xatol": 1e-12}
        ).x
        return (b - c - n * delta) / np.sqrt(n * (2 * q + delta - delta**2))

    interval = paired_interval(b, c, n)
    z = stats.norm.ppf(0.975)
    assert (score(interval.low / 100), score(interval.high / 100)) == pytest.approx((z, -z), abs=1e-3)


@pytest.mark.parametrize(("b", "c", "n"), [(0, 0, 30), (30, 0, 30), (0, 30, 30), (1, 0, 1), (0, 0, 1), (3, 2, 5)])
def test_paired_interval_exists_at_the_edges_and_mirrors(b, c, n):
    interval, mirrored = paired_interval(b, c, n), paired_interval(c, b, n)
    assert -100 <= interval.low <= interval.estimate <= interval.high <= 100
    assert (mirrored.low, mirrored.high) == pytest.approx((-interval.high, -interval.low))


def test_paired_interval_without_discordant_images_is_wilsons_upper_end():
    # with b = c = 0 the score equation is that of one proportion of zero
    z2 = stats.norm.ppf(0.975) ** 2
    assert paired_interval(0, 0, 30).high == pytest.approx(100 * z2 / (30 + z2))


@pytest.mark.parametrize(("b", "c", "n"), [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_impossible_counts_are_refused(b, c, n):
    with pytest.raises(ValueError, match="cannot be"):
        paired_interval(b, c, n)


def test_whatever_exact_mcnemar_decides_tangos_interval_decides_too():
    # so a verdict by p below 0.05 never stands beside an interval that holds zero
    for total in range(1, 80):
        for b in range(total + 1):
            if mcnemar_p(b, total - b) < 0.05:
                interval = paired_interval(b, total - b, 100)
                assert interval.low > 0 or interval.high < 0


def test_unpaired_interval_is_newcombes():
    # 56 of 70 against 48 of 80: 0.0524 to 0.3339 (Newcombe 1998, table II, method 10)
    interval, p_value = unpaired_interval((56, 70), (48, 80))
    assert (interval.low, interval.high) == pytest.approx((5.24, 33.39), abs=0.005)
    assert unpaired_interval((56, 70), (48, 80), 1 - p_value)[0].low == pytest.approx(0.0, abs=1e-6)


def test_unpaired_p_of_equal_accuracies_is_one_and_of_extremes_is_tiny():
    assert unpaired_interval((5, 10), (50, 100))[1] == 1.0
    assert unpaired_interval((10000, 10000), (0, 10000))[1] <= 1e-12


def checkpoint(right, images=None):
    """One run; images: so many of which nothing says which were right."""
    known = Correctness(tuple(f"{i:03d}" for i in range(len(right))), np.array([right], dtype=bool))
    return SeedGroup((100 * float(np.mean(right)),), images or len(right), known if images is None else None)


def test_two_checkpoints_on_the_same_images_differ_by_those_that_one_alone_got_right():
    first, second = np.ones(100, dtype=bool), np.arange(100) >= 6
    interval, p_value = checkpoint_difference(checkpoint(first), checkpoint(second))
    assert p_value == pytest.approx(2 / 2**6)
    assert interval == paired_interval(6, 0, 100)


def test_two_checkpoints_of_which_only_counts_are_known_are_compared_as_independent():
    first, second = checkpoint(np.ones(100, dtype=bool), images=100), checkpoint(np.arange(100) >= 6, images=100)
    assert checkpoint_difference(first, second) == unpaired_interval((100.0, 100), (94.0, 100))
