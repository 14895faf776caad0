"""Cells of the protocols that start from weights (evaluate, few-shot, fine-tune), and of the preflight."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.catalog.image_tasks import image_task_names
from bench.catalog.models import find_model, select_models
from bench.errors import RequestError
from bench.suite.cell import (
    Budget,
    Cell,
    EvaluateCell,
    FewshotCell,
    FinetuneCell,
    FinetuneRecipe,
    PixelsCell,
    PreflightCell,
    PretrainCell,
    TrainCell,
)
from bench.suite.planning_context import ImagesFacts, PlanningContext, named_sets
from bench.suite.pretraining import nearest, pretrained_with
from bench.suite.recipes import bit_hyperrule, paper_learning_rates, paper_recipe
from bench.suite.spec import EvaluateBlock, FewshotBlock, FinetuneBlock, PixelsBlock, Suite, Sweep
from bench.suite.sweeps import Known, Search, chosen_at, search, settle

FEWSHOT_PX = 224  # of the authors' later code, which resizes to 256 first
FEWSHOT_RESIZED_PX = 256

Definition = Callable[[str], str | None]
TrainedCells = Callable[[str, str], Sequence[TrainCell]]  # model, data set -> the suite's own trainings


def preflight_cells(cells: Iterable[Cell], context: PlanningContext) -> Iterable[PreflightCell]:
    """One look at each data set of the user's own that some cell uses."""
    used = {getattr(cell, "dataset", None) for cell in cells}
    for name in context.extra_datasets:
        if name in used:
            facts = context.find_images(name)
            yield PreflightCell(dataset=facts.name, fingerprint=facts.stored_fingerprint)


@dataclass(frozen=True)
class Start:
    """A model with weights to start from. origin: the pretraining of this suite that ended with them, if one did."""

    model: str
    weights: str
    origin: PretrainCell | None = None


