"""The plot of one study: all its points, and the axes they can be shown along."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from bench.analyse.front import Front
from bench.analyse.study import Study
from bench.report.web.plot_data import Plot, PlotPoint, plot_of
from bench.report.web.published_points import published_axes, published_points
from bench.report.web.trained_points import trained_axes, trained_points
from bench.report.web.weights_points import weights_axes, weights_keys, weights_points

_ACCURACIES = {
    "trained from scratch": "top1",
    "fine-tuned": "finetuned",
    "evaluated": "evaluated",
    "few-shot": "fewshot",
}
_COSTS = {  # cost of a front -> the axes that show it
    "macs": ("macs",),
    "train_flop": ("train_flop",),
    "latency_p50_ms": ("latency_p50",),
    "throughput_img_per_s": ("throughput",),
    "peak_mib": ("memory_process", "memory_device"),
}
_Place = tuple[str, tuple[str, ...]]  # axis of an accuracy, and the records behind it


def study_plot(study: Study) -> Plot | None:
    """Everything of a study that can be drawn as points; None where there are not two axes to draw along."""
    published = published_points(study)
    measured = [*trained_points(study, weights_keys(study.protocols)), *weights_points(study)]
    chances = _chances(study.fronts)
    points = [*(_with_chances(point, chances) for point in measured), *published]
    axes = [*trained_axes(study), *weights_axes(study.protocols), *published_axes(published)]
    return plot_of(axes, points)


def _chances(fronts: Iterable[Front]) -> dict[_Place, dict[str, float]]:
    """How likely each accuracy is on a front, by the axis of the cost."""
    found: dict[_Place, dict[str, float]] = defaultdict(dict)
    for front in fronts:
        accuracy = f"{_ACCURACIES[front.protocol]}:{front.dataset}"
        for point in front.points:
            if point.chance is not None:
                for cost in _COSTS[front.axis.name]:
                    found[accuracy, point.candidate.cell_ids][cost] = point.chance
    return found


def _with_chances(point: PlotPoint, chances: Mapping[_Place, Mapping[str, float]]) -> PlotPoint:
    found = {
        f"{cost}|{axis}": chance
        for axis, value in point.values.items()
        for cost, chance in chances.get((axis, value.records), {}).items()
    }
    return replace(point, front_probability=found) if found else point
