"""Accuracy of each trained model in each regime: mean over seeds with its interval."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from bench.analyse.differences import Difference, alike
from bench.analyse.intervals import Interval, SeedGroup, accuracy_interval
from bench.catalog.identity import ModelIdentity
from bench.store.correctness import Predictions, read_correctness
from bench.store.frame import Rows, rows_of


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
    train_flop: float
    train_img_per_s: float
    params: float
    macs: float
    seeds: tuple[int, ...]
    cell_ids: tuple[str, ...]
    kind: tuple[str, str, str] = ("", "", "")  # model definition, data fingerprint, classes: never pooled over
    macs_note: str = ""  # why the MACs, on which the budget rests, are not certified


_REGIME = ["dataset", "train_images", "budget_gflop", "recipe"]
_KIND = ["definition", "fingerprint", "num_classes"]


def run_key(row: Mapping[str, Any]) -> RunKey:
    """The key of a row of a training, speed or memory frame."""
    model, device, precision, layout = (str(row[name]) for name in ("model", "device", "precision", "memory_format"))
    return RunKey(model, int(row["resolution_px"]), device, precision, layout, bool(row["compile"]), bool(row["fold"]))


def distinguishing(key: RunKey, siblings: Iterable[RunKey]) -> list[str]:
    """In words, what of the resolution and the settings is not the same for all of these keys."""
    words = {
        "resolution_px": f"@{key.resolution_px}",
        "device": key.device,
        "precision": key.precision,
        "memory_format": key.memory_format,
        "compile": "compiled" if key.compile else "eager",
        "fold": "folded" if key.fold else "unfolded",
    }
    siblings = list(siblings)
    return [word for name, word in words.items() if word and len({getattr(one, name) for one in siblings}) > 1]


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
    """
    by_recipe: dict[tuple[Any, ...], Rows] = defaultdict(list)
    for row in rows_of(frame[frame["scored_part"] == "test"]):
        by_recipe[(run_key(row), *(row[column] for column in _REGIME), kind_of(row))].append(row)
    groups = [_Group.of(by_recipe[key]) for key in sorted(by_recipe)]
    chosen = _best_recipes(groups)
    ranks = _budget_ranks(chosen, identities)
    return [_score(group, ranks[group.regime], identities, predictions) for group in chosen]


def main_scores(scores: Iterable[Score]) -> list[Score]:
    """The scores at the largest training set of each data set and the largest budget of each size class."""
    return [score for score in at_largest_set(scores) if score.budget_rank == 0]


def at_largest_set(scores: Iterable[Score]) -> list[Score]:
    """The scores at the largest training set of each data set."""
    scores = list(scores)
    largest: dict[str, int] = {}
    for score in scores:
        largest[score.dataset] = max(largest.get(score.dataset, 0), score.train_images)
    return [score for score in scores if score.train_images == largest[score.dataset]]


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


def _budget_ranks(
    groups: Sequence[_Group], identities: Mapping[str, ModelIdentity]
) -> dict[tuple[RunKey, str, int, float], int]:
    """Position of each budget among those of the model's size class, the largest being 0."""

    def place(group: _Group) -> tuple[str, str, int]:
        return identities[group.key.model].size_class or group.key.model, group.dataset, group.train_images

    budgets: dict[tuple[str, str, int], set[float]] = defaultdict(set)
    for group in groups:
        budgets[place(group)].add(group.budget_gflop)
    return {group.regime: sum(b > group.budget_gflop for b in budgets[place(group)]) for group in groups}


def _score(group: _Group, rank: int, identities: Mapping[str, ModelIdentity], predictions: Predictions) -> Score:
    cell_ids = tuple(str(row["cell_id"]) for row in group.rows)
    seeds = SeedGroup(
        values_pct=group.values,
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
        train_flop=group.mean("train_flop"),
        train_img_per_s=group.mean("train_img_per_s"),
        params=group.mean("params"),
        macs=group.mean("macs"),
        seeds=tuple(int(row["seed"]) for row in group.rows),
        cell_ids=cell_ids,
        kind=kind_of(first),
        macs_note="" if pd.isna(first["certificate_note"]) else str(first["certificate_note"]),
    )


def of_one_setting(scores: Sequence[Score]) -> list[Score]:
    """The scores of the device, precision, resolution and version of the data that most have."""

    def setting(score: Score) -> tuple[object, ...]:
        key = score.key
        return key.resolution_px, key.device, key.precision, key.memory_format, key.compile, *score.kind[1:]

    counts = Counter(setting(score) for score in scores)
    most = min(counts, key=lambda key: (-counts[key], str(key)), default=None)
    return [score for score in scores if setting(score) == most]


FAMILY_PAIRS = (("vit", "cnn"), ("hybrid", "cnn"), ("vit", "hybrid"))


@dataclass(frozen=True)
class Place:
    """Where two models meet: on one data set, trained on as many images with as much compute."""

    first: RunKey
    second: RunKey
    dataset: str
    train_images: int
    budget_gflop: float


def score_differences(scores: Iterable[Score]) -> dict[Place, Difference]:
    """Every two models of one size and of different families, at every place that both have; FAMILY_PAIRS in order."""
    by_place: dict[tuple[str, int, float], list[Score]] = defaultdict(list)
    for score in scores:
        by_place[score.dataset, score.train_images, score.budget_gflop].append(score)
    met = {}
    for (dataset, images, budget), found in sorted(by_place.items()):
        own = of_one_setting(found)
        for families in FAMILY_PAIRS:
            first, second = ([s for s in own if s.identity.family == family] for family in families)
            for a, b in itertools.product(first, second):
                if alike((a.identity.size_class, b.identity.size_class), (a.macs, b.macs)):
                    met[Place(a.key, b.key, dataset, images, budget)] = Difference.of(a.group, b.group)
    return met
