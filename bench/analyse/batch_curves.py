"""Throughput against batch size: the peak, and from which batch size a model is within 5 % of it.

The peak is the best of several batch sizes, so its batch is chosen by other processes than those that give its value:
the largest of several noisy numbers would otherwise be too large by choice alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import pandas as pd

from bench.analyse.intervals import Interval, Spread, pooled_spread, process_interval, spread_of
from bench.analyse.scores import RunKey, run_key
from bench.analyse.speeds import Conditions, conditions_of, rows_of

NEAR_PEAK = 0.95

Rates = Mapping[int, Mapping[int, float]]  # batch size -> process round -> images per second
_Site = tuple[RunKey, Conditions]


@dataclass(frozen=True)
class BatchPoint:
    """One model at one batch size. share: of its peak, in [0, 1] apart from noise; None for the peak itself.

    is_near: whether the interval of the share says that it is within 5 % of the peak (True), that it is not (False),
    or neither (None). With nothing that says how processes differ, the estimates decide.
    """

    batch_size: int
    rate: Interval | None
    rate_mean: float
    share: Interval | None
    share_mean: float
    is_near: bool | None
    cell_ids: tuple[str, ...]


@dataclass(frozen=True)
class BatchCurve:
    """One model on one machine at several batch sizes."""

    key: RunKey
    points: tuple[BatchPoint, ...]  # rising batch size
    peak: Interval | None
    peak_mean: float
    peak_batches: tuple[int, ...]  # that the two halves of the processes chose: one, or two where they differ
    is_split: bool  # False without two processes at every batch: the same ones chose the peak and gave its value
    processes: int
    cell_ids: tuple[str, ...]

    @property
    def near_from(self) -> tuple[int, int]:
        """The smallest batch size that may be within 5 % of the peak, and the smallest that surely is.

        Where no interval is narrow enough to be sure, the latter is the largest batch that was chosen as the peak's.
        """
        first = next((p.batch_size for p in self.points if p.is_near is not False), self.peak_batches[-1])
        sure = next((p.batch_size for p in self.points if p.is_near), self.peak_batches[-1])
        return first, max(first, sure)

    @property
    def is_open_ended(self) -> bool:
        """Whether the peak lies at the largest batch that was timed, so that a larger one may be faster yet."""
        return self.peak_batches[-1] == self.points[-1].batch_size

    @property
    def falls_again(self) -> BatchPoint | None:
        """The first batch size above the peak's that is surely slower than 95 % of it; None if there is none."""
        later = (point for point in self.points if point.batch_size > max(self.peak_batches))
        return next((point for point in later if point.is_near is False), None)


