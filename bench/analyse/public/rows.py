"""A public checkpoint at one test size: published accuracies, counted costs, and its time here, measured or estimated.

Counts and times depend on architecture and size alone, so checkpoints that differ in weights share them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

from bench.catalog.identity import PublicFamily
from bench.catalog.public_counts import PublicCount
from bench.catalog.public_results import PUBLISHED_DEVICES, PublicResult
from bench.catalog.strata import Training

Place = tuple[str, int]  # architecture and size
Timing = Literal["latency", "throughput"]


@dataclass(frozen=True)
class Time:
    """What a model takes here: latency in ms at batch 1, or throughput in images/s.

    low, high: of a measured one the range of its processes, of an estimated one the 90 % prediction interval.
    """

    kind: Literal["measured", "estimated"]
    value: float
    low: float
    high: float
    cell_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublicRow:
    """One row of timm's results with what is counted and timed here; None where it could not be."""

    result: PublicResult
    count: PublicCount | None
    times: Mapping[Timing, Time]

    @property
    def model(self) -> str:
        return self.result.model

    @property
    def label(self) -> str:
        """Name and size, for tables and figures."""
        return f"{self.result.model} @{self.result.img_size}"

    @property
    def place(self) -> Place:
        return self.result.place

    @property
    def family(self) -> PublicFamily:
        return self.result.family

    @property
    def training(self) -> Training:
        return self.result.training

    @property
    def is_for_tests(self) -> bool:
        """Whether timm made it for its unit tests."""
        return self.model.startswith("test_")

    @property
    def marks(self) -> tuple[str, ...]:
        """What sets it apart within its stratum, in words that follow `those that were`."""
        training = self.training.marks.split(", ") if self.training.marks else []
        return (*training, *(["made for unit tests"] if self.is_for_tests else []))

    @property
    def top1_pct(self) -> float:
        return self.result.imagenet_top1

    @property
    def macs(self) -> float | None:
        """Multiply-adds of one image, norm layers excluded."""
        return None if self.count is None or self.count.macs is None else float(self.count.macs)

    @property
    def params(self) -> float | None:
        return None if self.count is None or self.count.params is None else float(self.count.params)


@dataclass(frozen=True)
class CostAxis:
    """A cost of a public row. time: where it is a time here, which a cost then states with its interval."""

    name: str
    title: str
    unit: str
    value: Callable[[PublicRow], float | None]  # in `unit`
    time: Timing | None = None
    more_is_better: bool = False

    def is_estimated(self, row: PublicRow) -> bool:
        """Whether the row's cost is an estimate."""
        return self.time is not None and self.time in row.times and row.times[self.time].kind == "estimated"


def _time(timing: Timing) -> Callable[[PublicRow], float | None]:
    return lambda row: row.times[timing].value if timing in row.times else None


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


COSTS: Mapping[str, CostAxis] = {
    axis.name: axis
    for axis in (
        CostAxis("macs", "MACs of one image", "G", lambda row: _scaled(row.macs, 1e9)),
        CostAxis("params", "Parameters", "M", lambda row: _scaled(row.params, 1e6)),
        CostAxis("latency", "Latency at batch 1", "ms", _time("latency"), time="latency"),
        CostAxis("throughput", "Throughput", "images/s", _time("throughput"), time="throughput", more_is_better=True),
    )
}
# What timm published, whose noise nobody published.
PUBLISHED_COSTS: Mapping[str, CostAxis] = {
    column: CostAxis(column, f"Throughput on {device}", "images/s", attrgetter(f"result.{column}"), more_is_better=True)
    for column, device in PUBLISHED_DEVICES.items()
}
