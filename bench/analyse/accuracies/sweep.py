"""Which learning rate and weight decay the recorded sweep of a suite chose for each model at each budget."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import fmean

from bench.catalog.models import select_models
from bench.catalog.tuned import TunedRate
from bench.errors import RequestError
from bench.store.record import Record
from bench.suite.cell import TrainCell
from bench.suite.plan import definition_of
from bench.suite.spec import RecipeDefaults, RecipeSweep, Suite, TrainBlock
from bench.suite.sweeps import Candidate, Result, Search, result_of, search_recipe

Trials = Mapping[tuple[Candidate, int], Record]  # candidate and seed -> the newest record of the trial


def choose_rates(records: Iterable[Record], suite: Suite) -> list[TunedRate]:
    """What the sweeps of the suite chose by these records, for every model that has any.

    Raises RequestError where there are none, and for models whose sweep is not finished or chose nothing.
    """
    records, decay = list(records), suite.recipe.weight_decay
    chosen: list[TunedRate] = []
    refused: dict[str, list[str]] = defaultdict(list)  # why -> models
    for block in suite.train:
        if not isinstance(block.learning_rate, RecipeSweep):
            continue
        trials = _trials(records, block, suite.recipe)
        for model, budget in itertools.product(select_models(block.models), block.budgets_gflop):
            if (model, budget) in trials:
                own = trials[model, budget]
                found = _search(block, block.learning_rate, decay, own)
                if found.chosen is None:
                    refused[_why(found)].append(model)
                else:
                    chosen.append(_winner(model, budget, found.chosen, block, decay, own))
    if refused:
        reasons = [f"{', '.join(models)}: {why}" for why, models in refused.items()]
        raise RequestError(f"No learning rate to adopt. {' '.join(reasons)}")
    if not chosen:
        raise RequestError(f"No learning-rate trials to choose from. Run `vitbench run {suite.name}` first.")
    return chosen


def _trials(
    records: Iterable[Record], block: TrainBlock, defaults: RecipeDefaults
) -> Mapping[tuple[str, float], Trials]:
    """The trials that had the block's recipe, of each model as its name is defined now, at each budget."""
    found: dict[tuple[str, float], dict[tuple[Candidate, int], Record]] = defaultdict(dict)
    for record in sorted(records, key=lambda record: record.started_at):
        cell = record.asked
        if not isinstance(cell, TrainCell) or cell.scored_part != "validation":
            continue
        candidate = Candidate(cell.recipe.learning_rate, cell.recipe.weight_decay)
        if cell.definition == definition_of(cell.model) and cell.recipe == block.recipe(defaults, *candidate):
            found[cell.model, cell.budget_gflop][candidate, cell.seed] = record
    return found


def _search(block: TrainBlock, sweep: RecipeSweep, own_decay: float, trials: Trials) -> Search[Candidate]:
    known = {key: result_of("train", record.status, record.values) for key, record in trials.items()}
    classes = next(int(record.cell["num_classes"]) for record in trials.values())

    def result(candidate: Candidate, seed: int) -> Result | None:
        return known.get((Candidate(candidate.learning_rate, candidate.weight_decay or own_decay), seed))

    return search_recipe(sweep, block.seeds, classes, result)


def _why(found: Search[Candidate]) -> str:
    if found.is_open:
        return "trials are still to come; run the sweep to its end."
    if found.at_edge is not None:
        best = found.at_edge.weight_decay or found.at_edge.learning_rate
        return f"{best:g} is best and at the edge of what was tried; widen the grid on its side."
    return "no trial was above chance; give the sweep a larger budget or other `learning_rates`."


def _winner(
    model: str, budget_gflop: float, chosen: Candidate, block: TrainBlock, own_decay: float, trials: Trials
) -> TunedRate:
    key = Candidate(chosen.learning_rate, chosen.weight_decay or own_decay)
    behind = [trials[key, seed] for seed in block.seeds]
    return TunedRate(
        model=model,
        budget_gflop=budget_gflop,
        learning_rate=chosen.learning_rate,
        weight_decay=chosen.weight_decay,
        validation_top1_pct=fmean(record.values["validation_top1_pct"] for record in behind),
        dataset=str(behind[0].cell["dataset"]),
        trials=len(trials),
        seeds=len(behind),
        cell_id=behind[0].cell_id,
    )
