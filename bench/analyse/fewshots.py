"""Few-shot accuracy of frozen features: mean over draws of the support images, by shots and rule for lambda."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analyse.intervals import Interval, SeedGroup, accuracy_interval
from bench.analyse.weights import Subject, subject_of
from bench.catalog.identity import ModelIdentity
from bench.shown import shortage_words
from bench.store.frame import notes_of, number, rows_of, words

FIXED, LEAVE_ONE_OUT = "fixed", "loo"


@dataclass(frozen=True)
class FewshotScore:
    """One model on one data set with k images a class; `group` holds the draws."""

    subject: Subject
    identity: ModelIdentity
    dataset: str
    shots: int
    rule: str  # fixed or loo
    layer: str
    feature_width: int | None
    overlap: bool  # the weights have seen images or classes of this set
    overlap_note: str
    fixed_l2: float | None
    params: float | None
    macs: float | None
    notes: tuple[str, ...]
    group: SeedGroup
    interval: Interval
    cell_ids: tuple[str, ...]
    short: str = ""  # which of the set's classes have fewer images than shots, in words; empty where none has


_Key = tuple[Subject, str, int, str]


def fewshot_scores(frame: pd.DataFrame, identities: Mapping[str, ModelIdentity]) -> list[FewshotScore]:
    """Scores of every model, set, number of shots and rule, in that order."""
    by_key: dict[_Key, list[dict[str, Any]]] = defaultdict(list)
    for row in rows_of(frame.sort_values(["started_at", "cell_id"], kind="stable")):
        by_key[subject_of(row), str(row["dataset"]), int(row["shots"]), str(row["rule"])].append(row)
    newest = {key: [row for row in rows if row["cell_id"] == rows[-1]["cell_id"]] for key, rows in by_key.items()}
    return [_score(key, newest[key], identities) for key in sorted(newest)]


def _score(key: _Key, rows: list[dict[str, Any]], identities: Mapping[str, ModelIdentity]) -> FewshotScore:
    subject, dataset, shots, rule = key
    first = rows[0]
    values = tuple(float(row["top1_pct"]) for row in sorted(rows, key=lambda row: int(row["draw"])))
    group = SeedGroup(values, int(first["test_images"]))
    width = number(first, "feature_width")
    return FewshotScore(
        subject=subject,
        identity=identities[subject.key.model],
        dataset=dataset,
        shots=shots,
        rule=rule,
        layer=words(first["layer"]),
        feature_width=None if width is None else int(width),
        overlap=first["overlap"] is True,
        overlap_note=words(first["overlap_note"]),
        fixed_l2=number(first, "fixed_l2"),
        params=number(first, "params"),
        macs=number(first, "macs"),
        notes=notes_of(rows),
        group=group,
        interval=accuracy_interval(group),
        cell_ids=(str(first["cell_id"]),),
        short=shortage_words(number(first, "short_classes"), number(first, "fewest_images")),
    )


def headline_setting(scores: list[FewshotScore]) -> tuple[int, str]:
    """The shots and rule that sentences and the compute figure speak of.

    Five shots, as in the paper, or else the most that most models have; lambda by leave-one-out where it is there,
    because one fixed lambda acts differently on features of different width. Raises ValueError without scores.
    """
    if not scores:
        raise ValueError("no few-shot scores")
    rules = {score.rule for score in scores}
    rule = LEAVE_ONE_OUT if LEAVE_ONE_OUT in rules else min(rules)
    counts: dict[int, int] = defaultdict(int)
    for score in scores:
        counts[score.shots] += score.rule == rule
    return (5 if counts.get(5) else max(counts, key=lambda shots: (counts[shots], shots))), rule


def headline_scores(scores: Sequence[FewshotScore]) -> list[FewshotScore]:
    """The scores with the shots and rule that sentences speak of; none of none."""
    setting = headline_setting(list(scores)) if scores else (0, "")
    return [one for one in scores if (one.shots, one.rule) == setting]
