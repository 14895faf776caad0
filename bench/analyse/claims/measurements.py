"""What the measured side of a rule may look at: analysed suites, and what inspections of models stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.analyse.study import Study


@dataclass(frozen=True)
class Measurements:
    """The suites that were read, in order, and the inspections beside them."""

    studies: tuple[Study, ...]
    inspections: tuple[Any, ...] = ()
