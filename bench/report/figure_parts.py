"""What figures are made of: their spec, panels by data set, and the chance of each point to be on the front."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.analyse.front import Front
from bench.analyse.identity import DatasetIdentity
from bench.analyse.intervals import Interval
from bench.analyse.scores import Score
from bench.analyse.study import Row, Study
from bench.report.panels import MOST_LABELS, MOST_LINE_LABELS, MOST_PANELS, Panel


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


_LINE_WORDS = "grey line: Pareto front of the estimates"
_DISC_WORDS = "grey discs: the chance of being on it, by draws of both axes, the darker the likelier"


def front_words(panels: Sequence[Panel]) -> str:
    """What the caption says of the front: the line, and the discs where there are any."""
    points = [point for panel in panels for point in (*panel.points, *(p for line in panel.lines for p in line.points))]
    return f"{_LINE_WORDS}; {_DISC_WORDS}" if any(point.chance is not None for point in points) else _LINE_WORDS


def chances_on(
    fronts: Iterable[Front], dataset: str, axis: str, protocol: str = "trained from scratch"
) -> dict[object, float | None]:
    """How likely each candidate of a data set is on the front along an axis, by the records of its accuracy."""
    return {
        point.candidate.cell_ids: point.chance
        for front in fronts
        if (front.dataset, front.axis.name, front.protocol) == (dataset, axis, protocol)
        for point in front.points
    }


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