def batch_curves(
    frame: pd.DataFrame, machine: str, batches: Mapping[RunKey, Collection[int]] | None = None
) -> list[BatchCurve]:
    """Every model that was timed on the machine, in order of key; one batch size makes a curve of one point.

    batches: the batch sizes to look at for each key; all of them by default. Spreads between processes are pooled
    over the models that share the machine's conditions where each has few processes.
    """
    rates: dict[_Site, dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    ids: dict[_Site, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in rows_of(frame[frame["throughput_img_per_s"].notna() & (frame["machine"] == machine)]):
        site, batch = (run_key(row), conditions_of(row)), int(row["batch_size"])
        if batches is None or batch in batches.get(site[0], ()):
            rates[site][batch][int(row["repeat"])] = float(row["throughput_img_per_s"])
            ids[site][batch].append(str(row["cell_id"]))
    shares = {site: _shares(found) for site, found in rates.items()}
    spreads = _pooled(rates, shares)
    return [_curve(site, rates[site], shares[site], spreads, ids[site]) for site in sorted(rates)]


@dataclass(frozen=True)
class _Shares:
    """Logarithms of each process's rate over the peak's, and of the peak itself, the peak chosen by the other half."""

    by_batch: Mapping[int, tuple[float, ...]]
    peak: tuple[float, ...]
    peak_batches: tuple[int, ...]
    is_split: bool


def _shares(rates: Rates) -> _Shares:
    rounds = sorted(set.intersection(*(set(found) for found in rates.values())))  # in which every batch was timed
    is_split = len(rounds) > 1
    if not rounds:  # each lacks a batch, so that no half could choose among all of them
        rounds = sorted({repeat for found in rates.values() for repeat in found})
    halves = (rounds[::2], rounds[1::2]) if is_split else (rounds, rounds)
    chosen = {}
    for mine, others in (halves, halves[::-1]):
        batch = _fastest(rates, others)
        chosen.update(dict.fromkeys(mine, batch))
    logs: dict[int, list[float]] = {batch: [] for batch in rates}
    peaks = []
    for repeat, best in chosen.items():
        if repeat not in rates[best]:
            continue
        top = math.log(rates[best][repeat])
        peaks.append(top)
        for batch, found in rates.items():
            if repeat in found:
                logs[batch].append(math.log(found[repeat]) - top)
    by_batch = {batch: tuple(values) for batch, values in logs.items()}
    return _Shares(by_batch, tuple(peaks), tuple(sorted(set(chosen.values()))), is_split)


def _fastest(rates: Rates, rounds: Sequence[int]) -> int:
    """The batch size with the highest mean logarithm over these rounds; the smaller of equals."""
    means = {
        batch: fmean(math.log(found[repeat]) for repeat in rounds if repeat in found)
        for batch, found in rates.items()
        if any(repeat in found for repeat in rounds)
    }
    if not means:
        return min(rates)
    return max(means, key=lambda batch: (means[batch], -batch))


def _pooled(
    rates: Mapping[_Site, Rates], shares: Mapping[_Site, _Shares]
) -> dict[tuple[str, Conditions], Spread | None]:
    """Spread of single processes and of their shares, by kind and by what the models of a pool have in common."""
    groups: dict[tuple[str, Conditions], list[list[float]]] = defaultdict(list)
    for site, found in rates.items():
        software = _software(site)
        for by_round in found.values():
            groups["rate", software].append([math.log(value) for value in by_round.values()])
        groups["share", software] += [list(v) for v in shares[site].by_batch.values() if any(v)]
    return {pool: pooled_spread(logs, "processes") for pool, logs in groups.items()}


def _software(site: _Site) -> Conditions:
    key, conditions = site
    return (key.device, *conditions[1:])  # the definition differs between the models that share a spread


def _curve(
    site: _Site,
    rates: Rates,
    shares: _Shares,
    spreads: Mapping[tuple[str, Conditions], Spread | None],
    ids: Mapping[int, Sequence[str]],
) -> BatchCurve:
    pools = spreads.get(("rate", _software(site))), spreads.get(("share", _software(site)))
    points = tuple(
        _point(batch, list(rates[batch].values()), shares.by_batch[batch], pools, tuple(ids[batch]))
        for batch in sorted(rates)
        if shares.by_batch[batch]
    )
    return BatchCurve(
        key=site[0],
        points=points,
        peak=_interval(shares.peak, pools[0]),
        peak_mean=math.exp(fmean(shares.peak)),
        peak_batches=shares.peak_batches,
        is_split=shares.is_split,
        processes=len({repeat for found in rates.values() for repeat in found}),
        cell_ids=tuple(cell_id for batch in sorted(ids) for cell_id in ids[batch]),
    )


def _point(
    batch: int,
    rates: Sequence[float],
    shares: Sequence[float],
    pools: tuple[Spread | None, Spread | None],
    ids: tuple[str, ...],
) -> BatchPoint:
    logs = [math.log(rate) for rate in rates]
    share = _interval(shares, pools[1]) if any(shares) else None
    mean = math.exp(fmean(shares))
    if share is None:
        is_near: bool | None = mean >= NEAR_PEAK
    else:
        is_near = True if share.low >= NEAR_PEAK else None if share.high >= NEAR_PEAK else False
    return BatchPoint(batch, _interval(logs, pools[0]), math.exp(fmean(logs)), share, mean, is_near, ids)


def _interval(logs: Sequence[float], pooled: Spread | None) -> Interval | None:
    return process_interval([math.exp(value) for value in logs], spread_of(logs, pooled, "own"))


def series_of(key: RunKey) -> RunKey:
    """The key without its resolution: what one line along a resolution axis has in common."""
    return replace(key, resolution_px=0)


def resolutions_of(keys: Iterable[RunKey]) -> dict[RunKey, set[int]]:
    """Series -> the resolutions at which it was measured."""
    found: dict[RunKey, set[int]] = defaultdict(set)
    for key in keys:
        found[series_of(key)].add(key.resolution_px)
    return found
