"""Public checkpoints as points of a plot: what each carries, and how much all of them weigh."""

from __future__ import annotations

import math

import pytest
from made_public import ANCHORS, made_study

from bench.analyse.public.study import PublicStudy, public_study
from bench.catalog.public_results import public_results
from bench.report.web.payload import RecordIndex, packed, plot_payload
from bench.report.web.plot_data import Plot
from bench.report.web.public_points import public_plot


@pytest.fixture(scope="module")
def study() -> PublicStudy:
    return made_study()


@pytest.fixture(scope="module")
def plot(study: PublicStudy) -> Plot:
    return public_plot(study)


def test_every_published_row_is_a_point_with_its_accuracies_as_published(plot: Plot) -> None:
    assert len(plot.points) == len(public_results())
    for point, result in zip(plot.points, public_results(), strict=True):
        assert point.label == f"{result.model} @{result.img_size}"
        assert point.values["imagenet_top1"].value == result.imagenet_top1
        assert ("imagenet_a_top1" in point.values) == (result.imagenet_a_top1 is not None)


def test_times_say_whether_they_were_measured_or_estimated_with_their_interval(plot: Plot, study: PublicStudy) -> None:
    for point, row in zip(plot.points, study.rows, strict=True):
        time, value = row.times["latency"], point.values["latency"]
        assert (value.kind, value.value, value.bar) == (time.kind, time.value, (time.low, time.high))
        assert bool(value.records) == (value.kind == "measured")
    measured = {row.result.place for row in study.rows if row.times["latency"].kind == "measured"}
    assert len(measured) == ANCHORS


def test_an_estimate_of_unknown_error_is_drawn_without_an_interval() -> None:
    few = made_study(anchors=7)  # too few for a conformal quantile of 90 %
    estimated = [point.values["latency"] for point in public_plot(few).points]
    assert {value.kind for value in estimated if value.bar is None} == {"estimated"}
    assert all(math.isfinite(value.value) for value in estimated)


def test_without_timings_the_plot_has_counts_and_published_speeds_alone() -> None:
    plot = public_plot(public_study([]))
    keys = {axis.key for axis in plot.axes}
    assert {"macs", "params", "imagenet_top1", "rtx4090_amp_nhwc_img_per_s"} <= keys
    assert not keys & {"latency", "throughput"}


def test_strata_come_from_the_one_that_needs_least_data_and_marks_are_apart(plot: Plot) -> None:
    assert list(plot.strata) == ["in1k", "in21k", "larger", "unknown"]
    assert plot.marks == ["distilled", "made for unit tests", "self-supervised first"]
    distilled = next(point for point in plot.points if point.label.startswith("deit_base_distilled_patch16_224"))
    assert distilled.marks == ("distilled",)


def test_the_data_of_all_rows_are_under_three_hundred_kilobytes(plot: Plot) -> None:
    assert len(packed(plot_payload(plot, RecordIndex()))) < 300_000
