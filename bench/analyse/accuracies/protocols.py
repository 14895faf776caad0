"""Everything that a report says of evaluated, few-shot and fine-tuned weights and of checked data, computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analyse.accuracies.accuracy import Accuracy, Evaluated, FewShot, FineTuned
from bench.analyse.accuracies.pooling import (
    evaluated_accuracies,
    fewshot_accuracies,
    finetuned_accuracies,
    headline_scores,
)
from bench.analyse.accuracies.subjects import PUBLIC, Subject, identify_weights, weights_labels
from bench.analyse.accuracies.trials import RecipeSweep, recipe_sweeps
from bench.analyse.claims.published import PublicScaling, TableTwoRow, public_scaling, table_two
from bench.analyse.compare.differences import PretrainingGain, Stratum, mean_strata, pretraining_gains, strata
from bench.analyse.compare.means import Vtab, by_subject, sets_to_average, vtab_of
from bench.catalog.identity import family_rank
from bench.catalog.image_tasks import vtab_group
from bench.store.correctness import Predictions
from bench.store.current import failed_trials
from bench.store.preflights import Checked, preflights
from bench.store.record import Record
from bench.store.rows import Rows, task_rows

PROTOCOL_TASKS = ("evaluate", "fewshot", "finetune", "preflight")


@dataclass(frozen=True)
class Protocols:
    """One suite's results of the protocols that start from stored images and public weights."""

    records: tuple[Record, ...]  # of these protocols, whatever their status
    evaluated: tuple[Evaluated, ...]
    fewshot: tuple[FewShot, ...]
    finetuned: tuple[FineTuned, ...]
    sweeps: tuple[RecipeSweep, ...]
    gains: tuple[PretrainingGain, ...]
    vtab: Vtab | None
    averaged: tuple[str, ...]  # sets behind the mean of the fine-tuned models
    checked: tuple[Checked, ...]
    strata: Mapping[str, tuple[Stratum, ...]]  # protocol (fine-tuned, evaluated, few-shot) -> who is best, on what
    table_two: tuple[TableTwoRow, ...]  # empty unless a row of it was measured
    public: PublicScaling
    subjects: tuple[Subject, ...]  # in the order of rows
    labels: Mapping[Subject, str]

    @property
    def evaluates_released_alone(self) -> bool:
        """Whether every evaluated checkpoint is one that others released: no file, no training of the suite's own."""
        return all(one.subject.weights == PUBLIC for one in self.evaluated)

    @property
    def table_sets(self) -> list[FineTuned]:
        """Fine-tuned scores apart from VTAB's tasks, which have a table of their own."""
        return [score for score in self.finetuned if vtab_group(score.dataset) is None]


def protocol_study(
    records: Sequence[Record], shown: Sequence[Record], counts: Rows, predictions: Predictions
) -> Protocols:
    """Analyse the protocols' records. shown: those that may be put together; counts: the suite's."""
    rows = {task: task_rows(shown, task) for task in ("evaluate", "fewshot", "finetune")}
    counted = {str(row["model"]): str(row["family"]) for row in counts}
    names = sorted({str(row["model"]) for own in rows.values() for row in own})
    identities = {name: identify_weights(name, counted.get(name)) for name in names}
    evaluated = evaluated_accuracies(rows["evaluate"], identities, predictions)
    fewshot = fewshot_accuracies(rows["fewshot"], identities)
    finetuned = finetuned_accuracies(rows["finetune"], identities, predictions)
    sweeps = recipe_sweeps(rows["finetune"], failed_trials("finetune", records, shown))
    apart = [score for score in finetuned if vtab_group(score.dataset) is None]
    averaged = sets_to_average(apart)
    vtab = vtab_of(finetuned)
    stand_ins = table_two(evaluated, finetuned, vtab)
    scores: list[Accuracy] = [*evaluated, *fewshot, *finetuned]
    scored = {score.subject for score in scores} | {sweep.subject for sweep in sweeps}
    macs = {score.subject: score.macs or 0.0 for score in scores}
    return Protocols(
        records=tuple(record for record in records if record.cell.get("task") in PROTOCOL_TASKS),
        evaluated=tuple(evaluated),
        fewshot=tuple(fewshot),
        finetuned=tuple(finetuned),
        sweeps=tuple(sweeps),
        gains=tuple(pretraining_gains(finetuned)),
        vtab=vtab,
        averaged=averaged,
        checked=tuple(preflights(shown)),
        strata={
            "fine-tuned": (*(mean_strata(apart, averaged) if averaged else ()), *strata(apart)),
            "evaluated": tuple(strata(evaluated)),
            "few-shot": tuple(strata(headline_scores(fewshot))),
        },
        table_two=tuple(stand_ins) if any(row.measured is not None for row in stand_ins) else (),
        public=public_scaling(counts, finetuned, fewshot, evaluated),
        subjects=tuple(
            sorted(
                scored,
                key=lambda s: (
                    family_rank(identities[s.key.model].family),
                    macs.get(s, 0.0),
                    identities[s.key.model].title,
                    s.is_from_scratch,
                    s,
                ),
            )
        ),
        labels=weights_labels(scored, identities),
    )


def finetuned_by_subject(protocols: Protocols) -> dict[Subject, dict[str, FineTuned]]:
    """Fine-tuned scores apart from VTAB's, by subject and set."""
    return by_subject(protocols.table_sets)
