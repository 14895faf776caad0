"""Which learning rate a recorded sweep chose for each model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean

from bench.catalog.tuned import TunedRate
from bench.errors import RequestError
from bench.store.record import Record
from bench.suite.plan import definition_of


def choose_rates(records: Iterable[Record]) -> list[TunedRate]:
    """The learning rate with the best mean validation accuracy of each model; a tie goes to the smaller one.

    Only `ok` training records scored on validation count; failed trials (a diverged loss) count as tried.
    Raises RequestError when there is no such record.
    """
    tried: dict[str, set[float]] = defaultdict(set)
    results: dict[str, dict[float, list[Record]]] = defaultdict(lambda: defaultdict(list))
    latest = {record.cell_id: record for record in sorted(records, key=lambda record: record.started_at)}
    for record in latest.values():
        if record.cell["task"] != "train" or record.cell["scored_part"] != "validation":
            continue
        if record.cell.get("definition") != definition_of(record.cell["model"]):
            continue  # of what the name stood for before
        rate = float(record.cell["recipe"]["learning_rate"])
        tried[record.cell["model"]].add(rate)
        if record.status == "ok":
            results[record.cell["model"]][rate].append(record)
    if not results:
        raise RequestError("No finished learning-rate trials to choose from. Run `vitbench run tune` first.")
    return [_winner(model, results[model], tried[model]) for model in sorted(results)]


def _winner(model: str, results: dict[float, list[Record]], tried: set[float]) -> TunedRate:
    means = {rate: fmean(r.values["validation_top1_pct"] for r in rows) for rate, rows in results.items()}
    best = max(sorted(means), key=lambda rate: means[rate])  # max keeps the first, the smallest
    latest = max(results[best], key=lambda record: record.started_at)
    return TunedRate(
        model=model,
        learning_rate=best,
        validation_top1_pct=means[best],
        dataset="+".join(sorted({str(record.cell["dataset"]) for record in results[best]})),
        trials=len(tried),
        at_edge=best in (min(tried), max(tried)),
        cell_id=latest.cell_id,
    )
