"""How the figures behind a verdict read: one figure, a range, a sentence of several. Plain text, not yet escaped."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from bench.analyse.claims.verdicts import Bearing, Evidence
from bench.shown import counted, fixed, listed, signed, significant

_MOST_NAMED = 4  # figures named in one sentence
_VERBS: dict[Bearing, tuple[str, str]] = {
    "for": ("speaks for it", "speak for it"),
    "against": ("speaks against it", "speak against it"),
    "undecided": ("does not decide it", "do not decide it"),
}


def _percent(value: float) -> str:
    return fixed(value, 2 if abs(value) < 0.1 else 1)


def _points(value: float) -> str:
    return signed(value, 2)


_FORMATS: dict[str, Callable[[float], str]] = {"points": _points, "%": _percent, "times": lambda v: significant(v, 2)}


def number_words(value: float, unit: str) -> str:
    """The number as its unit is written, without the unit."""
    own = _FORMATS.get(unit)
    return significant(value, 3) if own is None else own(value)


def range_words(evidence: Evidence) -> str:
    """`[low, high]`, `above low`, `below high`, or nothing where neither is known."""
    low = None if evidence.low is None or math.isinf(evidence.low) else number_words(evidence.low, evidence.unit)
    high = None if evidence.high is None or math.isinf(evidence.high) else number_words(evidence.high, evidence.unit)
    if low is not None and high is not None:
        span = low if low == high else f"{low} to {high}"
        return f"[{low}, {high}]" if evidence.value is not None else span
    if low is not None:
        return f"above {low}"
    return "" if high is None else f"below {high}"


def value_words(evidence: Evidence) -> str:
    """The figure with its range and unit: `+0.22 points [0.15, 0.29]`, `3.5 to 5.9 times`."""
    unit = f" {evidence.unit}" if evidence.unit and evidence.unit != "%" else evidence.unit and " %"
    between = range_words(evidence)
    if evidence.value is None:
        return f"{between or 'no number'}{unit if between else ''}"
    return f"{number_words(evidence.value, evidence.unit)}{unit}{' ' + between if between else ''}"


def figure_words(evidence: Evidence) -> str:
    """The figure with what it is of."""
    return f"{evidence.label}: {value_words(evidence)}"


def named(evidence: Sequence[Evidence], most: int = _MOST_NAMED) -> str:
    """The figures as a list, the first few by name."""
    shown = [figure_words(one) for one in evidence[:most]]
    left = len(evidence) - len(shown)
    return "; ".join([*shown, *([f"{left} more"] if left else [])])


def telling_first(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Figures against the claim, then those for it, then those that do not decide it."""
    order: dict[Bearing, int] = {"against": 0, "for": 1, "undecided": 2, "context": 3}
    return sorted(evidence, key=lambda one: order[one.bearing])


def tally(evidence: Sequence[Evidence], noun: str, plural: str, note: str = "") -> str:
    """One sentence: how many figures speak for the claim, against it and not at all, with those that decide.

    note: follows the counts, such as how the intervals were corrected.
    """
    telling = [one for one in evidence if one.bearing != "context"]
    if not telling:
        return f"No {noun} can decide it: {named(evidence)}." if evidence else f"There is no {noun}."
    counts = Counter(one.bearing for one in telling)
    parts = [
        f"{fixed(counts[bearing], 0)} {one if counts[bearing] == 1 else several}"
        for bearing, (one, several) in _VERBS.items()
        if counts[bearing]
    ]
    figures = named(telling_first(telling))
    return f"Of {counted(len(telling), noun, plural)}, {listed(parts)}{note and f' ({note})'}: {figures}."
