"""How stored numbers are shown: the only place that rounds and scales for a reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.analyse.intervals import Interval
from bench.analyse.speeds import Timed

# Pages have one module for all their figures.
from bench.shown import THIN as THIN
from bench.shown import counted as counted
from bench.shown import fixed as fixed
from bench.shown import listed as listed
from bench.shown import minus as minus
from bench.shown import seconds as seconds
from bench.shown import signed as signed
from bench.shown import significant as significant
from bench.units import EXA, GIGA, MEGA, TERA

PETA = 1e15
SMALLEST_SHOWN = 0.1  # a scale is chosen so that no value of a column falls below this


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


def p_value(value: float) -> str:
    """Two significant digits; very small ones are not told apart."""
    return "< 0.001" if value < 0.001 else significant(value, 2)


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
