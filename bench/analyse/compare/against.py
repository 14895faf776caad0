"""Two runs of one suite: what moved beyond noise, what only scattered, what is the same to the last digit.

A figure of one run has a name by which the same figure of another run is found. Accuracies compare in points, rates
and times by their ratio on one machine; timings of two machines get no ratio. Holm's correction is over every test of
the request.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from scipy import stats

from bench.analyse.accuracies.accuracy import Accuracy, Trained
from bench.analyse.accuracies.subjects import RunKey
from bench.analyse.compare.paired import comparable_accuracies, same_images
from bench.analyse.speed.speed_study import largest_batches, training_steps
from bench.analyse.speed.speeds import Timed, memories, speeds
from bench.analyse.stats.intervals import LEVEL, Interval, difference
from bench.analyse.stats.proportions import checkpoint_difference
from bench.catalog.identity import identify_dataset, identify_model
from bench.holm import holm
from bench.store.correctness import Predictions
from bench.store.current import current_records
from bench.store.record import Record
from bench.store.rows import speed_rows, task_rows

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
    accuracy: Accuracy | None = None  # of accuracies
    processes: tuple[float, ...] = ()  # of rates and times: each process's own, in `unit`


def run_figures(suite: str, records: Sequence[Record], predictions: Predictions) -> list[Figure]:
    """Every figure of the records, older versions of models, data and software left out; in no promised order."""
    shown, _ = current_records(records)
    by_id = {record.cell_id: record for record in shown}
    found = [_accuracy_figure(one) for one in comparable_accuracies(suite, records, predictions)]
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


def _accuracy_figure(one: Accuracy) -> Figure:
    if isinstance(one, Trained):
        regime = [f"{one.train_images} images", f"{one.budget_gflop:.10g} GFLOP"]
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
        accuracy=one,
    )


def _counts(shown: Sequence[Record]) -> Iterable[Figure]:
    """Parameters, multiply-adds and activations of every counted model."""
    for row in task_rows(shown, "complexity"):
        for metric, column in (("params", "params"), ("MACs", "macs"), ("activations", "activations")):
            if row[column] is not None:
                where = f"{int(row['resolution_px'])} px"
                place = (metric, str(row["model"]), where, str(row["num_classes"]))
                title = identify_model(str(row["model"])).title
                value, ids = float(row[column]), (str(row["cell_id"]),)
                yield Figure(place, metric, title, where, "count", "", value, None, "", (), ids)


def _timing(
    metric: str, key: RunKey, batch: int, unit: str, timed: Timed | float, machine: str, cell_ids: tuple[str, ...]
) -> Figure:
    """A rate or a time of several processes, or a single measurement."""
    setting = ["compiled"] if key.compile else []
    setting += ["folded"] if key.fold else []
    told = [f"batch {batch}", f"{key.resolution_px} px", key.device, key.precision, key.memory_format, *setting]
    return Figure(
        place=(metric, key.model, *told),
        metric=metric,
        model=identify_model(key.model).title,
        where=", ".join(told),
        kind="rate" if isinstance(timed, Timed) else "single",
        unit=unit,
        value=timed.median if isinstance(timed, Timed) else timed,
        interval=timed.interval if isinstance(timed, Timed) else None,
        machine=machine,
        conditions=(),
        cell_ids=cell_ids,
        processes=timed.values if isinstance(timed, Timed) else (),
    )


def _speeds(shown: Sequence[Record]) -> Iterable[Figure]:
    for one in speeds(speed_rows(shown)):
        place = one.key, one.batch_size
        if one.throughput is not None:
            yield _timing("throughput", *place, "img/s", one.throughput, one.machine, one.cell_ids)
        if one.latency is not None:
            found = _timing("latency p50", *place, "ms", one.latency, one.machine, one.cell_ids)
            yield replace(found, where=found.where.replace(f"batch {one.batch_size}", "batch 1", 1))


def _steps(shown: Sequence[Record]) -> Iterable[Figure]:
    for machine in sorted({str(row["machine"]) for row in task_rows(shown, "training_step")}):
        for one in training_steps(shown, machine):
            if one.rate is not None:
                yield _timing("training step", one.key, one.batch_size, "img/s", one.rate, machine, one.cell_ids)


def _memories(shown: Sequence[Record]) -> Iterable[Figure]:
    for metric, task in (("memory", "memory"), ("training memory", "training_memory")):
        for one in memories(task_rows(shown, task)):
            name = f"{metric} of the {one.kind}"
            yield _timing(name, one.key, one.batch_size, "MiB", one.peak_mib, one.machine, one.cell_ids)


def _largest(shown: Sequence[Record]) -> Iterable[Figure]:
    rows = task_rows(shown, "largest_batch")
    for machine in sorted({str(row["machine"]) for row in rows}):
        for one in largest_batches(rows, machine):
            limit = f"{one.budget_mib} MiB" if one.budget_mib is not None else "the device's memory"
            name = f"largest batch within {limit}"
            yield replace(
                _timing(name, one.key, one.cap, "images", float(one.largest), machine, (one.cell_id,)),
                where=f"{one.key.resolution_px} px, {one.key.device}, {one.key.precision}, {one.key.memory_format}",
            )


MoveVerdict = Literal[
    "moved", "not beyond noise", "identical", "changed", "no interval", "another machine", "other test images"
]
VERDICTS: tuple[MoveVerdict, ...] = (
    "moved", "changed", "not beyond noise", "no interval", "another machine", "other test images", "identical"
)  # fmt: skip


@dataclass(frozen=True)
class Move:
    """One figure in both runs. change: in points for accuracies, after over before for rates and times; else None.

    interval: 95 % of the change, for this figure alone. notes: conditions that differ between the runs.
    """

    before: Figure
    after: Figure
    change: float | None
    interval: Interval | None
    p_value: float | None
    p_holm: float | None
    verdict: MoveVerdict
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Against:
    """Everything that a comparison of two runs says."""

    moves: tuple[Move, ...]  # moved ones first
    gone: tuple[Figure, ...]  # in the run before alone
    new: tuple[Figure, ...]  # in the run after alone
    told_before: str  # which run that is, plain text
    told_after: str


def compare_runs(before: Iterable[Figure], after: Iterable[Figure], told: tuple[str, str]) -> Against:
    """Every figure that both runs have; figures of two machines meet only where neither has one of the other's."""
    ours, theirs = _by_machine(before), _by_machine(after)
    pairs = [(ours[place, at], theirs[place, at]) for place, at in sorted(ours) if (place, at) in theirs]
    left = {place: figure for (place, at), figure in sorted(ours.items()) if (place, at) not in theirs}
    right = {place: figure for (place, at), figure in sorted(theirs.items()) if (place, at) not in ours}
    pairs += [(left[place], right[place]) for place in sorted(left) if place in right]
    moves = _corrected([_move(*pair) for pair in pairs])
    return Against(
        moves=tuple(sorted(moves, key=_rank)),
        gone=tuple(left[place] for place in sorted(left) if place not in right),
        new=tuple(right[place] for place in sorted(right) if place not in left),
        told_before=told[0],
        told_after=told[1],
    )


