"""Where one family passes another along training images, training compute and MACs, in words that stay in range."""

from __future__ import annotations

from bench.analyse.crossings import PAIRS, Axis, Crossover
from bench.analyse.study import Study
from bench.report.crossing_words import crossing_value, crossing_words
from bench.report.figure_parts import FigureSpec, interval_bar
from bench.report.formats import Scale, flop_scale, listed, mac_scale
from bench.report.markdown import Cell, Column, Notes, Table
from bench.report.panels import MOST_PANELS, Line, Panel, Point
from bench.report.section import Section
from bench.report.style import family_style

_AXES: tuple[Axis, ...] = ("training images", "training compute", "inference MACs")
_TEXT = (
    "Where does the first pass the second? Both have had the same training compute at every place, and between two "
    "places accuracy is a line in the logarithm of the axis. The 95 % interval runs from the last place at which the "
    "difference is decided one way to the first at which it is decided the other way (t over seeds and test images); "
    "it supposes one passage, and that the curves do not run side by side near it. An end that the data leave open is "
    "said to be open. *None seen; not below X*: behind wherever it was measured, and X is the last place where that is "
    "decided. A crossover holds for this recipe and this range."
)
_TWICE = " Compute and MACs rise together from size to size, so these two columns tell of the same runs."
_BEST = " A family stands as the best, by validation, of as many models as the other has."


def crossovers_section(study: Study) -> Section:
    """Table and figure; empty where no axis has two places."""
    figure = crossovers_figure(study)
    text = _TEXT
    if any(not one.first_series for one in study.crossovers):
        text += _BEST
    if {one.axis for one in study.crossovers} >= {"training compute", "inference MACs"}:
        text += _TWICE
    return Section("Crossovers", text, crossovers_table(study), (figure,) if figure is not None else ())


def crossovers_table(study: Study) -> Table | None:
    """One row per pair of families and data set (and size, along training images), one column per axis."""
    axes = [axis for axis in _AXES if any(one.axis == axis for one in study.crossovers)]
    if not axes:
        return None
    scales = {axis: _scale(study, axis) for axis in axes}
    rows: dict[tuple[str, str, str, tuple[str, ...]], dict[Axis, list[Crossover]]] = {}
    for one in study.crossovers:
        key = (one.first, one.second, f"{side_name(one, 0)} passes {side_name(one, 1)}", one.datasets)
        rows.setdefault(key, {}).setdefault(one.axis, []).append(one)
    notes = Notes()
    heads = [Column("First passes second", is_number=False), Column("Data set", is_number=False)]
    heads += [Column(_axis_words(axis, scales[axis]), is_number=False) for axis in axes]
    order = {dataset.name: index for index, dataset in enumerate(study.datasets)}
    pairs = [(first, second) for first, second in PAIRS]
    keys = sorted(rows, key=lambda key: (pairs.index(key[:2]), key[2], len(key[3]), order[key[3][0]]))
    table = []
    for key in keys:
        _, _, who, datasets = key
        title = listed(study_title(study, name) for name in datasets)
        row = [
            Cell(who),
            Cell(title if len(datasets) == 1 else f"mean of {title}", " ".join(datasets)),
        ]
        for axis in axes:
            found = rows[key].get(axis, [])
            row.append(_cell(found, scales[axis]) if found else notes.missing("fewer than two places in common"))
        table.append(tuple(row))
    return Table("crossovers", tuple(heads), tuple(table), tuple(notes.texts))


def side_name(one: Crossover, side: int) -> str:
    """How the first (0) or second (1) is called: its series, or its family. Plain text."""
    series, family = ((one.first_series, one.first), (one.second_series, one.second))[side]
    return series or family_style(family).name


def _axis_words(axis: Axis, scale: Scale) -> str:
    words = f"{axis[0].upper()}{axis[1:]}"
    return f"{words} [{scale.unit}]" if scale.unit else words


def study_title(study: Study, dataset: str) -> str:
    """The title of a data set of the study, plain."""
    return next(one.title for one in study.datasets if one.name == dataset)


def _scale(study: Study, axis: Axis) -> Scale:
    ends = [x for one in study.crossovers if one.axis == axis for x in (one.crossing.low_x, one.crossing.high_x)]
    if axis == "training images":
        return Scale(1.0, "")
    return flop_scale(ends) if axis == "training compute" else mac_scale(ends)


def _cell(found: list[Crossover], scale: Scale) -> Cell:
    several = len(found) > 1
    parts = [f"{one.size_class}: {crossing_words(one.crossing, scale)}" if several else
             crossing_words(one.crossing, scale) for one in found]  # fmt: skip
    values = [crossing_value(one.crossing) for one in found]
    return Cell("; ".join(parts), "; ".join(values), tuple(i for one in found for i in one.crossing.cell_ids))


def crossovers_figure(study: Study) -> FigureSpec | None:
    """Difference to CNNs along training images and compute, a panel for each axis, set and series of CNNs."""
    panels = []
    for axis in _AXES[:2]:
        found = [one for one in study.crossovers if (one.axis, one.second) == (axis, "cnn")]
        for dataset in study.datasets:
            on_set = [one for one in found if one.datasets == (dataset.name,)]
            for second in dict.fromkeys(side_name(one, 1) for one in on_set):
                lines = tuple(_line(one, _scale(study, axis)) for one in on_set if side_name(one, 1) == second)
                base = 2 if axis == "training images" else 10
                x_label = f"{_axis_words(axis, _scale(study, axis))}, log"
                panels.append(Panel(f"{dataset.title}: minus {second}", x_label, "Difference [points]", lines=lines,
                                    level=0.0, log_base=base))  # fmt: skip
    if not panels:
        return None
    cut = f" The first {MOST_PANELS} of {len(panels)} panels; the table has all." if len(panels) > MOST_PANELS else ""
    caption = (
        "**Ahead of or behind CNNs.** Top-1 minus that of the CNN of a panel's title, at equal training compute; bars: "
        f"95 % intervals over seeds and test images; a crossover is where a line passes zero.{cut}"
    )
    return FigureSpec("crossovers", "Difference to CNNs along training images and training compute", caption,
                      tuple(panels[:MOST_PANELS]))  # fmt: skip


def _line(one: Crossover, scale: Scale) -> Line:
    points = tuple(
        Point(x / scale.factor, delta, one.first, "", interval_bar(interval))
        for x, delta, interval in one.crossing.differences
    )
    size = f" {one.size_class}" if one.size_class else ""
    return Line(points, one.first, f"{side_name(one, 0)}{size}")
