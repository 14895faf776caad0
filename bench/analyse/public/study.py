"""Everything that the page on public checkpoints says, computed once from the records of suite `public`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from bench.analyse.public.estimates import MIN_ANCHORS, Estimator, errors, fit_times
from bench.analyse.public.rows import Place, PublicRow, Time, Timing
from bench.analyse.speed.speeds import Speed, Timed, home_machine, speeds
from bench.catalog.public_counts import PublicCount, public_counts
from bench.catalog.public_results import public_results
from bench.store.current import current_records
from bench.store.record import Record
from bench.store.rows import speed_rows, task_rows, whole
from bench.suite.spec import load_suite

ANCHOR_PROCESSES = 2  # models timed in fewer teach the estimator nothing, unless too few were timed in as many


@dataclass(frozen=True)
class Estimates:
    """How one kind of time was estimated here. further: models that were timed and are no anchors."""

    anchors: Mapping[Place, Time]
    estimator: Estimator | None
    further: Mapping[Place, Time]

    @property
    def measured(self) -> dict[Place, Time]:
        """Every timed model."""
        return {**self.further, **self.anchors}

    @property
    def checked(self) -> dict[Place, Time]:
        """The further models that were drawn to check the estimates; `choose` times others for being fast."""
        return {place: time for place, time in self.further.items() if place in check_places()}

    @property
    def factors(self) -> list[float]:
        """How many times too long or too short each checked model was estimated, from 1 up, rising."""
        checked = {place: time.value for place, time in self.checked.items()}
        return [] if self.estimator is None else errors(self.estimator, checked)

    def holds(self, place: Place) -> bool:
        """Whether the interval of the estimate holds what was measured of this place."""
        if self.estimator is None or place not in self.estimator.times:
            return False
        off = self.estimator.times[place] / self.measured[place].value
        return max(off, 1 / off) <= self.estimator.reach

    @property
    def held(self) -> int:
        """How many of the checked models lie within their 90 % interval."""
        return sum(map(self.holds, self.checked))


@dataclass(frozen=True)
class PublicStudy:
    """Every public row with its times on one machine; without records, with counts and published figures alone."""

    rows: tuple[PublicRow, ...]
    estimates: Mapping[Timing, Estimates]
    speeds: tuple[Speed, ...] = ()  # of that machine, in fixed settings
    records: tuple[Record, ...] = field(default=(), repr=False)


@cache
def check_places() -> frozenset[Place]:
    """What the suite times to check the estimates."""
    blocks = [block for block in load_suite("public").speed if block.planned == "with --check-estimates"]
    return frozenset(
        (model.partition(".")[0], size)
        for block in blocks
        for model in block.models
        for size in block.resolution_px
        if isinstance(size, int)
    )


def public_study(records: Sequence[Record], device: str | None = None) -> PublicStudy:
    """The study of these records of suite `public`: newer counts, and the times of one machine and device.

    device: None for that which the machine with most timings timed most on.
    """
    current, _ = current_records(records)
    timed = [row for row in speed_rows(current) if device in (None, row["device"])]
    home = home_machine(timed)
    timed = [row for row in timed if row["machine"] == home]
    devices = Counter(str(row["device"]) for row in timed)
    own = tuple(speed for speed in speeds(timed) if devices[speed.key.device] == max(devices.values()))
    estimates: dict[Timing, Estimates] = {
        "latency": _estimates(own, "latency"),
        "throughput": _estimates(own, "throughput"),
    }
    counts = {**public_counts(), **_own_counts(current)}
    rows = tuple(
        PublicRow(result, counts.get(result.place), _times(result.place, estimates)) for result in public_results()
    )
    return PublicStudy(rows, estimates, own, tuple(current))


def _place(speed: Speed) -> Place:
    return speed.key.model.partition(".")[0], speed.key.resolution_px


def _estimates(speeds_here: Iterable[Speed], timing: Timing) -> Estimates:
    """What was measured, of a place that was timed in several ways in most processes, and what follows for the rest."""
    measured: dict[Place, tuple[Time, int]] = {}
    for speed in sorted(speeds_here, key=lambda speed: -speed.processes):
        timed = speed.latency if timing == "latency" else speed.throughput
        if timed is not None and _place(speed) not in measured:
            measured[_place(speed)] = _measured(timed, speed.cell_ids), len(timed.values)
    anchors = {place: time for place, (time, processes) in measured.items() if processes >= ANCHOR_PROCESSES}
    if len(anchors) < MIN_ANCHORS:
        anchors = {place: time for place, (time, _) in measured.items()}
    estimator = fit_times({place: time.value for place, time in anchors.items()})
    further = {place: time for place, (time, _) in measured.items() if place not in anchors}
    return Estimates(anchors, estimator, further)


def _measured(timed: Timed, cell_ids: tuple[str, ...]) -> Time:
    return Time("measured", timed.median, min(timed.values), max(timed.values), cell_ids)


def _times(place: Place, estimates: Mapping[Timing, Estimates]) -> dict[Timing, Time]:
    """Measured where it was, else estimated; without either where nothing was timed."""
    times: dict[Timing, Time] = {}
    for timing, found in estimates.items():
        measured = found.measured.get(place)
        if measured is not None:
            times[timing] = measured
        elif found.estimator is not None and place in found.estimator.times:
            value, reach = found.estimator.times[place], found.estimator.reach
            times[timing] = Time("estimated", value, value / reach, value * reach)
    return times


def _own_counts(records: Iterable[Record]) -> dict[Place, PublicCount]:
    """Counts of these records, which were made with the versions that are here."""
    found = {}
    for row in task_rows(records, "complexity"):
        place = str(row["model"]).partition(".")[0], int(row["resolution_px"])
        numbers = {name: whole(row, name) for name in ("params", "macs", "norm_macs", "activations")}
        found[place] = PublicCount(
            model=place[0],
            img_size=place[1],
            certificate=row["certificate"],
            certificate_note=str(row["certificate_note"] or ""),
            **numbers,
        )
    return found