class ProtocolPlan:
    """Turns the blocks of a suite that start from weights into cells.

    trained: the cells of this suite whose final weights `trained:NAME` stands for. pretrained: its pretrainings but
    those that were mere trials.
    """

    def __init__(
        self,
        suite: Suite,
        context: PlanningContext,
        definition_of: Definition,
        trained: TrainedCells,
        pretrained: Sequence[PretrainCell] = (),
    ) -> None:
        self._suite, self._context, self._definition_of, self._trained = suite, context, definition_of, trained
        self._pretrained = pretrained

    def evaluate(self, block: EvaluateBlock) -> Iterable[EvaluateCell]:
        for name in self._datasets(block.datasets, first=block is self._suite.evaluate[0]):
            facts = self._context.find_images(name)
            for start in self._start(block.models, block.weights):
                native = self._context.native_resolution(start.model)
                for resolution in (native,) if isinstance(block.resolution_px, str) else block.resolution_px:
                    yield EvaluateCell(
                        # the head of given weights is theirs; that of freshly drawn ones has to be of some size
                        num_classes=None if start.weights == "public" else facts.num_classes,
                        resolution_px=resolution,
                        fingerprint=facts.test_fingerprint,
                        **self._common(facts, start),
                    )

    def fewshot(self, block: FewshotBlock) -> Iterable[FewshotCell]:
        resolution = block.resolution_px or FEWSHOT_PX
        for name in self._datasets(block.datasets, first=block is self._suite.fewshot[0]):
            facts = self._context.find_images(name)
            for start in self._start(block.models, block.weights):
                self._context.native_resolution(start.model)  # an unknown name stops here
                yield FewshotCell(
                    num_classes=facts.num_classes,
                    resolution_px=resolution,
                    fingerprint=facts.fingerprint,
                    shots=tuple(sorted(set(block.shots))),
                    draws=block.draws,
                    l2=block.l2,
                    resized_px=FEWSHOT_RESIZED_PX if resolution == FEWSHOT_PX else resolution,
                    **self._common(facts, start),
                )

    def finetune(self, block: FinetuneBlock) -> Iterable[FinetuneCell]:
        """The trials of a sweep while any is unknown; with all of them known also the final run of every seed."""
        for name in self._datasets(block.datasets, first=block is self._suite.finetune[0]):
            facts = self._context.find_images(name)
            if block.train_images is not None and block.train_images > facts.train_images:
                raise RequestError(
                    f"Suite '{self._suite.name}' fine-tunes on {block.train_images} images of '{name}', which has "
                    f"{facts.train_images} to train on. Ask for fewer."
                )
            pretrained: dict[tuple[str, str, str], list[Start]] = {}
            for start in self._start(block.models, block.weights):
                self._context.native_resolution(start.model)
                if (origin := start.origin) is not None:
                    alike = (start.model, origin.dataset, origin.budget.unit)
                    pretrained.setdefault(alike, []).append(start)
                    continue
                found = yield from self._sweep(block, facts, dict.fromkeys(block.seeds, start))
                for best in chosen_at({start: found}, _candidates(block, facts, start.model)).values():
                    if best is not None:
                        yield from (self._tuning(block, facts, start, best, seed) for seed in block.seeds)
            for starts in pretrained.values():
                yield from self._of_pretrained(block, facts, starts)

    def _of_pretrained(
        self, block: FinetuneBlock, facts: ImagesFacts, starts: Sequence[Start]
    ) -> Iterable[FinetuneCell]:
        """One run for each pretraining of a model on one set, with its seed.

        The rate is that of the nearer of two budgets that are swept, the smallest and the largest, if it chose one.
        """
        origins = {start: start.origin for start in starts if start.origin is not None}
        most = max(origin.train_images for origin in origins.values())
        places: dict[Budget, dict[int, Start]] = {}
        for start, origin in sorted(origins.items(), key=lambda one: (one[1].budget.amount, one[1].seed)):
            if origin.train_images == most:
                places.setdefault(origin.budget, {})[origin.seed] = start
        found: dict[Budget, Search[FinetuneRecipe]] = {}
        for budget in dict.fromkeys([min(places, key=_amount), max(places, key=_amount)]):
            found[budget] = yield from self._sweep(block, facts, places[budget])
        known = chosen_at(found, _candidates(block, facts, starts[0].model))
        for start, origin in origins.items():
            best = nearest(known, origin.budget, _amount) if known else None
            if best is not None:
                yield self._tuning(block, facts, start, best, origin.seed)

    def _sweep(
        self, block: FinetuneBlock, facts: ImagesFacts, starts: Mapping[int, Start]
    ) -> Generator[FinetuneCell, None, Search[FinetuneRecipe]]:
        """Yields the trials, if there is something to choose; starts: seed -> what it starts from."""
        seeds = list(starts)
        recipes = _candidates(block, facts, starts[seeds[0]].model)
        if len(recipes) == 1:
            return Search((), chosen=recipes[0])

        def trial(recipe: FinetuneRecipe, seed: int) -> FinetuneCell:
            return self._tuning(block, facts, starts[seed], recipe, seed, is_trial=True)

        found = _search(block, recipes, seeds, facts.num_classes, self._context.results_of(trial))
        yield from (trial(*one) for one in found.trials)
        return found

    def _tuning(
        self,
        block: FinetuneBlock,
        facts: ImagesFacts,
        start: Start,
        recipe: FinetuneRecipe,
        seed: int,
        *,
        is_trial: bool = False,
    ) -> FinetuneCell:
        return FinetuneCell(
            num_classes=facts.num_classes,
            resolution_px=block.resolution_px,
            fingerprint=facts.fingerprint,
            train_images=block.train_images,
            seed=seed,
            recipe=recipe,
            scored_part="validation" if is_trial else "test",
            **self._common(facts, start),
        )

    def _common(self, facts: ImagesFacts, start: Start) -> dict[str, Any]:
        """The fields that every cell has which starts from weights."""
        return {
            "model": start.model,
            "definition": self._definition_of(start.model),
            "weights": start.weights,
            "dataset": facts.name,
            "device": self._context.device,
            "settings": self._suite.settings,
        }

    def pixels(self, block: PixelsBlock) -> Iterable[PixelsCell]:
        """The control that needs no network, once for each seed."""
        for name in self._datasets(block.datasets, first=False):
            facts = self._context.find_images(name)
            for seed in block.seeds:
                yield PixelsCell(
                    dataset=facts.name,
                    fingerprint=facts.fingerprint,
                    resolution_px=block.resolution_px,
                    num_classes=facts.num_classes,
                    train_images=block.train_images,
                    seed=seed,
                )

    def _datasets(self, names: Sequence[str | Sequence[str]], *, first: bool) -> list[str]:
        """Names and groups (`@vtab`, `@given`) as names; a user's own sets join the first block of a protocol."""
        context = self._context
        found = [one for name in named_sets(names, context, self._suite.name) for one in image_task_names(name)]
        return list(dict.fromkeys([*found, *(context.extra_datasets if first else ())]))

    def _start(self, models: Sequence[str], words: Sequence[str]) -> Iterable[Start]:
        """Every model with every kind of weights that are known by now."""
        for model in select_models(models):
            for word in words:
                kind, _, argument = word.partition(":")
                if kind == "file":
                    yield Start(model, self._context.file_weights(model, argument))
                elif kind == "trained":
                    yield from self._ended_with(model, self._trained(model, argument))
                elif kind == "pretrained":
                    yield from self._ended_with(model, pretrained_with(self._pretrained, model, word))
                else:
                    yield Start(model, kind)

    def _ended_with(self, model: str, cells: Sequence[TrainCell] | Sequence[PretrainCell]) -> Iterable[Start]:
        for cell in cells:
            weights = self._context.trained_weights.get(cell.cell_id)
            if weights is not None:
                yield Start(model, weights, cell if isinstance(cell, PretrainCell) else None)


