"""Where the gap between ViTs and CNNs goes: along training compute and along images, as a table and as lines."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.analyse.compare.trends import AXES, STEP, Axis, Trend
from bench.analyse.study import Study
from bench.catalog.identity import family_rank, identify_dataset
from bench.catalog.papers import TrainedRow, trained_published
from bench.number_format import bracketed, ends, fixed, percent, signed
from bench.report.document import Section
from bench.report.figures.figure_files import drawn
from bench.report.figures.panels import (
    TOP1,
    FigureSpec,
    Line,
    Panel,
    Point,
    accuracy_point,
    bar_of,
    first_panels,
    pixels_level,
)
from bench.report.figures.style import family_style
from bench.report.tables.accuracy_cells import difference_cell
from bench.report.tables.columns import words
from bench.report.tables.table import DASH, Cell, ColumnSpec, Notes, Table, make_table
from bench.report.words.conditions import accuracy_conditions
from bench.report.words.trend_words import fixed_words, gone_words, place_words, rival_words, scale_of

_TEXT = (
    "Measured here. A straight line through the gaps on a logarithmic axis, with 95 % intervals over seeds and test "
    "images; where it crosses zero, Fieller's interval. The best CNN of a place is the one with the best validation "
    "accuracy there; places where one of the two is below logistic regression on pixels are left out. No crossing is "
    "told where the line bends by more than chance, where its slope is not told from zero, or where the interval "
    "reaches too far. A trend describes these places: nothing says that it goes on. What was tuned for whom, and what "
    "speaks against it: `docs/fairness.md`."
)


def trend_section(study: Study) -> Section:
    """The table of the trends with the figure of those that lead."""
    return Section("Where the gap goes", _TEXT, trends_table(study), drawn(trends_figure(study)))


def trends_table(study: Study) -> Table | None:
    """A row for each pair and axis: the gap at either end, what it gains with each factor, where it would be gone."""
    several = len({trend.dataset for trend in study.trends}) > 1
    columns: list[ColumnSpec[Trend]] = [
        words("First minus second", lambda one: f"{study.labels[one.first]} − {rival_words(study, one)}",
              lambda one: f"{one.first.model} {one.against.model if one.against else 'best'}"),
        *([words("Data set", lambda one: identify_dataset(one.dataset).title)] if several else []),
        words("Along", lambda one: f"{place_words(one, [rung.place for rung in one.rungs])} ({fixed_words(one)})"),
        ColumnSpec("At the first [points]", lambda one, notes: _gap(one, 0, notes)),
        ColumnSpec("At the last [points]", lambda one, notes: _gap(one, -1, notes)),
        ColumnSpec(f"With each factor of {fixed(STEP, 0)} [points]", _slope),
        ColumnSpec("Would be gone at", _gone, is_number=False),
    ]  # fmt: skip
    ordered = sorted(study.trends, key=lambda one: (one.axis, one.dataset, *_rank(one)))
    return make_table("gap_trends", ordered, columns)


def _rank(trend: Trend) -> tuple[object, ...]:
    first = trend.rungs[0].first
    return -len(trend.rungs), family_rank(first.identity.family), -first.macs, trend.against is not None


def _gap(trend: Trend, at: int, notes: Notes) -> Cell:
    rung = trend.rungs[at]
    return difference_cell(rung.gap, (*rung.first.cell_ids, *rung.second.cell_ids), notes)


def _slope(trend: Trend, notes: Notes) -> Cell:
    if trend.slope is None or trend.outlook == "unstable":
        return DASH
    interval = trend.slope.interval()
    mark = notes.number("it bends by more than chance: no straight line") if trend.outlook == "bends" else None
    text = f"{signed(interval.estimate, 1)} {bracketed(interval)}"
    return Cell(text, interval.estimate, trend.cell_ids, mark=mark, more=ends(interval))


def _gone(trend: Trend, _: Notes) -> Cell:
    at = trend.gone_at
    return Cell(gone_words(trend), None if at is None else at.estimate, trend.cell_ids, more=ends(at))


def trends_figure(study: Study) -> FigureSpec | None:
    """For each axis the accuracies of the longest ladder's models, and beside them the gaps to the best CNN."""
    panels = [panel for axis in AXES for panel in _panels(study, axis)]
    if not panels:
        return None
    caption = (
        "**Accuracy and the gap to the best CNN** of the size, with 95 % intervals over seeds and test images; each "
        "point is a training of its own. Dotted: of each family the published training of the fewest parameters, at a "
        f"compute that nobody states; grey: logistic regression on pixels. Measured here: {accuracy_conditions(study)}."
    )
    return FigureSpec("gap_trends", "Top-1 and gaps along compute and images", caption, first_panels(panels))


