"""The figures of one run of a suite, each under a name by which the same figure of another run is found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.analyse.contenders import Contender, contenders
from bench.analyse.correctness import Predictions
from bench.analyse.current import current_records
from bench.analyse.frame import (
    complexity_frame,
    largest_batch_frame,
    memory_frame,
    speed_frame,
    training_memory_frame,
    training_step_frame,
)
from bench.analyse.identity import identify_dataset, identify_model
from bench.analyse.intervals import Interval
from bench.analyse.largest_batches import largest_batches
from bench.analyse.scores import RunKey
from bench.analyse.speeds import memories, rows_of, speeds
from bench.analyse.training_steps import training_steps
from bench.store.record import Record

Kind = Literal["accuracy", "rate", "count", "single"]
Place = tuple[str, ...]
_SOFTWARE = ("machine", "threads", "torch", "timm")


@dataclass(frozen=True)
class Figure:
    """One figure of one run.

    place: metric, model and conditions; the same in another run. where: the conditions for a reader, without the
    model. kind: how two of them compare: accuracies in points, rates and times as a ratio, counts exactly, and single
    measurements, whose scatter nobody knows. unit: of `value`. conditions: what may differ between runs, by name.
    """

    place: Place
    metric: str
    model: str  # title
    where: str
    kind: Kind
    unit: str
    value: float
    interval: Interval | None
    machine: str  # of timings and memory; empty for what no machine changes
    conditions: tuple[tuple[str, str], ...]
    cell_ids: tuple[str, ...]
    contender: Contender | None = None  # of accuracies


def run_figures(suite: str, records: Sequence[Record], predictions: Predictions) -> list[Figure]:
    """Every figure of the records, older versions of models, data and software left out; in no promised order."""
    shown, _ = current_records(records)
    by_id = {record.cell_id: record for record in shown}
    found = [_accuracy(one) for one in contenders(suite, records, predictions)]
    found += [*_counts(shown), *_speeds(shown), *_steps(shown), *_memories(shown), *_largest(shown)]
    return [replace(one, conditions=_conditions(one, by_id)) for one in found]


def _conditions(one: Figure, records: dict[str, Record]) -> tuple[tuple[str, str], ...]:
    known = [records[cell_id] for cell_id in one.cell_ids if cell_id in records]
    found = []
    for name in _SOFTWARE:
        values = sorted({str(record.conditions.get(name) or "unknown") for record in known})
        found.append((name, " and ".join(values)))
    definitions = sorted({str(record.cell.get("definition") or "") for record in known})
    return (*found, ("definition", " and ".join(definitions)))


def _accuracy(one: Contender) -> Figure:
    if one.protocol == "trained":
        regime = [f"{one.train_images} images", f"{one.budget:.10g} GFLOP"]
    else:
        regime = [one.told["pretraining"]] if "pretraining" in one.told else []
    pretraining = one.stratum.get("pre-training data", "")
    told = [one.protocol, *([pretraining] if one.protocol != "trained" else []), *regime]
    stratum = tuple(f"{name} {value}" for name, value in sorted(one.stratum.items()))
    return Figure(
        place=("top-1", one.model, one.protocol, one.dataset, *regime, *stratum),
        metric="top-1",
        model=one.identity.title,
        where=", ".join([identify_dataset(one.dataset).title, *told]),
        kind="accuracy",
        unit="%",
        value=one.group.mean_pct,
        interval=None,
        machine="",
        conditions=(),
        cell_ids=one.cell_ids,
        contender=one,
    )


def _counts(shown: Sequence[Record]) -> Iterable[Figure]:
    """Parameters, multiply-adds and activations of every counted model."""
    for row in rows_of(complexity_frame(shown)):
        for metric, column in (("params", "params"), ("MACs", "macs"), ("activations", "activations")):
            if row[column] == row[column] and row[column] is not None:
                where = f"{int(row['resolution_px'])} px"
                place = (metric, str(row["model"]), where, str(row["num_classes"]))
                title = identify_model(str(row["model"])).title
                value, ids = float(row[column]), (str(row["cell_id"]),)
                yield Figure(place, metric, title, where, "count", "", value, None, "", (), ids)


def _timing(metric: str, key: RunKey, batch: int, kind: Kind, unit: str, value: float, interval: Interval | None,
            machine: str, cell_ids: tuple[str, ...]) -> Figure:  # fmt: skip
    setting = ["compiled"] if key.compile else []
    setting += ["folded"] if key.fold else []
    told = [f"batch {batch}", f"{key.resolution_px} px", key.device, key.precision, key.memory_format, *setting]
    title = identify_model(key.model).title
    where = ", ".join(told)
    return Figure((metric, key.model, *told), metric, title, where, kind, unit, value, interval, machine, (), cell_ids)


def _speeds(shown: Sequence[Record]) -> Iterable[Figure]:
    for one in speeds(speed_frame(shown)):
        rate, p50 = one.throughput_img_per_s, one.latency_p50_ms
        ids, at = one.cell_ids, one.machine
        value = rate.estimate if rate else one.throughput_median
        if value is not None:
            yield _timing("throughput", one.key, one.batch_size, "rate", "img/s", value, rate, at, ids)
        value = p50.estimate if p50 else one.latency_p50_median
        if value is not None:
            found = _timing("latency p50", one.key, one.batch_size, "rate", "ms", value, p50, at, ids)
            yield replace(found, where=found.where.replace(f"batch {one.batch_size}", "batch 1", 1))


def _steps(shown: Sequence[Record]) -> Iterable[Figure]:
    frame, timing = training_step_frame(shown), speed_frame(shown)
    for machine in sorted({str(name) for name in frame["machine"]}):
        for one in training_steps(frame, timing, training_memory_frame(shown), memory_frame(shown), machine):
            if one.rate_mean is not None:
                value = one.rate.estimate if one.rate else one.rate_mean
                yield _timing("training step", one.key, one.batch_size, "rate", "img/s", value, one.rate, machine,
                              one.cell_ids)  # fmt: skip


def _memories(shown: Sequence[Record]) -> Iterable[Figure]:
    for metric, frame in (("memory", memory_frame(shown)), ("training memory", training_memory_frame(shown))):
        for one in memories(frame):
            name = f"{metric} of the {one.kind}"
            yield _timing(name, one.key, one.batch_size, "single", "MiB", one.peak_mib, None, one.machine, one.cell_ids)


def _largest(shown: Sequence[Record]) -> Iterable[Figure]:
    frame = largest_batch_frame(shown)
    for machine in sorted({str(name) for name in frame["machine"]}):
        for one in largest_batches(frame, machine):
            limit = f"{one.budget_mib} MiB" if one.budget_mib is not None else "the device's memory"
            name = f"largest batch within {limit}"
            ids = (one.cell_id,)
            yield replace(
                _timing(name, one.key, one.cap, "single", "images", float(one.largest), None, machine, ids),
                where=f"{one.key.resolution_px} px, {one.key.device}, {one.key.precision}, {one.key.memory_format}",
            )
