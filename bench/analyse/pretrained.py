"""What models were worth after pretraining: points of pretraining compute and images, and accuracy after transfer.

A point is one model pretrained on so many images to one budget, by every seed. Its transfers are the fine-tunings and
few-shot fits that started from its weights. Means are over the sets out of the pretraining's domain, for each seed
first: sets of the same kind of images as the pretraining's stand by themselves.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

from bench.analyse.fewshots import FIXED, LEAVE_ONE_OUT
from bench.analyse.intervals import Interval, SeedGroup, accuracy_interval
from bench.catalog.datasets import is_in_domain
from bench.catalog.identity import ModelIdentity, family_rank, identify_model
from bench.catalog.image_tasks import in_order
from bench.store.correctness import Predictions, read_correctness
from bench.store.frame import latest_records
from bench.store.record import Record

ControlKind = Literal["from scratch", "equal compute", "random features", "pixels"]
TRANSFERS = ("finetune", "fewshot")  # tasks
SECONDS_PER_HOUR = 3600.0
Way = str  # FINETUNED, or `5-shot`, `25-shot`, ...
FINETUNED: Way = "fine-tuned"
_Place = tuple[Way, str, str]  # way, weights (or `random <model>`, `budget <GFLOP> <model>`, `pixels`), data set
Accuracies = Mapping[_Place, Sequence["Accuracy"]]


@dataclass(frozen=True)
class Accuracy:
    """One accuracy of one seed: a final fine-tuning, the mean over draws of a few-shot fit, or a fit of pixels."""

    seed: int
    top1_pct: float
    images: int
    cell_id: str


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
        if not (start in weights or start.startswith("random ")) and cell["task"] not in ("pixels", "train"):
            continue
        if cell["task"] == "fewshot":
            for shots, top1 in _by_shots(values["results"], rule).items():
                own = Accuracy(0, top1, int(values["test_images"]), record.cell_id)
                found[f"{shots}-shot", start, dataset].append(own)
        elif cell["task"] == "pixels" or (cell["task"] in ("finetune", "train") and cell["scored_part"] == "test"):
            images = int(values["test_images" if cell["task"] == "train" else "scored_images"])
            own = Accuracy(int(cell["seed"]), float(values["top1_pct"]), images, record.cell_id)
            place = {
                "pixels": ("", "pixels"),
                "finetune": (FINETUNED, start),
                "train": (FINETUNED, f"budget {cell.get('budget_gflop', 0):g} {cell.get('model')}"),
            }[str(cell["task"])]
            found[*place, dataset].append(own)
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


def seed_group(found: Sequence[Accuracy], predictions: Predictions) -> SeedGroup:
    """The accuracies of the seeds on one set."""
    right = read_correctness([one.cell_id for one in found], predictions)
    return SeedGroup(tuple(one.top1_pct for one in found), min(one.images for one in found), right)


def mean_group(own: Mapping[str, Sequence[Accuracy]]) -> SeedGroup:
    """The means over sets, one for each seed: one pretraining's accuracies on several sets stand or fall together.

    test_images: so many independent images as have the variance of the mean over the sets' own.
    """
    values = tuple(fmean(one.top1_pct for one in of_seed) for of_seed in zip(*own.values(), strict=True))
    shares = {dataset: fmean(one.top1_pct for one in found) / 100 for dataset, found in own.items()}
    images = {dataset: min(one.images for one in found) for dataset, found in own.items()}
    variance = sum(p * (1 - p) / images[dataset] for dataset, p in shares.items()) / len(own) ** 2
    p = fmean(shares.values())
    equivalent = round(p * (1 - p) / variance) if variance > 0 else sum(images.values())
    return SeedGroup(values, max(1, equivalent))


@dataclass(frozen=True, order=True)
class PointKey:
    """What a point is of. budget: in the unit of the cell, such as `gflop`."""

    model: str
    corpus: str
    unit: str
    budget: float
    train_images: int
    learning_rate: float


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


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Accuracies after transfer one way. groups: data set -> over seeds; mean: over the sets out of domain."""

    way: Way
    groups: Mapping[str, SeedGroup]
    mean: SeedGroup
    interval: Interval
    cell_ids: Mapping[str, tuple[str, ...]]
    mean_ids: tuple[str, ...]  # the records behind the mean


@dataclass(frozen=True, kw_only=True)
class Transfer(Outcome):
    """A point after transfer one way."""

    point: PretrainedPoint


