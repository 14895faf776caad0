"""How figures look: one palette, one marker and one line per family, sizes, and how files are written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

# Okabe and Ito's colours; marker, filling and line tell the families apart in grey too.
BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
INK, FAINT = "#222222", "#d9d9d9"
PNG_DPI = 115
PNG_COLOURS = 48  # enough for the palette and its edges; a third of the bytes of full colour


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
    "hybrid": FamilyStyle("hybrid", GREEN, "^", "-.", False),
    "cnn": FamilyStyle("CNN", VERMILION, "s", "--", True),
}


def family_style(family: str) -> FamilyStyle:
    """The style of a family; one grey style for all that are not known."""
    return _FAMILIES.get(family, FamilyStyle(family or "other", GREY, "D", ":", False))


_RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # one name, then the generic one: an SVG repeats the list at every text
    "font.size": 9,
    "axes.titlesize": 10,
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


def save_figure(figure: Figure, folder: Path, name: str) -> None:
    """Write `<name>.png` and `<name>.svg`; the same figure gives the same bytes."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=PNG_DPI, metadata={"Software": None})
    with Image.open(drawn) as image:
        few = _with_few_colours(image.convert("RGB"))
    few.save(folder / f"{name}.png", optimize=True)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})


def _with_few_colours(image: Image.Image) -> Image.Image:
    """The image with a palette of PNG_COLOURS, or of 256 where the small one would lose a family's colour."""
    few = image.quantize(PNG_COLOURS, dither=Image.Dither.NONE)
    lost = [colour for colour in _family_colours() if _holds(image, colour) and not _is_near_any(few, colour)]
    return image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE) if lost else few


def _family_colours() -> list[tuple[int, int, int]]:
    hexadecimal = [style.colour.removeprefix("#") for style in _FAMILIES.values()]
    return [(int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)) for text in hexadecimal]


def _holds(image: Image.Image, colour: tuple[int, int, int]) -> bool:
    colours = image.getcolors(maxcolors=image.width * image.height)
    return any(found == colour for _, found in colours or ())


def _is_near_any(image: Image.Image, colour: tuple[int, int, int], distance: int = 48) -> bool:
    """Whether a colour of the palette is so near that nobody would take it for another family's."""
    palette = image.getpalette() or []
    entries = zip(palette[::3], palette[1::3], palette[2::3], strict=True)
    return any(max(abs(a - b) for a, b in zip(entry, colour, strict=True)) <= distance for entry in entries)
