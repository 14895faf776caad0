"""The plot of one study: all its points, and the axes they can be shown along."""

from __future__ import annotations

from bench.analyse.study import Study
from bench.report.web.plot_data import Plot, plot_of
from bench.report.web.published_points import published_axes, published_points
from bench.report.web.trained_points import trained_axes, trained_points
from bench.report.web.weights_points import weights_axes, weights_keys, weights_points


def study_plot(study: Study) -> Plot | None:
    """Everything of a study that can be drawn as points; None where there are not two axes to draw along."""
    published = published_points(study)
    points = [*trained_points(study, weights_keys(study.protocols)), *weights_points(study), *published]
    axes = [*trained_axes(study), *weights_axes(study.protocols), *published_axes(published)]
    return plot_of(axes, points)
