"""What the page's plot is made of: axes to choose from, and points with a value on some of them. Pure data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Layer = Literal["measured", "paper", "timm", "public"]
Form = Literal["percent", "si", "number", "exponent"]  # how numbers along an axis are written
LAYERS: Mapping[Layer, str] = {
    "measured": "measured here",
    "paper": "published: the paper's Table 6",
    "timm": "published: timm",
    "public": "accuracies published by timm, costs counted here",
}


@dataclass(frozen=True)
class Axis:
    """One thing that the plot can show along x or y; `better` says which end a Pareto front prefers."""

    key: str
    title: str  # plain, with the unit
    group: str  # the heading under which it can be chosen
    form: Form
    better: Literal["low", "high", ""]
    is_log: bool = True
    note: str = ""  # what must be known to read it; plain
    is_told: bool = False  # of every point that is looked at, whichever axes are shown

    @property
    def is_accuracy(self) -> bool:
        """Whether it holds percentages of images."""
        return self.form == "percent"


@dataclass(frozen=True)
class Value:
    """Where a point lies on an axis, unrounded in the axis's unit, and where that number comes from.

    ranked_with: values of another name (device, batch size) are on a front of their own; None is on no front. kind: how
    it came about, told before the number; estimated ones are drawn lighter.
    """

    value: float
    bar: tuple[float, float] | None = None  # its 95 % interval; None draws none
    conditions: str = ""  # plain
    records: tuple[str, ...] = ()
    ranked_with: str | None = ""
    kind: Literal["", "measured", "estimated"] = ""

    @property
    def is_finite(self) -> bool:
        """Whether it is a place on an axis: a number, neither missing nor infinite."""
        return all(math.isfinite(number) for number in (self.value, *(self.bar or ())))


@dataclass(frozen=True)
class PlotPoint:
    """One point of the plot.

    values: by axis; a key `axis@other` is used instead of `axis` where the other coordinate is `other` (the training
    compute of a model differs between data sets). along: axis -> the line that joins this point with others of its
    model; a point that is not main is shown along these axes alone. stratum: one is shown at a time, and none is ranked
    with another's. marks: what sets it apart within the stratum; such points are shown where a reader asks for them.
    """

    label: str
    family: str
    layer: Layer
    values: Mapping[str, Value]
    is_main: bool = True
    facts: tuple[tuple[str, str], ...] = ()
    along: Mapping[str, str] = field(default_factory=dict)
    stratum: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plot:
    """Everything that the plot can show, and the axes it begins with. strata: those of its points, with titles."""

    axes: tuple[Axis, ...]
    points: tuple[PlotPoint, ...]
    x: str
    y: str
    strata: Mapping[str, str] = field(default_factory=dict)
    front: Literal["all", "family"] = "all"  # of all points, or one of each family
    note: str = ""  # what holds of every point; plain

    @property
    def marks(self) -> list[str]:
        """Every mark that a point carries."""
        return sorted({mark for point in self.points for mark in point.marks})


_COMPUTE, _TRAINING, _SPEED = "Compute and size", "Training", "Speed and memory"
_NORMS = "timm's published MACs count norm layers; ours do on this axis alone."
_PRETRAINING = "Published exaFLOPs and those computed here as 6 × MACs × images seen: compare each with its own kind."
TIMM_BATCH = "Each model at the batch size that timm chose for it."
COST_AXES = (
    Axis("macs", "MACs of one image", _COMPUTE, "si", "low"),
    Axis("params", "Parameters", _COMPUTE, "si", "low"),
    Axis("activations", "Activations of one image", _COMPUTE, "si", "low"),
    Axis("macs_with_norms", "MACs of one image, norm layers included", _COMPUTE, "si", "low", note=_NORMS),
    Axis("train_flop", "Training compute of one run [FLOP]", _TRAINING, "si", "low"),
    Axis("pretrain_flop", "Pre-training compute [FLOP]", _TRAINING, "si", "low", note=_PRETRAINING),
    Axis("train_images", "Training images", _TRAINING, "si", ""),
    Axis("shots", "Training images a class", _TRAINING, "number", ""),
    Axis("learning_rate", "Peak learning rate", _TRAINING, "exponent", ""),
    Axis("train_img_per_s", "Training [img/s]", _TRAINING, "number", "high"),
    Axis("throughput", "Throughput [img/s]", _SPEED, "number", "high"),
    Axis("latency_p50", "Latency p50 at batch 1 [ms]", _SPEED, "number", "low"),
    Axis("memory_process", "Peak memory on a CPU: growth of the process [MiB]", _SPEED, "number", "low"),
    Axis("memory_device", "Peak memory on a GPU: allocated [MiB]", _SPEED, "number", "low"),
    Axis("timm_throughput", "Throughput on an RTX 5090, mixed precision, published by timm [img/s]", _SPEED, "number",
         "high", note=TIMM_BATCH),
)  # fmt: skip
_FIRST_COSTS = ("macs", "macs_with_norms", "learning_rate", "shots", "train_flop", "pretrain_flop", "params")


def accuracy_axis(key: str, title: str, note: str = "", *, is_told: bool = False) -> Axis:
    """An axis of top-1 percentages."""
    return Axis(key, f"{title} [%]", "Accuracy", "percent", "high", is_log=False, note=note, is_told=is_told)


def plot_of(accuracies: Iterable[Axis], points: Sequence[PlotPoint]) -> Plot | None:
    """The plot of these points, with the axes that some of them use; None unless two axes are. Values that are no
    numbers are left out.

    It begins with the accuracy that most measured models have (of equals, the first) and the first cost that two of
    them share; without one, with the pair that most points share.
    """
    points = [replace(p, values={key: v for key, v in p.values.items() if v.is_finite}) for p in points]
    used = {key.partition("@")[0] for point in points for key in point.values}
    axes = tuple(axis for axis in (*dict.fromkeys(accuracies), *COST_AXES) if axis.key in used)
    if len(axes) < 2:
        return None
    gains = [axis.key for axis in axes if axis.is_accuracy] or [key for key in ("throughput",) if key in used]
    costs = [key for key in _FIRST_COSTS if key in used] + [axis.key for axis in axes if not axis.is_accuracy]
    pairs = [(cost, gain) for gain in gains for cost in costs if cost != gain] or [(axes[0].key, axes[1].key)]
    measured = [point for point in points if point.layer == "measured"]
    alike = (next((p for p in pairs if p[1] == gain and _shared(measured, *p) > 1), None) for gain in gains)
    likely = [pair for pair in alike if pair is not None]
    mains = [point for point in measured if point.is_main]
    x, y = max(likely or pairs, key=lambda pair: _shared(mains if likely else points, *pair))
    return Plot(axes, tuple(points), x, y)


def value_on(point: PlotPoint, axis: str, other: str) -> Value | None:
    """The point's value on an axis where its other coordinate is `other`."""
    return point.values.get(f"{axis}@{other}") or point.values.get(axis)


def _shared(points: Sequence[PlotPoint], x: str, y: str) -> int:
    """How many points are shown along these axes."""
    return sum(
        value_on(point, x, y) is not None
        and value_on(point, y, x) is not None
        and (point.is_main or x in point.along or y in point.along)
        for point in points
    )
