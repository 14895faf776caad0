"""The learning-rate sweep as a table: validation accuracy of every rate that was tried for every model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.catalog.identity import ModelIdentity
from bench.store.record import Record

Regime = tuple[str, str, int, float]  # model, data set, training images, budget in GFLOP


@dataclass(frozen=True)
class SweptModel:
    """One model on one data set and budget: mean validation accuracy over seeds by learning rate."""

    identity: ModelIdentity
    dataset: str
    train_images: int
    budget_gflop: float
    top1_pct: Mapping[float, float]  # rates that finished, in rising order
    cell_ids: Mapping[float, tuple[str, ...]]
    seeds: int  # most seeds behind one rate
    tried: tuple[float, ...]  # rising; with those whose every trial failed

    @property
    def best_rate(self) -> float:
        """The rate with the best accuracy; of equals, the smallest."""
        return max(sorted(self.top1_pct), key=lambda rate: self.top1_pct[rate])

    @property
    def edge(self) -> str:
        """`low` or `high` where the best rate is the smallest or largest that was tried, else empty."""
        if self.best_rate == self.tried[0]:
            return "low"
        return "high" if self.best_rate == self.tried[-1] else ""

    @property
    def largest_dip_pp(self) -> float:
        """How far a finished rate fell below the lower of its two neighbours, at most; 0 where none did."""
        values = [self.top1_pct[rate] for rate in sorted(self.top1_pct)]
        dips = [min(a, c) - b for a, b, c in zip(values, values[1:], values[2:], strict=False)]
        return max([0.0, *dips])


def swept_models(
    frame: pd.DataFrame, identities: Mapping[str, ModelIdentity], failed: Iterable[Record] = ()
) -> list[SweptModel]:
    """Every model and regime with two learning rates or more tried, one of them to the end.

    failed: trials without a result; their rates count as tried (a diverged loss bounds the range, too).
    """
    diverged = _rates_of(failed)
    found = []
    scored = frame[frame["scored_part"] == "validation"]
    for _, part in scored.groupby(["model", "dataset", "train_images", "budget_gflop"], sort=True):
        first = part.iloc[0]
        rates = {float(rows["learning_rate"].iloc[0]): rows for _, rows in part.groupby("learning_rate", sort=True)}
        tried = sorted({*rates, *diverged.get(_regime(first.to_dict()), ())})
        if len(tried) < 2:
            continue
        found.append(
            SweptModel(
                identity=identities[str(first["model"])],
                dataset=str(first["dataset"]),
                train_images=int(first["train_images"]),
                budget_gflop=float(first["budget_gflop"]),
                top1_pct={rate: float(rows["validation_top1_pct"].mean()) for rate, rows in rates.items()},
                cell_ids={rate: tuple(rows["cell_id"]) for rate, rows in rates.items()},
                seeds=max(len(rows) for rows in rates.values()),
                tried=tuple(tried),
            )
        )
    return found


def _regime(row: Mapping[Any, Any]) -> Regime:
    return str(row["model"]), str(row["dataset"]), int(row["train_images"]), float(row["budget_gflop"])


def _rates_of(records: Iterable[Record]) -> dict[Regime, set[float]]:
    rates: dict[Regime, set[float]] = defaultdict(set)
    for record in records:
        rates[_regime(record.cell)].add(float(record.cell["recipe"]["learning_rate"]))
    return rates
