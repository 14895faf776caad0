"""Accuracy of each trained model in each regime: mean over seeds with its interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import pandas as pd

from bench.analyse.correctness import Predictions, read_correctness
from bench.analyse.identity import ModelIdentity
from bench.analyse.intervals import Interval, SeedGroup, Spread, accuracy_interval, pooled_spread, spread_of


@dataclass(frozen=True, order=True)
class RunKey:
    """What accuracy and speed must agree on to be one row: model, resolution and settings on one kind of device."""

    model: str
    resolution_px: int
    device: str = ""
    precision: str = ""
    memory_format: str = ""
    compile: bool = False
    fold: bool = False


@dataclass(frozen=True)
class Score:
    """One model in one regime: data set, training images and training compute; `group` holds the seeds."""

    key: RunKey
    identity: ModelIdentity
    dataset: str
    train_images: int
    budget_gflop: float
    budget_rank: int  # 0: the largest budget of its size class on this set and size
    learning_rate: float
    batch_size: int
    group: SeedGroup
    interval: Interval
    validation_pct: float | None
    train_flop: float
    images_seen: float
    train_img_per_s: float
    params: float
    macs: float
    seeds: tuple[int, ...]
    cell_ids: tuple[str, ...]
    kind: tuple[str, str, str] = ("", "", "")  # model definition, data fingerprint, classes: never pooled over
    macs_note: str = ""  # why the MACs, on which the budget rests, are not certified


_REGIME = ["dataset", "train_images", "budget_gflop"]
_KIND = ["definition", "fingerprint", "num_classes"]
KEY_COLUMNS = ["model", "resolution_px", "device", "precision", "memory_format", "compile", "fold"]


def run_key(row: Mapping[str, Any]) -> RunKey:
    """The key of a row of a training, speed or memory frame."""
    return RunKey(
        str(row["model"]),
        int(row["resolution_px"]),
        str(row["device"]),
        str(row["precision"]),
        str(row["memory_format"]),
        bool(row["compile"]),
        bool(row["fold"]),
    )


def kind_of(row: Mapping[Any, Any]) -> tuple[str, str, str]:
    """What the names in a row stand for: definition of the model, fingerprint of the data, classes."""
    definition, fingerprint, classes = ("" if pd.isna(row[column]) else str(row[column]) for column in _KIND)
    return definition, fingerprint, classes


def trained_scores(
    frame: pd.DataFrame, identities: Mapping[str, ModelIdentity], predictions: Predictions
) -> list[Score]:
    """Scores of every model and regime that was scored on the test part, in order of key and regime.

    Runs of another definition of the model or of other data are groups of their own (see `current_records`).
    Where one regime was run with several recipes, the one with the best mean validation accuracy counts.
    The seed variance of few seeds is pooled within the family: models of one family on the same set, training
    images and rank of budget share it (three seeds alone would need a t quantile of 4.3).
    """
    by_recipe: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in frame[frame["scored_part"] == "test"].to_dict("records"):
        by_recipe[(*(row[column] for column in (*KEY_COLUMNS, *_REGIME, "recipe")), kind_of(row))].append(
            {str(column): value for column, value in row.items()}
        )
    groups = [_Group.of(by_recipe[key]) for key in sorted(by_recipe)]
    chosen = _best_recipes(groups)
    ranks = _budget_ranks(chosen, identities)
    spreads = _pooled_spreads(chosen, ranks, identities)
    return [_score(group, ranks[group.regime], spreads, identities, predictions) for group in chosen]


def main_scores(scores: Iterable[Score]) -> list[Score]:
    """The scores at the largest training set of each data set and the largest budget of each size class."""
    scores = list(scores)
    largest: dict[str, int] = {}
    for score in scores:
        largest[score.dataset] = max(largest.get(score.dataset, 0), score.train_images)
    return [s for s in scores if s.budget_rank == 0 and s.train_images == largest[s.dataset]]


@dataclass(frozen=True)
class _Group:
    """The seeds of one model, regime and recipe, before anything is said of their spread."""

    key: RunKey
    dataset: str
    train_images: int
    budget_gflop: float
    rows: tuple[Mapping[str, Any], ...]  # one per seed, in order of seeds

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> _Group:
        by_seed = {row["seed"]: row for row in sorted(rows, key=lambda row: (row["seed"], row["started_at"]))}
        first = rows[0]
        regime = (str(first["dataset"]), int(first["train_images"]), float(first["budget_gflop"]))
        return cls(run_key(first), *regime, tuple(by_seed.values()))

    @property
    def regime(self) -> tuple[RunKey, str, int, float]:
        return self.key, self.dataset, self.train_images, self.budget_gflop

    @property
    def validation_pct(self) -> float | None:
        known = [row["validation_top1_pct"] for row in self.rows if pd.notna(row["validation_top1_pct"])]
        return fmean(known) if known else None

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(float(row["top1_pct"]) for row in self.rows)

    def mean(self, column: str) -> float:
        return fmean(float(row[column]) for row in self.rows)


def _best_recipes(groups: Sequence[_Group]) -> list[_Group]:
    best: dict[tuple[RunKey, str, int, float], _Group] = {}
    for group in groups:
        other = best.get(group.regime)
        if other is None or (group.validation_pct or 0.0) > (other.validation_pct or 0.0):
            best[group.regime] = group
    return [best[regime] for regime in sorted(best)]


def _size_class(group: _Group, identities: Mapping[str, ModelIdentity]) -> str:
    return identities[group.key.model].size_class or group.key.model


def _budget_ranks(
    groups: Sequence[_Group], identities: Mapping[str, ModelIdentity]
) -> dict[tuple[RunKey, str, int, float], int]:
    """Position of each budget among those of the model's size class, the largest being 0."""
    budgets: dict[tuple[str, str, int], set[float]] = defaultdict(set)
    for group in groups:
        budgets[_size_class(group, identities), group.dataset, group.train_images].add(group.budget_gflop)
    ranks = {}
    for group in groups:
        known = budgets[_size_class(group, identities), group.dataset, group.train_images]
        ranks[group.regime] = sorted(known, reverse=True).index(group.budget_gflop)
    return ranks


