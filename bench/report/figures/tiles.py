"""Small pictures laid out in rows, pixel for pixel: arrays in, one array or one figure out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray
from PIL import Image

from bench.report.figures.style import INK, PNG_DPI, new_figure

Pixels = NDArray[np.uint8]  # (height, width, 3)
Map = NDArray[np.float32]

PAPER = 255
EMPTY = 243  # where there is no picture
DARKEST = 0.15  # of a picture's brightness where a map is zero: the picture stays visible


@dataclass(frozen=True)
class Canvas:
    """A figure measured in the pixels of its PNG, from the upper left."""

    figure: Figure
    width: int
    height: int

    def image(self, pixels: Pixels, left: int, top: int) -> None:
        """Put pixels where they are, one for one."""
        high, wide = pixels.shape[:2]
        axes = self.axes(left, top, wide, high)
        axes.imshow(pixels, interpolation="none", aspect="auto")
        axes.set_axis_off()

    def axes(self, left: int, top: int, wide: int, high: int) -> Any:
        """Empty axes over this rectangle."""
        box = (left / self.width, 1 - (top + high) / self.height, wide / self.width, high / self.height)
        axes = self.figure.add_axes(box)
        axes.grid(False)
        return axes

    def text(self, text: str, x: float, y: float, *, across: str = "center", down: str = "center", **more: Any) -> None:
        """A text at a pixel. across: which part of it is there (left, center, right); down: top, center, bottom."""
        shown = {"fontsize": 8, "color": INK, **more}
        self.figure.text(x / self.width, 1 - y / self.height, text, ha=across, va=down, **shown)


def fitted(drawn: Canvas, text: str, wide: int, **font: Any) -> str:
    """The text, shortened with an ellipsis where it is wider than so many pixels in this font."""
    renderer = drawn.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    properties = FontProperties(**font)

    def width(shown: str) -> float:
        points: float = renderer.get_text_width_height_descent(shown, properties, False)[0]
        return points * PNG_DPI / drawn.figure.dpi

    kept = text
    while kept and width(text if kept == text else f"{kept}…") > wide:
        kept = kept[:-1]
    return text if kept == text else f"{kept}…"


def canvas(width: int, height: int) -> Canvas:
    """An empty figure of that many pixels."""
    return Canvas(new_figure(width / PNG_DPI, height / PNG_DPI), width, height)


def resized(pixels: Pixels, side: int) -> Pixels:
    """A square picture at another size: smoothed where it shrinks, in whole squares where it grows."""
    is_growing = side >= pixels.shape[0]
    method = Image.Resampling.NEAREST if is_growing else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(pixels).resize((side, side), method))


def stretched(values: Map, side: int, *, smooth: bool = True) -> Map:
    """A map (h, w) over a square of that many pixels."""
    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((side, side), method))


def spotlight(pixels: Pixels, values: Map, side: int) -> Pixels:
    """The picture, bright where the map is large and dark where it is small; the map is scaled to its own maximum."""
    peak = float(values.max())
    light = stretched(values / peak if peak > 0 else np.zeros_like(values), side).clip(0, 1)
    lit = resized(pixels, side) * (DARKEST + (1 - DARKEST) * light[..., None])
    return np.rint(lit).astype(np.uint8)


def brightness(values: Map, side: int, *, top: float) -> Pixels:
    """A map as grey: black at zero, white at `top` and above."""
    unit = (values / top if top > 0 else np.zeros_like(values)).clip(0, 1)
    grey = np.rint(255 * stretched(unit, side, smooth=unit.shape[0] < side).clip(0, 1)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def mosaic(rows: Sequence[Sequence[Pixels]], gap: int) -> Pixels:
    """Equal tiles in rows, `gap` white pixels between them; a short row ends in white."""
    high, wide = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    shape = (len(rows) * (high + gap) - gap, columns * (wide + gap) - gap, 3)
    made = np.full(shape, PAPER, dtype=np.uint8)
    for i, row in enumerate(rows):
        for j, tile in enumerate(row):
            made[i * (high + gap) :, j * (wide + gap) :][:high, :wide] = tile
    return made


def blank(side: int) -> Pixels:
    """A tile that says that there is nothing to show."""
    return np.full((side, side, 3), EMPTY, dtype=np.uint8)
