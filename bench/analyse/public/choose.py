"""Which public checkpoint to take within limits, and which model to time next in order to know. Nothing is timed here.

Limits on counts are exact. A limit on time is met by a timing alone; estimates say what is worth timing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import takewhile

from bench.analyse.public.estimates import Estimator, fit_times
from bench.analyse.public.rows import COSTS, CostAxis, Place, PublicRow, Time, Timing
from bench.analyse.public.study import Estimates
from bench.analyse.stats.proportions import unpaired_interval
from bench.catalog.public_results import TEST_SETS
from bench.catalog.strata import Stratum
from bench.store.record import Record

# Timed first on a machine that has timed nothing: nine of suite `public`'s anchors, of several families, from 0.2 to
# 8 GMACs. On two cores of a 2.6 GHz AVX-512 server they estimate 35 others below 250 ms to a factor of 1.11 in the
# median and of 1.31 in nine of ten.
CALIBRATION: tuple[Place, ...] = (
    ("mobilenetv3_large_100", 224),
    ("efficientnet_b0", 224),
    ("vit_tiny_patch16_224", 224),
    ("vit_small_patch16_224", 224),
    ("swin_tiny_patch4_window7_224", 224),
    ("resnet50", 224),
    ("efficientnet_b4", 320),
    ("vit_small_r26_s32_224", 224),
    ("regnety_080", 224),
)
_LIMIT_UNITS = {"macs": "GMACs", "params": "M parameters", "latency": "ms at batch 1", "throughput": "images/s"}
LIKELY = 0.5  # odds of meeting the limits from which a model is worth timing
CLEARLY = 1.1  # times as fast, below which two timings of one process each are not told apart
CONTRADICTED = 3.0  # times too long or short by all others, from which on a timing is not learned from
AGREEING = 0.75  # of all timings, must be left when the contradicted ones are gone
NEAR = 1.5  # times a limit, up to which a model that misses it was worth timing for it


@dataclass(frozen=True)
class Wanted:
    """What the answer must keep to. limits: by the name of a cost in COSTS, in its unit.

    test_set: column of TEST_SETS by which rows are ranked, and of which min_top1_pct speaks.
    """

    limits: Mapping[str, float]
    test_set: str = "imagenet_top1"
    min_top1_pct: float | None = None
    stratum: Stratum | None = None
    families: tuple[str, ...] = ()

    def published_top1(self, row: PublicRow) -> float | None:
        value: float | None = getattr(row.result, self.test_set)
        return value

    def top1_pct(self, row: PublicRow) -> float:
        """Of a row that has one."""
        value = self.published_top1(row)
        assert value is not None
        return value

    @property
    def timed_limits(self) -> dict[Timing, float]:
        return {axis.time: limit for name, limit in self.limits.items() if (axis := COSTS[name]).time is not None}

    def filters(self) -> Iterator[tuple[str, Callable[[PublicRow], bool]]]:
        """What can be decided without a timing, in words and as a rule."""
        title = TEST_SETS[self.test_set][0]
        yield f"a published top-1 on {title}", lambda row: self.published_top1(row) is not None
        if self.stratum is not None:
            yield f"stratum {self.stratum}", lambda row: row.training.stratum == self.stratum
        if self.families:
            yield f"family {' or '.join(self.families)}", lambda row: row.family in self.families
        for name, limit in self.limits.items():
            if COSTS[name].time is None:
                yield limit_words(name, limit), partial(_meets, name, limit)
        least = self.min_top1_pct
        if least is not None:
            yield f"at least {least:g} % top-1 on {title}", lambda row: self.top1_pct(row) >= least


def limit_words(name: str, limit: float) -> str:
    """`at most 5 GMACs`."""
    return f"{'at least' if COSTS[name].more_is_better else 'at most'} {limit:g} {_LIMIT_UNITS[name]}"


def _meets(name: str, limit: float, row: PublicRow) -> bool:
    value = COSTS[name].value(row)
    return value is not None and (value >= limit if COSTS[name].more_is_better else value <= limit)


@dataclass(frozen=True)
class Filtered:
    """Rows that keep to all that can be decided without a timing; and how many each filter left, in words, in order."""

    rows: tuple[PublicRow, ...]
    left: tuple[tuple[str, int], ...]


def filtered(rows: Iterable[PublicRow], wanted: Wanted) -> Filtered:
    """The most accurate row first; of equals the one of fewer MACs."""
    kept, left = list(rows), []
    for words, holds in wanted.filters():
        kept = [row for row in kept if holds(row)]
        left.append((words, len(kept)))
    kept.sort(key=lambda row: (-wanted.top1_pct(row), row.macs or 0.0, row.label))
    return Filtered(tuple(kept), tuple(left))


@dataclass(frozen=True)
class Here:
    """What is known of times on this machine. untimed: what cannot be timed here, with the reason."""

    measured: Mapping[Timing, Mapping[Place, Time]]
    estimators: Mapping[Timing, Estimator | None]
    untimed: Mapping[Place, str]

    @classmethod
    def of(cls, estimates: Mapping[Timing, Estimates], untimed: Mapping[Place, str]) -> Here:
        """Estimated from every timing, however few its processes: those near a limit tell most about others there."""
        measured = {timing: found.measured for timing, found in estimates.items()}
        fitted = {
            timing: learned({place: time.value for place, time in times.items()}) for timing, times in measured.items()
        }
        return cls(measured, fitted, untimed)

    def time(self, place: Place, timing: Timing) -> Time | None:
        """Measured, else estimated; None for neither."""
        if (found := self.measured[timing].get(place)) is not None:
            return found
        estimator = self.estimators[timing]
        if estimator is None or place not in estimator.times or place in self.untimed:
            return None
        value, reach = estimator.times[place], estimator.reach
        return Time("estimated", value, value / reach, value * reach)

    def odds(self, row: PublicRow, name: str, limit: float) -> float:
        """Of a row's time being within a limit: 0 or 1 if measured, else how many left-out models would have been."""
        axis = COSTS[name]
        if axis.time is None or axis.time not in row.times:
            return 0.0
        time, estimator = row.times[axis.time], self.estimators[axis.time]
        if time.kind == "measured" or estimator is None:
            return float(_meets(name, limit, row))
        factors = estimator.factors.values()
        values = [time.value / factor for factor in factors]  # what it takes if it is as far off as that model was
        return sum(value >= limit if axis.more_is_better else value <= limit for value in values) / len(values)


