"""Fine-tuned accuracy: mean over seeds of the recipe that validation chose, its sweep, and pretraining's gain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import pandas as pd

from bench.analyse.compare import Verdict, verdict_of
from bench.analyse.correctness import Predictions, read_correctness
from bench.analyse.current import is_of_same_kind
from bench.analyse.evaluated import as_rows, notes_of, number
from bench.analyse.identity import ModelIdentity
from bench.analyse.intervals import (
    Interval,
    SeedGroup,
    Spread,
    accuracy_interval,
    contrast_interval,
    pooled_spread,
    spread_of,
)
from bench.analyse.scores import kind_of
from bench.analyse.weights import Subject, subject_of
from bench.store.record import Record

HyperRule = tuple[str, float]  # recipe name (`vit` or `bit`) and learning rate
_Place = tuple[Subject, str]  # subject and data set


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
    identity: ModelIdentity
    dataset: str
    top1_pct: Mapping[HyperRule, float]  # trials that finished
    cell_ids: Mapping[HyperRule, tuple[str, ...]]
    seeds: int  # most seeds behind one trial
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
    delta_pp: float
    interval: Interval | None  # None when no spread over seeds is known
    verdict: Verdict


def finetune_scores(
    frame: pd.DataFrame, identities: Mapping[str, ModelIdentity], predictions: Predictions
) -> list[FinetuneScore]:
    """Scores on the test part, in order of subject and data set.

    Of several recipes scored on the test part, the one whose trials were best on validation counts; without trials,
    the one with the most seeds, then the newest: never the one with the best test score. The seed variance of few
    seeds is pooled over models of one family on the same set, pretrained ones and those from scratch apart.
    """
    validation = _validation_means(frame)
    by_place: dict[_Place, dict[tuple[HyperRule, tuple[str, ...]], list[dict[str, Any]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in as_rows(frame[frame["scored_part"] == "test"]):
        by_place[_place(row)][_rule(row), (str(row["recipe"]), *kind_of(row))].append(row)
    chosen: dict[_Place, tuple[HyperRule, list[dict[str, Any]], int]] = {}
    for place, recipes in by_place.items():
        known = validation.get(place, {})
        seeds = {key: _by_seed(rows) for key, rows in recipes.items()}
        best = max(sorted(seeds), key=lambda key: _merit(known.get(key[0]), seeds[key]))
        chosen[place] = best[0], seeds[best], len(seeds)
    values: dict[str, list[list[float]]] = defaultdict(list)
    for place, (_, rows, _) in sorted(chosen.items()):
        values[_pool(place, identities)].append([float(row["top1_pct"]) for row in rows])
    pools = {pool: pooled_spread(groups, pool) for pool, groups in values.items()}
    return [
        _score(
            place, *chosen[place], pools[_pool(place, identities)], validation.get(place, {}), identities, predictions
        )
        for place in sorted(chosen)
    ]


def _place(row: Mapping[str, Any]) -> _Place:
    return subject_of(row), str(row["dataset"])


def _rule(row: Mapping[str, Any]) -> HyperRule:
    return str(row["recipe_name"]), float(row["learning_rate"])


def _merit(validation: float | None, rows: Sequence[Mapping[str, Any]]) -> tuple[float, int, str]:
    return (-1.0 if validation is None else validation), len(rows), max(str(row["started_at"]) for row in rows)


def _by_seed(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    ordered = sorted(rows, key=lambda row: (row["seed"], row["started_at"]))
    return list({row["seed"]: row for row in ordered}.values())


def _validation_means(frame: pd.DataFrame) -> dict[_Place, dict[HyperRule, float]]:
    values: dict[_Place, dict[HyperRule, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in as_rows(frame[frame["scored_part"] == "validation"]):
        values[_place(row)][_rule(row)].append(float(row["top1_pct"]))
    return {place: {rule: fmean(found) for rule, found in rules.items()} for place, rules in values.items()}


def _pool(place: _Place, identities: Mapping[str, ModelIdentity]) -> str:
    subject, dataset = place
    setting = replace(subject.key, model="", resolution_px=0)
    start = "scratch" if subject.is_from_scratch else "pretrained"
    return f"finetune {start} {identities[subject.key.model].family} {dataset} {setting}"


def _mean(rows: Sequence[Mapping[str, Any]], column: str) -> float | None:
    known = [value for row in rows if (value := number(row, column)) is not None]
    return fmean(known) if known else None


def _whole(rows: Sequence[Mapping[str, Any]], column: str) -> tuple[int, ...]:
    return tuple(sorted({int(value) for row in rows if (value := number(row, column)) is not None}))


def _score(
    place: _Place,
    rule: HyperRule,
    rows: list[dict[str, Any]],
    recipes_tested: int,
    pooled: Spread | None,
    validation: Mapping[HyperRule, float],
    identities: Mapping[str, ModelIdentity],
    predictions: Predictions,
) -> FinetuneScore:
    subject, dataset = place
    cell_ids = tuple(str(row["cell_id"]) for row in rows)
    values = tuple(float(row["top1_pct"]) for row in rows)
    group = SeedGroup(
        values_pct=values,
        spread=spread_of(values, pooled, f"{place}"),
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
        top5_pct=_mean(rows, "top5_pct"),
        mean_per_class_pct=_mean(rows, "mean_per_class_pct"),
        train_images=_mean(rows, "train_images") or 0.0,
        params=_mean(rows, "params"),
        macs=_mean(rows, "macs"),
        train_flop=_mean(rows, "train_flop"),
        train_img_per_s=_mean(rows, "train_img_per_s"),
        pipeline_img_per_s=_mean(rows, "pipeline_img_per_s"),
        model_img_per_s=_mean(rows, "model_img_per_s"),
        wait_share=_mean(rows, "wait_share"),
        resumed=sum(int(number(row, "resumed") or 0) for row in rows),
        processes=_whole(rows, "processes"),
        micro_batch_sizes=_whole(rows, "micro_batch_size"),
        seeds=tuple(int(row["seed"]) for row in rows),
        notes=notes_of(rows),
        cell_ids=cell_ids,
    )


def recipe_sweeps(
    frame: pd.DataFrame, identities: Mapping[str, ModelIdentity], failed: Iterable[Record] = ()
) -> list[RecipeSweep]:
    """Every model's weights and set with a trial scored on validation; failed: trials without a result."""
    found: dict[_Place, dict[HyperRule, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in as_rows(frame[frame["scored_part"] == "validation"]):
        found[_place(row)][_rule(row)].append(row)
    origins = {str(row["weights"]): (row["trained_on"], row["pretraining"]) for row in as_rows(frame)}
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
            identity=identities[place[0].key.model],
            dataset=place[1],
            top1_pct={rule: fmean(float(row["top1_pct"]) for row in rows) for rule, rows in sorted(rules.items())},
            cell_ids={rule: tuple(str(row["cell_id"]) for row in rows) for rule, rows in rules.items()},
            seeds=max(len({row["seed"] for row in rows}) for rows in rules.values()),
            tried=tuple(sorted({*rules, *lost.get(place, ())})),
        )
        for place, rules in sorted(found.items())
    ]


