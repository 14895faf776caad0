"""Accuracies of what started from a pretraining's weights, and how far its seeds make them differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bench.analyse.correctness import Predictions, read_correctness
from bench.analyse.fewshots import FIXED, LEAVE_ONE_OUT
from bench.analyse.intervals import SeedGroup, Spread, pooled_spread, spread_of
from bench.store.record import Record

Way = str  # FINETUNED, or `5-shot`, `25-shot`, ...
FINETUNED: Way = "fine-tuned"
_Place = tuple[Way, str, str]  # way, weights (or `random <model>`, or `pixels`), data set
Accuracies = Mapping[_Place, Sequence["Accuracy"]]


@dataclass(frozen=True)
class Accuracy:
    """One accuracy of one seed: a final fine-tuning, the mean over draws of a few-shot fit, or a fit of pixels."""

    seed: int
    top1_pct: float
    images: int
    cell_id: str
    has_predictions: bool


def accuracies(records: Iterable[Record], weights: set[str]) -> dict[_Place, list[Accuracy]]:
    """Everything that started from these weights or is a control."""
    found: dict[_Place, list[Accuracy]] = defaultdict(list)
    # of two results of one seed (a recipe that another sweep chose), the newer one comes later and counts
    records = sorted((record for record in records if record.status == "ok"), key=lambda record: record.started_at)
    rule = _rule(records)
    for record in records:
        cell, values = record.cell, record.values
        start = str(cell.get("weights", ""))
        start = f"random {cell['model']}" if start == "random" else start
        dataset = str(cell.get("dataset"))
        if not (start in weights or start.startswith("random ")) and cell["task"] != "pixels":
            continue
        if cell["task"] == "finetune" and cell["scored_part"] == "test":
            own = Accuracy(
                int(cell["seed"]), float(values["top1_pct"]), int(values["scored_images"]), record.cell_id, True
            )
            found[FINETUNED, start, dataset].append(own)
        elif cell["task"] == "fewshot":
            for shots, top1 in _by_shots(values["results"], rule).items():
                own = Accuracy(0, top1, int(values["test_images"]), record.cell_id, False)
                found[f"{shots}-shot", start, dataset].append(own)
        elif cell["task"] == "pixels":
            own = Accuracy(
                int(cell["seed"]), float(values["top1_pct"]), int(values["scored_images"]), record.cell_id, True
            )
            found["", "pixels", dataset].append(own)
    return found


def _rule(records: Iterable[Record]) -> str:
    """Leave-one-out where it is there: one fixed lambda acts differently on features of different width."""
    rules = {row["rule"] for r in records if r.cell.get("task") == "fewshot" for row in r.values.get("results") or ()}
    return LEAVE_ONE_OUT if LEAVE_ONE_OUT in rules else FIXED


def _by_shots(results: Iterable[Mapping[str, Any]], rule: str) -> dict[int, float]:
    """Shots -> mean over draws."""
    draws: dict[int, list[float]] = defaultdict(list)
    for row in results:
        if row["rule"] == rule:
            draws[int(row["shots"])].append(float(row["top1_pct"]))
    return {shots: fmean(values) for shots, values in sorted(draws.items())}


def way_rank(way: Way) -> tuple[int, int]:
    return (0, 0) if way == FINETUNED else (1, int(way.removesuffix("-shot")))


class Spreads:
    """How far seeds differ, pooled over the points of a family: on each set, and of the mean over sets."""

    def __init__(self, raw: Iterable[tuple[Way, str, Mapping[str, Sequence[Accuracy]]]]) -> None:
        values: dict[str, list[list[float]]] = defaultdict(list)
        for way, family, own in raw:
            for name, found in own.items():
                values[f"{way} {family} {name}"].append([one.top1_pct for one in found])
            values[f"{way} {family} mean"].append(_means(own))
        self._pools: dict[str, Spread | None] = {pool: pooled_spread(groups, pool) for pool, groups in values.items()}

    def group(
        self, way: Way, family: str, dataset: str, found: Sequence[Accuracy], name: str, predictions: Predictions
    ) -> SeedGroup:
        """The accuracies on one set."""
        values = tuple(one.top1_pct for one in found)
        pool = self._pools.get(f"{way} {family} {dataset}")
        right = None
        if all(one.has_predictions for one in found):
            right = read_correctness([one.cell_id for one in found], predictions)
        images = min(one.images for one in found)
        return SeedGroup(values, spread_of(values, pool, f"{way} {name} {dataset}"), images, right)

    def mean(self, way: Way, family: str, own: Mapping[str, Sequence[Accuracy]], name: str) -> SeedGroup:
        """The means over sets, one for each seed.

        test_images: so many independent images as have the variance of the mean over the sets' own.
        """
        values = tuple(_means(own))
        pool = self._pools.get(f"{way} {family} mean")
        shares = {dataset: fmean(one.top1_pct for one in found) / 100 for dataset, found in own.items()}
        images = {dataset: min(one.images for one in found) for dataset, found in own.items()}
        variance = sum(p * (1 - p) / images[dataset] for dataset, p in shares.items()) / len(own) ** 2
        p = fmean(shares.values())
        equivalent = round(p * (1 - p) / variance) if variance > 0 else sum(images.values())
        return SeedGroup(values, spread_of(values, pool, f"{way} {name} mean"), max(1, equivalent))


def _means(own: Mapping[str, Sequence[Accuracy]]) -> list[float]:
    """The mean over sets of each seed."""
    return [fmean(one.top1_pct for one in of_seed) for of_seed in zip(*own.values(), strict=True)]
