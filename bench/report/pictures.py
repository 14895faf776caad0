"""Figures made of pixels rather than of points: what they show in words, how each is drawn, and its files."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from bench.report.style import PNG_DPI, figure_style, save_figure

MOST_COLOURS = 256  # photographs keep their looks, in a third of the bytes of full colour


@dataclass(frozen=True)
class Picture:
    """One figure. alternative, caption: Markdown. is_vector: it is also written as SVG."""

    name: str
    alternative: str
    caption: str
    draw: Callable[[], Figure]
    is_vector: bool = False


def picture_files(picture: Picture) -> dict[str, bytes]:
    """The figure's files by name: a PNG, and an SVG where it has one. The same figure gives the same bytes."""
    with figure_style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a class may be named in any script
        figure = picture.draw()
        if picture.is_vector:
            with tempfile.TemporaryDirectory(prefix="vitbench-figures-") as scratch:
                save_figure(figure, Path(scratch), picture.name)
                return {path.name: path.read_bytes() for path in sorted(Path(scratch).iterdir())}
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=PNG_DPI, metadata={"Software": None})
    with Image.open(drawn) as image:
        few = image.convert("RGB").quantize(MOST_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    few.save(packed, format="png", optimize=True)
    return {f"{picture.name}.png": packed.getvalue()}
