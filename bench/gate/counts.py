"""Counts of what was tried, with the bound that belongs to them."""

from __future__ import annotations

from functools import partial

from scipy import stats

from bench.shown import fixed

LEVEL = 0.95


def count_bounds(count: int, trials: int) -> tuple[float, float]:
    """The share that a count stands for, 95 % by Clopper and Pearson; one-sided for none and for all."""
    test = partial(stats.binomtest, count, trials)
    tried = test(alternative="less") if count == 0 else test(alternative="greater") if count == trials else test()
    bounds = tried.proportion_ci(LEVEL, method="exact")
    return float(bounds.low), float(bounds.high)


def counted_share(count: int, trials: int) -> str:
    """`0 of 30 (95 %: at most 10 %)`."""
    low, high = (_percent(end) for end in count_bounds(count, trials))
    words = f"at most {high} %" if count == 0 else f"at least {low} %" if count == trials else f"{low} to {high} %"
    return f"{count} of {trials} ({LEVEL * 100:g} %: {words})"


def _percent(share: float) -> str:
    """Whole percent, and two decimals where these would say none or all."""
    return fixed(100 * share, 0 if 0.01 <= share <= 0.99 else 2)
