"""What a finished cell gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.measure.scoring.accuracy import Predictions


@dataclass(frozen=True)
class Outcome:
    """What a finished cell gives: values and samples as records hold them, predictions where there are any."""

    values: dict[str, Any]
    samples: dict[str, list[float]] = field(default_factory=dict)
    predictions: Predictions | None = None