def _pool_name(group: _Group, rank: int, identities: Mapping[str, ModelIdentity]) -> str:
    family, setting = identities[group.key.model].family, replace(group.key, model="")
    data = kind_of(group.rows[0])[1:]  # the definition differs between the models that share a spread
    return f"{family} {group.dataset} {data} {group.train_images} {rank} {setting}"


def _pooled_spreads(
    groups: Sequence[_Group],
    ranks: Mapping[tuple[RunKey, str, int, float], int],
    identities: Mapping[str, ModelIdentity],
) -> dict[str, Spread | None]:
    values: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for group in groups:
        values[_pool_name(group, ranks[group.regime], identities)].append(group.values)
    return {pool: pooled_spread(of_pool, pool) for pool, of_pool in values.items()}


def _score(
    group: _Group,
    rank: int,
    spreads: Mapping[str, Spread | None],
    identities: Mapping[str, ModelIdentity],
    predictions: Predictions,
) -> Score:
    cell_ids = tuple(str(row["cell_id"]) for row in group.rows)
    pooled = spreads[_pool_name(group, rank, identities)]
    seeds = SeedGroup(
        values_pct=group.values,
        spread=spread_of(group.values, pooled, f"{group.regime}"),
        test_images=min(int(row["test_images"]) for row in group.rows),
        correctness=read_correctness(cell_ids, predictions),
    )
    first = group.rows[0]
    return Score(
        key=group.key,
        identity=identities[group.key.model],
        dataset=group.dataset,
        train_images=group.train_images,
        budget_gflop=group.budget_gflop,
        budget_rank=rank,
        learning_rate=float(first["learning_rate"]),
        batch_size=int(first["batch_size"]),
        group=seeds,
        interval=accuracy_interval(seeds),
        validation_pct=group.validation_pct,
        train_flop=group.mean("train_flop"),
        images_seen=group.mean("images_seen"),
        train_img_per_s=group.mean("train_img_per_s"),
        params=group.mean("params"),
        macs=group.mean("macs"),
        seeds=tuple(int(row["seed"]) for row in group.rows),
        cell_ids=cell_ids,
        kind=kind_of(first),
        macs_note="" if pd.isna(first["certificate_note"]) else str(first["certificate_note"]),
    )