def learned(times: Mapping[Place, float]) -> Estimator | None:
    """An estimator of the times that the others do not contradict: a process that was disturbed teaches nothing.

    None where so many are contradicted that nobody can say which of them are right.
    """
    kept = dict(times)
    while (found := fit_times(kept)) is not None and len(kept) >= AGREEING * len(times):
        factors = found.factors
        worst = max(factors, key=lambda place: _off(factors[place]))
        if _off(factors[worst]) <= CONTRADICTED:
            return found
        del kept[worst]  # the worst alone: others look odd beside it
    return None


def _off(factor: float) -> float:
    return max(factor, 1 / factor)


@dataclass(frozen=True)
class Choice:
    """What to take of the candidates (rows of `filtered`) by what is known, and what to time next.

    by_estimate: no timing decides, so that what is likely within the limits counts as within.
    cheaper: the cost by which an alternative to the best is cheaper.
    """

    wanted: Wanted
    filtered: tuple[PublicRow, ...]
    here: Here
    cheaper: CostAxis
    by_estimate: bool = False

    @property
    def timings(self) -> tuple[Timing, ...]:
        """The times that bear on the answer."""
        more = () if self.cheaper.time is None else (self.cheaper.time,)
        return tuple(dict.fromkeys((*self.wanted.timed_limits, *more)))

    @cached_property
    def candidates(self) -> tuple[PublicRow, ...]:
        """Those that can be timed here, with their times."""
        timings = dict.fromkeys(timing for timing, times in self.here.measured.items() if times)
        return tuple(
            replace(row, times={t: time for t in timings if (time := self.here.time(row.place, t)) is not None})
            for row in self.filtered
            if row.place not in self.here.untimed
        )

    def odds(self, row: PublicRow) -> float:
        """Of the row meeting every limit on time."""
        limits = self.wanted.limits.items()
        return min((self.here.odds(row, name, limit) for name, limit in limits if COSTS[name].time), default=1.0)

    def is_known(self, row: PublicRow) -> bool:
        """Whether timings say if the row meets the limits on time; one that misses a limit needs no other timing."""
        return self._misses(row) or all(_is_measured(row, timing) for timing in self.wanted.timed_limits)

    def _misses(self, row: PublicRow) -> bool:
        limits = self.wanted.limits.items()
        return any(
            COSTS[name].time and _is_measured(row, COSTS[name].time) and not _meets(name, limit, row)
            for name, limit in limits
        )

    @cached_property
    def within(self) -> tuple[PublicRow, ...]:
        """What meets every limit by timings; by estimates where nothing is to be timed."""
        if self.by_estimate:
            return tuple(row for row in self.candidates if self.odds(row) >= LIKELY)
        return tuple(row for row in self.candidates if self.is_known(row) and not self._misses(row))

    @cached_property
    def missed(self) -> tuple[PublicRow, ...]:
        """What was timed and does not meet a limit."""
        return tuple(row for row in self.candidates if self._misses(row))

    @property
    def best(self) -> PublicRow | None:
        """The most accurate one within the limits."""
        return self.within[0] if self.within else None

    @cached_property
    def equals(self) -> tuple[PublicRow, ...]:
        """Of all candidates, those less accurate than the best by no more than the noise of the test images."""
        best = self.best
        if best is None:
            return ()
        after = (row for row in self.candidates if self._top1(row) <= self._top1(best) and row is not best)
        top1 = self._top1(best)
        return tuple(takewhile(lambda row: not is_distinguishable(top1, self._top1(row), self._images), after))

    @cached_property
    def alternative(self) -> PublicRow | None:
        """The cheapest of those within the limits that are not distinguishable from the best; None if none is."""
        best, within = self.best, set(map(id, self.within))
        if best is None or self._known_cost(best) is None:
            return None
        found = [row for row in self.equals if id(row) in within and self._known_cost(row) is not None]
        cheapest = max(found, key=lambda row: self.times_cheaper(row, best), default=None)
        return cheapest if cheapest is not None and self.times_cheaper(cheapest, best) >= CLEARLY else None

    def times_cheaper(self, row: PublicRow, than: PublicRow) -> float:
        """By how many times one costs less than the other; both costs must be known or estimated."""
        one, other = self.cheaper.value(row), self.cheaper.value(than)
        assert one is not None
        assert other is not None
        return one / other if self.cheaper.more_is_better else other / one

    def next_to_time(self) -> tuple[Place, Timing] | None:
        """The model worth timing next, and what of it; None where nothing is.

        While it would be better than the best: the most accurate one that is as likely as not within the limits. Then
        the fastest that is not distinguishable from the best; then what would be better but is less likely within.
        """
        best = self.best
        better = [
            row
            for row in self.candidates
            if (best is None or self._top1(row) > self._top1(best)) and not self.is_known(row) and self.odds(row) > 0
        ]
        if likely := next((row for row in better if self.odds(row) >= LIKELY), None):
            return self._unknown_of(likely)
        if best is not None and self.cheaper.time is not None:
            if not _is_measured(best, self.cheaper.time):
                return best.place, self.cheaper.time
            if (faster := self._faster(self.alternative or best)) is not None:
                return faster
        return self._unknown_of(max(better, key=self.odds)) if better else None

    def _unknown_of(self, row: PublicRow) -> tuple[Place, Timing]:
        """The first limited time that was not measured of the row."""
        return row.place, next(timing for timing in self.wanted.timed_limits if not _is_measured(row, timing))

    def _faster(self, than: PublicRow) -> tuple[Place, Timing] | None:
        timing = self.cheaper.time
        assert timing is not None
        unknown = [row for row in self.equals if timing in row.times and not _is_measured(row, timing)]
        likely = [row for row in unknown if self.odds(row) >= LIKELY and self.times_cheaper(row, than) >= CLEARLY]
        fastest = max(likely, key=lambda row: self.times_cheaper(row, than), default=None)
        return None if fastest is None else (fastest.place, timing)

    @cached_property
    def contenders(self) -> tuple[PublicRow, ...]:
        """What bears on the answer: the best, what is within the limits and as good, what is better and missed them.

        Missed by little: what another, wider limit had timed decides nothing here.
        """
        as_good = {id(row) for row in (*self.within[:1], *self.equals)} & set(map(id, self.within))
        better = [row for row in self.missed if self.best is None or self._top1(row) > self._top1(self.best)]
        near = {id(row) for row in better if self._is_near(row)}
        return tuple(row for row in self.candidates if id(row) in as_good | near)

    def _is_near(self, row: PublicRow) -> bool:
        return all(
            _meets(name, limit / NEAR if COSTS[name].more_is_better else limit * NEAR, row)
            for name, limit in self.wanted.limits.items()
            if COSTS[name].time in row.times
        )

    def _known_cost(self, row: PublicRow) -> float | None:
        is_known = self.cheaper.time is None or _is_measured(row, self.cheaper.time)
        return self.cheaper.value(row) if is_known else None

    def _top1(self, row: PublicRow) -> float:
        return self.wanted.top1_pct(row)

    @property
    def _images(self) -> int:
        return TEST_SETS[self.wanted.test_set][1]


