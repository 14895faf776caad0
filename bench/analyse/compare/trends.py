"""How the gap between two families moves along training compute or training images, and where it would be gone.

A straight line on a logarithmic axis through the gap at each rung, all rungs of equal weight: its slope and its value
at any place are weighted sums of trained models' accuracies, so their intervals are `contrast`'s.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.analyse.accuracies.accuracy import Trained
from bench.analyse.accuracies.subjects import RunKey
from bench.analyse.compare.differences import Difference, Place
from bench.analyse.stats.intervals import LEVEL, Contrast, Interval, contrast, t_quantile

Axis = Literal["compute", "images"]
AXES: tuple[Axis, ...] = ("compute", "images")
Outlook = Literal["one seed", "unstable", "not behind", "bends", "grows", "not decided", "far", "closes"]
STEP = 4.0  # a slope is for so many times the compute or the images
FARTHEST = 1000.0  # times the last place; an interval that reaches further says nothing of where the gap is gone
_FEWEST = 2  # rungs of a line


@dataclass(frozen=True)
class Rung:
    """Where two models meet: GFLOP of training compute, or training images."""

    place: float
    first: Trained
    second: Trained

    @cached_property
    def gap(self) -> Difference:
        """First minus second, in percentage points."""
        return Difference.of(self.first.group, self.second.group)


@dataclass(frozen=True)
class Trend:
    """One model held against another along an axis, the rest equal. against: None for the best CNN of each rung."""

    axis: Axis
    first: RunKey
    against: RunKey | None
    dataset: str
    fixed: float  # training images along compute, GFLOP along images
    rungs: tuple[Rung, ...]  # rising

    @cached_property
    def slope(self) -> Contrast | None:
        """Points that the gap gains with each STEP; None where some model has one seed."""
        return self._sum(self._slope_weights)

    @cached_property
    def bend(self) -> Contrast | None:
        """How far the gap bends from a straight line; of three rungs or more."""
        if len(self.rungs) <= _FEWEST:
            return None
        powers = np.vander(self._x, 3, increasing=True)
        return self._sum(np.linalg.pinv(powers)[2])

    @cached_property
    def outlook(self) -> Outlook:
        """What may be said of where the gap goes; `closes` alone has a place where it would be gone."""
        last = self.rungs[-1].gap
        if self.slope is None:
            return "one seed"
        if any(one.group.is_unstable for rung in self.rungs for one in (rung.first, rung.second)):
            return "unstable"
        if last.verdict != "behind":
            return "not behind"
        if self.bend is not None and self.bend.p_value < 1 - LEVEL:
            return "bends"
        if self.slope.p_value >= 1 - LEVEL:
            return "not decided"
        if self.slope.estimate < 0:
            return "grows"
        crossing = self._crossing
        return "closes" if crossing is not None and crossing.high <= FARTHEST * self.rungs[-1].place else "far"

    @property
    def gone_at(self) -> Interval | None:
        """Where the line crosses zero, in GFLOP or images; only where the gap closes."""
        return self._crossing if self.outlook == "closes" else None

    @cached_property
    def _crossing(self) -> Interval | None:
        """Where the line crosses zero with Fieller's interval; None where that has no two ends.

        Fieller's set holds every place at which the line's own t interval holds zero. With the slope's degrees of
        freedom throughout it has two ends just where the slope is told from zero. Source: Fieller 1954.
        """
        flat = np.full(len(self.rungs), 1 / len(self.rungs))
        level, slope, both = self._sum(flat), self.slope, self._sum(flat + self._slope_weights)
        if level is None or slope is None or both is None:
            return None
        t2 = t_quantile(slope.df) ** 2
        level_var, slope_var = level.standard_error**2, slope.standard_error**2
        most = math.sqrt(level_var * slope_var)  # each variance is cut at zero, so their sum may be off
        covariance = min(most, max(-most, (both.standard_error**2 - level_var - slope_var) / 2))
        a = slope.estimate**2 - t2 * slope_var
        b = level.estimate * slope.estimate - t2 * covariance
        c = level.estimate**2 - t2 * level_var
        if a <= 0:
            return None
        half = math.sqrt(max(0.0, b**2 - a * c)) / a
        crossings = (-level.estimate / slope.estimate, -b / a - half, -b / a + half)
        estimate, low, high = (STEP ** (float(self._x.mean()) + crossing) for crossing in crossings)
        return Interval(estimate, low, high, slope.seeds, f"Fieller's, {slope.method}")

    @property
    def cell_ids(self) -> tuple[str, ...]:
        """Every record behind it."""
        return tuple(i for rung in self.rungs for one in (rung.first, rung.second) for i in one.cell_ids)

    @cached_property
    def _x(self) -> NDArray[np.float64]:
        return np.array([math.log(rung.place, STEP) for rung in self.rungs])

    @property
    def _slope_weights(self) -> NDArray[np.float64]:
        apart: NDArray[np.float64] = self._x - self._x.mean()
        return apart / float((apart**2).sum())

    def _sum(self, weights: NDArray[np.float64]) -> Contrast | None:
        """The weighted sum of the gaps at the rungs."""
        return contrast(
            [
                part
                for weight, rung in zip(map(float, weights), self.rungs, strict=True)
                for part in ((weight, rung.first.group), (-weight, rung.second.group))
            ]
        )


def gap_trends(scores: Iterable[Trained], differences: Mapping[Place, Difference]) -> list[Trend]:
    """Of every ViT and hybrid against the best CNN of its size, by validation; of ViTs also against each of several.

    Along compute at the largest training set, along images at each budget; where they meet at two rungs or more, all of
    them above logistic regression on pixels.
    """
    found = {(s.key, s.dataset, s.train_images, s.budget_gflop): s for s in scores}
    largest = {s.dataset: s.train_images for s in sorted(found.values(), key=lambda score: score.train_images)}
    met: dict[tuple[Axis, RunKey, str, float], dict[float, list[Rung]]] = defaultdict(lambda: defaultdict(list))
    for place, gap in differences.items():
        if gap.verdict == "below pixels":
            continue
        dataset, images, budget = place.dataset, place.train_images, place.budget_gflop
        one, other = (found[key, dataset, images, budget] for key in (place.first, place.second))
        if other.identity.family == "cnn" and not (one.is_below_pixels or other.is_below_pixels):
            met["images", place.first, dataset, budget][images].append(Rung(images, one, other))
            if images == largest[dataset]:
                met["compute", place.first, dataset, images][budget].append(Rung(budget, one, other))
    trends = []
    for (axis, first, dataset, fixed), by_place in sorted(met.items()):
        rungs = [by_place[place] for place in sorted(by_place)]
        rivals = sorted({rung.second.key for own in rungs for rung in own})
        best = [max(own, key=lambda rung: rung.second.validation_pct or 0.0) for own in rungs]
        ladders: dict[RunKey | None, list[Rung]] = {None: best}
        if len(rivals) > 1 and rungs[0][0].first.identity.family == "vit":
            ladders |= {key: [rung for own in rungs for rung in own if rung.second.key == key] for key in rivals}
        trends += [
            Trend(axis, first, against, dataset, fixed, tuple(own))
            for against, own in ladders.items()
            if len(own) >= _FEWEST and (against is None or own != best)
        ]
    return trends
