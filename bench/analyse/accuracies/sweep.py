"""Which learning rate the recorded sweep of a suite chose for each model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import fmean

from bench.catalog.models import select_models
from bench.catalog.tuned import TunedRate
from bench.errors import RequestError
from bench.store.record import Record
from bench.suite.plan import definition_of
from bench.suite.spec import Suite, Sweep, TrainBlock
from bench.suite.sweeps import Search, result_of, search

Trials = Mapping[tuple[float, int], Record]  # learning rate and seed -> the newest record of the trial


def choose_rates(records: Iterable[Record], suite: Suite) -> list[TunedRate]:
    """What the sweeps of the suite chose by these records, for every model that has any.

    Raises RequestError where there are none, and for models whose sweep is not finished or chose nothing.
    """
    trials = _trials(records)
    chosen: list[TunedRate] = []
    refused: dict[str, list[str]] = defaultdict(list)  # why -> models
    for block in suite.train:
        for model in select_models(block.models):
            if isinstance(block.learning_rate, Sweep) and model in trials:
                found = _search(block, block.learning_rate, trials[model])
                if found.chosen is None:
                    refused[_why(found)].append(model)
                else:
                    chosen.append(_winner(model, found.chosen, block, trials[model]))
    if refused:
        reasons = [f"{', '.join(models)}: {why}" for why, models in refused.items()]
        raise RequestError(f"No learning rate to adopt. {' '.join(reasons)}")
    if not chosen:
        raise RequestError(f"No learning-rate trials to choose from. Run `vitbench run {suite.name}` first.")
    return chosen


def _trials(records: Iterable[Record]) -> Mapping[str, Trials]:
    """The trials of each model, as its name is defined now."""
    found: dict[str, dict[tuple[float, int], Record]] = defaultdict(dict)
    for record in sorted(records, key=lambda record: record.started_at):
        cell = record.cell
        is_trial = cell["task"] == "train" and cell["scored_part"] == "validation"
        if is_trial and cell.get("definition") == definition_of(cell["model"]):
            found[cell["model"]][float(cell["recipe"]["learning_rate"]), int(cell["seed"])] = record
    return found


def _search(block: TrainBlock, sweep: Sweep, trials: Trials) -> Search[float]:
    known = {key: result_of("train", record.status, record.values) for key, record in trials.items()}
    classes = next(int(record.cell["num_classes"]) for record in trials.values())
    return search(sweep, block.seeds, classes, lambda rate, seed: known.get((rate, seed)))


def _why(found: Search[float]) -> str:
    if found.is_open:
        return "trials are still to come; run the sweep to its end."
    if found.at_edge is not None:
        return f"{found.at_edge:g} is best and at the edge of what was tried; widen `learning_rates` on its side."
    return "no trial was above chance; give the sweep a larger budget or other `learning_rates`."


def _winner(model: str, rate: float, block: TrainBlock, trials: Trials) -> TunedRate:
    behind = [trials[rate, seed] for seed in block.seeds]
    return TunedRate(
        model=model,
        learning_rate=rate,
        validation_top1_pct=fmean(record.values["validation_top1_pct"] for record in behind),
        dataset=str(behind[0].cell["dataset"]),
        trials=len(trials),
        seeds=len(behind),
        cell_id=behind[0].cell_id,
    )
