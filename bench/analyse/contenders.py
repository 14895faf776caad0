"""Every accuracy of a suite as something that can be compared with another one, whatever protocol made it.

A contender says which images it was scored on, what must be alike for two of them to stand in one sentence, and what
such a sentence has to tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.analyse.evaluated import Evaluation
from bench.analyse.fewshots import FewshotScore, headline_scores, headline_setting
from bench.analyse.finetuned import FinetuneScore
from bench.analyse.intervals import SeedGroup
from bench.analyse.pretrained import FINETUNED, Transfer, pretrain_study
from bench.analyse.protocols import protocol_study
from bench.analyse.scores import Score, trained_scores
from bench.analyse.weights import FROM_SCRATCH, NO_PRETRAINING, PUBLIC, pretraining_of
from bench.catalog.identity import ModelIdentity, identify_dataset, identify_model
from bench.store.correctness import Predictions
from bench.store.current import current_records
from bench.store.frame import complexity_frame, training_frame
from bench.store.record import Record

Protocol = Literal["trained", "fine-tuned", "evaluated", "few-shot"]
PROTOCOLS: tuple[Protocol, ...] = ("trained", "fine-tuned", "evaluated", "few-shot")
UNKNOWN = "unknown"
_UNCERTIFIED = " (of MACs not certified)"


@dataclass(frozen=True)
class Contender:
    """One model's accuracy on one data set under one protocol and regime.

    images: what says that two were scored on the same test images. stratum: what must be equal for one sentence, by
    name. told: what a sentence says where it differs. runs: the seed of each value of `group`, or the draw.
    """

    suite: str
    protocol: Protocol
    dataset: str
    identity: ModelIdentity
    group: SeedGroup
    runs: tuple[int, ...]
    cell_ids: tuple[str, ...]
    images: tuple[str, ...]
    stratum: Mapping[str, str]
    told: Mapping[str, str]
    train_images: int | None = None  # of a training from scratch, or of this suite's pretraining that it starts from
    budget: float | None = None  # of the same, in the unit of its cell
    of_draws: bool = False  # whether `runs` are draws and not seeds

    @property
    def is_from_scratch(self) -> bool:
        """Whether nothing was pretrained."""
        return self.stratum.get("pre-training data") == NO_PRETRAINING

    @property
    def model(self) -> str:
        """The name under which its records are stored."""
        return self.identity.name


def contenders(suite: str, records: Sequence[Record], predictions: Predictions) -> list[Contender]:
    """Every contender among a suite's records, older versions of a model or data set left out (`current_records`).

    Of few-shot results those with the shots and rule that a report's sentences speak of.
    """
    shown, _ = current_records(records)
    training, counted = training_frame(shown), complexity_frame(shown)
    families = {str(model): str(family) for model, family in zip(counted["model"], counted["family"], strict=True)}
    identities = {name: identify_model(name, families.get(name)) for name in sorted(map(str, training["model"]))}
    protocols = protocol_study(records, shown, counted, predictions)
    by_id = {record.cell_id: record for record in shown}
    found = [_trained(suite, score) for score in trained_scores(training, identities, predictions)]
    headline = headline_setting(list(protocols.fewshot)) if protocols.fewshot else (0, "")
    points, ways = pretrain_study(shown, predictions), (FINETUNED, f"{headline[0]}-shot")
    transfers = [] if points is None else [one for one in points.transfers if one.way in ways]
    told_by_point = {weights for one in transfers for weights in one.point.weights}
    found += [_transferred(suite, one, name, headline, by_id) for one in transfers for name in one.groups]
    tuned = [one for one in protocols.finetuned if one.subject.weights not in told_by_point]
    found += [_finetuned(suite, score, by_id) for score in tuned]
    found += [_of_weights(suite, "evaluated", score, by_id, (0,), {}, {}) for score in protocols.evaluated]
    few = headline_scores(protocols.fewshot)
    return found + [_fewshot(suite, one, by_id) for one in few if one.subject.weights not in told_by_point]


def _identity(score: FinetuneScore | Evaluation | FewshotScore) -> ModelIdentity:
    """The model's, with the file of its weights in the title: a model may start from several."""
    subject = score.subject
    if subject.weights in (PUBLIC, FROM_SCRATCH) or subject.trained_on:
        return score.identity
    return replace(score.identity, title=f"{score.identity.title} (file {subject.weights.removeprefix('sha256 ')[:8]})")


