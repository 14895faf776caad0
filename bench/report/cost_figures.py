"""Accuracy against what a model costs: multiply-adds, throughput, latency, memory; each with its Pareto front."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from bench.analyse.study import Row, Study
from bench.catalog.identity import DatasetIdentity
from bench.report.figure_parts import (
    FRONT_WORDS,
    FigureSpec,
    accuracy_point,
    per_dataset,
    scored_rows,
    set_title,
    thinned,
    unstable_words,
)
from bench.report.formats import listed, mac_scale
from bench.report.panels import Panel
from bench.report.speed_series import bar
from bench.report.wording import accuracy_conditions, speed_conditions


def accuracy_against_macs(study: Study) -> FigureSpec | None:
    """Top-1 against multiply-adds of one image, one panel per data set."""
    scale = mac_scale(row.macs or 0.0 for row in study.rows if row.scores)

    def panel(dataset: DatasetIdentity) -> Panel | None:
        points = tuple(
            accuracy_point(row.macs / scale.factor, score.group, score.interval, row.identity.family, row.label)
            for row, score in scored_rows(study, dataset)
            if row.macs
        )
        axis = f"MACs of one image [{scale.unit}], log"
        return Panel(set_title(dataset), axis, "Top-1 [%]", points, front="low x") if points else None

    panels = per_dataset(study, panel)
    if not panels:
        return None
    caption = (
        f"**Accuracy against inference compute.** Top-1 on the test part by multiply-adds of one image; bars: 95 % "
        f"intervals over seeds and test images{unstable_words(panels)}; {FRONT_WORDS}. Measured here: "
        f"{accuracy_conditions(study)}.{thinned(panels)}"
    )
    return FigureSpec("accuracy_vs_macs", "Top-1 against inference MACs, one panel per data set", caption, panels)


_Measure = Callable[[Row], tuple[float, tuple[float, float] | None] | None]  # a row's cost and its range


def _against_cost(study: Study, axis: str, front: str, measure: _Measure) -> tuple[Panel, ...]:
    def panel(dataset: DatasetIdentity) -> Panel | None:
        points = []
        for row, score in scored_rows(study, dataset):
            found = measure(row)
            if found is not None:
                point = accuracy_point(found[0], score.group, score.interval, row.identity.family, row.label)
                points.append(replace(point, x_bar=found[1]))
        return Panel(set_title(dataset), axis, "Top-1 [%]", tuple(points), front=front) if points else None

    return per_dataset(study, panel)


def accuracy_against_throughput(study: Study) -> FigureSpec | None:
    """Top-1 against images per second, with the Pareto front."""

    def measure(row: Row) -> tuple[float, tuple[float, float] | None] | None:
        timed = row.speed.throughput if row.speed is not None else None
        return None if timed is None else (timed.median, bar(timed))

    batches = listed(sorted({str(row.speed.batch_size) for row in study.rows if row.speed is not None}))
    axis = f"Throughput at batch {batches} [img/s], log"
    panels = _against_cost(study, axis, "high x", measure)
    if not panels:
        return None
    caption = (
        f"**Accuracy against throughput.** Right and up is better; {FRONT_WORDS}; bars: 95 % intervals, and along "
        "the axis the range over processes. "
        f"Measured here: {speed_conditions(study)}; accuracies as in the first figure.{thinned(panels)}"
    )
    return FigureSpec("accuracy_vs_throughput", "Top-1 against throughput with the Pareto front", caption, panels)


def accuracy_against_latency(study: Study) -> FigureSpec | None:
    """Top-1 against the median latency at batch 1, with the Pareto front."""

    def measure(row: Row) -> tuple[float, tuple[float, float] | None] | None:
        timed = row.speed.latency if row.speed is not None else None
        return None if timed is None else (timed.median, bar(timed))

    panels = _against_cost(study, "Latency p50 at batch 1 [ms], log", "low x", measure)
    if not panels:
        return None
    caption = (
        f"**Accuracy against latency.** Left and up is better; {FRONT_WORDS}; bars: 95 % intervals, and along the "
        "axis the range over processes. "
        f"Measured here: {speed_conditions(study)}; accuracies as in the first figure.{thinned(panels)}"
    )
    return FigureSpec("accuracy_vs_latency", "Top-1 against latency with the Pareto front", caption, panels)


_ROUGH = "One reading of a process's growth scatters by some tens of percent, so that nearness means little. "


def accuracy_against_memory(study: Study) -> FigureSpec | None:
    """Top-1 against peak memory of one inference, with the Pareto front; one kind of memory, that most rows have."""
    weighed = Counter((row.memory.kind, row.memory.batch_size) for row in study.rows if row.memory is not None)
    if not weighed:
        return None
    kind, batch = min(weighed, key=lambda one: (-weighed[one], one))

    def measure(row: Row) -> tuple[float, tuple[float, float] | None] | None:
        memory = row.memory
        if memory is None or (memory.kind, memory.batch_size) != (kind, batch) or memory.peak_mib <= 0:
            return None
        return memory.peak_mib, None

    panels = _against_cost(study, f"Peak memory at batch {batch} [MiB], log", "low x", measure)
    if not panels:
        return None
    what = "growth of the process's resident memory" if kind == "process" else "memory allocated on the device"
    caption = (
        f"**Accuracy against memory.** Left and up is better; memory is the {what}, of one measurement; "
        f"{FRONT_WORDS}; bars: 95 % intervals. {_ROUGH if kind == 'process' else ''}Accuracies as in the first "
        f"figure.{thinned(panels)}"
    )
    return FigureSpec("accuracy_vs_memory", "Top-1 against peak memory with the Pareto front", caption, panels)
