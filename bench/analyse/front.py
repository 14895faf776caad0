"""The Pareto front: which points no other point beats on both axes."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(costs: Sequence[float], gains: Sequence[float]) -> list[bool]:
    """Whether each point is on the front of least cost and greatest gain.

    A point is off the front when another costs no more and gains no less, and is strictly better in one of the
    two. Points that tie on both axes are on it together. For an axis where more is better, pass its negative.
    """
    if len(costs) != len(gains):
        raise ValueError(f"{len(costs)} costs but {len(gains)} gains")
    on_front = [False] * len(costs)
    best_cheaper = float("-inf")  # the best gain among points that cost strictly less
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -gains[i]))
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and costs[order[end]] == costs[order[start]]:
            end += 1
        best = gains[order[start]]
        for i in order[start:end]:
            on_front[i] = gains[i] == best and best > best_cheaper
        best_cheaper = max(best_cheaper, best)
        start = end
    return on_front
