"""Whether a record lies in a claim's scope. A condition that is not known is outside: it can decide nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.catalog.claims import Range, Scope
from bench.shown import listed, significant
from bench.units import EXA, GIGA, MEGA, TERA

KIND_WORDS = {
    "generated": "generated images",
    "real": "embedded images",
    "public": "public data sets",
    "given": "your own images",
}


@dataclass(frozen=True)
class Conditions:
    """What a scope can ask of a record. None or empty: not known, or it has none."""

    pretraining_images: float | None = None  # different images seen before fine-tuning; 0 from scratch
    exaflops: float | None = None  # training compute, 1e18 FLOPs
    resolution_px: int | None = None
    macs: float | None = None
    device: str = ""
    data: str = ""  # generated, real, public or given
    dataset: str = ""


@dataclass(frozen=True)
class Departure:
    """One way in which a record leaves a scope. value: its number, None where it is not known or is a word."""

    condition: str
    value: float | None
    is_words: str
    asked_words: str


def outside(scope: Scope, conditions: Conditions) -> tuple[Departure, ...]:
    """Where the conditions leave the scope. Empty: inside."""
    found = []
    for condition, words in _NUMBERS.items():
        asked, known = getattr(scope, condition), getattr(conditions, condition)
        if asked is not None and (known is None or not asked[0] <= known <= asked[1]):
            found.append(Departure(condition, known, words(known, known), _asked(asked, words)))
    for condition, named, own in (
        ("devices", scope.devices, conditions.device),
        ("data", scope.data, conditions.data),
        ("datasets", scope.datasets, conditions.dataset),
    ):
        if named and own not in named:
            titles = KIND_WORDS if condition == "data" else {}
            asked_words = " or ".join(titles.get(name, name) for name in named)
            found.append(Departure(condition, None, titles.get(own, own) or "unknown", asked_words))
    return tuple(found)


def departure_words(departures: Iterable[Departure]) -> str:
    """All departures of several records, one clause for each condition: `32 px, not 224 px or more; ...`."""
    by_condition: dict[str, list[Departure]] = {}
    for one in departures:
        by_condition.setdefault(one.condition, []).append(one)
    clauses = []
    for condition, own in by_condition.items():
        values = [one.value for one in own if one.value is not None]
        words = list(dict.fromkeys(one.is_words for one in own if one.value is None))
        if values:
            words.insert(0, _NUMBERS[condition](min(values), max(values)))
        clauses.append(f"{listed(words)}, not {own[0].asked_words}")
    return "; ".join(clauses)


def scope_words(scope: Scope) -> str:
    """What a scope asks of a record; `any record` where it asks nothing."""
    clauses = [_asked(asked, words) for name, words in _NUMBERS.items() if (asked := getattr(scope, name)) is not None]
    clauses += [" or ".join(named) for named in (scope.devices, scope.datasets) if named]
    if scope.data:
        clauses.append(" or ".join(KIND_WORDS.get(name, name) for name in scope.data))
    return "; ".join(clauses) or "any record"


def _asked(asked: Range, words: Callable[[float | None, float | None], str]) -> str:
    low, high = asked
    if high == float("inf"):
        return f"{words(low, low)} or more"
    return f"{words(high, high)} or less" if low <= 0 else words(low, high)


def _span(low: float | None, high: float | None, unknown: str, scales: Sequence[tuple[float, str]]) -> str:
    """One number, or two with `to`, in the first unit of the scales (factor, unit) of which the larger has a tenth."""
    if low is None or high is None:
        return f"unknown {unknown}"
    factor, unit = next((scale for scale in scales if high >= scale[0] / 10), scales[-1])
    ends = [significant(value / factor, 3 if value >= 100 * factor else 2) for value in (low, high)]
    return f"{' to '.join(dict.fromkeys(ends))} {unit}"


def _images(low: float | None, high: float | None) -> str:
    if high == 0:
        return "no pre-training"
    return f"pre-training on {_span(low, high, 'data', ((MEGA, 'million images'), (1.0, 'images')))}"


def _exaflops(low: float | None, high: float | None) -> str:
    return _span(low, high, "training compute", ((1.0, "exaFLOP"), (TERA / EXA, "TFLOP"), (GIGA / EXA, "GFLOP")))


def _pixels(low: float | None, high: float | None) -> str:
    return "unknown resolution" if low is None or high is None else f"{low:.0f}{f' to {high:.0f}' * (low < high)} px"


def _macs(low: float | None, high: float | None) -> str:
    return _span(low, high, "MACs", ((GIGA, "G MACs"), (MEGA, "M MACs")))


_NUMBERS: dict[str, Callable[[float | None, float | None], str]] = {
    "pretraining_images": _images,
    "exaflops": _exaflops,
    "resolution_px": _pixels,
    "macs": _macs,
}
