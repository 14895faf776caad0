"""Sweeps as tables: mean validation accuracy of everything that was tried for a model, failures included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from bench.analyse.accuracies.pooling import HyperRule, Row, hyper_rule, ids_of
from bench.analyse.accuracies.subjects import Subject, cell_row, subject_of
from bench.catalog.identity import ModelIdentity
from bench.store.record import Record
from bench.store.rows import Rows

# model, data set, training images, budget in GFLOP; the rest of the recipe
Regime = tuple[str, str, int, float, tuple[str, ...]]
K = TypeVar("K", bound=tuple[Any, ...])
R = TypeVar("R", float, HyperRule)


@dataclass(frozen=True)
class SweptModel:
    """One model trained from scratch on one data set and budget: mean validation accuracy over seeds by rate."""

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
        return _edge(self.best_rate, self.tried)

    @property
    def largest_dip_pp(self) -> float:
        """How far a finished rate fell below the lower of its two neighbours, at most; 0 where none did."""
        values = [self.top1_pct[rate] for rate in sorted(self.top1_pct)]
        dips = [min(a, c) - b for a, b, c in zip(values, values[1:], values[2:], strict=False)]
        return max([0.0, *dips])


@dataclass(frozen=True)
class RecipeSweep:
    """One model's weights fine-tuned on one data set: mean validation accuracy over seeds by recipe and rate."""

    subject: Subject
    dataset: str
    top1_pct: Mapping[HyperRule, float]  # trials that finished
    cell_ids: Mapping[HyperRule, tuple[str, ...]]
    tried: tuple[HyperRule, ...]  # with those whose every trial failed

    @property
    def best(self) -> HyperRule:
        """The recipe with the best accuracy; of equals, the smallest learning rate."""
        return max(sorted(self.top1_pct, key=lambda rule: (rule[1], rule[0])), key=lambda rule: self.top1_pct[rule])

    @property
    def edge(self) -> str:
        """`low` or `high` where the best rate is the smallest or largest of several tried with its recipe."""
        return _edge(self.best[1], [rate for name, rate in self.tried if name == self.best[0]])


def _edge(best: float, rates: Collection[float]) -> str:
    if len(rates) < 2:
        return ""
    return "low" if best == min(rates) else "high" if best == max(rates) else ""


def swept_models(
    rows: Rows, identities: Mapping[str, ModelIdentity], failed: Iterable[Record] = ()
) -> list[SweptModel]:
    """Every model and regime with two learning rates or more tried, one of them to the end.

    rows: of trainings. failed: trials without a result; their rates count as tried (a diverged loss bounds the range).
    """
    trials = _by_place(rows, lambda row: _regime(row, row), lambda row: float(row["learning_rate"]))
    lost = {(_regime(one.cell, one.cell["recipe"]), float(one.cell["recipe"]["learning_rate"])) for one in failed}
    found = []
    for regime, by_rate in trials.items():
        model, dataset, images, budget, _ = regime
        tried = sorted({*by_rate, *(rate for place, rate in lost if place == regime)})
        if len(tried) > 1:
            found.append(
                SweptModel(
                    identity=identities[model],
                    dataset=dataset,
                    train_images=images,
                    budget_gflop=budget,
                    top1_pct=_means(by_rate, "validation_top1_pct"),
                    cell_ids={rate: ids_of(own) for rate, own in by_rate.items()},
                    seeds=max(map(len, by_rate.values())),
                    tried=tuple(tried),
                )
            )
    return found


def recipe_sweeps(rows: Rows, failed: Iterable[Record] = ()) -> list[RecipeSweep]:
    """Every model's weights and set with a trial scored on validation. failed: trials without a result."""

    def place(row: Row) -> tuple[Subject, str]:
        return subject_of(row), str(row["dataset"])

    origins = {str(row["weights"]): (row["trained_on"], row["pretraining"]) for row in rows}
    lost: dict[tuple[Subject, str], set[HyperRule]] = defaultdict(set)
    for record in failed:
        cell, recipe = record.cell, record.cell.get("recipe") or {}
        trained_on, pretraining = origins.get(str(cell["weights"]), ("", ""))
        row = cell_row(cell) | {"trained_on": trained_on, "pretraining": pretraining}
        lost[place(row)].add((str(recipe.get("name", "vit")), float(recipe["learning_rate"])))
    return [
        RecipeSweep(
            subject=subject,
            dataset=dataset,
            top1_pct=_means(by_rule, "top1_pct"),
            cell_ids={rule: ids_of(own) for rule, own in by_rule.items()},
            tried=tuple(sorted({*by_rule, *lost.get((subject, dataset), ())})),
        )
        for (subject, dataset), by_rule in _by_place(rows, place, hyper_rule).items()
    ]


def _by_place(rows: Rows, place: Callable[[Row], K], rule: Callable[[Row], R]) -> dict[K, dict[R, Rows]]:
    """The rows that were scored on validation by place and by what was tried there, both rising."""
    found: dict[K, dict[R, Rows]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["scored_part"] == "validation":
            found[place(row)][rule(row)].append(row)
    return {key: dict(sorted(found[key].items())) for key in sorted(found)}


def _means(tried: Mapping[R, Rows], column: str) -> dict[R, float]:
    return {rule: float(np.mean([row[column] for row in own])) for rule, own in tried.items()}


def _regime(row: Mapping[Any, Any], recipe: Mapping[Any, Any]) -> Regime:
    """recipe: of the row; trials that differ in more than the rate are of different sweeps."""
    rest = tuple(str(recipe.get(name)) for name in ("weight_decay", "batch_size", "augmentation"))
    return str(row["model"]), str(row["dataset"]), int(row["train_images"]), float(row["budget_gflop"]), rest