def _trained(suite: str, score: Score) -> Contender:
    _, fingerprint, classes = score.kind
    key, budget = score.key, f"{score.budget_gflop:.10g} GFLOP{_UNCERTIFIED if score.macs_note else ''}"
    return Contender(
        suite=suite,
        protocol="trained",
        dataset=score.dataset,
        identity=score.identity,
        group=score.group,
        runs=score.seeds,
        cell_ids=score.cell_ids,
        images=(fingerprint, classes, str(score.group.test_images)),
        stratum={
            "resolution": f"{key.resolution_px} px",
            "precision": key.precision,
            "device": key.device,
            "pre-training data": NO_PRETRAINING,
            "training images": f"{score.train_images}",
        },
        told={"training compute": budget},
        train_images=score.train_images,
        budget=score.budget_gflop,
    )


def _transferred(
    suite: str, one: Transfer, dataset: str, headline: tuple[int, str], records: Mapping[str, Record]
) -> Contender:
    """A model after its pretrainings of this suite to one budget, on one set: a run for each seed of these."""
    key, cell_ids, group = one.point.key, one.cell_ids[dataset], one.groups[dataset]
    first = records[cell_ids[0]]
    is_tuned = one.way == FINETUNED
    trained_on = first.values.get("train_images") or first.cell.get("train_images")
    unit = key.unit.replace("gflop", f"GFLOP{_UNCERTIFIED if one.point.macs_note else ''}")
    how = {"training images": f"{trained_on}"} if is_tuned else {"few-shot rule": _rule_words(*headline)}
    return Contender(
        suite=suite,
        protocol="fine-tuned" if is_tuned else "few-shot",
        dataset=dataset,
        identity=one.point.identity,
        group=group,
        runs=one.point.seeds,
        cell_ids=cell_ids,
        images=_images(cell_ids, records, group),
        stratum={
            "resolution": f"{first.cell['resolution_px']} px",
            "precision": str((first.cell.get("settings") or {}).get("precision", "fp32")),
            "device": str(first.cell.get("device")),
            "pre-training data": f"{identify_dataset(key.corpus).title} (trained here)",
            **how,
        },
        told={"pretraining": f"{key.budget:.10g} {unit} on {key.train_images} images"},
        train_images=key.train_images,
        budget=key.budget,
    )


def _rule_words(shots: int, rule: str, short: str = "") -> str:
    """short: that some classes have fewer images."""
    has_fewer = f" ({short})" if short else ""
    return f"{shots} shots{has_fewer}, lambda {'by leave-one-out' if rule == 'loo' else rule}"


def _of_weights(
    suite: str,
    protocol: Protocol,
    score: FinetuneScore | Evaluation | FewshotScore,
    records: Mapping[str, Record],
    runs: tuple[int, ...],
    stratum: Mapping[str, str],
    told: Mapping[str, str],
) -> Contender:
    """stratum: what must be alike besides the setting and the pre-training data."""
    key = score.subject.key
    setting = {"resolution": f"{key.resolution_px} px", "precision": key.precision, "device": key.device}
    return Contender(
        suite=suite,
        protocol=protocol,
        dataset=score.dataset,
        identity=_identity(score),
        group=score.group,
        runs=runs,
        cell_ids=score.cell_ids,
        images=_images(score.cell_ids, records, score.group),
        stratum={**setting, "pre-training data": pretraining_of(score.subject) or UNKNOWN, **stratum},
        told=told,
        of_draws=protocol == "few-shot",
    )


def _finetuned(suite: str, score: FinetuneScore, records: Mapping[str, Record]) -> Contender:
    seen = {"images seen in fine-tuning": f"{score.steps * score.batch_size:.0f}"}
    images = {"training images": f"{score.train_images:.0f}"}
    return _of_weights(suite, "fine-tuned", score, records, score.seeds, images, seen)


def _fewshot(suite: str, score: FewshotScore, records: Mapping[str, Record]) -> Contender:
    runs = tuple(range(len(score.group.values_pct)))
    rule = {"few-shot rule": _rule_words(score.shots, score.rule, score.short)}
    overlap = {"overlap": "the weights have seen this set" if score.overlap else "none known"}
    return _of_weights(suite, "few-shot", score, records, runs, rule, overlap)


def _images(cell_ids: Iterable[str], records: Mapping[str, Record], group: SeedGroup) -> tuple[str, ...]:
    prints = sorted({str(records[cell_id].cell.get("fingerprint") or "") for cell_id in cell_ids})
    return (*prints, str(group.test_images))


def of_models(found: Iterable[Contender], models: Iterable[str]) -> list[Contender]:
    """Those of these models, each identity with a title that no other of the models has."""
    wanted = set(models)
    kept = [one for one in found if one.model in wanted]
    titles: dict[str, set[str]] = {}
    for one in kept:
        titles.setdefault(one.identity.title, set()).add(one.model)
    return [
        one if len(titles[one.identity.title]) == 1 else replace(one, identity=replace(one.identity, title=one.model))
        for one in kept
    ]
