"""The data of the page's plot, and how data lie in the page: packed, so that no text in them can end their element."""

from __future__ import annotations

import base64
import gzip
import json
import math

from bench.catalog.identity import family_rank
from bench.report.style import BLUE, GREEN, GREY, VERMILION, family_style
from bench.report.web.plot_data import LAYERS, Axis, Plot, PlotPoint, Value
from bench.report.web.record_index import RecordIndex

# Lighter members of the same palette, for a dark ground: at least 6:1 against #16181d.
ON_DARK = {BLUE: "#56B4E9", VERMILION: "#F0955A", GREEN: "#35C79C", GREY: "#A8ACB3"}
_SYMBOLS = {"o": "circle", "^": "triangle-up", "s": "square", "D": "diamond"}  # matplotlib's name -> plotly's
_DIGITS = 7  # of a coordinate: a ten-thousandth of a pixel; tables keep the unrounded value


def packed(data: object) -> str:
    """JSON, compressed, in base64: letters, digits, `+`, `/` and `=` alone. The same data give the same text.

    10,000 records' points are 3 MB of JSON; a page with plotly in it has room for one. Raises ValueError for NaN.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def plot_payload(plot: Plot, index: RecordIndex) -> dict[str, object]:
    """What plot.js reads."""
    families = sorted({point.family for point in plot.points}, key=family_rank)
    layers = {point.layer for point in plot.points}
    return {
        "axes": [_axis(axis) for axis in plot.axes],
        "layers": [{"key": key, "name": name} for key, name in LAYERS.items() if key in layers],
        "families": [_family(family) for family in families],
        "points": [_point(point, index) for point in plot.points],
        "start": {"x": plot.x, "y": plot.y},
    }


def _axis(axis: Axis) -> dict[str, object]:
    return {
        "key": axis.key,
        "title": axis.title,
        "form": axis.form,
        "better": axis.better,
        "isLog": axis.is_log,
        "note": axis.note,
    }


def _family(family: str) -> dict[str, object]:
    style = family_style(family)
    return {
        "key": family,
        "name": style.name,
        "light": style.colour,
        "dark": ON_DARK[style.colour],
        "symbol": _SYMBOLS[style.marker],
        "isFilled": style.is_filled,
    }


def _point(point: PlotPoint, index: RecordIndex) -> dict[str, object]:
    return {
        "label": point.label,
        "family": point.family,
        "layer": point.layer,
        "isMain": point.is_main,
        "facts": point.facts,
        "values": {key: _value(value, index) for key, value in point.values.items()},
        "along": dict(point.along),
    }


def _value(value: Value, index: RecordIndex) -> dict[str, object]:
    return {
        "value": _rounded(value.value),
        "bar": None if value.bar is None else [_rounded(end) for end in value.bar],
        "conditions": value.conditions,
        "rankedWith": value.ranked_with,
        "records": index.reference(value.records),
    }


def _rounded(number: float) -> float | int:
    """Few digits. Raises ValueError for what is no number."""
    if not math.isfinite(number):
        raise ValueError(f"{number} is no coordinate")
    short = float(f"{number:.{_DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
