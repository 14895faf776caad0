"""Cells of a pretraining study: the runs themselves, at the learning rates that trials chose, in the order they follow.

Rates are swept at the smallest and at the largest budget, with the most images (`bench.suite.sweeps`); the runs at a
budget take the rate of the nearer end whose sweep chose one: where nothing learned, there is nothing to choose by. A
trial is a run like any other, so that the best ones are also results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from bench.catalog.models import select_models
from bench.errors import RequestError
from bench.suite.cell import Budget, PretrainCell
from bench.suite.planning_context import PlanningContext, PretrainingFacts, named_sets
from bench.suite.spec import PretrainBlock, RecipeDefaults, Suite, Sweep, TrainBlock
from bench.suite.sweeps import Search, chosen_at, search

T = TypeVar("T")
V = TypeVar("V")
Definition = Callable[[str], str | None]
Trial = Callable[[float, int], PretrainCell]  # of a rate and a seed
Rates = Mapping[Budget, float | None]  # None while trials are out


class PretrainPlan:
    """Turns the `pretrain` blocks of a suite into cells, and knows which of them are no mere trials.

    cells: everything known so far, trials included. finals: the runs that transfers start from, of the models whose
    runs are all known and have ended: what a transfer is compared with must not depend on when a run was stopped.
    """

    def __init__(self, suite: Suite, context: PlanningContext, definition_of: Definition) -> None:
        self._suite, self._context, self._definition_of = suite, context, definition_of
        self.cells: list[PretrainCell] = []
        self.finals: list[PretrainCell] = []
        self._swept: dict[tuple[str, str], Rates] = {}  # of a model on a set
        self._unsettled: set[str] = set()  # models with a trial to come
        blocks = sorted(suite.pretrain, key=lambda block: block.learning_rate == "swept")  # after the sweeps
        for block in blocks:
            for name in named_sets(block.datasets, context, suite.name):
                facts = context.find_pretraining(name, block.resolution_px)
                for model in select_models(block.models):
                    context.native_resolution(model)  # an unknown name stops here
                    self._add(block, facts, model)
        self.cells.sort(key=lambda cell: (cell.seed, -cell.budget.amount))
        open_models = {cell.model for cell in self.finals if cell.cell_id not in context.trained_weights}
        self.finals = [cell for cell in self.finals if cell.model not in open_models | self._unsettled]

    def _add(self, block: PretrainBlock, facts: PretrainingFacts, model: str) -> None:
        sizes = [_count(images, facts, self._suite.name) for images in block.train_images]

        def cell(rate: float, budget: Budget, images: int, seed: int) -> PretrainCell:
            return PretrainCell(
                model=model,
                definition=self._definition_of(model),
                num_classes=facts.num_classes,
                resolution_px=facts.resolution_px,
                dataset=facts.name,
                fingerprint=facts.fingerprint,
                train_images=images,
                seed=seed,
                budget=budget,
                recipe=block.recipe(self._suite.pretraining, rate),
                device=self._context.device,
                settings=self._suite.settings,
            )

        rates = self._rates(block, facts, model, lambda budget: lambda rate, seed: cell(rate, budget, max(sizes), seed))
        for budget in block.budgets:
            rate = self._nearest_rate(rates, budget, model)
            if rate is not None:
                found = [cell(rate, budget, images, seed) for images in sizes for seed in block.seeds]
                self.cells += found
                self.finals += found

    def swept_rate(self, model: str, budget: Budget) -> float | None:
        """What the suite's first sweep of the model found for that budget.

        None while its trials are out, or where none learned. Raises RequestError where no block sweeps the model.
        """
        swept = [rates for (one, _), rates in self._swept.items() if one == model]
        if not swept:
            raise RequestError(
                f"Suite '{self._suite.name}' trains {model!r} at the learning rate that its pretraining swept, but "
                "none of its [[pretrain]] blocks sweeps that model. Name a rate, or sweep in a block."
            )
        return self._nearest_rate(swept[0], budget, model)

    def _nearest_rate(self, rates: Rates, budget: Budget, model: str) -> float | None:
        alike = {place: rate for place, rate in rates.items() if place.unit == budget.unit}
        if rates and not alike:
            raise RequestError(
                f"Suite '{self._suite.name}' pretrains {model!r} for budgets in {budget.unit}, at a learning rate "
                "that was swept for budgets of another kind. Give all of them in one kind."
            )
        return nearest(alike, budget, lambda one: one.amount) if alike else None

    def _rates(
        self, block: PretrainBlock, facts: PretrainingFacts, model: str, trials_at: Callable[[Budget], Trial]
    ) -> Rates:
        """The rate at each budget that something is known of."""
        match block.learning_rate:
            case Sweep() as sweep:
                found = {budget: self._sweep(sweep, block.seeds, trials_at(budget)) for budget in ends(block)}
                rates = chosen_at(found, sorted(sweep.learning_rates))
                self._swept[model, facts.name] = rates
                return rates
            case "swept":
                if (model, facts.name) not in self._swept:
                    raise RequestError(
                        f"Suite '{self._suite.name}' pretrains {model!r} on '{facts.name}' at the learning rate that "
                        "was swept, but none of its blocks sweeps that model there. Name a rate, or sweep in a block."
                    )
                return self._swept[model, facts.name]
            case rate:
                return dict.fromkeys(block.budgets, float(rate))

    def _sweep(self, sweep: Sweep, seeds: Sequence[int], trial: Trial) -> Search[float]:
        """Where the sweep stands; adds the cells of its trials."""
        first = trial(sweep.learning_rates[0], seeds[0])
        found = search(sweep, seeds, first.num_classes or 0, self._context.results_of(trial))
        self.cells += [trial(*one) for one in found.trials]
        if found.is_open:
            self._unsettled.add(first.model)
        return found


def training_recipe(suite: Suite, block: TrainBlock) -> RecipeDefaults:
    """The suite's recipe for a training from scratch, or that of its pretraining for a rate that was `swept` with it.

    Raises RequestError where the pretraining does something to images or layers that such a training cannot.
    """
    if block.learning_rate != "swept":
        return suite.recipe
    own = suite.pretraining
    if own.dropout or (own.augmentation != "none" and block.augmentation is None):
        raise RequestError(
            f"Suite '{suite.name}' trains from scratch at the learning rate that its pretraining swept, whose dropout "
            f"of {own.dropout:g} and augmentation '{own.augmentation}' such a training does not have. Set dropout = 0 "
            "in [pretraining], and an augmentation in the [[train]] block."
        )
    shared = own.model_dump(exclude={"dropout", "augmentation", "looks"})
    return RecipeDefaults(**shared, validations=own.looks)


def ends(block: PretrainBlock) -> Sequence[Budget]:
    """The smallest and the largest budget of a block, one where it has one."""
    ordered = sorted(block.budgets, key=lambda budget: budget.amount)
    return list(dict.fromkeys([ordered[0], ordered[-1]]))


def nearest(known: Mapping[T, V], wanted: T, amount: Callable[[T], float]) -> V:
    """What is known at the place nearest to the wanted one on a logarithmic scale, the larger of two as near.

    Raises ValueError where there is no place at all.
    """
    place = min(known, key=lambda one: (abs(math.log(amount(one) / amount(wanted))), -amount(one)))
    return known[place]


def _count(images: int | str, facts: PretrainingFacts, suite: str) -> int:
    if images == "all":
        if facts.train_images is None:
            raise RequestError(
                f"Suite '{suite}' pretrains on all images of '{facts.name}', which has no end. Say how many."
            )
        return facts.train_images
    if facts.train_images is not None and int(images) > facts.train_images:
        raise RequestError(
            f"Suite '{suite}' pretrains on {images} images of '{facts.name}', which has {facts.train_images}. "
            'Ask for fewer, or for "all".'
        )
    if int(images) < facts.num_classes:
        raise RequestError(
            f"Suite '{suite}' pretrains on {images} images of '{facts.name}', which has {facts.num_classes} classes. "
            "Ask for at least one of each."
        )
    return int(images)


def pretrained_with(finals: Iterable[PretrainCell], model: str, word: str) -> list[PretrainCell]:
    """The runs of a model that `pretrained` in a block's weights stands for.

    `pretrained:full` stands for those with the most images of their data set, `pretrained:mix-64:54000` for those on
    54,000 images of mix-64.
    """
    own = [cell for cell in finals if cell.model == model]
    match word.split(":"):
        case [_, dataset, images]:
            return [cell for cell in own if (cell.dataset, cell.train_images) == (dataset, int(images))]
        case [_, "full"]:
            sets = {cell.dataset for cell in own}
            most = {name: max(cell.train_images for cell in own if cell.dataset == name) for name in sets}
            return [cell for cell in own if cell.train_images == most[cell.dataset]]
    return own