def _panels(study: Study, axis: Axis) -> list[Panel]:
    """Of the data set and size whose ladder is longest."""
    found = sorted((one for one in study.trends if one.axis == axis), key=_rank)
    if not found:
        return []
    lead = found[0]
    where = lead.dataset, lead.fixed, lead.rungs[0].first.identity.size_class
    own = [one for one in found if (one.dataset, one.fixed, one.rungs[0].first.identity.size_class) == where]
    scale = scale_of(lead)
    is_compute = axis == "compute"
    x_label = f"Training compute [{scale.unit}], log" if is_compute else "Training images, log"
    base = 10 if is_compute else 2
    lines = _accuracy_lines(study, own, scale.factor)
    levels = _published_levels(lines, lead.dataset) if is_compute else []
    pixels = {r.place / scale.factor: r.first.pixels.group.mean_pct for one in own for r in one.rungs if r.first.pixels}
    levels += pixels_level(pixels)
    title = f"{identify_dataset(lead.dataset).title}, {fixed_words(lead)}"
    return [
        Panel(title, x_label, TOP1, lines=(*lines, *levels), log_base=base),
        Panel(
            "Gap to the best CNN",
            x_label,
            "Top-1 difference [points]",
            lines=_gap_lines(study, own),
            log_base=base,
            level=0.0,
        ),
    ]


def _accuracy_lines(study: Study, trends: Sequence[Trend], factor: float) -> list[Line]:
    scores = {(one.key, rung.place): one for t in trends for rung in t.rungs for one in (rung.first, rung.second)}
    lines = []
    for key in dict.fromkeys(key for key, _ in scores):
        own = [(place, scores[key, place]) for at, place in sorted(scores) if at == key]
        points = (accuracy_point(p / factor, s.group, s.interval, s.identity.family) for p, s in own)
        lines.append(Line(tuple(points), own[0][1].identity.family, study.labels[key]))
    return sorted(lines, key=lambda line: (family_rank(line.family), line.label))


def _published_levels(lines: Sequence[Line], dataset: str) -> list[Line]:
    """Of each family of the lines the published training of the fewest parameters, as a level."""
    xs = [point.x for line in lines for point in line.points]
    smallest: dict[str, TrainedRow] = {}
    for row in sorted(trained_published(dataset), key=lambda row: -(row.params_m or math.inf)):
        if row.params_m is not None and row.family in {line.family for line in lines}:
            smallest[row.family] = row
    return [
        Line(
            tuple(Point(x, row.top1_pct, row.family, "") for x in (min(xs), max(xs))),
            row.family,
            f"published {family_style(row.family).name}: {percent(row.top1_pct)}",
            label_at=0,
            is_control=True,
        )
        for row in smallest.values()
    ]


def _gap_lines(study: Study, trends: Sequence[Trend]) -> tuple[Line, ...]:
    lines = []
    for trend in trends:
        if trend.against is None:
            factor, family = scale_of(trend).factor, trend.rungs[0].first.identity.family
            points = (
                Point(rung.place / factor, rung.gap.delta_pp, family, "", bar_of(rung.gap.interval))
                for rung in trend.rungs
            )
            lines.append(Line(tuple(points), family, study.labels[trend.first]))
    return tuple(lines)
