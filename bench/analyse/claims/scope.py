"""Whether a record lies in a claim's scope. A condition that is not known is outside: it can decide nothing."""

from __future__ import annotations

from dataclasses import dataclass

from bench.catalog.claims import Range, Scope
from bench.shown import significant
from bench.units import GIGA

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


def outside(scope: Scope, conditions: Conditions) -> tuple[str, ...]:
    """Where the conditions leave the scope, in words: `what it is, not what was asked`. Empty: inside."""
    found = []
    for asked, known, words in (
        (scope.pretraining_images, conditions.pretraining_images, _images),
        (scope.exaflops, conditions.exaflops, _exaflops),
        (scope.resolution_px, conditions.resolution_px, _pixels),
        (scope.macs, conditions.macs, _macs),
    ):
        if asked is not None and (known is None or not asked[0] <= known <= asked[1]):
            found.append(f"{words(known)}, not {_range(asked, words)}")
    for named, own, titles in (
        (scope.devices, conditions.device, {"": "on an unknown device"}),
        (scope.data, conditions.data, KIND_WORDS),
        (scope.datasets, conditions.dataset, {}),
    ):
        if named and own not in named:
            found.append(
                f"{titles.get(own, own) or 'unknown data'}, not {' or '.join(titles.get(n, n) for n in named)}"
            )
    return tuple(found)


def _range(asked: Range, words: object) -> str:
    assert callable(words)
    low, high = asked
    if high == float("inf"):
        return f"{words(low)} or more"
    return f"{words(high)} or less" if low <= 0 else f"{words(low)} to {words(high)}"


def _images(value: float | None) -> str:
    if value is None:
        return "unknown pre-training data"
    return "no pre-training" if value == 0 else f"pre-training on {significant(value, 3)} images"


def _exaflops(value: float | None) -> str:
    return "unknown training compute" if value is None else f"{_small(value)} exaFLOP"


def _small(value: float) -> str:
    return significant(value, 2) if value >= 1e-3 else f"{value:.1e}"


def _pixels(value: float | None) -> str:
    return "unknown resolution" if value is None else f"{value:.0f} px"


def _macs(value: float | None) -> str:
    return "unknown MACs" if value is None else f"{_small(value / GIGA)} GMACs"
