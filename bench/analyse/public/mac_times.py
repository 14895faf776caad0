"""How far multiply-adds mislead about time: on the published devices, and on the machine that timed models here.

Times depend on architecture and size alone, so each counts once, whatever its weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.analyse.public.family_lines import Array, fit_family_lines
from bench.analyse.public.rows import PUBLISHED_COSTS, Place, PublicRow
from bench.analyse.stats.intervals import LEVEL, Interval
from bench.catalog.identity import PublicFamily

HERE = "here"  # beside the columns of PUBLISHED_DEVICES
REFERENCE: PublicFamily = "cnn"
_TENTHS = (10, 50, 90)


@dataclass(frozen=True)
class TimePerMac:
    """Of one family, over the median of the CNNs: the median and its tenths at either end. places: timed ones."""

    median: float
    p10: float
    p90: float
    places: int


@dataclass(frozen=True)
class MacTimes:
    """Multiply-adds and time per image at large batches on one device, over architectures and sizes.

    spread: the 90th percentile of time per MAC over the 10th, of all families together. slope: the power of MACs that
    time grows with, at the median. at_equal_macs: each family's time over the CNNs', of those with enough
    architectures; n counts these. too_few: the others.
    """

    device: str  # a column of PUBLISHED_DEVICES, or HERE
    places: int
    rank_correlation: float  # Spearman's
    spread: float
    per_mac: Mapping[PublicFamily, TimePerMac]
    slope: float | None
    at_equal_macs: Mapping[PublicFamily, Interval]
    too_few: Mapping[PublicFamily, int]


def mac_times(rows: Iterable[PublicRow], level: float = LEVEL) -> dict[str, MacTimes]:
    """By device, those on which two places or more were timed, CNNs among them; here, measured ones alone."""
    places: dict[Place, PublicRow] = {}
    for row in rows:
        if row.macs:
            places.setdefault(row.result.place, row)
    found = {}
    for device in (*PUBLISHED_COSTS, HERE):
        timed = [(row, 1 / rate) for row in places.values() if (rate := img_per_s(row, device))]
        own = [row for row, _ in timed]
        if len(own) > 1 and any(row.family == REFERENCE for row in own):
            found[device] = _of_device(device, own, np.array([seconds for _, seconds in timed]), level)
    return found


def img_per_s(row: PublicRow, device: str) -> float | None:
    """Images per second at a large batch on a published device, or as measured HERE; None where it was not timed."""
    if device != HERE:
        return PUBLISHED_COSTS[device].value(row)
    time = row.times.get("throughput")
    return time.value if time is not None and time.kind == "measured" else None


def _of_device(device: str, rows: Sequence[PublicRow], seconds: Array, level: float) -> MacTimes:
    macs = np.array([row.macs for row in rows], dtype=np.float64)
    families = np.array([row.family for row in rows])
    relative = seconds / macs / np.median((seconds / macs)[families == REFERENCE])
    per_mac: dict[PublicFamily, TimePerMac] = {}
    for family in dict.fromkeys(row.family for row in rows):
        p10, median, p90 = np.percentile(relative[families == family], _TENTHS).tolist()
        per_mac[family] = TimePerMac(median, p10, p90, int((families == family).sum()))
    lines = fit_family_lines(rows, np.log(macs), np.log(seconds))
    at_equal_macs: dict[PublicFamily, Interval] = {}
    if lines is not None and REFERENCE in lines.levels:
        for family in (family for family in lines.levels if family != REFERENCE):
            ahead, draws = lines.levels[family] - lines.levels[REFERENCE], lines.level_draws
            ratios = np.exp(draws[family] - draws[REFERENCE])
            at_equal_macs[family] = lines.interval(family, math.exp(ahead), ratios, level)
    return MacTimes(
        device=device,
        places=len(rows),
        rank_correlation=float(stats.spearmanr(macs, seconds).statistic),
        spread=float(np.divide(*np.percentile(relative, (90, 10)))),
        per_mac=per_mac,
        slope=None if lines is None else lines.slope,
        at_equal_macs=at_equal_macs,
        too_few={} if lines is None else lines.too_few,
    )
