"""How stored numbers are shown: the only place that rounds, groups and scales for a reader."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from bench.units import EXA, GIGA, MEGA, TERA

THIN = "\u202f"  # narrow no-break space: groups thousands and never wraps
PETA = 1e15
SMALLEST_SHOWN = 0.1  # a scale is chosen so that no value of a column falls below this


class Interval(Protocol):
    """An estimate with the ends of its interval."""

    @property
    def estimate(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


class Timed(Protocol):
    """A median over processes, and its range where there are enough of them."""

    @property
    def median(self) -> float: ...
    @property
    def interval(self) -> Interval | None: ...


def fixed(value: float, decimals: int) -> str:
    """Rounded to so many decimals, thousands grouped; a true minus sign, and never a minus zero."""
    text = f"{value:,.{decimals}f}".replace(",", THIN)
    return minus(text)


def minus(text: str) -> str:
    """The same number with a typographic minus; `-0.0` loses its sign."""
    if not text.startswith("-"):
        return text
    return text[1:] if not text.strip("-0.,") else f"−{text[1:]}"


def significant(value: float, digits: int) -> str:
    """Rounded to so many significant digits, written without an exponent."""
    if value == 0:
        return "0"
    rounded = round(value, digits - 1 - math.floor(math.log10(abs(value))))
    return fixed(rounded, max(0, digits - 1 - math.floor(math.log10(abs(rounded)))))


def signed(value: float, decimals: int) -> str:
    """Like `fixed`, with a plus where it is above zero."""
    text = fixed(value, decimals)
    return text if text.startswith("−") or not text.strip("0.") else f"+{text}"


def seconds(value: float) -> str:
    """A duration: seconds below two minutes, then minutes, then hours."""
    if value < 120:
        return f"{fixed(value, 0)} s"
    return f"{fixed(value / 60, 1)} min" if value < 7200 else f"{fixed(value / 3600, 1)} h"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{fixed(number, 0)} {noun if number == 1 else plural or noun + 's'}"


def listed(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    items = list(words)
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + (f" and {items[-1]}" if items else "")


def shortage_words(short: float | None, fewest: float | None) -> str:
    """`2 classes have fewer: 12 at least`, beside a number of images a class; empty where every class has as many."""
    if not short or fewest is None:
        return ""
    return f"{short:.0f} {'classes have' if short > 1 else 'class has'} fewer: {fewest:.0f} at least"


@dataclass(frozen=True)
class Scale:
    """A unit for a column or an axis, and how many stored units it holds."""

    factor: float
    unit: str


_FLOP_SCALES = (
    Scale(EXA, "exaFLOP"),
    Scale(PETA, "PFLOP"),
    Scale(TERA, "TFLOP"),
    Scale(GIGA, "GFLOP"),
    Scale(MEGA, "MFLOP"),
)
_COUNT_SCALES = (Scale(GIGA, "G"), Scale(MEGA, "M"))


def flop_scale(values: Iterable[float]) -> Scale:
    """The largest unit of training compute in which the smallest of the values still shows."""
    return _scale(values, _FLOP_SCALES)


def mac_scale(values: Iterable[float]) -> Scale:
    """G or M, for multiply-adds of one image: G as soon as one model needs it."""
    return _COUNT_SCALES[0] if max(values, default=0.0) >= GIGA else _COUNT_SCALES[1]


def _scale(values: Iterable[float], scales: tuple[Scale, ...]) -> Scale:
    smallest = min((value for value in values if value > 0), default=0.0)
    return next((scale for scale in scales if smallest / scale.factor >= SMALLEST_SHOWN), scales[-1])


def whole(value: float) -> str:
    """A count: no decimals."""
    return fixed(value, 0)


def rounded(decimals: int, unit: float = 1.0) -> Callable[[float], str]:
    """How a column of numbers is written in a unit with so many decimals."""
    return lambda value: fixed(value / unit, decimals)


def digits(count: int, unit: float = 1.0) -> Callable[[float], str]:
    """How a column of numbers is written in a unit with so many significant digits."""
    return lambda value: significant(value / unit, count)


def percent(value: float) -> str:
    """Top-1 and its like: one decimal."""
    return fixed(value, 1)


def plus_minus(interval: Interval, decimals: int) -> str:
    """`estimate ± reach`; `estimate [low, high]` where one arm is much longer than the other.

    reach: the longer arm. An interval that ends at 0 or 100 %, or that spans a factor, has no half width to tell.
    """
    arms = interval.estimate - interval.low, interval.high - interval.estimate
    unit = 10.0**-decimals
    if max(arms) > _LOPSIDED * min(arms) and max(arms) - min(arms) > _LOPSIDED * unit:
        ends = f"[{fixed(interval.low, decimals)}, {fixed(interval.high, decimals)}]"
        return f"{fixed(interval.estimate, decimals)} {ends}"
    return f"{fixed(interval.estimate, decimals)} ± {fixed(max(arms), decimals)}"


_LOPSIDED = 2.0


def bracketed(interval: Interval, decimals: int = 1) -> str:
    """`[low, high]`, with one decimal more where an end that is not zero would be shown as zero."""
    if any(end != 0 and round(end, decimals) == 0 for end in (interval.low, interval.high)):
        decimals += 1
    return f"[{fixed(interval.low, decimals)}, {fixed(interval.high, decimals)}]"


def ends(interval: Interval | None) -> tuple[tuple[str, float], ...]:
    """The ends of an interval by name, for the CSV beside a table."""
    return () if interval is None else (("low", interval.low), ("high", interval.high))


def points(value: float) -> str:
    """A size in percentage points, for a sentence."""
    return f"{fixed(abs(value), 1)} point{'' if fixed(abs(value), 1) == '1.0' else 's'}"


def bare_rate(value: float) -> str:
    """Images per second without an interval."""
    return fixed(value, 0 if value >= 100 else 1)


def timed_words(timed: Timed, shown: Callable[[float], str] = bare_rate) -> str:
    """The median over processes, with its range where it has one: `12 639 [12 300, 12 911]`."""
    if timed.interval is None:
        return shown(timed.median)
    return f"{shown(timed.median)} [{shown(timed.interval.low)}, {shown(timed.interval.high)}]"


def times_words(timed: Timed, decimals: int = 2) -> str:
    """A ratio over processes: `1.52 × [1.40, 1.61]`."""
    words = f"{fixed(timed.median, decimals)} ×"
    return words if timed.interval is None else f"{words} {bracketed(timed.interval, decimals)}"


def p_value(value: float, least: float = 0.001) -> str:
    """Two significant digits; those below `least` are not told apart."""
    return f"< {least}" if value < least else significant(value, 2)


def learning_rate(value: float) -> str:
    """A learning rate as it is written in a suite file."""
    return f"{value:.3g}"


def span(values: Iterable[float], decimals: int = 0) -> str:
    """One number, or the first and last of several as `a–b`."""
    shown = sorted({float(value) for value in values})
    low, high = fixed(shown[0], decimals), fixed(shown[-1], decimals)
    return low if low == high else f"{low}–{high}"


def first_few(names: Iterable[str], most: int) -> list[str]:
    """The first of some names, and how many more there are."""
    every = list(names)
    return [*every[:most], *([f"{whole(len(every) - most)} more"] if len(every) > most else [])]


def named(names: Iterable[str], most: int) -> str:
    """`a, b, c`; `a, b and 3 more` where there are more than most."""
    every = list(names)
    return listed(first_few(every, most)) if len(every) > most else ", ".join(every)
