"""Two models on the same test images: difference with interval, exact McNemar where it may speak, Holm's correction.

Several seeds: the difference over seeds is about the architectures, and McNemar about the two checkpoints of one seed
alone. One run of each: everything is about these two checkpoints. What differs in images, resolution, precision,
device or pre-training data gets no verdict. Holm corrects over the pairs on one suite, protocol and data set, so that a
verdict does not depend on what else is stored or asked for; the interval has the level at which the verdict was tested.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from bench.analyse.accuracies.accuracy import PROTOCOLS, UNKNOWN, Accuracy, FewShot
from bench.analyse.accuracies.pooling import headline_scores, trained_accuracies
from bench.analyse.accuracies.pretrained import FINETUNED, pretrain_study
from bench.analyse.accuracies.protocols import protocol_study
from bench.analyse.accuracies.subjects import FROM_SCRATCH, PUBLIC
from bench.analyse.stats.intervals import LEVEL, Interval, difference
from bench.analyse.stats.proportions import counts_of_runs, mcnemar_p, paired_interval, unpaired_interval
from bench.catalog.identity import ModelIdentity, identify_model
from bench.holm import holm, holm_levels
from bench.store.correctness import Predictions
from bench.store.current import current_records
from bench.store.record import Record
from bench.store.rows import task_rows

Place = tuple[str, str, str]
IntervalAt = Callable[[float], Interval]  # of a level
Verdict = Literal["ahead", "behind", "not decided"]
Basis = Literal["seeds", "draws", "one run each", "one run each, not paired", ""]


@dataclass(frozen=True)
class CheckpointPair:
    """One run of each model: who alone got how many test images right. It says nothing of the architectures."""

    run: int  # the seed of both
    only_first: int
    only_second: int
    images: int
    interval: Interval  # of the difference in points
    p_value: float  # exact McNemar
    p_holm: float  # corrected for all checkpoint pairs on the suite, protocol and data set
    cell_ids: tuple[str, str]

    @property
    def deciding(self) -> int:
        """Images that only one of the two got right."""
        return self.only_first + self.only_second


@dataclass(frozen=True)
class PairedComparison:
    """First minus second on one data set. `differs` is what keeps them out of one sentence; then there is no verdict.

    interval: at `level`, 95 % for a pair alone; it excludes zero just where the verdict is decided. p_holm: corrected
    for the `tests` comparisons on the same suite, protocol and data set that may have a verdict.
    """

    first: Accuracy
    second: Accuracy
    delta_pp: float | None  # None where the test images differ
    interval: Interval | None
    p_value: float | None
    p_holm: float | None
    basis: Basis
    verdict: Verdict | None  # of the first
    why_open: str  # why nothing can be decided, where nothing can
    differs: tuple[str, ...]
    told: tuple[str, ...]  # differences that a sentence must tell
    checkpoints: tuple[CheckpointPair, ...]
    level: float = LEVEL
    tests: int = 0

    @property
    def place(self) -> Place:
        """What comparisons must share to be corrected together."""
        return self.first.suite, self.first.protocol, self.first.dataset


def comparable_accuracies(suite: str, records: Sequence[Record], predictions: Predictions) -> list[Accuracy]:
    """Every accuracy among a suite's records, older versions of a model or data set left out (`current_records`).

    Of few-shot results those with the shots and rule that a report's sentences speak of.
    """
    shown, _ = current_records(records)
    training, counts = task_rows(shown, "train"), task_rows(shown, "complexity")
    families = {str(row["model"]): str(row["family"]) for row in counts}
    names = sorted({str(row["model"]) for row in training})
    identities = {name: identify_model(name, families.get(name)) for name in names}
    protocols = protocol_study(records, shown, counts, predictions)
    few = headline_scores(protocols.fewshot)
    ways = FINETUNED, f"{few[0].shots}-shot" if few else ""
    study = pretrain_study(shown, predictions)
    transfers = [] if study is None else [one for one in study.everything if one.way in ways]
    told_by_point = {weights for one in transfers for weights in one.point.weights}
    found: list[Accuracy] = [
        *trained_accuracies(training, identities, predictions),
        *(accuracy for one in transfers for accuracy in one.accuracies),
        *(one for one in protocols.finetuned if one.subject.weights not in told_by_point),
        *protocols.evaluated,
        *(one for one in few if one.subject.weights not in told_by_point),
    ]
    return [replace(one, suite=suite, identity=_told_apart(one)) for one in found]


def _told_apart(one: Accuracy) -> ModelIdentity:
    """The model's identity, with the file of its weights in the title: a model may start from several."""
    subject = one.subject
    if subject.weights in (PUBLIC, FROM_SCRATCH) or subject.trained_on:
        return one.identity
    return replace(one.identity, title=f"{one.identity.title} (file {subject.weights.removeprefix('sha256 ')[:8]})")


