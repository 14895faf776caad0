"""The learning-rate sweep as a table: validation accuracy of every rate that was tried for every model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from bench.analyse.identity import ModelIdentity


@dataclass(frozen=True)
class SweptModel:
    """One model on one data set and budget: mean validation accuracy over seeds by learning rate."""

    identity: ModelIdentity
    dataset: str
    train_images: int
    budget_gflop: float
    top1_pct: Mapping[float, float]  # rates in rising order
    cell_ids: Mapping[float, tuple[str, ...]]
    seeds: int  # most seeds behind one rate

    @property
    def best_rate(self) -> float:
        """The rate with the best accuracy; of equals, the smallest."""
        return max(sorted(self.top1_pct), key=lambda rate: self.top1_pct[rate])

    @property
    def edge(self) -> str:
        """`low` or `high` where the best rate is the smallest or largest that finished, else empty."""
        rates = sorted(self.top1_pct)
        if self.best_rate == rates[0]:
            return "low"
        return "high" if self.best_rate == rates[-1] else ""


def swept_models(frame: pd.DataFrame, identities: Mapping[str, ModelIdentity]) -> list[SweptModel]:
    """Every model and regime that validation scored at two learning rates or more."""
    found = []
    scored = frame[frame["scored_part"] == "validation"]
    for _, part in scored.groupby(["model", "dataset", "train_images", "budget_gflop"], sort=True):
        first = part.iloc[0]
        rates = {float(rows["learning_rate"].iloc[0]): rows for _, rows in part.groupby("learning_rate", sort=True)}
        if len(rates) < 2:
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
            )
        )
    return found
