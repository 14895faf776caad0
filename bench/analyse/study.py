"""Everything that a report says about one suite, computed once from its records. Pure data; nothing is worded here."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from bench.analyse.accuracies.accuracy import PixelBaseline, Trained
from bench.analyse.accuracies.pooling import at_largest_set, main_scores, pixel_baselines, trained_accuracies
from bench.analyse.accuracies.pretrained import PretrainStudy, pretrain_study, started_from
from bench.analyse.accuracies.protocols import Protocols, protocol_study
from bench.analyse.accuracies.subjects import RunKey, distinguishing
from bench.analyse.accuracies.trials import SweptModel, swept_models
from bench.analyse.claims.published import (
    ScalingComparison,
    SotaComparison,
    TimmComparison,
    compare_scaling,
    compare_sota,
    compare_timm,
)
from bench.analyse.compare.choose import Candidate, Cost, trained_candidates, weights_candidates
from bench.analyse.compare.differences import BestSet, Difference, Place, best_trained, score_differences
from bench.analyse.compare.sensitivity import Sensitivity, sensitivities
from bench.analyse.compare.trends import Trend, gap_trends
from bench.analyse.public.study import PublicStudy, public_study
from bench.analyse.speed.speed_study import SpeedStudy, series_of, speed_study
from bench.analyse.speed.speeds import (
    Memory,
    Speed,
    SpeedRatio,
    Tuned,
    home_machine,
    home_values,
    memories,
    speed_ratios,
    speeds,
    tuned_models,
)
from bench.analyse.speed.stability import TimingWarning, warnings
from bench.catalog.identity import (
    DatasetIdentity,
    ModelIdentity,
    dataset_rank,
    family_rank,
    identify_dataset,
    identify_model,
)
from bench.store.correctness import Predictions
from bench.store.current import current_records, failed_trials
from bench.store.record import Record
from bench.store.rows import Rows, speed_rows, task_rows, unfinished_records, whole

T = TypeVar("T", Speed, Memory)


@dataclass(frozen=True)
class Count:
    """Parameters and compute of one model at one resolution, with the counters' certificate."""

    params: int
    macs: int
    norm_macs: int | None  # these three are None where one counter did not see all of the model
    activations: int | None
    attention_macs: int | None
    certificate: str
    certificate_note: str
    cell_id: str


@dataclass(frozen=True)
class Row:
    """One line of the main table: a model under one set of conditions, and what is known of it."""

    key: RunKey
    identity: ModelIdentity
    label: str  # the title, with what tells it from other rows of the same title
    count: Count | None
    scores: Mapping[str, Trained]  # by data set, at its largest training set and budget
    speed: Speed | None
    memory: Memory | None
    measured: Mapping[str, Rows]  # by task: the home machine's rows of its timings, at one batch size

    @property
    def macs(self) -> float | None:
        """Multiply-adds of one image: counted, or as the training run was told."""
        if self.count is not None:
            return float(self.count.macs)
        return next((score.macs for score in self.scores.values()), None)

    @property
    def params(self) -> float | None:
        if self.count is not None:
            return float(self.count.params)
        return next((score.params for score in self.scores.values()), None)

    @property
    def macs_note(self) -> str:
        """Why the MACs are not certified; "" where they are, and where nothing rests on them."""
        if self.count is not None:
            return "" if self.count.certificate == "ok" else self.count.certificate_note or "the counters differ"
        return next((score.macs_note for score in self.scores.values() if score.macs_note), "")


@dataclass(frozen=True)
class Study:
    """One suite's records, analysed."""

    suite: str
    records: tuple[Record, ...]
    datasets: tuple[DatasetIdentity, ...]  # those scored on the test part, findings first
    rows: tuple[Row, ...]  # families grouped, rising MACs
    scores: tuple[Trained, ...]  # every regime
    pixels: Mapping[tuple[str, int], PixelBaseline]  # data set and training images -> logistic regression on pixels
    differences: Mapping[Place, Difference]  # models of one size and of different families, wherever they met
    best: Mapping[str, BestSet[RunKey]]  # data set -> who cannot be told from the best of the rows
    speeds: tuple[Speed, ...]  # every batch size and machine
    ratios: tuple[SpeedRatio, ...]
    memories: tuple[Memory, ...]
    tuned: tuple[Tuned, ...]  # timed under fixed and under their best settings
    warnings: tuple[TimingWarning, ...]  # timings that look unstable
    home: str  # the machine whose timings the main table shows
    swept: tuple[SweptModel, ...]
    scaling: tuple[ScalingComparison, ...]
    sota: tuple[SotaComparison, ...]
    timm: tuple[TimmComparison, ...]
    failures: tuple[Record, ...]  # newest records of their cells that are not ok
    shown: tuple[Record, ...]  # ok, of the newest definition, data and software
    left_out: tuple[Record, ...]  # ok, but of an older definition, older data or older software
    training: Rows
    labels: Mapping[RunKey, str]
    speed: SpeedStudy  # along batch sizes and resolutions, and of training steps
    series_labels: Mapping[RunKey, str]  # of keys without their resolution
    protocols: Protocols  # evaluated, few-shot and fine-tuned weights, and checked data
    candidates: tuple[Candidate, ...]  # what a reader may choose from, at the largest training sets
    sensitivities: tuple[Sensitivity, ...] = ()
    pretraining: PretrainStudy | None = None  # `protocols` holds none of what started from its weights

    @cached_property
    def families(self) -> dict[str, str]:
        return {score.key.model: score.identity.family for score in self.scores}

    @cached_property
    def trends(self) -> list[Trend]:
        """How the gaps move along training compute and along training images."""
        return gap_trends(self.scores, self.differences)

    @cached_property
    def public(self) -> PublicStudy:
        """Every public checkpoint with the times that these records hold."""
        return public_study(self.records)

    @property
    def main(self) -> list[Trained]:
        """Scores at the largest training set and budget, in order of rows and data sets."""
        return [row.scores[d.name] for row in self.rows for d in self.datasets if d.name in row.scores]


