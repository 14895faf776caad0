"""Fine-tuned accuracy: mean over seeds of the recipe that validation chose, its sweep, and pretraining's gain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from bench.analyse.differences import Difference
from bench.analyse.intervals import Interval, SeedGroup, accuracy_interval
from bench.analyse.scores import kind_of
from bench.analyse.weights import Subject, subject_of
from bench.catalog.identity import ModelIdentity
from bench.store.correctness import Predictions, read_correctness
from bench.store.frame import Rows, notes_of, number, rows_of
from bench.store.record import Record

HyperRule = tuple[str, float]  # recipe name (`vit` or `bit`) and learning rate
_MEANS = (
    "top5_pct mean_per_class_pct params macs train_flop train_img_per_s pipeline_img_per_s model_img_per_s wait_share"
)
_Place = tuple[Subject, str]  # subject and data set
_Recipe = tuple[HyperRule, tuple[str, ...]]  # with all of the recipe and what the names stand for


@dataclass(frozen=True)
class FinetuneScore:
    """One model's weights adapted to one data set and scored on the test part; `group` holds the seeds."""

    subject: Subject
    identity: ModelIdentity
    dataset: str
    recipe_name: str
    learning_rate: float
    batch_size: int
    steps: float
    validation_pct: float | None  # mean of this recipe's trials; None without trials
    trials: int  # recipes that were tried on validation
    recipes_tested: int  # recipes whose test score exists; more than one only where something went wrong
    group: SeedGroup
    interval: Interval
    top5_pct: float | None
    mean_per_class_pct: float | None
    train_images: float
    params: float | None
    macs: float | None
    train_flop: float | None
    train_img_per_s: float | None
    pipeline_img_per_s: float | None
    model_img_per_s: float | None
    wait_share: float | None
    resumed: int  # times that any of the runs was continued from a checkpoint
    processes: tuple[int, ...]
    micro_batch_sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    notes: tuple[str, ...]
    cell_ids: tuple[str, ...]


@dataclass(frozen=True)
class RecipeSweep:
    """One model's weights on one data set: mean validation accuracy over seeds by recipe and learning rate."""

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
        rates = sorted(rate for name, rate in self.tried if name == self.best[0])
        if len(rates) < 2:
            return ""
        if self.best[1] == rates[0]:
            return "low"
        return "high" if self.best[1] == rates[-1] else ""


@dataclass(frozen=True)
class PretrainingGain:
    """Pretrained minus from scratch, of one model on one data set, in percentage points."""

    pretrained: FinetuneScore
    scratch: FinetuneScore
    difference: Difference


def finetune_scores(
    frame: pd.DataFrame, identities: Mapping[str, ModelIdentity], predictions: Predictions
) -> list[FinetuneScore]:
    """Scores on the test part, in order of subject and data set.

    Of several recipes scored on the test part, the one whose trials were best on validation counts; without trials,
    the one with the most seeds, then the newest: never the one with the best test score.
    """
    validation = _validation_means(frame)
    by_place: dict[_Place, dict[_Recipe, Rows]] = defaultdict(lambda: defaultdict(list))
    for row in rows_of(frame[frame["scored_part"] == "test"]):
        by_place[_place(row)][_rule(row), (str(row["recipe"]), *kind_of(row))].append(row)
    chosen: dict[_Place, tuple[HyperRule, Rows, int]] = {}
    for place, recipes in by_place.items():
        known = validation.get(place, {})
        seeds = {key: _by_seed(rows) for key, rows in recipes.items()}
        best = max(sorted(seeds), key=lambda key: _merit(known.get(key[0]), seeds[key]))
        chosen[place] = best[0], seeds[best], len(seeds)
    return [
        _score(place, *chosen[place], validation.get(place, {}), identities, predictions) for place in sorted(chosen)
    ]


def _place(row: Mapping[str, Any]) -> _Place:
    return subject_of(row), str(row["dataset"])


def _rule(row: Mapping[str, Any]) -> HyperRule:
    return str(row["recipe_name"]), float(row["learning_rate"])


def _merit(validation: float | None, rows: Sequence[Mapping[str, Any]]) -> tuple[float, int, str]:
    return (-1.0 if validation is None else validation), len(rows), max(str(row["started_at"]) for row in rows)


def _by_seed(rows: Iterable[dict[str, Any]]) -> Rows:
    ordered = sorted(rows, key=lambda row: (row["seed"], row["started_at"]))
    return list({row["seed"]: row for row in ordered}.values())


