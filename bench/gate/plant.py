"""Planted slowdowns: real extra work of a known share, by which a gate can be tested."""

from __future__ import annotations

import math
from fractions import Fraction


def plant_of(slowdown_pct: float) -> tuple[int, int] | None:
    """Extra passes among how many give about this slowdown, None for 0: (1, 20) for 5, (1, 33) for 3 (3.03 %).

    The fewest passes that come within 2 % of what is asked. Raises ValueError outside 0 to 100.
    """
    if not 0 <= slowdown_pct <= 100:
        raise ValueError(f"A slowdown of {slowdown_pct:g} % cannot be planted; give 0 to 100.")
    if slowdown_pct == 0:
        return None
    wanted = slowdown_pct / 100
    for per in range(1, 1_001):
        share = Fraction(max(1, round(wanted * per)), per)
        if abs(float(share) / wanted - 1) <= 0.02:
            return share.numerator, share.denominator
    raise ValueError(f"A slowdown of {slowdown_pct:g} % is too small to be planted.")


def true_log_ratio(plant: tuple[int, int] | None) -> float:
    """ln of the planted slowdown, exactly; 0 for none."""
    extra, per = plant or (0, 1)
    return math.log1p(extra / per)
