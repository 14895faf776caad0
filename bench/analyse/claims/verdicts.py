"""Figures that bear on a claim, and the verdict that follows from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from bench.analyse.accuracies.subjects import RunKey
from bench.catalog.claims import Claim
from bench.errors import UnknownNameError
from bench.number_format import fixed, listed, signed, significant

Bearing = Literal["for", "against", "undecided", "beside"]  # beside: shown, and decides nothing
_MOST_SHOWN, _MOST_BARE = 7, 3  # figures of one list, and of one without intervals
_LONGEST_HEAD = 25  # letters of a figure's name in a reason
Word = Literal["supported", "contradicted", "inconclusive", "undecided"]


@dataclass(frozen=True)
class Figure:
    """One number or range, what it says of the claim, and the table or the records that it comes from."""

    label: str  # plain; may hold names that users gave
    value: float | None  # None: a range alone
    low: float | None  # the 95 % interval, or the ends of the range; None where neither is known
    high: float | None
    unit: Literal["points", "times", "%", ""]
    bearing: Bearing
    source: str = ""  # of a published number
    record_ids: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The figure with what it is of: `ImageNet alone: +3.39 points [2.89, 3.89]`."""
        return f"{self.label}: {self.value_words}"

    @property
    def value_words(self) -> str:
        """The number with its interval, or the range."""
        unit = f" {self.unit}" if self.unit else ""
        if self.value is None:
            return f"{self._range_words(' to ')}{unit}"
        number = signed(self.value, 2) if self.unit == "points" else self._written(self.value)
        return f"{number}{unit}" + (f" [{self._range_words(', ')}]" if self.low is not None else "")

    def _range_words(self, between: str) -> str:
        low, high = self.low or 0.0, math.inf if self.high is None else self.high
        if math.isinf(high):
            return f"above {self._written(low)}"
        return between.join(dict.fromkeys((self._written(low), self._written(high))))

    def _written(self, number: float) -> str:
        if self.unit == "times":
            return significant(number, 2)
        return fixed(number, 1 if self.unit == "%" else 2)


@dataclass(frozen=True)
class Verdict:
    """What one kind of numbers says of a claim. undecided: there are no such numbers."""

    word: Word
    figures: tuple[Figure, ...] = ()

    @property
    def reason(self) -> str:
        """What made the verdict, in a few words; empty where there are no figures."""
        told = [figure for figure in self.figures if figure.bearing != "beside"]
        made = {"supported": "for", "contradicted": "against"}.get(self.word, "undecided")
        heads = [figure.label.partition(",")[0] for figure in told if figure.bearing == made]
        if len(told) < 2:
            by_range = "the whole range fits it" if told and told[0].value is None else "beyond the noise"
            return "" if not told else "within the noise" if made == "undecided" else by_range
        if len(heads) == len(told) or max(map(len, heads)) > _LONGEST_HEAD:
            return f"{len(heads)} of {len(told)} figures {'within the noise' if made == 'undecided' else f'{made} it'}"
        return f"{'within the noise on' if made == 'undecided' else 'by'} {listed(heads)}"


@dataclass(frozen=True)
class JudgedClaim:
    """A claim, what published numbers say of it, and what the records that were read say of it."""

    claim: Claim
    published: Verdict
    measured: Verdict


@dataclass(frozen=True)
class Scope:
    """What a record must meet to say anything of a claim; both ends of a range belong to it."""

    resolution_px: Sequence[float] = (0.0, math.inf)
    macs: Sequence[float] = (0.0, math.inf)
    device: str = ""  # empty: any

    def holds(self, key: RunKey, macs: float | None) -> bool:
        """Whether what was measured under this key lies within it."""
        return self.covers(key.resolution_px, macs, key.device)

    def covers(self, resolution_px: int, macs: float | None, device: str) -> bool:
        """Whether a model at this size, of these multiply-adds, on this device lies within it."""
        return (
            self.resolution_px[0] <= resolution_px <= self.resolution_px[1]
            and self.macs[0] <= (macs or 0.0) <= self.macs[1]
            and self.device in ("", device)
        )


def verdict(figures: Sequence[Figure]) -> Verdict:
    """The claim must hold in every figure: one against it contradicts it, all for it support it."""
    told = {figure.bearing for figure in figures} - {"beside"}
    if not told:
        return Verdict("undecided", tuple(figures))
    word: Word = "contradicted" if "against" in told else "supported" if told == {"for"} else "inconclusive"
    return Verdict(word, tuple(figures))


def by_rule(rules: Mapping[str, Callable[..., list[Figure]]], row: Mapping[str, Any], *given: object) -> list[Figure]:
    """What the rule that a row names finds. Raises UnknownNameError for one that is not here."""
    parameters = dict(row)
    name = str(parameters.pop("rule", ""))
    if name not in rules:
        raise UnknownNameError("rule", name, rules)
    return rules[name](*given, **parameters)


def bearing_of(inner: tuple[float, float], outer: tuple[float, float], above: float, below: float) -> Bearing:
    """Where a number's interval lies beside the claimed range (above, below).

    inner: at 95 %, must lie wholly within the range to be for the claim: all figures must, so none needs a correction.
    outer: at 95 % for all figures of the claim together, must lie wholly outside to be against it: one is enough.
    """
    if above < inner[0] and inner[1] <= below:
        return "for"
    return "against" if outer[1] < above or outer[0] > below else "undecided"


def shown(figures: Sequence[Figure]) -> str:
    """The figures as one list; of many pairs, their range and median."""
    if len(figures) <= (_MOST_SHOWN if any(figure.low is not None for figure in figures) else _MOST_BARE):
        return "; ".join(figure.words for figure in figures)
    values, unit = [figure.value or 0.0 for figure in figures], figures[0].unit
    what = figures[0].label.rpartition(", ")[2]
    span = Figure(f"{what}, {len(values)} pairs", None, min(values), max(values), unit, "beside")
    middle = Figure("median", median(values), None, None, unit, "beside")
    return span.words if span.value_words == middle.value_words else f"{span.words}, {middle.words}"


def sources(figures: Sequence[Figure]) -> str:
    """Every publication behind them, once."""
    return "; ".join(dict.fromkeys(part for figure in figures for part in figure.source.split("; ") if part))
