"""How a bare number is written for a reader: rounded, grouped, with a true minus. Knows no report and no result."""

from __future__ import annotations

import math
from collections.abc import Iterable

THIN = "\u202f"  # narrow no-break space: groups thousands and never wraps


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
