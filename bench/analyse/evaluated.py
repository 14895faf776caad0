"""Accuracy of pretrained weights with their own head: one checkpoint each, so intervals are over test images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analyse.intervals import Interval, SeedGroup, wilson_interval
from bench.analyse.weights import Subject, subject_of
from bench.catalog.identity import ModelIdentity
from bench.store.correctness import Predictions, read_correctness
from bench.store.frame import notes_of, number, rows_of, words


@dataclass(frozen=True)
class Evaluation:
    """One checkpoint on one data set. Percentages; None where the record has none."""

    subject: Subject
    identity: ModelIdentity
    dataset: str
    top1: Interval
    top5_pct: float | None
    mean_per_class_pct: float | None
    real: Interval | None
    published_pct: float | None
    published_source: str
    delta_pp: float | None
    self_check: str  # ok, differs or no reference
    self_check_note: str
    params: float | None
    macs: float | None
    preprocessing: Mapping[str, Any]
    notes: tuple[str, ...]
    group: SeedGroup
    cell_ids: tuple[str, ...]


def evaluations(
    frame: pd.DataFrame, identities: Mapping[str, ModelIdentity], predictions: Predictions
) -> list[Evaluation]:
    """Every evaluated checkpoint and data set, in order of subject and set; of several records the newest."""
    newest: dict[tuple[Subject, str], Mapping[str, Any]] = {}
    for row in rows_of(frame.sort_values(["started_at", "cell_id"], kind="stable")):
        newest[subject_of(row), str(row["dataset"])] = row
    return [_evaluation(newest[key], identities, predictions) for key in sorted(newest)]


def _evaluation(
    row: Mapping[str, Any], identities: Mapping[str, ModelIdentity], predictions: Predictions
) -> Evaluation:
    images = int(row["images"])
    correct = number(row, "correct_top1")
    top1 = wilson_interval(float(row["top1_pct"]) / 100 * images if correct is None else correct, images)
    real, real_images = number(row, "real_top1_pct"), number(row, "real_images")
    cell_ids = (str(row["cell_id"]),)
    preprocessing = row["preprocessing"]
    return Evaluation(
        subject=subject_of(row),
        identity=identities[str(row["model"])],
        dataset=str(row["dataset"]),
        top1=top1,
        top5_pct=number(row, "top5_pct"),
        mean_per_class_pct=number(row, "mean_per_class_pct"),
        real=wilson_interval(real / 100 * real_images, int(real_images)) if real is not None and real_images else None,
        published_pct=number(row, "published_top1_pct"),
        published_source=words(row["published_source"]),
        delta_pp=number(row, "delta_pp"),
        self_check=words(row["self_check"]) or "no reference",
        self_check_note=words(row["self_check_note"]),
        params=number(row, "params"),
        macs=number(row, "macs"),
        preprocessing=preprocessing if isinstance(preprocessing, dict) else {},
        notes=notes_of([row]),
        group=SeedGroup((top1.estimate,), images, read_correctness(cell_ids, predictions)),
        cell_ids=cell_ids,
    )
