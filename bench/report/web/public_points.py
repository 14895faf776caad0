"""The plot of the public checkpoints: each row a point, with all its accuracies, its costs and its times here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bench.analyse.public.rows import PublicRow, Time, Timing
from bench.analyse.public.study import PublicStudy
from bench.catalog.public_results import PUBLISHED_DEVICES, TEST_SETS
from bench.catalog.strata import STRATA, STRATUM_TITLES
from bench.report.web.plot_data import TIMM_BATCH, Axis, Plot, PlotPoint, Value, accuracy_axis

_ONE_TRAINING = "Published accuracies, one training each: recipes differ."
_ESTIMATES = "Estimates are hollow and lighter; an interval is the range of processes or the 90 % of an estimate."
_COSTS, _HERE, _PUBLISHED = "Compute and size", "Speed here", "Speed published by timm"
_TIMES: dict[Timing, Axis] = {
    "latency": Axis("latency", "Latency here at batch 1 [ms]", _HERE, "number", "low", note=_ESTIMATES, is_told=True),
    "throughput": Axis("throughput", "Throughput here [img/s]", _HERE, "number", "high", note=_ESTIMATES, is_told=True),
}
_AXES = (
    *(accuracy_axis(column, f"{title} top-1", is_told=True) for column, (title, _) in TEST_SETS.items()),
    Axis("macs", "MACs of one image", _COSTS, "si", "low", is_told=True),
    Axis("params", "Parameters", _COSTS, "si", "low", is_told=True),
    Axis("activations", "Activations of one image", _COSTS, "si", "low"),
    *_TIMES.values(),
    *(
        Axis(column, f"Throughput on {device} [img/s]", _PUBLISHED, "number", "high", note=TIMM_BATCH)
        for column, device in PUBLISHED_DEVICES.items()
    ),
)


def public_plot(study: PublicStudy) -> Plot:
    """Every row of the study, one stratum of pretraining data at a time; it begins with top-1 against MACs."""
    points = tuple(_point(row) for row in study.rows)
    used = {key for point in points for key in point.values}
    present = {point.stratum for point in points}
    return Plot(
        axes=tuple(axis for axis in _AXES if axis.key in used),
        points=points,
        x="macs",
        y="imagenet_top1",
        strata={stratum: STRATUM_TITLES[stratum] for stratum in STRATA if stratum in present},
        front="family",
        note=_ONE_TRAINING,
    )


def _point(row: PublicRow) -> PlotPoint:
    result, training = row.result, row.training
    size = f"{result.img_size} px"
    size += f", larger than the {result.default_px} px of its weights" if result.is_larger_than_trained else ""
    return PlotPoint(
        row.label,
        row.family,
        "public",
        dict(_values(row)),
        facts=(("Test images", size), ("Pre-training data", training.pretraining), ("Source", result.source)),
        stratum=training.stratum,
        marks=row.marks,
    )


def _values(row: PublicRow) -> Iterator[tuple[str, Value]]:
    for column in (*TEST_SETS, *PUBLISHED_DEVICES):
        if (published := getattr(row.result, column)) is not None:
            yield column, Value(published)
    count = row.count
    if count is not None:
        counted = {"macs": count.macs, "params": count.params, "activations": count.activations}
        for key, number in counted.items():
            if number:
                yield key, Value(float(number), conditions=f"counted here; certificate: {count.certificate}")
    for timing, time in row.times.items():
        yield timing, _time_value(time)


def _time_value(time: Time) -> Value:
    """A time here, in the words of its kind; without the interval where nothing says how far an estimate is off."""
    value = Value(time.value, (time.low, time.high), "", time.cell_ids, kind=time.kind)
    return value if value.is_finite else replace(value, bar=None)
