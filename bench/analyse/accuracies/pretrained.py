"""What models were worth after pretraining: points of pretraining compute and images, and accuracy after transfer.

A point is one model pretrained on so many images to one budget, by every seed. Its transfers are the fine-tunings and
few-shot fits that started from its weights. Means are over the sets out of the pretraining's domain, for each seed
first: sets of the same kind of images as the pretraining's stand by themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from bench.analyse.accuracies.accuracy import Accuracy, uncertified_words
from bench.analyse.accuracies.pooling import FINETUNED as FINETUNED
from bench.analyse.accuracies.pooling import ids_of, pooled, seed_group, transfer_rows
from bench.analyse.accuracies.pretrained_points import (
    PointKey,
    PretrainedPoint,
    edges,
    hours_of,
    on_several_sets,
    points_of,
)
from bench.analyse.accuracies.subjects import Subject, run_key
from bench.analyse.stats.intervals import Interval, SeedGroup, accuracy_interval
from bench.catalog.datasets import is_in_domain
from bench.catalog.identity import ModelIdentity, family_rank, identify_model, is_generated
from bench.catalog.image_tasks import in_order
from bench.store.correctness import Predictions
from bench.store.record import Record
from bench.store.rows import Rows, latest_records

ControlKind = Literal["from scratch", "equal compute", "random features", "pixels"]
TRANSFERS = ("finetune", "fewshot")  # tasks
Way = str  # FINETUNED, or `5-shot`, `25-shot`, ...


def way_rank(way: Way) -> tuple[int, int]:
    return (0, 0) if way == FINETUNED else (1, int(way.removesuffix("-shot")))


def mean_group(groups: Sequence[SeedGroup]) -> SeedGroup:
    """The means over sets, one for each seed: one pretraining's accuracies on several sets stand or fall together.

    test_images: so many independent images as have the variance of the mean over the sets' own.
    """
    values = tuple(fmean(of_seed) for of_seed in zip(*(group.values_pct for group in groups), strict=True))
    shares = [fmean(group.values_pct) / 100 for group in groups]
    images = [group.test_images for group in groups]
    variance = sum(p * (1 - p) / n for p, n in zip(shares, images, strict=True)) / len(groups) ** 2
    p = fmean(shares)
    equivalent = round(p * (1 - p) / variance) if variance > 0 else sum(images)
    return SeedGroup(values, max(1, equivalent))


@dataclass(frozen=True, kw_only=True)
class Transferred(Accuracy):
    """A model after its pretrainings of this suite to one budget, on one set: a run for each seed of these."""

    point: PretrainedPoint
    how: tuple[str, str]  # what else two of them must share, by name: training images, or the few-shot rule

    @property
    def stratum(self) -> dict[str, str]:
        return super().stratum | dict([self.how])

    @property
    def told(self) -> dict[str, str]:
        key = self.point.key
        unit = key.unit.replace("gflop", f"GFLOP{uncertified_words(self.point.macs_note)}")
        return {"pretraining": f"{key.budget:.10g} {unit} on {key.train_images} images"}

    @property
    def regime(self) -> tuple[int | None, float | None]:
        return self.point.key.train_images, self.point.key.budget


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Accuracies after transfer one way. groups: data set -> over seeds; mean: over the sets out of domain."""

    way: Way
    rows: Mapping[str, Rows]  # data set -> one of each seed
    groups: Mapping[str, SeedGroup]
    mean: SeedGroup
    interval: Interval
    mean_ids: tuple[str, ...]  # the records behind the mean

    @property
    def cell_ids(self) -> dict[str, tuple[str, ...]]:
        """Data set -> the records behind its group."""
        return {name: ids_of(rows) for name, rows in self.rows.items()}


@dataclass(frozen=True, kw_only=True)
class Transfer(Outcome):
    """A point after transfer one way."""

    point: PretrainedPoint

    @property
    def accuracies(self) -> list[Transferred]:
        return [
            Transferred(
                protocol="fine-tuned" if self.way == FINETUNED else "few-shot",
                subject=Subject(run_key(rows[0]), rows[0]["start"], trained_on=self.point.key.corpus),
                identity=self.point.identity,
                dataset=name,
                group=self.groups[name],
                seeds=self.point.seeds,
                cell_ids=ids_of(rows),
                fingerprint=str(rows[0].get("fingerprint") or ""),
                point=self.point,
                how=rows[0]["how"],
            )
            for name, rows in self.rows.items()
        ]


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