def is_distinguishable(top1_pct: float, other_pct: float, images: int) -> bool:
    """Whether two shares of as many test images differ by more than drawing other images would, at 95 %.

    Not paired, as nothing published says which images were right: the test images' noise alone, of one training each.
    """
    interval, _ = unpaired_interval((top1_pct / 100 * images, images), (other_pct / 100 * images, images))
    return interval.low > 0 or interval.high < 0


def _is_measured(row: PublicRow, timing: Timing | None) -> bool:
    return timing is not None and timing in row.times and row.times[timing].kind == "measured"


def untried(places: Sequence[Place], here: Here, timing: Timing) -> list[Place]:
    """Of the places, those that nothing is known of here."""
    return [place for place in places if place not in here.measured[timing] and place not in here.untimed]


def untimed(records: Iterable[Record], timings: Collection[Timing]) -> dict[Place, str]:
    """Places of which these times could not be had, with the reason that the newest record gives."""
    found: dict[Place, str] = {}
    for record in sorted(records, key=lambda record: record.started_at):
        wanted = set(timings) & set(record.cell.get("metrics", ()))
        absent: Mapping[str, str] = record.values.get("absent", {})
        if record.status != "ok" and wanted:
            found[place_of(record)] = f"{record.status}: {record.reason}"
        elif reasons := [absent[timing] for timing in sorted(wanted) if timing in absent]:
            found[place_of(record)] = reasons[0]
    return found


def place_of(record: Record) -> Place:
    """Architecture and size of a record's model."""
    return str(record.cell["model"]).partition(".")[0], int(record.cell["resolution_px"])