def study(suite: str, records: Sequence[Record], predictions: Predictions) -> Study:
    """Analyse the records of one suite. predictions: cell id -> per-image predictions, None where there are none."""
    shown, left_out = current_records(records)
    # What started from a pretraining, and its controls, are told by points of pretraining.
    is_told = started_from(records)
    others, others_shown = ([r for r in side if not is_told(r)] for side in (records, shown))
    training, timing = task_rows(others_shown, "train"), speed_rows(shown)
    counted, memory = task_rows(shown, "complexity"), task_rows(shown, "memory")
    families = {str(row["model"]): str(row["family"]) for row in counted}
    timed = timing or memory or task_rows(shown, "training_step") or task_rows(shown, "largest_batch")
    home = home_machine(timed)
    failures = unfinished_records(records)
    curves = speed_study(shown, failures, home)
    names = {str(row["model"]) for row in itertools.chain(training, timing, counted, memory)}
    names |= {key.model for key in curves.keys}
    identities = {name: identify_model(name, families.get(name)) for name in sorted(names)}
    pixels = pixel_baselines(task_rows(shown, "pixels"), predictions)
    scores = trained_accuracies(training, identities, predictions, pixels)
    main = main_scores(scores)
    rows = _rows(identities, counted, main, speeds(timing), memories(memory), home_values(shown, home), home)
    references = _references(rows)
    labels = {
        **_labels({score.key for score in scores}, identities),  # also of models that no main row shows
        **_labels(curves.keys, identities),
        **{row.key: row.label for row in rows},
    }
    pretraining = pretrain_study(shown, predictions)
    protocols = protocol_study(others, others_shown, counted, predictions)
    datasets = sorted((identify_dataset(name) for name in {score.dataset for score in scores}), key=dataset_rank)
    return Study(
        suite=suite,
        records=tuple(records),
        datasets=tuple(datasets),
        rows=tuple(rows),
        scores=tuple(scores),
        pixels={(s.dataset, s.train_images): s.pixels for s in scores if s.pixels is not None},
        differences=score_differences(scores),
        best={
            dataset.name: best_trained(row.scores[dataset.name] for row in rows if dataset.name in row.scores)
            for dataset in datasets
        },
        speeds=tuple(speeds(timing)),
        ratios=tuple(speed_ratios(timing, references)),
        memories=tuple(memories(memory)),
        tuned=tuple(tuned_models(shown, records, families)),
        warnings=tuple(warnings(shown)),
        home=home,
        swept=tuple(swept_models(training, identities, failed_trials("train", records, shown))),
        scaling=tuple(compare_scaling(counted)),
        sota=tuple(compare_sota(counted)),
        timm=tuple(compare_timm(counted)),
        failures=tuple(failures),
        shown=tuple(shown),
        left_out=tuple(left_out),
        training=training,
        labels=labels,
        speed=curves,
        series_labels=_labels({series_of(key) for key in curves.keys}, identities),
        protocols=protocols,
        candidates=tuple(_candidates(rows, scores, labels, protocols, shown)),
        sensitivities=tuple(sensitivities(training, identities, predictions)),
        pretraining=pretraining,
    )