def failed_recipe_trials(records: Iterable[Record], shown: Sequence[Record]) -> list[Record]:
    """Failed fine-tunings to be scored on validation, of the models and data that are shown."""
    trials = [record for record in shown if _is_trial(record)]
    return [r for r in records if r.status == "failed" and _is_trial(r) and is_of_same_kind(r, trials)]


def _is_trial(record: Record) -> bool:
    return record.cell.get("task") == "finetune" and record.cell.get("scored_part") == "validation"


def pretraining_gains(scores: Iterable[FinetuneScore]) -> list[PretrainingGain]:
    """For each model and set with both, pretrained weights minus random ones at the same resolution and setting.

    Weights that this suite trained on the very set are left out: they saw its images and labels before.
    """
    scores = list(scores)
    scratch = {(one.subject.key, one.dataset): one for one in scores if one.subject.is_from_scratch}
    gains = []
    for one in scores:
        other = scratch.get((one.subject.key, one.dataset))
        if one.subject.is_from_scratch or other is None or one.subject.trained_on == one.dataset:
            continue
        interval = contrast_interval([(1.0, one.group), (-1.0, other.group)])
        delta = one.group.mean_pct - other.group.mean_pct
        gains.append(PretrainingGain(one, other, delta, interval, verdict_of(interval)))
    return gains
