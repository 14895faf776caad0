"""Where one curve passes another, in words that stay in the range that was measured."""

from __future__ import annotations

from collections.abc import Callable

from bench.analyse.crossover import Crossing
from bench.report.formats import Scale, significant


def crossing_value(crossing: Crossing) -> str:
    """State, estimate, ends and range, unrounded: what a sidecar keeps."""
    ends = (crossing.estimate, crossing.low, crossing.high)
    shown = " ".join("open" if end is None else repr(end) for end in ends)
    return f"{crossing.state} {shown} in {crossing.low_x!r} {crossing.high_x!r}"


def crossing_words(crossing: Crossing, scale: Scale) -> str:
    """`at 987 [530, open)`, `none seen; not below 1 200`, `ahead from 512 on`: never more than the interval allows."""

    def number(x: float) -> str:
        return significant(x / scale.factor, 3)

    verb = "falls behind at" if crossing.state == "falls behind" else "at"
    if not crossing.has_interval:
        where = f"{verb} {number(crossing.estimate)}" if crossing.estimate is not None else crossing.state
        return f"{where} (one seed: no interval)"
    low, high = crossing.low, crossing.high
    if crossing.estimate is not None:
        start = f"[{number(low)}" if low is not None else "(open"
        end = f"{number(high)}]" if high is not None else "open)"
        return f"{verb} {number(crossing.estimate)} {start}, {end}"
    return {
        "behind throughout": _behind_words,
        "ahead throughout": _ahead_words,
        "crosses several times": _several_words,
        "equal throughout": lambda *_: "no difference seen",
    }[crossing.state](crossing, number)


_Number = Callable[[float], str]


def _behind_words(crossing: Crossing, number: _Number) -> str:
    if crossing.low is None:
        return f"none seen; {number(crossing.low_x)} to {number(crossing.high_x)} not decided"
    return f"none seen; not below {number(crossing.low)}"


def _ahead_words(crossing: Crossing, number: _Number) -> str:
    if crossing.high is None:
        return f"ahead from {number(crossing.low_x)} on; not decided"
    return f"ahead from {number(crossing.low_x)} on; not above {number(crossing.high)}"


def _several_words(crossing: Crossing, number: _Number) -> str:
    limits = [f"not below {number(crossing.low)}"] if crossing.low is not None else []
    limits += [f"not above {number(crossing.high)}"] if crossing.high is not None else []
    return f"more than one; {' and '.join(limits) or 'not decided'}"
