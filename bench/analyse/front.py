"""The Pareto front: which points no other beats on both axes, and how likely each is to be on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.analyse.candidates import COST_AXES, Candidate, Cost, CostAxis
from bench.analyse.draws import DRAWS, Floats, accuracy_draws, rate_draws


@dataclass(frozen=True)
class FrontPoint:
    """One candidate on one plane of accuracy against cost."""

    candidate: Candidate
    cost: Cost
    is_on_front: bool  # by the estimates
    chance: float | None  # share of the draws of both axes in which it is on the front; None: nothing to draw by


@dataclass(frozen=True)
class Front:
    """Accuracy against one cost on one data set: who is on the front, and how sure that is."""

    dataset: str
    protocol: str
    axis: CostAxis
    condition: str  # what the costs share: machine and batch size; empty for counts
    points: tuple[FrontPoint, ...]  # in rising cost


def pareto_front(costs: Sequence[float], gains: Sequence[float]) -> list[bool]:
    """Whether each point is on the front of least cost and greatest gain.

    A point is off the front when another costs no more and gains no less, and is strictly better in one of the
    two. Points that tie on both axes are on it together. For an axis where more is better, pass its negative.
    """
    if len(costs) != len(gains):
        raise ValueError(f"{len(costs)} costs but {len(gains)} gains")
    if not len(costs):
        return []
    on_front = on_fronts(np.array([costs], dtype=np.float64), np.array([gains], dtype=np.float64))
    return [bool(is_on) for is_on in on_front[0]]


def on_fronts(costs: Floats, gains: Floats) -> npt.NDArray[np.bool_]:
    """`pareto_front` of each row; costs, gains and the result are (draws, points)."""
    order = np.lexsort((-gains, costs), axis=-1)
    cost, gain = np.take_along_axis(costs, order, -1), np.take_along_axis(gains, order, -1)
    places = np.arange(cost.shape[1])
    is_first = np.ones(cost.shape, dtype=bool)  # of the points of one cost
    is_first[:, 1:] = cost[:, 1:] != cost[:, :-1]
    first = np.maximum.accumulate(np.where(is_first, places, 0), axis=1)
    best_so_far = np.maximum.accumulate(gain, axis=1)
    best_cheaper = np.where(first > 0, np.take_along_axis(best_so_far, np.maximum(first - 1, 0), 1), -np.inf)
    is_on = (gain == np.take_along_axis(gain, first, 1)) & (gain > best_cheaper)
    result = np.empty(is_on.shape, dtype=np.bool_)
    np.put_along_axis(result, order, is_on, -1)
    return result


def fronts(candidates: Iterable[Candidate], draws: int = DRAWS) -> list[Front]:
    """The fronts of every data set, protocol and axis that at least two candidates have, in that order.

    Both axes are drawn: accuracies by `accuracy_draws`, timings by `rate_draws`; counts are exact. Where some
    accuracy is of one run and nothing says how far runs differ, or some cost is rough, no point has a chance.
    Timings meet only under the condition (machine, batch) that most candidates share.
    """
    by_place: dict[tuple[str, str], list[Candidate]] = {}
    for candidate in candidates:
        by_place.setdefault((candidate.dataset, candidate.protocol), []).append(candidate)
    found = []
    for (dataset, protocol), own in by_place.items():
        drawn = accuracy_draws({one.name: one.group for one in own}, draws)
        for axis in COST_AXES.values():
            condition, columns = _comparable(own, axis)
            if len(columns) > 1:
                chosen = [own[column] for column in columns]
                points = _points(chosen, axis, drawn[:, columns])
                found.append(Front(dataset, protocol, axis, condition, points))
    return found


def _comparable(own: Sequence[Candidate], axis: CostAxis) -> tuple[str, list[int]]:
    """The condition that most candidates' costs share, and which candidates these are."""
    has_budgets = axis.name == "train_flop"  # there every budget is a point of its own
    columns = [i for i, one in enumerate(own) if axis.name in one.costs and (one.is_main or has_budgets)]
    usual = usual_condition([own[column] for column in columns], axis.name)
    return usual, [column for column in columns if own[column].costs[axis.name].condition == usual]


def usual_condition(candidates: Sequence[Candidate], axis: str) -> str:
    """The condition (machine, batch, kind) that most costs on this axis share; the first by name of equals."""
    conditions = Counter(one.costs[axis].condition for one in candidates if axis in one.costs)
    return min(conditions, key=lambda condition: (-conditions[condition], condition), default="")


def _points(own: Sequence[Candidate], axis: CostAxis, gains: Floats) -> tuple[FrontPoint, ...]:
    sign = -1.0 if axis.more_is_better else 1.0
    costs = [one.costs[axis.name] for one in own]
    drawn = np.stack([cost_draws(one, cost, len(gains)) for one, cost in zip(own, costs, strict=True)], axis=1)
    may_draw = all(one.has_known_spread for one in own) and not any(cost.is_rough for cost in costs)
    chances = on_fronts(sign * drawn, gains).mean(axis=0).tolist() if may_draw else [None] * len(own)
    is_on = pareto_front([sign * cost.value for cost in costs], [one.group.mean_pct for one in own])
    points = [FrontPoint(*point) for point in zip(own, costs, is_on, chances, strict=True)]
    return tuple(sorted(points, key=lambda point: (point.cost.value, point.candidate.name)))


def cost_draws(candidate: Candidate, cost: Cost, draws: int) -> Floats:
    """Values that a cost might have, in its unit; (draws,). A cost without an interval is taken as exact."""
    if cost.interval is None or cost.value <= 0:
        return np.full(draws, cost.value)
    return rate_draws(f"{cost.condition} {candidate.key}", cost.interval, draws)
