"""Figures as files, PNG and SVG: the same figure gives the same bytes. Two processes draw where there is much."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

from matplotlib.figure import Figure as MatplotlibFigure
from PIL import Image, ImageColor

from bench.report.figures.drawing import draw_panels
from bench.report.figures.panels import FigureSpec
from bench.report.figures.style import FAMILY_COLOURS, PNG_DPI, figure_style

MANY_RECORDS = 3_000  # from here on, drawing takes longer than starting a second process
FEW_COLOURS = 48  # enough for the palette and its edges; a third of the bytes of full colour
MOST_COLOURS = 256  # photographs keep their looks, in a third of the bytes of full colour
_FAMILY_COLOURS = [ImageColor.getrgb(colour)[:3] for colour in FAMILY_COLOURS]


@dataclass(frozen=True)
class Picture:
    """A figure made of pixels rather than of points. alternative, caption: Markdown."""

    name: str
    alternative: str
    caption: str
    draw: Callable[[], MatplotlibFigure]
    has_svg: bool = False


Figure = FigureSpec | Picture


def drawn(*figures: Figure | None) -> tuple[Figure, ...]:
    """The figures that there are data for."""
    return tuple(figure for figure in figures if figure is not None)


@contextmanager
def second_process(records: int, *, has_many_points: bool = False) -> Iterator[Executor | None]:
    """A process that draws beside this one; None where there is little to draw. It loads what it needs meanwhile."""
    if records < MANY_RECORDS and not has_many_points:
        yield None
        return
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as helper:
        helper.submit(drawn_files, ())
        yield helper


def draw_all(figures: Sequence[Figure], helper: Executor | None = None) -> dict[str, bytes]:
    """The files of these figures: file name -> content; the same bytes whoever draws them."""
    if helper is None:
        return drawn_files(figures)
    ordered = sorted(
        (figure for figure in figures if isinstance(figure, FigureSpec)),
        key=lambda figure: sum(len(panel.everything) for panel in figure.panels),
        reverse=True,
    )
    theirs = helper.submit(drawn_files, ordered[1::2])
    files = drawn_files([*ordered[::2], *(figure for figure in figures if isinstance(figure, Picture))])
    return files | theirs.result()


def drawn_files(figures: Sequence[Figure]) -> dict[str, bytes]:
    """The files of these figures, drawn here."""
    files: dict[str, bytes] = {}
    for figure in figures:
        with figure_style():
            if isinstance(figure, Picture):
                files |= _picture_files(figure)
            else:
                files |= files_of(draw_panels(figure.panels), figure.name, has_svg=figure.has_svg)
    return files


def _picture_files(picture: Picture) -> dict[str, bytes]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a class may be named in any script
        figure = picture.draw()
        if picture.has_svg:
            return files_of(figure, picture.name)
        image = _pixels(figure)
    return {f"{picture.name}.png": _packed(_with_most_colours(image))}


def files_of(figure: MatplotlibFigure, name: str, *, has_svg: bool = True) -> dict[str, bytes]:
    """`<name>.png`, and `<name>.svg` where it has one. To be called inside `figure_style`."""
    pixels = _pixels(figure)
    if not has_svg:  # so crowded that no pixel may have a family's colour
        return {f"{name}.png": _packed(_with_most_colours(pixels))}
    png = _packed(_with_few_colours(pixels))
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return {f"{name}.png": png, f"{name}.svg": svg.getvalue()}


def _pixels(figure: MatplotlibFigure) -> Image.Image:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=PNG_DPI, metadata={"Software": None})
    with Image.open(drawn) as image:
        return image.convert("RGB")


def _with_most_colours(image: Image.Image) -> Image.Image:
    return image.quantize(MOST_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def _packed(image: Image.Image) -> bytes:
    packed = io.BytesIO()
    image.save(packed, format="png", optimize=True)
    return packed.getvalue()


def _with_few_colours(image: Image.Image) -> Image.Image:
    """The image with a palette of FEW_COLOURS, or of 256 where the small one would lose a family's colour."""
    few = image.quantize(FEW_COLOURS, dither=Image.Dither.NONE)
    found = {colour for _, colour in image.getcolors(maxcolors=image.width * image.height) or ()}
    if all(_is_near_any(few, colour) for colour in _FAMILY_COLOURS if colour in found):
        return few
    return image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def _is_near_any(image: Image.Image, colour: tuple[int, int, int], distance: int = 48) -> bool:
    """Whether a colour of the palette is so near that nobody would take it for another family's."""
    palette = image.getpalette() or []
    entries = zip(palette[::3], palette[1::3], palette[2::3], strict=True)
    return any(max(abs(a - b) for a, b in zip(entry, colour, strict=True)) <= distance for entry in entries)
