"""Effective robustness: accuracy on a further test set at equal ImageNet accuracy, family against family.

Source: Taori et al. 2020, with a bend: on the logit scale such accuracies lie near one curve, a level for each family.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from bench.analyse.public.family_lines import FamilyLines, fit_family_lines
from bench.analyse.public.rows import PublicRow
from bench.analyse.stats.intervals import Interval
from bench.catalog.identity import PublicFamily
from bench.catalog.public_results import TEST_SETS

REFERENCE: PublicFamily = "cnn"
FURTHER_TEST_SETS = tuple(column for column in TEST_SETS if column != "imagenet_top1")
# What a difference between families on a test set has to do with how its images were picked.
CAUTIONS: Mapping[str, str] = {
    "imagenet_a_top1": "ImageNet-A holds images that a ResNet-50 got wrong (from memory of arXiv 1907.07174), which is "
    "against CNNs by construction.",
}


@dataclass(frozen=True)
class Robustness:
    """Rows of one stratum on one further test set (a column of TEST_SETS).

    ahead_pp: of each other family's line over the CNNs', in points at the median ImageNet accuracy of all rows. rows,
    architectures: of every family with a line. too_few: the architectures of each family that has too few for one.
    """

    test_set: str
    at_top1_pct: float
    ahead_pp: Mapping[PublicFamily, Interval]
    rows: Mapping[PublicFamily, int]
    architectures: Mapping[PublicFamily, int]
    too_few: Mapping[PublicFamily, int]
    lines: FamilyLines = field(repr=False)  # logit on logit

    def expected_pct(self, top1_pct: float) -> float:
        """What the CNNs' line says for this ImageNet accuracy."""
        away = _logit(top1_pct) - self.lines.at
        return float(
            100 * special.expit(self.lines.levels[REFERENCE] + self.lines.slope * away + self.lines.bend * away**2)
        )

    def residual_pp(self, row: PublicRow) -> float | None:
        """How far a row is above the CNNs' line, in points; None where it was not tested on this set."""
        tested = accuracy_pct(row, self.test_set)
        return None if tested is None else tested - self.expected_pct(row.top1_pct)


def accuracy_pct(row: PublicRow, test_set: str) -> float | None:
    """Published top-1 on a column of TEST_SETS; None where timm lists none."""
    value: float | None = getattr(row.result, test_set)
    return value


def robustness(rows: Iterable[PublicRow], test_set: str) -> Robustness | None:
    """Of comparable rows; None where the CNNs have too few architectures for a line."""
    tested = [(row, value) for row in rows if (value := accuracy_pct(row, test_set))]
    own = [row for row, _ in tested]
    lines = fit_family_lines(own, (_logit(row.top1_pct) for row in own), (_logit(value) for _, value in tested))
    if lines is None or REFERENCE not in lines.levels:
        return None
    at_top1_pct = float(np.median([row.top1_pct for row in own]))
    there = {family: 100 * special.expit(level) for family, level in lines.levels.items()}
    drawn = {family: 100 * special.expit(levels) for family, levels in lines.level_draws.items()}
    ahead_pp = {
        family: lines.interval(family, float(there[family] - there[REFERENCE]), drawn[family] - drawn[REFERENCE])
        for family in lines.levels
        if family != REFERENCE
    }
    return Robustness(
        test_set,
        at_top1_pct,
        ahead_pp,
        lines.rows,
        lines.architectures,
        lines.too_few,
        lines,
    )


def all_robustness(rows: Iterable[PublicRow]) -> dict[str, Robustness]:
    """On every further test set that can be judged."""
    own = list(rows)
    return {test_set: found for test_set in FURTHER_TEST_SETS if (found := robustness(own, test_set)) is not None}


def _logit(pct: float) -> float:
    return math.log(pct / (100 - pct))