def of_models(found: Iterable[Accuracy], models: Iterable[str]) -> list[Accuracy]:
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


def of_draws(one: Accuracy) -> bool:
    """Whether its runs are draws of support images and not seeds."""
    return isinstance(one, FewShot)


def compare_models(
    found: Iterable[Accuracy], models: Sequence[str], train_images: int | None = None
) -> list[PairedComparison]:
    """Every pair of the models on every suite, protocol and data set that both have, in the order of the models.

    Trainings, and pretrainings of this suite, meet at the largest set and the largest budget that both have; with no
    common budget each stands with its largest, and that is told. train_images: only trainings and fine-tunings on so
    many images. Models from scratch meet models from scratch, and pretrained ones those of equal pre-training data.
    """
    found = [one for one in found if train_images is None or one.stratum.get("training images") == f"{train_images}"]
    places: dict[Place, dict[str, list[Accuracy]]] = {}
    for one in found:
        place = one.suite, one.protocol, one.dataset
        places.setdefault(place, {}).setdefault(one.model, []).append(one)
    ordered = sorted(places, key=lambda place: (place[0], PROTOCOLS.index(place[1]), place[2]))
    comparisons = [
        _compare(*pair)
        for first, second in itertools.combinations(models, 2)
        for place in ordered
        if first in places[place] and second in places[place]
        for pair in _meeting(places[place][first], places[place][second])
    ]
    return _corrected(comparisons)


def _meeting(ours: Sequence[Accuracy], theirs: Sequence[Accuracy]) -> list[tuple[Accuracy, Accuracy]]:
    """Those from scratch with those from scratch, the others with the others; where a side has none, with what it has.

    Of each kind the pairs with nothing that separates them; where there are none, those with the least that does.
    """
    found: dict[tuple[int, int], tuple[Accuracy, Accuracy]] = {}
    for is_scratch in (True, False):
        sides = [[one for one in side if one.is_from_scratch == is_scratch] for side in (ours, theirs)]
        if not any(sides):
            continue
        first, second = _at_one_regime(sides[0] or ours, sides[1] or theirs)
        pairs = [(a, b) for a in first for b in second]
        apart = [len(separating(*pair)) for pair in pairs]
        nearest = [pair for pair, count in zip(pairs, apart, strict=True) if count == min(apart)]
        found |= {(id(a), id(b)): (a, b) for a, b in nearest}
    return list(found.values())


def _at_one_regime(
    ours: Sequence[Accuracy], theirs: Sequence[Accuracy]
) -> tuple[Sequence[Accuracy], Sequence[Accuracy]]:
    """Of trainings and pretrainings of this suite, those at the largest common set and budget; all of other weights."""
    for field in (0, 1):  # of the regime: training images, then budget
        common = ({one.regime[field] for one in ours} & {one.regime[field] for one in theirs}) - {None}
        ours, theirs = _largest(ours, field, common), _largest(theirs, field, common)
    return ours, theirs


def _largest(side: Sequence[Accuracy], field: int, common: Collection[float | None]) -> Sequence[Accuracy]:
    """Those with the largest of the common values of the field, or with their own largest; and those without one."""
    own = {one.regime[field] for one in side} - {None}
    wanted = max((value for value in common or own if value is not None), default=None)
    return [one for one in side if one.regime[field] in (wanted, None)]


def separating(first: Accuracy, second: Accuracy) -> tuple[str, ...]:
    """What keeps two accuracies out of one sentence, in words; empty where nothing does."""
    found = [] if same_images(first, second) else ["test images (another version of the data set)"]
    for name, value in first.stratum.items():
        other = second.stratum.get(name, UNKNOWN)
        if name == "pre-training data" and UNKNOWN in (value, other):
            found.append(f"{name} (unknown of {_unknown_words(first, second, value, other)})")
        elif value != other:
            found.append(f"{name} ({value} and {other})")
    return tuple(found)


def _unknown_words(first: Accuracy, second: Accuracy, value: str, other: str) -> str:
    if value == other:
        return "both"
    return first.identity.title if value == UNKNOWN else second.identity.title


def same_images(first: Accuracy, second: Accuracy) -> bool:
    """Whether both were scored on the same test images: by fingerprint and number, and by key where keys are stored."""
    ours, theirs = first.group.correctness, second.group.correctness
    if ours is not None and theirs is not None and ours.images != theirs.images:
        return False
    return first.images == second.images


