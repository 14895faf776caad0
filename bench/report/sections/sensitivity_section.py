"""How the gap between a ViT and a CNN moves with settings that no sweep chose: a table and a panel for each setting."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analyse.compare.sensitivity import Sensitivity, Step
from bench.analyse.study import Study
from bench.catalog.identity import identify_model
from bench.number_format import fixed, flop_scale
from bench.report.document import Section
from bench.report.figures.figure_files import drawn
from bench.report.figures.panels import FigureSpec, Line, Panel, Point, bar_of, first_panels
from bench.report.tables.accuracy_cells import difference_cell
from bench.report.tables.columns import words
from bench.report.tables.table import ColumnSpec, Table, make_table
from bench.text import escape
from bench.units import GIGA

_TEXT = (
    "Measured here, on the validation part: top-1 of the first minus that of the second, in points, with 95 % "
    "intervals over seeds and images. One setting is turned at a time; the others stay as chosen. Learning rates "
    "and weight decays were chosen at that setting alone and not anew at the others, except where they are what is "
    "turned: there both models have the same multiple of their own."
)
_KNOBS = {  # field of a setting -> what it is called, and whether its axis is logarithmic
    "rate": ("Learning rate, times the chosen one", True),
    "weight_decay": ("Weight decay, times the chosen one", True),
    "augmentation": ("Augmentation", False),
    "batch_size": ("Batch size", True),
    "budget_gflop": ("Training compute", True),
}


@dataclass(frozen=True)
class _Row:
    about: Sensitivity
    knob: str
    step: Step


def sensitivity_section(study: Study) -> Section:
    """The table of all pairs, and the figure of the one with the most settings turned."""
    return Section("How the gap moves with the settings", _TEXT, sensitivity_table(study),
                   drawn(sensitivity_figure(study)))  # fmt: skip


def sensitivity_table(study: Study) -> Table | None:
    """A row for each pair and value of a setting; the chosen value is marked."""
    rows = [
        _Row(about, knob, step)
        for about in study.sensitivities
        for knob, steps in about.knobs.items()
        for step in steps
    ]
    columns: list[ColumnSpec[_Row]] = [
        words("First minus second", lambda row: _pair(row.about),
              lambda row: f"{row.about.first.model} {row.about.second.model}"),
        words("Setting", lambda row: _KNOBS[row.knob][0]),
        words("Value", lambda row: f"{_value(row)}{' (chosen)' if row.step.setting == row.about.chosen else ''}"),
        ColumnSpec("Gap [points]", lambda row, notes: difference_cell(row.step.gap, row.step.cell_ids, notes)),
    ]  # fmt: skip
    return make_table("sensitivity", rows, columns)


def _pair(about: Sensitivity) -> str:
    return " − ".join(identify_model(key.model).title for key in (about.first, about.second))


def _value(row: _Row) -> str:
    value = getattr(row.step.setting, row.knob)
    if row.knob == "budget_gflop":
        scale = flop_scale([value * GIGA])
        return f"{value * GIGA / scale.factor:.3g} {scale.unit}, {fixed(row.step.epochs, 1)} epochs"
    return value if isinstance(value, str) else f"{value:g}"


def sensitivity_figure(study: Study) -> FigureSpec | None:
    """A panel for each setting of the pair with the most of them: the gap with its interval."""
    about = max(study.sensitivities, key=lambda one: len(one.knobs), default=None)
    if about is None:
        return None
    panels = first_panels(_panel(about, knob) for knob in about.knobs)
    chosen = about.chosen
    caption = (
        f"**{escape(_pair(about))}, one setting turned at a time**, around the chosen one: {chosen.augmentation}, "
        f"batches of {chosen.batch_size}, {fixed(_epochs(about), 1)} epochs. Top-1 on the validation part; bars: 95 % "
        "intervals over seeds and images, none where a value has one seed. Learning rates were not chosen anew."
    )
    return FigureSpec("sensitivity", "The gap between a ViT and a CNN by setting", caption, panels)


def _epochs(about: Sensitivity) -> float:
    return next(step.epochs for steps in about.knobs.values() for step in steps if step.setting == about.chosen)


def _panel(about: Sensitivity, knob: str) -> Panel:
    steps = about.knobs[knob]
    title, is_log = _KNOBS[knob]
    values = [getattr(step.setting, knob) for step in steps]
    places = [step.epochs for step in steps] if knob == "budget_gflop" else values if is_log else range(len(steps))
    family = identify_model(about.first.model).family
    points = tuple(
        Point(float(x), step.gap.delta_pp, family, "", bar_of(step.gap.interval))
        for x, step in zip(places, steps, strict=True)
    )
    heading = "Epochs" if knob == "budget_gflop" else title
    return Panel(
        heading,
        f"{heading}{', log' if is_log else ''}",
        "Top-1 difference [points]",
        lines=(Line(points, family, ""),),
        log_base=(2 if knob == "batch_size" else 10) if is_log else 0,
        level=0.0,
        names=() if is_log else tuple(values),
    )
