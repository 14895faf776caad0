"""What the measured side of a rule may look at: analysed suites, and what inspections of models stored."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analyse.study import Study
from bench.store.inspections import Inspection


@dataclass(frozen=True)
class Measurements:
    """The suites that were read, in order, and the inspections beside them."""

    studies: tuple[Study, ...]
    inspections: tuple[Inspection, ...] = ()