@dataclass(frozen=True, kw_only=True)
class Control(Outcome):
    """What a transfer has to be better than. identity: None for the regression on pixels, which is of every way.

    budget_gflop: training compute of an `equal compute` control: that of a pretraining and its fine-tuning.
    """

    kind: ControlKind
    identity: ModelIdentity | None
    budget_gflop: float | None = None

    @property
    def title(self) -> str:
        """Its kind, and the compute where that is a training's own. Plain."""
        return self.kind if self.budget_gflop is None else f"{self.kind}, {self.budget_gflop:g} GFLOP"


@dataclass(frozen=True)
class PretrainStudy:
    """Everything that was pretrained and transferred in one suite. datasets: those that every transfer has.

    averaged: those of them that are out of the domain of pretraining (all, where none is): behind every mean.
    """

    points: tuple[PretrainedPoint, ...]
    datasets: tuple[str, ...]
    averaged: tuple[str, ...]
    transfers: tuple[Transfer, ...]
    controls: tuple[Control, ...]
    trials: int  # pretrainings that only chose a learning rate
    trial_device_hours: float
    edges: tuple[str, ...]  # models whose best learning rate is at the edge of what was tried
    transfer_device_hours: float

    @property
    def ways(self) -> tuple[Way, ...]:
        """Fine-tuning first, then few-shot by the number of shots."""
        return tuple(dict.fromkeys(transfer.way for transfer in self.transfers))

    def of(self, way: Way) -> list[Transfer]:
        """The transfers of one way."""
        return [transfer for transfer in self.transfers if transfer.way == way]

    @property
    def most_images(self) -> int:
        """The size of the largest pretraining set."""
        return max((point.key.train_images for point in self.points), default=0)

    def along_compute(self, way: Way) -> list[Transfer]:
        """Transfers from the largest pretraining set, which differ in their budget."""
        return [one for one in self.of(way) if one.point.key.train_images == self.most_images]

    def along_images(self, way: Way) -> list[Transfer]:
        """Transfers at the budget at which there are several sizes of the pretraining set, of models that have them."""
        by_place: dict[tuple[str, float], list[Transfer]] = defaultdict(list)
        for one in self.of(way):
            by_place[one.point.key.model, one.point.key.budget].append(one)
        found = [place for place in by_place.values() if len({one.point.key.train_images for one in place}) > 1]
        return [one for place in found for one in place]


def pretrain_study(records: Sequence[Record], predictions: Predictions) -> PretrainStudy | None:
    """The study that these records (of what may be shown together) hold; None without a pretraining that ended."""
    latest = latest_records(list(records), per_machine=False)
    runs = [record for record in latest if record.cell.get("task") == "pretrain" and record.status == "ok"]
    if not runs:
        return None
    identities = {str(r.cell["model"]): identify_model(str(r.cell["model"])) for r in runs}
    used = {str(r.cell.get("weights")) for r in latest if r.cell.get("task") in ("finetune", "fewshot")}
    points, trials = _points(runs, used, identities)
    known = accuracies(latest, {weights for point in points for weights in point.weights})
    datasets = _shared_sets(known, points)
    corpora = {point.key.corpus for point in points}
    outside = tuple(name for name in datasets if not any(is_in_domain(name, corpus) for corpus in corpora))
    averaged = outside or datasets
    transfers = _transfers(points, known, datasets, averaged, predictions)
    is_own = started_from(latest)
    tuned = [r for r in latest if r.cell.get("task") == "finetune" and r.status == "ok" and is_own(r)]
    return PretrainStudy(
        points=tuple(points),
        datasets=datasets,
        averaged=averaged,
        transfers=tuple(transfers),
        controls=tuple(_controls(known, datasets, averaged, identities, predictions)),
        trials=len(trials),
        trial_device_hours=sum(_hours(record) for record in trials),
        edges=_edges(runs, points, identities),
        transfer_device_hours=sum(_hours(record) for record in tuned),
    )


def started_from(records: Iterable[Record]) -> Callable[[Record], bool]:
    """Tells a transfer of a pretraining among these records, or its model from scratch, from any other record."""
    ended = [record for record in records if record.cell.get("task") == "pretrain" and record.status == "ok"]
    starts = {(str(r.cell["model"]), start) for r in ended for start in (str(r.values["weights_sha256"]), "random")}

    def is_own(record: Record) -> bool:
        cell = record.cell
        start = "random" if cell.get("task") == "train" else str(cell.get("weights"))
        return cell.get("task") in (*TRANSFERS, "train") and (str(cell.get("model")), start) in starts

    return is_own


