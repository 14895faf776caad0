"""Learning rates that were chosen by the recorded sweep `tune`, one per small model, with the record that won.

The table is written by `vitbench adopt` from `results/tune`; a test keeps the two equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.catalog.tables import catalog_file, read_csv, typed, write_csv
from bench.errors import RequestError

HEADER_NOTE = "Chosen by `vitbench adopt`; do not edit by hand."


@dataclass(frozen=True)
class TunedRate:
    """What the sweep chose for one model. validation_top1_pct: the mean over `seeds`. trials: every one run for it."""

    model: str
    learning_rate: float
    validation_top1_pct: float
    dataset: str
    trials: int
    seeds: int  # behind the choice
    cell_id: str  # of its first seed


def tuned_path() -> Path:
    """The table's file in the package."""
    return catalog_file("tuned.csv")


@cache
def tuned_rates() -> dict[str, TunedRate]:
    """Model name -> its winning trial."""
    return {row.model: row for row in typed(TunedRate, read_csv("tuned"))}


def tuned_learning_rate(model: str) -> float:
    """The learning rate of `model`. Raises RequestError when no sweep has chosen one."""
    rates = tuned_rates()
    if model not in rates:
        raise RequestError(
            f"No tuned learning rate for '{model}'. Give the [[train]] block a `learning_rate`, or sweep it: "
            "add the model to suite 'tune', then `vitbench run tune` and `vitbench adopt`."
        )
    return rates[model].learning_rate


def write_tuned_rates(rates: Iterable[TunedRate], path: Path) -> None:
    """Replace the table, sorted by model, whole or not at all."""
    write_csv(path, TunedRate, sorted(rates, key=lambda rate: rate.model), notes=(HEADER_NOTE,))
    tuned_rates.cache_clear()
