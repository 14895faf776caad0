"""Learning rates and weight decays that the recorded sweep `tune` chose for small models, with the record that won.

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
    """What the sweep chose for one model at one budget. validation_top1_pct: the mean over `seeds`.

    weight_decay: None where the sweep tried none. trials: every one run for it.
    """

    model: str
    budget_gflop: float
    learning_rate: float
    validation_top1_pct: float
    dataset: str
    trials: int
    seeds: int  # behind the choice
    cell_id: str  # of its first seed
    weight_decay: float | None = None


def tuned_path() -> Path:
    """The table's file in the package."""
    return catalog_file("tuned.csv")


@cache
def tuned_rates() -> dict[tuple[str, float], TunedRate]:
    """Model name and budget -> its winning trial."""
    return {(row.model, row.budget_gflop): row for row in typed(TunedRate, read_csv("tuned"))}


def tuned_recipes(model: str) -> dict[float, TunedRate]:
    """Budget -> what was chosen for the model there. Raises RequestError when no sweep has chosen anything."""
    found = {budget: row for (name, budget), row in tuned_rates().items() if name == model}
    if not found:
        raise RequestError(
            f"No tuned learning rate for '{model}'. Give the [[train]] block a `learning_rate`, or sweep it: "
            "add the model to suite 'tune', then `vitbench run tune` and `vitbench adopt`."
        )
    return found


def write_tuned_rates(rates: Iterable[TunedRate], path: Path) -> None:
    """Replace the table, sorted by model, whole or not at all."""
    write_csv(path, TunedRate, sorted(rates, key=lambda rate: (rate.model, rate.budget_gflop)), notes=(HEADER_NOTE,))
    tuned_rates.cache_clear()