def _hours(record: Record) -> float:
    return float(record.values["train_seconds"]) / SECONDS_PER_HOUR


def _key(record: Record) -> PointKey:
    cell, budget = record.cell, record.cell["budget"]
    model, corpus, unit = str(cell["model"]), str(cell["dataset"]), str(budget["unit"])
    rate = float(cell["recipe"]["learning_rate"])
    return PointKey(model, corpus, unit, float(budget["amount"]), int(cell["train_images"]), rate)


def _points(
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


def _edges(
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


def _shared_sets(known: Accuracies, points: Iterable[PretrainedPoint]) -> tuple[str, ...]:
    """The sets that everything which was transferred at all has a result on, one way or another."""
    by_way: dict[tuple[Way, PointKey], set[str]] = defaultdict(set)
    for (way, start, dataset), point in itertools.product(known, points):
        if start in point.weights:
            by_way[way, point.key].add(dataset)
    return in_order(set.intersection(*by_way.values()) if by_way else ())


def _transfers(
    points: Sequence[PretrainedPoint],
    known: Accuracies,
    datasets: Sequence[str],
    averaged: Sequence[str],
    predictions: Predictions,
) -> list[Transfer]:
    found = []
    for way in sorted({way for way, *_ in known if way}, key=way_rank):
        for point in points:
            own = {name: _of_seeds(known, way, point.weights, name) for name in datasets}
            if _is_whole(own):
                found.append(Transfer(way=way, point=point, **_grouped(own, averaged, predictions)))
    return found


def _is_whole(own: Mapping[str, Sequence[Accuracy]]) -> bool:
    """Whether every set has the same seeds, and there is one of each."""
    seeds = {tuple(one.seed for one in found) for found in own.values()}
    return len(seeds) == 1 and () not in seeds


def _grouped(
    own: Mapping[str, Sequence[Accuracy]], averaged: Sequence[str], predictions: Predictions
) -> dict[str, Any]:
    """The fields of an Outcome but its way."""
    mean = mean_group({name: own[name] for name in averaged})
    return {
        "groups": {name: seed_group(found, predictions) for name, found in own.items()},
        "mean": mean,
        "interval": accuracy_interval(mean),
        "cell_ids": {name: tuple(one.cell_id for one in found) for name, found in own.items()},
        "mean_ids": tuple(one.cell_id for name in averaged for one in own[name]),
    }


def _of_seeds(known: Accuracies, way: Way, starts: Mapping[str, int | None], dataset: str) -> list[Accuracy]:
    """The newest accuracy of each seed, in order. starts: weights -> their seed, None where each has its own."""
    found = {}
    for start, seed in starts.items():
        for one in known.get((way, start, dataset), ()):
            one = one if seed is None else replace(one, seed=seed)
            found[one.seed] = one
    return [found[seed] for seed in sorted(found)]


def _controls(
    known: Accuracies,
    datasets: Sequence[str],
    averaged: Sequence[str],
    identities: Mapping[str, ModelIdentity],
    predictions: Predictions,
) -> list[Control]:
    """From scratch (same steps, or equal compute), random features and pixels, where all sets have them."""
    kinds: dict[str, ControlKind] = {"pixels": "pixels", "budget": "equal compute"}
    found = []
    for way, start in dict.fromkeys((way, start) for way, start, _ in known):
        word, *rest = start.split()
        kinds["random"] = "from scratch" if way == FINETUNED else "random features"
        own = {name: _of_seeds(known, way, {start: None}, name) for name in datasets}
        if word in kinds and _is_whole(own):
            identity = identities.get(rest[-1]) if rest else None
            budget = float(rest[0]) if word == "budget" else None
            told = _grouped(own, averaged, predictions)
            found.append(Control(kind=kinds[word], way=way, identity=identity, budget_gflop=budget, **told))

    def name_of(one: Control) -> tuple[tuple[int, str], str]:
        return (family_rank(one.identity.family), one.identity.title) if one.identity else ((0, ""), "")

    ranks = {"from scratch": 0, "equal compute": 1, "random features": 2, "pixels": 3}
    return sorted(found, key=lambda one: (ranks[one.kind], way_rank(one.way) if one.way else (2, 0), name_of(one)))
