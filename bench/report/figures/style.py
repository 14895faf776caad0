"""How figures look: one palette, one marker and one line per family, and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's colours; marker, filling and line tell the families apart in grey too.
BLUE, VERMILION, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
INK, FAINT = "#222222", "#d9d9d9"
PNG_DPI = 115


@dataclass(frozen=True)
class FamilyStyle:
    """What tells one family's points and lines from another's."""

    name: str
    colour: str
    marker: str
    line: Any  # as matplotlib names it
    is_filled: bool


_FAMILIES = {
    "vit": FamilyStyle("ViT", BLUE, "o", "-", True),
    "hierarchical": FamilyStyle("hierarchical ViT", PURPLE, "X", (0, (8, 2)), True),
    "hybrid": FamilyStyle("hybrid", GREEN, "^", "-.", False),
    "cnn": FamilyStyle("CNN", VERMILION, "s", "--", True),
}
FAMILY_COLOURS = [style.colour for style in _FAMILIES.values()]


def family_style(family: str) -> FamilyStyle:
    """The style of a family; one grey style for all that are not known."""
    return _FAMILIES.get(family, FamilyStyle(family or "other", GREY, "D", ":", False))


_RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # one name, then the generic one: an SVG repeats the list at every text
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titley": 1.0,  # where it goes by itself, without a look at all ticks
    "axes.labelsize": 9,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.color": INK,
    "text.parse_math": False,  # a model's name may hold a dollar sign
    "svg.hashsalt": "vitbench",
    "svg.fonttype": "none",  # text stays text: far smaller files, and readers can search them
    "figure.dpi": 72,  # so that one pixel of the layout is one point
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw and save inside this block."""
    with mpl.rc_context(), mpl.rc_context(_RC):
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure with its canvas, independent of any window system."""
    figure = Figure(figsize=(width_in, height_in))
    FigureCanvasAgg(figure)
    return figure