def _candidates(
    rows: Sequence[Row],
    scores: Sequence[Trained],
    labels: Mapping[RunKey, str],
    protocols: Protocols,
    shown: Sequence[Record],
) -> list[Candidate]:
    """Trained models at the largest training set of each data set, and weights under each protocol."""
    counts = {row.key: row.count for row in rows if row.count is not None}
    macs = {key: Cost(float(count.macs), None, "", (count.cell_id,)) for key, count in counts.items()}
    speed = {row.key: row.speed for row in rows if row.speed is not None}
    memory = {row.key: row.memory for row in rows if row.memory is not None}
    found = [
        *trained_candidates(at_largest_set(scores), labels, macs, speed, memory),
        *weights_candidates(protocols, speed, memory),
    ]
    uncertified = {
        record.cell_id: str(record.values["certificate_note"])
        for record in shown
        if record.values.get("certificate", "ok") != "ok"
    }
    behind = [(*one.accuracy.cell_ids, *(one.costs["macs"].cell_ids if "macs" in one.costs else ())) for one in found]
    notes = [next((uncertified[i] for i in ids if i in uncertified), "") for ids in behind]
    return [replace(one, macs_note=note) for one, note in zip(found, notes, strict=True)]


def _counts(rows: Rows) -> dict[tuple[str, int], Count]:
    """(model, resolution) -> count; of several class counts, the smallest head."""
    counts: dict[tuple[str, int], Count] = {}
    known = [row for row in rows if row["macs"] is not None]
    for row in sorted(known, key=lambda row: (row["params"] or 0, row["cell_id"])):
        count = Count(
            params=whole(row, "params") or 0,
            macs=whole(row, "macs") or 0,
            norm_macs=whole(row, "norm_macs"),
            activations=whole(row, "activations"),
            attention_macs=whole(row, "attention_macs"),
            certificate=str(row["certificate"]),
            certificate_note=str(row["certificate_note"] or ""),
            cell_id=str(row["cell_id"]),
        )
        counts.setdefault((str(row["model"]), int(row["resolution_px"])), count)
    return counts


def _rows(
    identities: Mapping[str, ModelIdentity],
    counted: Rows,
    scores: Iterable[Trained],
    timed: Iterable[Speed],
    weighed: Iterable[Memory],
    measured: Mapping[RunKey, Mapping[str, Rows]],
    home: str,
) -> list[Row]:
    counts = _counts(counted)
    by_key: dict[RunKey, dict[str, Trained]] = defaultdict(dict)
    for score in scores:
        by_key[score.key][score.dataset] = score
    speed = _at_common_batch([one for one in timed if one.machine == home])
    memory = _at_common_batch([one for one in weighed if one.machine == home])
    keys = {*by_key, *speed, *memory}
    covered = {(key.model, key.resolution_px) for key in keys}
    keys |= {RunKey(*model) for model in counts if model not in covered}
    labels = _labels(keys, identities)
    rows = [
        Row(
            key=key,
            identity=identities[key.model],
            label=labels[key],
            count=counts.get((key.model, key.resolution_px)),
            scores=by_key.get(key, {}),
            speed=speed.get(key),
            memory=memory.get(key),
            measured=measured.get(key, {}),
        )
        for key in keys
    ]
    return sorted(rows, key=lambda row: (family_rank(row.identity.family), row.macs or 0.0, row.label, row.key))


def _at_common_batch(found: Sequence[T]) -> dict[RunKey, T]:
    """One measurement per key: at the batch size that most models have, the larger of equals; others where it lacks."""
    popular = Counter(one.batch_size for one in found)
    best: dict[RunKey, T] = {}
    for one in found:
        rank = (popular[one.batch_size], one.batch_size)
        other = best.get(one.key)
        if other is None or rank > (popular[other.batch_size], other.batch_size):
            best[one.key] = one
    return best


def _labels(keys: Iterable[RunKey], identities: Mapping[str, ModelIdentity]) -> dict[RunKey, str]:
    """Titles; the model's own name where two models share a title, and the settings where one model has several."""
    keys = sorted(keys)
    titles = Counter({k.model: identities[k.model].title for k in keys}.values())
    by_model: dict[str, list[RunKey]] = defaultdict(list)
    for key in keys:
        by_model[key.model].append(key)
    labels = {}
    for key in keys:
        title = identities[key.model].title
        name = title if titles[title] == 1 else key.model
        labels[key] = " ".join([name, *distinguishing(key, by_model[key.model])])
    return labels


def _references(rows: Sequence[Row]) -> dict[RunKey, RunKey]:
    """For each timed row, the ViT that its speed is told against: of its size class, else the nearest in MACs."""
    references = {}
    vits = [row for row in rows if row.identity.family == "vit" and row.speed is not None]
    for row in rows:
        same = [vit for vit in vits if replace(vit.key, model="") == replace(row.key, model="") and vit.macs]
        if row.speed is None or not same or not row.macs:
            continue
        sized = [vit for vit in same if vit.identity.size_class == row.identity.size_class] or same
        macs = row.macs
        references[row.key] = min(sized, key=lambda vit: (abs(math.log((vit.macs or 1.0) / macs)), vit.key)).key
    return references
