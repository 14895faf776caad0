"""What figures are made of: their spec, panels by data set, and points of accuracies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analyse.intervals import Interval, SeedGroup
from bench.analyse.scores import Score
from bench.analyse.study import Row, Study
from bench.catalog.identity import DatasetIdentity
from bench.report.panels import MOST_LABELS, MOST_LINE_LABELS, MOST_PANELS, Panel, Point


@dataclass(frozen=True)
class FigureSpec:
    """One figure: its file name, what it shows in words (Markdown), and its panels."""

    name: str
    alternative: str  # for readers who cannot see it
    caption: str
    panels: tuple[Panel, ...]


def interval_bar(interval: Interval | None) -> tuple[float, float] | None:
    """The ends of an interval, as a panel wants them."""
    return None if interval is None else (interval.low, interval.high)


def scored_rows(study: Study, dataset: DatasetIdentity) -> list[tuple[Row, Score]]:
    """The rows that were scored on a data set, with their scores."""
    return [(row, row.scores[dataset.name]) for row in study.rows if dataset.name in row.scores]


def per_dataset(study: Study, panel: Callable[[DatasetIdentity], Panel | None]) -> tuple[Panel, ...]:
    """A panel for each data set that has one, at most MOST_PANELS."""
    panels = [made for dataset in study.datasets if (made := panel(dataset)) is not None]
    return tuple(panels[:MOST_PANELS])


def set_title(dataset: DatasetIdentity) -> str:
    """The title of a data set's panel: its name and what kind of images it holds."""
    return f"{dataset.title} ({dataset.kind})"


FRONT_WORDS = "grey line: Pareto front of the estimates"
SEEDS_WORDS = "crosses: every seed where seeds are unstable (table), with the marker at their median"


def accuracy_point(x: float, group: SeedGroup, interval: Interval | None, family: str, label: str = "") -> Point:
    """Mean with its interval bar, if any; where seeds are unstable their median and every seed, without a bar."""
    if group.is_unstable:
        return Point(x, group.median_pct, family, label, seeds=group.values_pct)
    return Point(x, group.mean_pct, family, label, interval_bar(interval))


def unstable_words(panels: Sequence[Panel]) -> str:
    """What the caption says of seeds that are drawn one by one; empty where none are."""
    points = [point for panel in panels for point in (*panel.points, *(p for line in panel.lines for p in line.points))]
    if not any(point.seeds for point in points):
        return ""
    return f"; {SEEDS_WORDS}{', on no front' if any(panel.front for panel in panels) else ''}"


def thinned(panels: Sequence[Panel]) -> str:
    """What the caption must say where not everything is labelled or shown."""
    words = ""
    if any(len(panel.points) > MOST_LABELS for panel in panels):
        words += f" Beyond {MOST_LABELS} points a panel draws no bars and labels only the front of each family."
    if any(len(panel.lines) > MOST_LINE_LABELS for panel in panels):
        words += f" Beyond {MOST_LINE_LABELS} models a panel of lines names none; the table does."
    if len(panels) == MOST_PANELS:
        words += f" At most {MOST_PANELS} panels are drawn."
    return words