def _by_machine(figures: Iterable[Figure]) -> dict[tuple[Place, str], Figure]:
    return {(one.place, one.machine): one for one in figures}


def _rank(move: Move) -> tuple[int, Place, str]:
    return VERDICTS.index(move.verdict), move.before.place, move.before.machine


def _move(before: Figure, after: Figure) -> Move:
    old, new = dict(before.conditions), dict(after.conditions)
    notes = tuple(f"{name}: {old[name]} and {new[name]}" for name in old if old[name] != new.get(name, ""))
    blank = Move(before, after, None, None, None, None, "no interval", notes)
    if before.machine != after.machine:
        return replace(blank, verdict="another machine")
    return _COMPARE[before.kind](blank)


def _accuracy(move: Move) -> Move:
    old, new = move.before.accuracy, move.after.accuracy
    assert old is not None  # its kind says that it is an accuracy
    assert new is not None
    if not same_images(old, new):
        return replace(move, verdict="other test images")
    delta = new.group.mean_pct - old.group.mean_pct
    if _values(old) == _values(new):
        return replace(move, change=0.0, verdict="identical")
    found = difference(new.group, old.group)
    if found is not None:
        return replace(move, change=delta, interval=found.interval(), p_value=found.p_value)
    if len(old.group.values_pct) > 1 or len(new.group.values_pct) > 1:
        return replace(move, change=delta)
    interval, p_value = checkpoint_difference(new.group, old.group)
    return replace(move, change=delta, interval=interval, p_value=p_value)


def _values(one: Accuracy) -> dict[int, float]:
    return dict(zip(one.seeds, one.group.values_pct, strict=True))


def _rate(move: Move) -> Move:
    old, new = move.before, move.after
    ratio = math.exp(_mean_log(new) - _mean_log(old))
    if old.cell_ids == new.cell_ids and old.value == new.value:
        return replace(move, change=1.0, verdict="identical")
    if min(len(set(old.processes)), len(set(new.processes))) < 2:  # one process, or none that differs: no noise known
        return replace(move, change=ratio)
    logs = [[math.log(value) for value in figure.processes] for figure in (new, old)]
    found = stats.ttest_ind(*logs, equal_var=False)
    ends = found.confidence_interval(LEVEL)
    n = min(map(len, logs))
    interval = Interval(ratio, math.exp(ends.low), math.exp(ends.high), n, "Welch's t of logarithms over processes")
    return replace(move, change=ratio, interval=interval, p_value=float(found.pvalue))


def _mean_log(figure: Figure) -> float:
    return fmean(math.log(value) for value in figure.processes or (figure.value,))


def _count(move: Move) -> Move:
    change = move.after.value - move.before.value
    return replace(move, change=change, verdict="changed" if change else "identical")


def _single(move: Move) -> Move:
    if move.before.value == move.after.value:
        return replace(move, change=1.0, verdict="identical")
    return replace(move, change=move.after.value / move.before.value if move.before.value else None)


_COMPARE: Mapping[Kind, Callable[[Move], Move]] = {
    "accuracy": _accuracy, "rate": _rate, "count": _count, "single": _single
}  # fmt: skip


def _corrected(moves: Sequence[Move]) -> list[Move]:
    adjusted = holm({i: move.p_value for i, move in enumerate(moves) if move.p_value is not None})
    corrected = []
    for i, move in enumerate(moves):
        if i in adjusted:
            verdict: MoveVerdict = "moved" if adjusted[i] < 1 - LEVEL else "not beyond noise"
            move = replace(move, p_holm=adjusted[i], verdict=verdict)
        corrected.append(move)
    return corrected
