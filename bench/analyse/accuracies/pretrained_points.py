"""Points of pretraining: one model's runs to one budget on so many images of one set, and the rates behind them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.catalog.identity import ModelIdentity, family_rank
from bench.store.record import Record

SECONDS_PER_HOUR = 3600.0
Regime = tuple[str, float, int]


@dataclass(frozen=True, order=True)
class PointKey:
    """What a point is of. budget: in the unit of the cell, such as `gflop`."""

    model: str
    corpus: str
    unit: str
    budget: float
    train_images: int
    learning_rate: float

    @property
    def regime(self) -> Regime:
        """What two pretrainings must share to be compared: the budget and its unit, and the number of images."""
        return self.unit, self.budget, self.train_images


@dataclass(frozen=True)
class PretrainedPoint:
    """One model's pretrainings to one budget on one number of images.

    flop: of one run, by the definition 3 x FLOPs x images seen. device_hours: of one run's steps, mean over seeds.
    """

    key: PointKey
    identity: ModelIdentity
    seeds: tuple[int, ...]
    flop: float
    images_seen: float
    img_per_s: float
    device_hours: float
    validation_pct: float
    step_flop_ratio: float | None  # forward and backward products that a step computes, over the definition
    cell_ids: tuple[str, ...]
    weights: Mapping[str, int]  # `sha256 ...` -> seed
    macs_note: str = ""  # why the MACs, on which the budget rests, are not certified


def hours_of(record: Record) -> float:
    return float(record.values["train_seconds"]) / SECONDS_PER_HOUR


def _key(record: Record) -> PointKey:
    cell, budget = record.cell, record.cell["budget"]
    model, corpus, unit = str(cell["model"]), str(cell["dataset"]), str(budget["unit"])
    rate = float(cell["recipe"]["learning_rate"])
    return PointKey(model, corpus, unit, float(budget["amount"]), int(cell["train_images"]), rate)


def points_of(
    runs: Sequence[Record], used: set[str], identities: Mapping[str, ModelIdentity]
) -> tuple[list[PretrainedPoint], list[Record]]:
    """Points whose weights some transfer started from (all of them where there is no transfer yet), and the trials."""
    chosen = [r for r in runs if str(r.values["weights_sha256"]) in used] or list(runs)
    trials = [record for record in runs if record not in chosen]
    by_key: dict[PointKey, list[Record]] = defaultdict(list)
    for record in chosen:
        by_key[_key(record)].append(record)
    points = [_point(key, sorted(own, key=_seed), identities) for key, own in by_key.items()]
    return sorted(points, key=lambda p: (family_rank(p.identity.family), p.identity.title, p.key)), trials


def _seed(record: Record) -> int:
    return int(record.cell["seed"])


def _point(key: PointKey, runs: Sequence[Record], identities: Mapping[str, ModelIdentity]) -> PretrainedPoint:
    def mean(name: str) -> float:
        return fmean(float(record.values[name]) for record in runs)

    ratios = [record.values.get("step_flop_ratio") for record in runs]
    return PretrainedPoint(
        key=key,
        identity=identities[key.model],
        seeds=tuple(_seed(record) for record in runs),
        flop=mean("train_flop"),
        images_seen=mean("images_seen"),
        img_per_s=mean("train_img_per_s"),
        device_hours=mean("train_seconds") / SECONDS_PER_HOUR,
        validation_pct=mean("validation_top1_pct"),
        step_flop_ratio=None if None in ratios else mean("step_flop_ratio"),
        cell_ids=tuple(record.cell_id for record in runs),
        weights={str(record.values["weights_sha256"]): _seed(record) for record in runs},
        macs_note=next((str(note) for record in runs if (note := record.values.get("certificate_note"))), ""),
    )


def edges(
    runs: Sequence[Record], points: Sequence[PretrainedPoint], identities: Mapping[str, ModelIdentity]
) -> tuple[str, ...]:
    """`ViT S at 50 GFLOP`: where the rate that counts is the smallest or largest of several tried there."""
    tried: dict[tuple[str, str, str, float], set[float]] = defaultdict(set)
    for key in map(_key, runs):
        tried[key.model, key.corpus, key.unit, key.budget].add(key.learning_rate)
    found = []
    for point in points:
        key = point.key
        rates = tried[key.model, key.corpus, key.unit, key.budget]
        if len(rates) > 1 and key.learning_rate in (min(rates), max(rates)):
            found.append(f"{identities[key.model].title} at {key.budget:g} {key.unit.replace('gflop', 'GFLOP')}")
    return tuple(dict.fromkeys(found))


def on_several_sets(points: Sequence[PretrainedPoint]) -> list[PretrainedPoint]:
    """Those of models that were pretrained on as many images of another set with as much compute."""
    corpora: dict[tuple[str, *Regime], set[str]] = defaultdict(set)
    for point in points:
        corpora[point.key.model, *point.key.regime].add(point.key.corpus)
    return [point for point in points if len(corpora[point.key.model, *point.key.regime]) > 1]