def _compare(first: Accuracy, second: Accuracy) -> tuple[PairedComparison, IntervalAt | None]:
    """The comparison before any correction, and what gives its interval at a level."""
    differs = separating(first, second)
    told = tuple(
        f"{name} differs: {first.told[name]} and {second.told[name]}"
        for name in first.told
        if name in second.told and first.told[name] != second.told[name]
    )
    blank = PairedComparison(first, second, None, None, None, None, "", None, "", differs, told, ())
    if not same_images(first, second):
        return blank, None
    checkpoints = tuple(_checkpoint_pairs(first, second))
    delta = first.group.mean_pct - second.group.mean_pct
    blank = replace(blank, delta_pp=delta, checkpoints=checkpoints)
    found = difference(first.group, second.group)
    if found is not None:
        basis: Basis = "draws" if of_draws(first) else "seeds"
        return replace(blank, p_value=found.p_value, basis=basis), found.interval
    if len(first.group.values_pct) > 1 or len(second.group.values_pct) > 1:
        return replace(blank, why_open="one of the two has one run, and nothing says how far its runs differ"), None
    if checkpoints:
        pair = checkpoints[0]
        return replace(blank, p_value=pair.p_value, basis="one run each"), partial(_as_mcnemar, pair)
    p_value = unpaired_interval(_correct(first), _correct(second))[1]
    unpaired = replace(blank, p_value=p_value, basis="one run each, not paired")
    return unpaired, lambda level: unpaired_interval(_correct(first), _correct(second), level)[0]


def _as_mcnemar(pair: CheckpointPair, level: float) -> Interval:
    """Tango's interval, reaching to zero where exact McNemar decides nothing at the level."""
    found = paired_interval(pair.only_first, pair.only_second, pair.images, level)
    if pair.p_value < 1 - level:
        return found
    return replace(found, low=min(found.low, 0.0), high=max(found.high, 0.0))


def _correct(one: Accuracy) -> tuple[float, int]:
    return one.group.mean_pct / 100 * one.group.test_images, one.group.test_images


def _checkpoint_pairs(first: Accuracy, second: Accuracy) -> Iterable[CheckpointPair]:
    """A pair for each seed that both have; single runs pair whatever their seeds. None without predictions."""
    ours, theirs = first.group.correctness, second.group.correctness
    if ours is None or theirs is None:
        return
    single = len(first.seeds) == len(second.seeds) == 1
    for index, run in enumerate(first.seeds):
        if not single and run not in second.seeds:
            continue
        other = 0 if single else second.seeds.index(run)
        only_first, only_second = counts_of_runs(ours, index, theirs, other)
        images = len(ours.images)
        p_value = mcnemar_p(only_first, only_second)
        yield CheckpointPair(
            run=run,
            only_first=only_first,
            only_second=only_second,
            images=images,
            interval=paired_interval(only_first, only_second, images),
            p_value=p_value,
            p_holm=p_value,
            cell_ids=(first.cell_ids[index], second.cell_ids[other]),
        )


def _corrected(found: Sequence[tuple[PairedComparison, IntervalAt | None]]) -> list[PairedComparison]:
    """The same with p, interval and verdict corrected over all of a place, and over all its checkpoint pairs."""
    by_place: dict[Place, list[int]] = {}
    for i, (one, _) in enumerate(found):
        by_place.setdefault(one.place, []).append(i)
    corrected: dict[int, PairedComparison] = {}
    for members in by_place.values():
        own = {i: found[i][0] for i in members}
        testable = {i: one.p_value for i, one in own.items() if one.p_value is not None and not one.differs}
        pairs = {(i, j): pair.p_value for i, one in own.items() for j, pair in enumerate(one.checkpoints)}
        p_holm, pairs_holm, levels = holm(testable), holm(pairs), holm_levels(testable, LEVEL)
        for i, one in own.items():
            level, interval_at = levels.get(i, LEVEL), found[i][1]
            one = replace(
                one,
                checkpoints=tuple(replace(pair, p_holm=pairs_holm[i, j]) for j, pair in enumerate(one.checkpoints)),
                interval=None if interval_at is None else interval_at(level),
                p_holm=p_holm.get(i),
                level=level,
                tests=len(testable) if i in testable else 0,
            )
            corrected[i] = replace(one, verdict=_verdict(one))
    return [corrected[i] for i in range(len(found))]


def _verdict(one: PairedComparison) -> Verdict | None:
    if one.differs or one.delta_pp is None:
        return None
    if one.p_holm is None or one.p_holm >= 1 - LEVEL:
        return "not decided"
    return "ahead" if one.delta_pp > 0 else "behind"
