"""Cells of a pretraining study: the runs themselves, at the learning rates that trials chose, in the order they follow.

Rates are swept at the smallest and at the largest budget, with the first seed and the most images; the runs at a
budget take the rate of the nearer end. A trial is a run like any other, so that the best one is also a result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from bench.catalog.models import select_models
from bench.errors import RequestError
from bench.suite.cell import METRIC_VERSION, Budget, PretrainCell
from bench.suite.given import with_given
from bench.suite.spec import PretrainBlock, Suite, Sweep
from bench.suite.sweeps import sweep_trials
from bench.suite.world import PretrainingFacts, Surroundings

T = TypeVar("T")
V = TypeVar("V")
Definition = Callable[[str], str | None]
FAILED = -math.inf  # the validation accuracy of a trial that failed


class PretrainPlan:
    """Turns the `pretrain` blocks of a suite into cells, and knows which of them are no mere trials.

    cells: everything known so far, trials included. finals: the runs that transfers start from, of the models whose
    runs are all known and have ended: what a transfer is compared with must not depend on when a run was stopped.
    """

    def __init__(self, suite: Suite, world: Surroundings, definition_of: Definition) -> None:
        self._suite, self._world, self._definition_of = suite, world, definition_of
        self.cells: list[PretrainCell] = []
        self.finals: list[PretrainCell] = []
        self._swept: dict[tuple[str, str], Mapping[Budget, float | None]] = {}
        self._unsettled: set[str] = set()  # models with a trial to come
        blocks = sorted(suite.pretrain, key=lambda block: block.learning_rate == "swept")  # after the sweeps
        for block in blocks:
            for name in with_given(block.datasets, world.extra_datasets, suite.name):
                facts = world.find_pretraining(name, block.resolution_px)
                for model in select_models(block.models):
                    world.native_resolution(model)  # an unknown name stops here
                    self._add(block, facts, model)
        self.cells.sort(key=lambda cell: (cell.seed, -cell.budget.amount))
        open_models = {cell.model for cell in self.finals if cell.cell_id not in world.trained_weights}
        self.finals = [cell for cell in self.finals if cell.model not in open_models | self._unsettled]

    def _add(self, block: PretrainBlock, facts: PretrainingFacts, model: str) -> None:
        sizes = [_count(images, facts, self._suite.name) for images in block.train_images]
        budgets = block.budgets

        def cell(rate: float, budget: Budget, images: int, seed: int) -> PretrainCell:
            return PretrainCell(
                metric_version=METRIC_VERSION["pretrain"],
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
                device=self._world.device,
                settings=self._suite.settings,
            )

        rates = self._rates(block, facts.name, model, lambda rate, at: cell(rate, at, max(sizes), block.seeds[0]))
        for budget in budgets:
            alike = {place: rate for place, rate in rates.items() if place.unit == budget.unit}
            if not alike:
                raise RequestError(
                    f"Suite '{self._suite.name}' pretrains {model!r} for budgets in {budget.unit}, at a learning rate "
                    "that was swept for budgets of another kind. Give all of them in one kind."
                )
            rate = nearest(alike, budget, lambda one: one.amount)
            if rate is not None:
                found = [cell(rate, budget, images, seed) for images in sizes for seed in block.seeds]
                self.cells += found
                self.finals += found

    def _rates(
        self, block: PretrainBlock, dataset: str, model: str, trial: Callable[[float, Budget], PretrainCell]
    ) -> Mapping[Budget, float | None]:
        """The rate at each budget that something is known of; None where trials are still to come, or all failed."""
        match block.learning_rate:
            case Sweep() as sweep:
                rates = {budget: self._sweep(sweep, partial(_at, trial, budget)) for budget in ends(block)}
                self._swept[model, dataset] = rates
                return rates
            case "swept":
                if (model, dataset) not in self._swept:
                    raise RequestError(
                        f"Suite '{self._suite.name}' pretrains {model!r} on '{dataset}' at the learning rate that "
                        "was swept, but none of its blocks sweeps that model there. Name a rate, or sweep in a block."
                    )
                return self._swept[model, dataset]
            case rate:
                return dict.fromkeys(block.budgets, float(rate))

    def _sweep(self, sweep: Sweep, trial: Callable[[float], PretrainCell]) -> float | None:
        """The best rate once all trials are in; until then their cells are added. Of equals, the smallest rate."""

        def result(rate: float) -> float | None:
            return self._world.validation_top1.get(trial(rate).cell_id)

        rates = sweep_trials(sweep, result)
        self.cells += [trial(rate) for rate in rates]
        known = {rate: value for rate in rates if (value := result(rate)) is not None}
        if len(known) < len(sweep.learning_rates) + sweep.extra_trials:
            self._unsettled.add(trial(rates[0]).model)
            return None
        if max(known.values()) == FAILED:
            return None
        return max(known, key=lambda rate: (known[rate], -rate))


def _at(trial: Callable[[float, Budget], PretrainCell], budget: Budget, rate: float) -> PretrainCell:
    return trial(rate, budget)


def ends(block: PretrainBlock) -> Sequence[Budget]:
    """The smallest and the largest budget of a block, one where it has one."""
    ordered = sorted(block.budgets, key=lambda budget: budget.amount)
    return list(dict.fromkeys([ordered[0], ordered[-1]]))


def nearest(known: Mapping[T, V | None], wanted: T, amount: Callable[[T], float]) -> V | None:
    """What is known at the place nearest to the wanted one on a logarithmic scale, the larger of two as near.

    None while the value there is unknown. Raises ValueError where there is no place at all.
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

    `pretrained:full` stands for those with the most images of their data set.
    """
    own = [cell for cell in finals if cell.model == model]
    most = {name: max(cell.train_images for cell in own if cell.dataset == name) for name in {c.dataset for c in own}}
    return [cell for cell in own if word != "pretrained:full" or cell.train_images == most[cell.dataset]]
