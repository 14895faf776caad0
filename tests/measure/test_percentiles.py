from __future__ import annotations

import numpy as np
import pytest

from bench.measure.timing import percentile


def test_a_percentile_between_two_samples_is_interpolated():
    assert percentile([30.0, 10.0, 20.0, 40.0], 50) == 25.0
    assert percentile([10.0, 20.0], 90) == pytest.approx(19.0)


def test_the_ends_are_the_extremes():
    assert (percentile([3.0, 1.0, 2.0], 0), percentile([3.0, 1.0, 2.0], 100)) == (1.0, 3.0)


def test_percentiles_agree_with_numpy():
    samples = np.random.default_rng(0).exponential(size=137).tolist()
    for percent in (1, 25, 50, 90, 99):
        assert percentile(samples, percent) == pytest.approx(np.percentile(samples, percent))


@pytest.mark.parametrize(("samples", "percent"), [([], 50), ([1.0], 101), ([1.0], -1)])
def test_a_percentile_that_does_not_exist_is_refused(samples: list[float], percent: float):
    with pytest.raises(ValueError, match="does not exist"):
        percentile(samples, percent)
