"""Accuracy of each trained model in each regime: mean over seeds with its interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

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


_REGIME = ["dataset", "train_images", "budget_gflop"]
_KEY = ["model", "resolution_px", "device", "precision", "memory_format", "compile"]


def trained_scores(
    frame: pd.DataFrame, identities: Mapping[str, ModelIdentity], predictions: Predictions
) -> list[Score]:
    """Scores of every model and regime that was scored on the test part, in order of key and regime.

    Where one regime was run with several recipes, the one with the best mean validation accuracy counts.
    The seed variance of few seeds is pooled within the family: models of one family on the same set, training
    images and rank of budget share it (three seeds alone would need a t quantile of 4.3).
    """
    tested = frame[frame["scored_part"] == "test"]
    groups = [_Group.of(part) for _, part in tested.groupby([*_KEY, *_REGIME, "recipe"], sort=True)]
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
    frame: pd.DataFrame

    @classmethod
    def of(cls, part: pd.DataFrame) -> _Group:
        # two learning-rate records of one seed cannot be here: the recipe is part of the grouping
        part = part.sort_values(["seed", "started_at"], kind="stable").drop_duplicates("seed", keep="last")
        first = part.iloc[0]
        key = RunKey(
            str(first["model"]),
            int(first["resolution_px"]),
            str(first["device"]),
            str(first["precision"]),
            str(first["memory_format"]),
            bool(first["compile"]),
        )
        return cls(key, str(first["dataset"]), int(first["train_images"]), float(first["budget_gflop"]), part)

    @property
    def regime(self) -> tuple[RunKey, str, int, float]:
        return self.key, self.dataset, self.train_images, self.budget_gflop

    @property
    def validation_pct(self) -> float | None:
        known = self.frame["validation_top1_pct"].dropna()
        return float(known.mean()) if len(known) else None

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(float(value) for value in self.frame["top1_pct"])

    def mean(self, column: str) -> float:
        return float(pd.to_numeric(self.frame[column]).mean())


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
    return f"{family} {group.dataset} {group.train_images} {rank} {setting}"


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
    cell_ids = tuple(str(cell_id) for cell_id in group.frame["cell_id"])
    pooled = spreads[_pool_name(group, rank, identities)]
    seeds = SeedGroup(
        values_pct=group.values,
        spread=spread_of(group.values, pooled, f"{group.regime}"),
        test_images=int(group.frame["test_images"].min()),
        correctness=read_correctness(cell_ids, predictions),
    )
    first = group.frame.iloc[0]
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
        seeds=tuple(int(seed) for seed in group.frame["seed"]),
        cell_ids=cell_ids,
    )
