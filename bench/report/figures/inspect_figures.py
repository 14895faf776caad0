"""The figures of an inspection, drawn from its stored arrays. What they mean in words is inspect_captions' work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.report.figures.style import FAINT, GREY, INK, family_style, new_figure
from bench.report.figures.tiles import (
    Canvas,
    Pixels,
    blank,
    brightness,
    canvas,
    fitted,
    mosaic,
    resized,
    spotlight,
)
from bench.report.sections.inspected import InspectedModel, weights_label
from bench.store.inspections import IMAGE, Inspection, Tokens
from bench.text import printable

WIDTH = 860  # pixels of a figure's PNG, at most
MOST_PLACES = 24  # of position embeddings, each way: more are shown in steps
PANELS_ACROSS = 3
GRADIENT_QUANTILE = 0.99  # drawn white: single pixels would else leave the rest black
_LABEL = 34  # pixels for a line of text
_NAMES = 164  # pixels for the words left of a row of maps


def draw_patches(inspection: Inspection, tokens: Tokens) -> Figure:
    """The image with its grid, and its squares one after the other as the model reads them."""
    pixels: Pixels = inspection.arrays[IMAGE]
    squares = patch_sequence(pixels, tokens)
    prefix, side, gap, left = len(tokens.prefix), 280, 2, 350
    total = len(squares) + prefix
    across, tile = _sequence_shape(total, tokens.columns, WIDTH - left, side, gap)
    tiles = [blank(tile)] * prefix + [resized(square, tile) for square in squares]
    sequence = mosaic([tiles[i : i + across] for i in range(0, total, across)], gap)
    drawn = canvas(WIDTH, max(side, sequence.shape[0]) + _LABEL + 8)
    drawn.image(resized(pixels, side), 4, _LABEL)
    _grid_lines(drawn.axes(4, _LABEL, side, side), tokens)
    drawn.text(f"{tokens.rows} × {tokens.columns} squares of {tokens.stride_px:g} px", 4, 16, across="left")
    drawn.text("the same squares in the order in which the model reads them", left, 16, across="left")
    drawn.image(sequence, left, _LABEL)
    for row in range(0, -(-total // across), 1 if tile >= 11 else 2):
        y = _LABEL + row * (tile + gap) + tile / 2
        drawn.text(str(row * across + 1), left - 6, y, across="right", fontsize=7)
    return drawn.figure


def _sequence_shape(total: int, columns: int, wide: int, high: int, gap: int) -> tuple[int, int]:
    """Squares in a row, and their side in pixels: the largest that fit, in other rows than the image's own."""
    fits = {}
    for across in range(min(total, 8), wide // (2 + gap)):
        tile = min(56, wide // across - gap)
        if across != columns and -(-total // across) * (tile + gap) <= high:
            fits[across] = tile
    if not fits:
        return wide // (2 + gap), 2
    large = [across for across, tile in fits.items() if tile >= 0.9 * max(fits.values())]
    across = min(large, key=lambda one: (-total % one, one))  # the fewest empty places in the last row
    return across, fits[across]


def patch_sequence(pixels: Pixels, tokens: Tokens) -> list[Pixels]:
    """The squares of the image, row by row from the upper left, as a model's tokens are ordered."""
    side = pixels.shape[0]
    edges = [round(i * tokens.stride_px) for i in range(max(tokens.rows, tokens.columns) + 1)]
    return [
        pixels[edges[i] : min(edges[i + 1], side), edges[j] : min(edges[j + 1], side)]
        for i in range(tokens.rows)
        for j in range(tokens.columns)
    ]


def _grid_lines(axes: Any, tokens: Tokens) -> None:
    axes.patch.set_alpha(0)
    axes.set_xlim(0, tokens.columns)
    axes.set_ylim(tokens.rows, 0)
    width = 0.8 if tokens.rows <= 32 else 0.3
    for at in range(1, tokens.columns):
        axes.axvline(at, color="white", linewidth=width)
    for at in range(1, tokens.rows):
        axes.axhline(at, color="white", linewidth=width)
    axes.set_axis_off()


def draw_filters(inspection: Inspection) -> Figure:
    """Filters as small colour pictures, grey where they are zero, each scaled to its own largest magnitude."""
    shares = inspection.facts.filters_share
    tiles = [resized(picture, 84) for picture in filter_pictures(inspection.arrays["filters"])]
    label = 20 if shares is not None else 6
    across = min(7, len(tiles))
    rows = -(-len(tiles) // across)
    drawn = canvas(max(across * 96 + 8, 200), rows * (84 + label) + 12)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, across)
        left, top = 8 + column * 96, 6 + row * (84 + label)
        drawn.image(tile, left, top)
        if shares is not None:
            drawn.text(f"{number + 1}: {100 * shares[number]:.1f} %", left + 42, top + 94, fontsize=7.5)
    return drawn.figure


def filter_pictures(filters: NDArray[np.float32]) -> list[Pixels]:
    """(K, p, p, 3) to pictures: 0 is middle grey, the largest magnitude of a filter black or white."""
    peak = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    unit = filters / np.where(peak > 0, peak, 1.0)
    return list(np.rint(127.5 + 127.5 * unit).astype(np.uint8))


def draw_positions(inspection: Inspection) -> Figure:
    """For every place of the grid a small map: how alike its position embedding is to those of all places."""
    similarity = inspection.arrays["position_similarity"]
    rows, columns = similarity.shape[:2]
    step = -(-max(rows, columns) // MOST_PLACES)
    shown = similarity[::step, ::step]
    cell = min(16, max(1, (WIDTH - 180) // shown.shape[1] // max(rows, columns)))
    low = float(shown.min())
    colours = mpl.colormaps["viridis"]
    norm = mpl.colors.Normalize(low, 1.0)
    tiles = [
        [np.kron(colours(norm(place), bytes=True)[..., :3], np.ones((cell, cell, 1), np.uint8)) for place in line]
        for line in shown
    ]
    field = mosaic(tiles, 2 if cell < 8 else 4)
    high, wide = field.shape[:2]
    drawn = canvas(wide + 160, high + 56)
    drawn.image(field, 52, 8)
    drawn.text("column of the place", 52 + wide / 2, high + 44)
    drawn.text("row of the place", 12, 8 + high / 2, rotation=90)
    _ticks(drawn, shown.shape[0], step, lambda at: (44, 8 + at * high / shown.shape[0]), "right")
    _ticks(drawn, shown.shape[1], step, lambda at: (52 + at * wide / shown.shape[1], high + 22), "center")
    bar = drawn.axes(wide + 74, 8, 14, min(high, 260))
    drawn.figure.colorbar(mpl.cm.ScalarMappable(norm, colours), cax=bar, label="cosine similarity")
    return drawn.figure


def _ticks(drawn: Canvas, count: int, step: int, where: Any, across: str) -> None:
    """Numbers from 1 along a side of a mosaic, every few where they would touch."""
    every = 1 if count <= 16 else 2
    for at in range(0, count, every):
        x, y = where(at + 0.5)
        drawn.text(str(at * step + 1), x, y, across=across, fontsize=7.5)


def draw_rollout(inspection: Inspection) -> Figure:
    """The image lit by the rollout: a row for each layer, all heads together first, then each head."""
    pixels: Pixels = inspection.arrays[IMAGE]
    together, heads = inspection.arrays["rollout"], inspection.arrays["rollout_heads"]
    layers, count = heads.shape[:2]
    gap, left, apart = 2, 46, 10
    tile = max(24, min(110, (WIDTH - left - apart) // (count + 1) - gap))
    first = mosaic([[spotlight(pixels, one, tile)] for one in together], gap)
    others = mosaic([[spotlight(pixels, one, tile) for one in line] for line in heads], gap)
    drawn = canvas(left + tile + apart + others.shape[1] + 6, first.shape[0] + _LABEL + 14)
    drawn.image(first, left, _LABEL)
    drawn.image(others, left + tile + apart, _LABEL)
    drawn.text("all" if tile < 60 else "all heads", left + tile / 2, 24, fontsize=7.5)
    drawn.text("head", left + tile + apart, 9, across="left", fontsize=7.5)
    for head in range(count):
        drawn.text(str(head + 1), left + tile + apart + head * (tile + gap) + tile / 2, 24, fontsize=7.5)
    for layer in range(layers):
        drawn.text(str(layer + 1), left - 6, _LABEL + layer * (tile + gap) + tile / 2, across="right", fontsize=7.5)
    drawn.text("layer", 10, _LABEL + first.shape[0] / 2, rotation=90, fontsize=7.5)
    return drawn.figure


def draw_maps(inspections: Sequence[Inspection]) -> Figure:
    """Several models on one image: what each sees, a row each."""
    names = ("image", "rollout", "gradient", "grad_cam")
    columns = [name for name in names if any(name in one.arrays for one in inspections)]
    titles = {"image": "the model's input", "rollout": "attention rollout",
              "gradient": "gradient", "grad_cam": "Grad-CAM"}  # fmt: skip
    side, gap, left = 164, 6, 176
    drawn = canvas(left + len(columns) * (side + gap) + 4, len(inspections) * (side + gap) + _LABEL)
    for column, name in enumerate(columns):
        drawn.text(titles[name], left + column * (side + gap) + side / 2, 16)
    for row, one in enumerate(inspections):
        top = _LABEL + row * (side + gap)
        _describe(drawn, one, top + side / 2)
        for column, name in enumerate(columns):
            at = left + column * (side + gap)
            drawn.image(map_tile(one, name, side), at, top)
            if name not in one.arrays:
                drawn.text("none", at + side / 2, top + side / 2, color=GREY)
    return drawn.figure


def map_tile(inspection: Inspection, name: str, side: int) -> Pixels:
    """One map of an inspection over its image, or a blank tile where there is none."""
    arrays = inspection.arrays
    if name not in arrays:
        return blank(side)
    pixels: Pixels = arrays[IMAGE]
    if name == IMAGE:
        return resized(pixels, side)
    if name == "gradient":
        return brightness(arrays[name], side, top=float(np.quantile(arrays[name], GRADIENT_QUANTILE)))
    values = arrays[name][-1] if name == "rollout" else arrays[name]
    return spotlight(pixels, values, side)


def _describe(drawn: Canvas, inspection: Inspection, middle: float) -> None:
    """What the row shows, left of it: the model's name on two lines if need be, its weights, its answer."""
    facts = inspection.facts
    name = _two_lines(drawn, _short(facts.title, 60))
    lines = [*name, *weights_label(facts)]
    if facts.target is not None:
        lines.append(f"says: {facts.target_name or f'class {facts.target}'}")
    for number, line in enumerate(lines):
        y = middle + (number - (len(lines) - 1) / 2) * 17
        font = {"size": 8, "weight": "bold"} if number < len(name) else {"size": 7.5, "weight": "normal"}
        shown = fitted(drawn, _short(line, 60), _NAMES, **font)
        drawn.text(shown, 6, y, across="left", fontsize=font["size"], fontweight=font["weight"])


def _two_lines(drawn: Canvas, name: str) -> list[str]:
    """A name that is too wide, broken after the last underscore, dot or blank that fits."""
    font = {"size": 8, "weight": "bold"}
    if fitted(drawn, name, _NAMES, **font) == name:
        return [name]
    breaks = [at + 1 for at, letter in enumerate(name) if letter in "_. -"]
    fits = [at for at in breaks if fitted(drawn, name[:at], _NAMES, **font) == name[:at]]
    return [name[: fits[-1]], name[fits[-1] :]] if fits else [name]


def _short(text: str, most: int = 26) -> str:
    flat = " ".join(printable(text).split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def draw_distances(models: Sequence[InspectedModel]) -> Figure:
    """Mean attention distance of each head against depth, a panel for each model."""
    across = min(PANELS_ACROSS, len(models))
    rows = -(-len(models) // across)
    figure = new_figure(7.4 if across > 1 else 4.4, 2.9 * rows)
    for number, model in enumerate(models):
        _distance_panel(figure.add_subplot(rows, across, number + 1), model)
    figure.tight_layout()
    return figure


def _distance_panel(axes: Any, model: InspectedModel) -> None:
    distances, facts = model.distances_px, model.facts
    assert distances is not None
    layers = np.arange(1, len(distances) + 1)
    style = family_style(facts.family)
    axes.plot(layers, distances.mean(axis=1), color=GREY, linewidth=1.0, zorder=1.5, label="mean of the heads")
    for head in range(distances.shape[1]):
        axes.plot(layers, distances[:, head], linestyle="none", marker=style.marker, markersize=4, zorder=3,
                  markeredgecolor=style.colour, markerfacecolor=style.colour if style.is_filled else "white",
                  markeredgewidth=0.8, alpha=0.8)  # fmt: skip
    uniform = facts.uniform_distance_px or 0.0
    axes.axhline(uniform, color=INK, linestyle="--", linewidth=0.9, label="spread evenly")
    axes.set_ylim(0, 1.15 * max(uniform, float(distances.max())))
    axes.set_xlim(0.4, len(distances) + 0.6)
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(6, integer=True))
    axes.set_title(_short(facts.title, 24), loc="left")
    axes.set_xlabel("Layer")
    axes.set_ylabel("Mean attention distance [px]")
    axes.grid(color=FAINT)
    axes.legend(loc="lower right", fontsize=7.5)  # deep layers look far: that corner is empty
    share = axes.secondary_yaxis("right", functions=(lambda px: 100 * px / facts.resolution_px,
                                                     lambda pct: pct * facts.resolution_px / 100))  # fmt: skip
    share.set_ylabel("of the image's width [%]", fontsize=7.5)
    share.tick_params(labelsize=7.5)