@dataclass(frozen=True, kw_only=True)
class TransferStudy:
    """Points of pretraining and what they were worth. datasets: those that every transfer has.

    averaged: those of them that are out of the domain of pretraining (all, where none is): behind every mean.
    """

    points: tuple[PretrainedPoint, ...]
    datasets: tuple[str, ...]
    averaged: tuple[str, ...]
    transfers: tuple[Transfer, ...]
    controls: tuple[Control, ...]

    @property
    def ways(self) -> tuple[Way, ...]:
        """Fine-tuning first, then few-shot by the number of shots."""
        return tuple(dict.fromkeys(transfer.way for transfer in self.transfers))

    def of(self, way: Way) -> list[Transfer]:
        return [transfer for transfer in self.transfers if transfer.way == way]

    @property
    def most_images(self) -> int:
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


@dataclass(frozen=True, kw_only=True)
class PretrainStudy(TransferStudy):
    """Everything that was pretrained and transferred in one suite.

    by_corpus: pretraining set -> points that a model has on several of them, with as many images and as much compute;
    they average the sets out of the domain of all, and are among the study's own only where it has no others (those of
    the first set). Empty with one set.
    """

    by_corpus: Mapping[str, TransferStudy]
    trials: int  # pretrainings that only chose a learning rate
    trial_device_hours: float
    edges: tuple[str, ...]  # models whose best learning rate is at the edge of what was tried
    transfer_device_hours: float

    @property
    def everything(self) -> tuple[Transfer, ...]:
        """All transfers, those of models that met several pretraining sets included."""
        own = {point.key for point in self.points}
        beside = [one for study in self.by_corpus.values() for one in study.transfers if one.point.key not in own]
        return *self.transfers, *beside


def pretrain_study(records: Sequence[Record], predictions: Predictions) -> PretrainStudy | None:
    """The study that these records (of what may be shown together) hold; None without a pretraining that ended."""
    latest = latest_records(list(records), per_machine=False)
    runs = [record for record in latest if record.cell.get("task") == "pretrain" and record.status == "ok"]
    if not runs:
        return None
    identities = {str(r.cell["model"]): identify_model(str(r.cell["model"])) for r in runs}
    used = {str(r.cell.get("weights")) for r in latest if r.cell.get("task") in ("finetune", "fewshot")}
    points, trials = points_of(runs, used, identities)
    results = transfer_rows(latest)

    def told(own: Sequence[PretrainedPoint], averaged: Sequence[str] = ()) -> dict[str, Any]:
        return _told(own, averaged, results, identities, predictions)

    paired = on_several_sets(points)
    by_corpus = _by_corpus(paired, told)
    alone = [point for point in points if point not in paired] or next(iter(by_corpus.values())).points
    is_own = started_from(latest)
    tuned = [r for r in latest if r.cell.get("task") == "finetune" and r.status == "ok" and is_own(r)]
    return PretrainStudy(
        **told(alone),
        by_corpus=by_corpus,
        trials=len(trials),
        trial_device_hours=sum(hours_of(record) for record in trials),
        edges=edges(runs, points, identities),
        transfer_device_hours=sum(hours_of(record) for record in tuned),
    )


def _by_corpus(points: Sequence[PretrainedPoint], told: Callable[..., dict[str, Any]]) -> dict[str, TransferStudy]:
    """The points of each set, real images first; all average the sets that all have, out of the domain of each."""
    corpora = sorted({point.key.corpus for point in points}, key=lambda name: (is_generated(name), name))
    own = {corpus: [point for point in points if point.key.corpus == corpus] for corpus in corpora}
    sets = [set(told(of_corpus)["datasets"]) for of_corpus in own.values()]
    common = _outside(in_order(set.intersection(*sets)), corpora) if sets else ()
    return {corpus: TransferStudy(**told(of_corpus, common)) for corpus, of_corpus in own.items()}


def _outside(datasets: Iterable[str], corpora: Collection[str]) -> tuple[str, ...]:
    """The sets that are in the domain of none of the pretraining sets."""
    return tuple(name for name in datasets if not any(is_in_domain(name, corpus) for corpus in corpora))


