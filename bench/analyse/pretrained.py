"""What models were worth after pretraining: points of pretraining compute and images, and accuracy after transfer.

A point is one model pretrained on so many images to one budget, by every seed. Its transfers are the fine-tunings and
few-shot fits that started from its weights. One seed of a point is one pretraining, whose accuracies on several sets
stand or fall together: the mean over sets is taken for each seed first, and its spread over seeds is that of the means.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from bench.analyse.correctness import Predictions
from bench.analyse.frame import latest_records
from bench.analyse.identity import ModelIdentity, family_rank, identify_model
from bench.analyse.intervals import Interval, SeedGroup, accuracy_interval
from bench.analyse.task_sets import in_order
from bench.analyse.transfers import FINETUNED, Accuracies, Accuracy, Spreads, Way, accuracies, way_rank
from bench.store.record import Record

ControlKind = Literal["from scratch", "random features", "pixels"]
TRANSFERS = ("finetune", "fewshot")  # tasks
SECONDS_PER_HOUR = 3600.0


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


@dataclass(frozen=True)
class Transfer:
    """A point after transfer one way. groups: data set -> accuracies over seeds; mean: of the sets together."""

    way: Way
    point: PretrainedPoint
    groups: Mapping[str, SeedGroup]
    mean: SeedGroup
    interval: Interval
    cell_ids: Mapping[str, tuple[str, ...]]

    @property
    def all_ids(self) -> tuple[str, ...]:
        """The records of all sets."""
        return tuple(cell_id for ids in self.cell_ids.values() for cell_id in ids)


@dataclass(frozen=True)
class Control:
    """What a transfer has to be better than. model: empty for the regression on pixels."""

    kind: ControlKind
    way: Way  # that it is the control of; pixels are of every way
    identity: ModelIdentity | None
    groups: Mapping[str, SeedGroup]
    mean: SeedGroup
    interval: Interval
    cell_ids: Mapping[str, tuple[str, ...]]

    @property
    def all_ids(self) -> tuple[str, ...]:
        """The records of all sets."""
        return tuple(cell_id for ids in self.cell_ids.values() for cell_id in ids)


@dataclass(frozen=True)
class PretrainStudy:
    """Everything that was pretrained and transferred in one suite. datasets: those that every transfer has."""

    points: tuple[PretrainedPoint, ...]
    datasets: tuple[str, ...]
    transfers: tuple[Transfer, ...]
    controls: tuple[Control, ...]
    trials: int  # pretrainings that only chose a learning rate
    trial_device_hours: float
    edges: tuple[str, ...]  # models whose best learning rate is at the edge of what was tried
    transfer_device_hours: float
    tuning_steps: tuple[int, ...]  # of the fine-tunings, pretrained or from scratch

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
    starts = {point.key: point.weights for point in points}
    datasets = _shared_sets(known, starts)
    transfers = _transfers(points, known, datasets, predictions)
    is_own = started_from(latest)
    tuned = [r for r in latest if r.cell.get("task") == "finetune" and r.status == "ok" and is_own(r)]
    return PretrainStudy(
        points=tuple(points),
        datasets=datasets,
        transfers=tuple(transfers),
        controls=tuple(_controls(known, datasets, identities, predictions)),
        trials=len(trials),
        trial_device_hours=sum(_hours(record) for record in trials),
        edges=_edges(runs, points, identities),
        transfer_device_hours=sum(_hours(record) for record in tuned),
        tuning_steps=tuple(sorted({int(record.cell["recipe"]["steps"]) for record in tuned})),
    )


def started_from(records: Iterable[Record]) -> Callable[[Record], bool]:
    """Tells a transfer of a pretraining among these records, or of its model from scratch, from any other record."""
    ended = [record for record in records if record.cell.get("task") == "pretrain" and record.status == "ok"]
    starts = {(str(r.cell["model"]), start) for r in ended for start in (str(r.values["weights_sha256"]), "random")}

    def is_own(record: Record) -> bool:
        cell = record.cell
        return cell.get("task") in TRANSFERS and (str(cell.get("model")), str(cell.get("weights"))) in starts

    return is_own


def _hours(record: Record) -> float:
    return float(record.values["train_seconds"]) / SECONDS_PER_HOUR


def _key(record: Record) -> PointKey:
    cell = record.cell
    return PointKey(
        str(cell["model"]),
        str(cell["dataset"]),
        str(cell["budget"]["unit"]),
        float(cell["budget"]["amount"]),
        int(cell["train_images"]),
        float(cell["recipe"]["learning_rate"]),
    )


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


def _shared_sets(known: Accuracies, starts: Mapping[PointKey, Mapping[str, int]]) -> tuple[str, ...]:
    """The sets that everything which was transferred at all has a result on, one way or another."""
    by_way: dict[tuple[Way, PointKey], set[str]] = defaultdict(set)
    for way, start, dataset in known:
        for key, weights in starts.items():
            if start in weights:
                by_way[way, key].add(dataset)
    shared = set.intersection(*by_way.values()) if by_way else set()
    return in_order(shared)


def _transfers(
    points: Sequence[PretrainedPoint], known: Accuracies, datasets: Sequence[str], predictions: Predictions
) -> list[Transfer]:
    ways = sorted({way for way, *_ in known if way}, key=way_rank)
    raw: dict[tuple[Way, PointKey], dict[str, list[Accuracy]]] = {}
    for way in ways:
        for point in points:
            own = {name: _of_seeds(known, way, point, name) for name in datasets}
            if datasets and all(own.values()) and len({_seeds_of(found) for found in own.values()}) == 1:
                raw[way, point.key] = own
    by_key = {point.key: point for point in points}
    spreads = Spreads((way, by_key[key].identity.family, own) for (way, key), own in raw.items())
    found = []
    for (way, key), own in raw.items():
        family = by_key[key].identity.family
        groups = {name: spreads.group(way, family, name, own[name], f"{key}", predictions) for name in datasets}
        mean = spreads.mean(way, family, own, f"{key}")
        ids = {name: tuple(one.cell_id for one in own[name]) for name in datasets}
        found.append(Transfer(way, by_key[key], groups, mean, accuracy_interval(mean), ids))
    return found


def _of_seeds(known: Accuracies, way: Way, point: PretrainedPoint, dataset: str) -> list[Accuracy]:
    """One accuracy for each seed, its newest, in the order of seeds."""
    found = {}
    for weights, seed in point.weights.items():
        for one in known.get((way, weights, dataset), ()):
            found[seed] = Accuracy(seed, one.top1_pct, one.images, one.cell_id, one.has_predictions)
    return [found[seed] for seed in sorted(found)]


def _seeds_of(found: Sequence[Accuracy]) -> tuple[int, ...]:
    return tuple(one.seed for one in found)


def _controls(
    known: Accuracies, datasets: Sequence[str], identities: Mapping[str, ModelIdentity], predictions: Predictions
) -> list[Control]:
    """From scratch and random features of every model, and pixels, where all sets have them."""
    raw: dict[tuple[ControlKind, Way, str], dict[str, list[Accuracy]]] = {}
    for way, start, _ in known:
        kind: ControlKind = "pixels" if start == "pixels" else "from scratch" if way == FINETUNED else "random features"
        if start != "pixels" and not start.startswith("random "):
            continue
        model = start.removeprefix("random ") if kind != "pixels" else ""
        own = {name: _by_seed(known.get((way, start, name), ())) for name in datasets}
        if datasets and all(own.values()) and len({_seeds_of(found) for found in own.values()}) == 1:
            raw[kind, way, model] = own
    families = {model: identity.family for model, identity in identities.items()}
    spreads = Spreads((f"{kind} {way}", families.get(model, ""), own) for (kind, way, model), own in raw.items())
    found = []
    for (kind, way, model), own in raw.items():
        family, name = families.get(model, ""), f"{kind} {model}"
        pooled = f"{kind} {way}"
        groups = {d: spreads.group(pooled, family, d, own[d], name, predictions) for d in datasets}
        mean = spreads.mean(pooled, family, own, name)
        ids = {d: tuple(one.cell_id for one in own[d]) for d in datasets}
        found.append(Control(kind, way, identities.get(model), groups, mean, accuracy_interval(mean), ids))
    ranks = {"from scratch": 0, "random features": 1, "pixels": 2}
    return sorted(found, key=lambda one: (ranks[one.kind], way_rank(one.way) if one.way else (2, 0), _title(one)))


def _by_seed(found: Sequence[Accuracy]) -> list[Accuracy]:
    return [one for _, one in sorted({one.seed: one for one in found}.items())]


def _title(control: Control) -> tuple[tuple[int, str], str]:
    return (family_rank(control.identity.family), control.identity.title) if control.identity else ((9, ""), "")
