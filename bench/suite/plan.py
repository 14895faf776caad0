"""A suite becomes an ordered list of cells. Knows the catalog and finished records; never imports torch.

Models that are in no catalog need timm to say their own resolution, so that question is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

from bench.catalog.datasets import DatasetRow
from bench.catalog.models import find_model, select_models
from bench.catalog.public_results import published_sizes
from bench.catalog.tuned import tuned_recipes
from bench.errors import RequestError
from bench.suite.baselines import pixel_baselines
from bench.suite.cell import (
    Budget,
    Cell,
    ComplexityCell,
    TrainCell,
)
from bench.suite.model_source import definition_of_file, file_of, is_user_model
from bench.suite.planning_context import PlanningContext, named_sets
from bench.suite.pretraining import PretrainPlan, nearest, training_recipe
from bench.suite.protocols import Definition, ProtocolPlan, preflight_cells
from bench.suite.spec import ComplexityBlock, RecipeSweep, SpeedBlock, Suite, TrainBlock
from bench.suite.speed_plan import Point, SpeedPlan
from bench.suite.sweeps import Candidate, search_recipe

SweptRate = Callable[[str, Budget], float | None]  # of a model, by this suite's pretraining


def plan(suite: Suite, context: PlanningContext) -> list[Cell]:
    """Every cell that the suite asks for, each once, in the order in which they should run.

    A user's images are looked at first. Then complexity, regressions on pixels (a minute on one core, so not last),
    training with the longest cells of each seed first (so that workers finish together), what starts from weights, and
    timing in rounds of random order. A sweep shows the trials that are known so far; cells that start from this suite's
    own trainings follow once these are done.
    """
    defined = cache(definition_of)  # a model's files are read once for all of its cells
    cells: list[Cell] = []
    for complexity in suite.complexity:
        cells += [ComplexityCell(**place) for place in _places(complexity, context, defined)]
    pretraining = PretrainPlan(suite, context, defined)
    training: list[TrainCell] = []
    for train in suite.train:
        training += _train_cells(train, suite, context, defined, pretraining.swept_rate)
    training.sort(key=lambda cell: (cell.seed, -cell.budget_gflop))

    def trained(model: str, dataset: str) -> list[TrainCell]:
        return [cell for cell in training if (cell.model, cell.dataset, cell.scored_part) == (model, dataset, "test")]

    protocols = ProtocolPlan(suite, context, defined, trained, pretraining.finals)
    asked = [cell for pixels in suite.pixels for cell in protocols.pixels(pixels)]
    cells += [*asked, *pixel_baselines(training, {cell.dataset for cell in asked}, context.find_images)]
    cells += [*training, *pretraining.cells]
    cells += [cell for evaluate in suite.evaluate for cell in protocols.evaluate(evaluate)]
    cells += [cell for fewshot in suite.fewshot for cell in protocols.fewshot(fewshot)]
    cells += [cell for finetune in suite.finetune for cell in protocols.finetune(finetune)]
    for speed in suite.speed:
        cells += SpeedPlan(speed, suite, context).cells(_places(speed, context, defined))
    cells = [*preflight_cells(cells, context), *cells]
    return list({cell.cell_id: cell for cell in cells}.values())


def definition_of(model: str) -> str | None:
    """What a name stands for beyond timm's own names, so that changing it changes the cell's id.

    A small model's arguments; a hash of a user's file and of what it imports; None for a timm name, whose version a
    record states.
    """
    row = find_model(model)
    if row is not None and row.arguments:
        arguments = ", ".join(f"{key}={value}" for key, value in sorted(row.arguments.items()))
        return f"{row.timm_name}({arguments})"
    if is_user_model(model) and file_of(model).is_file():
        return definition_of_file(file_of(model))
    return None


def _train_cells(
    block: TrainBlock, suite: Suite, context: PlanningContext, defined: Definition, swept_rate: SweptRate
) -> Iterable[TrainCell]:
    joins = block.scored_part == "test" and suite.train[0].datasets[0] in block.datasets
    names = named_sets(block.datasets, context, suite.name)
    extra = [name for name in context.extra_datasets if joins and name not in names]
    for name in [*names, *extra]:
        dataset = context.find_dataset(name, block.resolution_px)
        for model in select_models(block.models):
            context.native_resolution(model)  # an unknown name stops here
            for images in block.train_images if name not in extra else ("all",):
                for budget in block.budgets_gflop:
                    at = _cell_at(model, defined(model), dataset, images, budget, block, suite, context)
                    if isinstance(sweep := block.learning_rate, RecipeSweep):
                        found = search_recipe(sweep, block.seeds, dataset.num_classes, context.results_of(at))
                        yield from (at(*trial) for trial in found.trials)
                        continue
                    candidate = _candidate(block, model, budget, swept_rate)
                    yield from (at(candidate, seed) for seed in block.seeds if candidate is not None)


def _cell_at(
    model: str,
    definition: str | None,
    dataset: DatasetRow,
    images: int | str,
    budget: float,
    block: TrainBlock,
    suite: Suite,
    context: PlanningContext,
) -> Callable[[Candidate, int], TrainCell]:
    """The training cell as a function of its learning rate and weight decay, and its seed."""
    count = dataset.train_images if images == "all" else int(images)
    if count > dataset.train_images:
        raise RequestError(
            f"Suite '{suite.name}' asks for {count} training images of '{dataset.name}', which has "
            f'{dataset.train_images}. Ask for fewer, or for "all".'
        )

    defaults = training_recipe(suite, block)

    def at(candidate: Candidate, seed: int) -> TrainCell:
        return TrainCell(
            model=model,
            definition=definition,
            num_classes=dataset.num_classes,
            resolution_px=dataset.resolution_px,
            dataset=dataset.name,
            fingerprint=dataset.fingerprint,
            train_images=count,
            seed=seed,
            budget_gflop=budget,
            recipe=block.recipe(defaults, *candidate),
            scored_part=block.scored_part,
            device=context.device,
            settings=suite.settings,
        )

    return at


def _candidate(block: TrainBlock, model: str, budget_gflop: float, swept_rate: SweptRate) -> Candidate | None:
    """What the block trains the model with; None while it is still to be found."""
    match block.learning_rate:
        case "tuned":
            tuned = nearest(tuned_recipes(model), budget_gflop, lambda budget: budget)
            return Candidate(tuned.learning_rate, tuned.weight_decay)
        case "swept":
            rate = swept_rate(model, Budget(unit="gflop", amount=budget_gflop))
            return None if rate is None else Candidate(rate)
        case rate:
            return Candidate(float(rate))  # a sweep is planned as its trials


def _places(block: ComplexityBlock | SpeedBlock, context: PlanningContext, defined: Definition) -> list[Point]:
    """The fields of cells that say which model at which resolution."""
    return [
        {
            "model": model,
            "definition": defined(model),
            "num_classes": block.num_classes,
            "resolution_px": resolution,
        }
        for model in select_models(block.models)
        for resolution in _resolutions(block, model, context)
    ]


def _resolutions(block: ComplexityBlock | SpeedBlock, model: str, context: PlanningContext) -> Sequence[int]:
    native = context.native_resolution(model)  # an unknown name stops here
    match block.resolution_px:
        case "native":
            return (native,)
        case "published":
            if sizes := published_sizes(model):
                return sizes
            raise RequestError(f"No accuracy of model {model!r} is published at any size: resolution_px has to say it.")
        case sizes:
            return sizes