def _validation_means(frame: pd.DataFrame) -> dict[_Place, dict[HyperRule, float]]:
    values: dict[_Place, dict[HyperRule, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows_of(frame[frame["scored_part"] == "validation"]):
        values[_place(row)][_rule(row)].append(float(row["top1_pct"]))
    return {place: {rule: fmean(found) for rule, found in rules.items()} for place, rules in values.items()}


def _mean(rows: Sequence[Mapping[str, Any]], column: str) -> float | None:
    known = [value for row in rows if (value := number(row, column)) is not None]
    return fmean(known) if known else None


def _whole(rows: Sequence[Mapping[str, Any]], column: str) -> tuple[int, ...]:
    return tuple(sorted({int(value) for row in rows if (value := number(row, column)) is not None}))


def _score(
    place: _Place,
    rule: HyperRule,
    rows: Rows,
    recipes_tested: int,
    validation: Mapping[HyperRule, float],
    identities: Mapping[str, ModelIdentity],
    predictions: Predictions,
) -> FinetuneScore:
    subject, dataset = place
    cell_ids = tuple(str(row["cell_id"]) for row in rows)
    values = tuple(float(row["top1_pct"]) for row in rows)
    group = SeedGroup(
        values_pct=values,
        test_images=min(int(row["scored_images"]) for row in rows),
        correctness=read_correctness(cell_ids, predictions),
    )
    return FinetuneScore(
        subject=subject,
        identity=identities[subject.key.model],
        dataset=dataset,
        recipe_name=rule[0],
        learning_rate=rule[1],
        batch_size=int(rows[0]["batch_size"]),
        steps=_mean(rows, "steps") or 0.0,
        validation_pct=validation.get(rule),
        trials=len(validation),
        recipes_tested=recipes_tested,
        group=group,
        interval=accuracy_interval(group),
        train_images=_mean(rows, "train_images") or 0.0,
        **{name: _mean(rows, name) for name in _MEANS.split()},
        resumed=sum(int(number(row, "resumed") or 0) for row in rows),
        processes=_whole(rows, "processes"),
        micro_batch_sizes=_whole(rows, "micro_batch_size"),
        seeds=tuple(int(row["seed"]) for row in rows),
        notes=notes_of(rows),
        cell_ids=cell_ids,
    )


def recipe_sweeps(frame: pd.DataFrame, failed: Iterable[Record] = ()) -> list[RecipeSweep]:
    """Every model's weights and set with a trial scored on validation; failed: trials without a result."""
    found: dict[_Place, dict[HyperRule, Rows]] = defaultdict(lambda: defaultdict(list))
    for row in rows_of(frame[frame["scored_part"] == "validation"]):
        found[_place(row)][_rule(row)].append(row)
    origins = {str(row["weights"]): (row["trained_on"], row["pretraining"]) for row in rows_of(frame)}
    lost: dict[_Place, set[HyperRule]] = defaultdict(set)
    for record in failed:
        cell, settings = record.cell, record.cell.get("settings") or {}
        row = {"precision": "fp32", "memory_format": "contiguous", "compile": False, "fold": False, **settings, **cell}
        row["trained_on"], row["pretraining"] = origins.get(str(cell["weights"]), ("", ""))
        recipe = cell.get("recipe") or {}
        rule = str(recipe.get("name", "vit")), float(recipe["learning_rate"])
        lost[_place(row)].add(rule)
    return [
        RecipeSweep(
            subject=place[0],
            dataset=place[1],
            top1_pct={rule: fmean(float(row["top1_pct"]) for row in rows) for rule, rows in sorted(rules.items())},
            cell_ids={rule: tuple(str(row["cell_id"]) for row in rows) for rule, rows in rules.items()},
            tried=tuple(sorted({*rules, *lost.get(place, ())})),
        )
        for place, rules in sorted(found.items())
    ]


def pretraining_gains(scores: Iterable[FinetuneScore]) -> list[PretrainingGain]:
    """For each model and set with both, pretrained weights minus random ones at the same resolution and setting.

    Weights that this suite trained on the very set are left out: they saw its images and labels before.
    """
    scores = list(scores)
    scratch = {(one.subject.key, one.dataset): one for one in scores if one.subject.is_from_scratch}
    pairs = [
        (one, scratch[one.subject.key, one.dataset])
        for one in scores
        if (one.subject.key, one.dataset) in scratch
        and not one.subject.is_from_scratch
        and one.subject.trained_on != one.dataset
    ]
    return [PretrainingGain(one, other, Difference.of(one.group, other.group)) for one, other in pairs]