def _told(
    points: Sequence[PretrainedPoint],
    averaged: Sequence[str],
    results: Rows,
    identities: Mapping[str, ModelIdentity],
    predictions: Predictions,
) -> dict[str, Any]:
    """The fields of the TransferStudy of these points. averaged: empty for all that are out of their domain."""
    starts = {weights: (point.key, seed) for point in points for weights, seed in point.weights.items()}
    transferred = pooled(
        ({**row, "seed": starts[row["start"]][1]} for row in results if row["start"] in starts),
        lambda row: (str(row["way"]), starts[row["start"]][0], str(row["dataset"])),
    )
    datasets = _shared_sets(transferred)
    averaged = tuple(averaged) or _outside(datasets, {point.key.corpus for point in points}) or datasets
    return {
        "points": tuple(points),
        "datasets": datasets,
        "averaged": averaged,
        "transfers": tuple(_transfers(points, transferred, datasets, averaged, predictions)),
        "controls": tuple(_controls(results, datasets, averaged, identities, predictions)),
    }


def started_from(records: Iterable[Record]) -> Callable[[Record], bool]:
    """Tells a transfer of a pretraining among these records, or its model from scratch, from any other record."""
    ended = [record for record in records if record.cell.get("task") == "pretrain" and record.status == "ok"]
    starts = {(str(r.cell["model"]), start) for r in ended for start in (str(r.values["weights_sha256"]), "random")}

    def is_own(record: Record) -> bool:
        cell = record.cell
        start = "random" if cell.get("task") == "train" else str(cell.get("weights"))
        return cell.get("task") in (*TRANSFERS, "train") and (str(cell.get("model")), start) in starts

    return is_own


def _shared_sets(transferred: Iterable[tuple[Way, PointKey, str]]) -> tuple[str, ...]:
    """The sets that everything which was transferred at all has a result on, one way or another."""
    sets: dict[tuple[Way, PointKey], set[str]] = defaultdict(set)
    for way, key, dataset in transferred:
        sets[way, key].add(dataset)
    return in_order(set.intersection(*sets.values()) if sets else ())


def _transfers(
    points: Sequence[PretrainedPoint],
    transferred: Mapping[tuple[Way, PointKey, str], Rows],
    datasets: Sequence[str],
    averaged: Sequence[str],
    predictions: Predictions,
) -> list[Transfer]:
    found = []
    for way in sorted({way for way, *_ in transferred}, key=way_rank):
        for point in points:
            own = {name: transferred.get((way, point.key, name), []) for name in datasets}
            if _is_whole(own):
                found.append(Transfer(way=way, point=point, **_grouped(own, averaged, predictions)))
    return found


def _is_whole(own: Mapping[str, Rows]) -> bool:
    """Whether every set has the same seeds, and there is one of each."""
    seeds = {tuple(row["seed"] for row in rows) for rows in own.values()}
    return len(seeds) == 1 and () not in seeds


def _grouped(own: Mapping[str, Rows], averaged: Sequence[str], predictions: Predictions) -> dict[str, Any]:
    """The fields of an Outcome but its way."""
    groups = {name: seed_group(rows, "images", predictions) for name, rows in own.items()}
    mean = mean_group([groups[name] for name in averaged])
    ids = tuple(row["cell_id"] for name in averaged for row in own[name])
    return {"rows": own, "groups": groups, "mean": mean, "interval": accuracy_interval(mean), "mean_ids": ids}


def _controls(
    results: Rows,
    datasets: Sequence[str],
    averaged: Sequence[str],
    identities: Mapping[str, ModelIdentity],
    predictions: Predictions,
) -> list[Control]:
    """From scratch (same steps, or equal compute), random features and pixels, where all sets have them."""
    kinds: dict[str, ControlKind] = {"pixels": "pixels", "budget": "equal compute"}
    known = pooled(
        (row for row in results if row["start"].partition(" ")[0] in ("random", *kinds)),
        lambda row: (str(row["way"]), str(row["start"]), str(row["dataset"])),
    )
    found = []
    for way, start in dict.fromkeys((way, start) for way, start, _ in known):
        word, *rest = start.split()
        kinds["random"] = "from scratch" if way == FINETUNED else "random features"
        own = {name: known.get((way, start, name), []) for name in datasets}
        if _is_whole(own):
            identity = identities.get(rest[-1]) if rest else None
            budget = float(rest[0]) if word == "budget" else None
            told = _grouped(own, averaged, predictions)
            found.append(Control(kind=kinds[word], way=way, identity=identity, budget_gflop=budget, **told))

    def name_of(one: Control) -> tuple[tuple[int, str], str]:
        return (family_rank(one.identity.family), one.identity.title) if one.identity else ((0, ""), "")

    ranks = {"from scratch": 0, "equal compute": 1, "random features": 2, "pixels": 3}
    return sorted(found, key=lambda one: (ranks[one.kind], way_rank(one.way) if one.way else (2, 0), name_of(one)))
