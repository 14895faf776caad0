"""Limits and ticks of axes: room for labels around the points, and numbers that a reader can use."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.report.formats import fixed, significant


def set_limits(
    axes: Any, x: tuple[float, float], y: tuple[float, float], *, log_y: bool, may_be_negative: bool = False
) -> None:
    """Room for labels around the points; percentages never beyond 0 and 100 by more than a marker.

    x, y: the least and the greatest that is drawn, bars included. may_be_negative: y holds differences.
    """
    axes.set_xlim(*_widened(*x, share=0.18))
    if log_y:
        axes.set_ylim(*_widened(*y, share=0.1))
        return
    low, high = y
    room = max(0.14 * (high - low), 0.4)
    axes.set_ylim(low - room if may_be_negative else max(low - room, -1.5), high + room)


def _widened(low: float, high: float, share: float) -> tuple[float, float]:
    """The ends of a logarithmic axis, moved out by a share of its length."""
    low_log, high_log = math.log(low), math.log(high)
    room = max(share * (high_log - low_log), 0.12)
    return math.exp(low_log - room), math.exp(high_log + room)


def set_ticks(axes: Any, values: Sequence[float], log_base: int) -> None:
    """Ticks of the logarithmic x axis: the values themselves where they are few and apart, else round numbers."""
    low, high = axes.get_xlim()
    decades = math.log10(high / low)
    values = sorted({float(f"{value:.3g}") if log_base == 10 else value for value in values})
    if log_base == 2 or _are_apart(values, decades):
        axes.set_xticks(values if len(values) <= 8 else values[:: math.ceil(len(values) / 8)])
        axes.set_xticks([], minor=True)
    else:
        axes.xaxis.set_major_locator(_locator(decades))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", length=0)


def set_log_y_ticks(axes: Any) -> None:
    """Round numbers on a logarithmic y axis."""
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(_locator(0.6 * math.log10(high / low)))  # numbers stand above one another
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", length=0)


def _locator(decades: float) -> LogLocator:
    # the shorter the axis, the more numbers of each decade it needs so that two of them are on it
    steps = (
        (0.3, (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)),
        (0.8, (1, 2, 3, 5, 7)),
        (2.0, (1, 2, 5)),
        (3.2, (1, 3)),
    )
    subs = next((numbers for length, numbers in steps if decades < length), (1,))
    return LogLocator(base=10, subs=subs, numticks=20)


def _are_apart(values: Sequence[float], decades: float) -> bool:
    """Whether the values themselves can be the ticks: few, and none so near another that their numbers touch."""
    gaps = [math.log10(after / before) for before, after in itertools.pairwise(values)]
    return len(values) <= 4 and all(gap > 0.15 * decades for gap in gaps)


def tick_text(value: float) -> str:
    """A tick's number, as short as three significant digits allow."""
    text = fixed(value, 0) if value >= 100 else significant(value, 3)
    return text.rstrip("0").rstrip(".") if "." in text else text