def _candidates(block: FinetuneBlock, facts: ImagesFacts, model: str) -> list[FinetuneRecipe]:
    rates = paper_learning_rates(facts.name) if isinstance(block.learning_rates, str) else block.learning_rates
    shared: dict[str, Any] = {
        "steps": None if isinstance(block.steps, str) else block.steps,
        "resolution_px": block.resolution_px,
        "train_images": facts.train_images,
        "batch_size": block.batch_size,
        "flip": facts.flip and block.flip,
        "crop": facts.crop and block.crop,
    }
    found = [paper_recipe(facts.name, learning_rate=rate, **shared) for rate in rates]
    if block.hyperrule and _is_bit(model):
        found.append(bit_hyperrule(image_px=facts.image_px, is_r152x4="152x4" in model, **shared))
    return found


def _is_bit(model: str) -> bool:
    row = find_model(model)
    return row is not None and row.paper_system.startswith("BiT")


def _search(
    block: FinetuneBlock,
    recipes: Sequence[FinetuneRecipe],
    seeds: Sequence[int],
    classes: int,
    result: Known[FinetuneRecipe],
) -> Search[FinetuneRecipe]:
    """A grid of numbers grows until the best is inside; the paper's rates and BiT's HyperRule are what they are."""
    if isinstance(block.learning_rates, str) or len(recipes) > len(block.learning_rates):
        return settle(recipes, seeds, classes, result)

    def at(rate: float) -> FinetuneRecipe:
        return recipes[0].model_copy(update={"learning_rate": rate})

    sweep = Sweep(learning_rates=block.learning_rates)
    found = search(sweep, seeds, classes, lambda rate, seed: result(at(rate), seed))
    return Search(
        tuple((at(rate), seed) for rate, seed in found.trials),
        is_open=found.is_open,
        chosen=None if found.chosen is None else at(found.chosen),
        have_all_failed=found.have_all_failed,
    )


def _amount(budget: Budget) -> float:
    return budget.amount
