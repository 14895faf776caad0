"""Cells of the protocols that start from weights (evaluate, few-shot, fine-tune), and of the preflight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bench.catalog.image_tasks import image_task_names
from bench.catalog.models import find_model, select_models
from bench.errors import RequestError
from bench.suite.cell import (
    METRIC_VERSION,
    Cell,
    EvaluateCell,
    FewshotCell,
    FinetuneCell,
    FinetuneRecipe,
    PreflightCell,
    TrainCell,
)
from bench.suite.recipes import bit_hyperrule, paper_learning_rates, paper_recipe
from bench.suite.spec import EvaluateBlock, FewshotBlock, FinetuneBlock, Suite
from bench.suite.world import ImagesFacts, Surroundings

FEWSHOT_PX = 224  # of the authors' later code, which resizes to 256 first
FEWSHOT_RESIZED_PX = 256

GIVEN = "@given"  # the user's own sets, all that `--data` names

Definition = Callable[[str], str | None]
TrainedCells = Callable[[str, str], Sequence[TrainCell]]  # model, data set -> the suite's own trainings


def preflight_cells(cells: Iterable[Cell], world: Surroundings) -> Iterable[PreflightCell]:
    """One look at each data set of the user's own that some cell uses."""
    used = {getattr(cell, "dataset", None) for cell in cells}
    for name in world.extra_datasets:
        if name in used:
            facts = world.find_images(name)
            yield PreflightCell(
                metric_version=METRIC_VERSION["preflight"], dataset=facts.name, fingerprint=facts.stored_fingerprint
            )


class ProtocolPlan:
    """Turns the blocks of a suite that start from weights into cells.

    trained: the cells of this suite whose final weights `trained:NAME` stands for.
    """

    def __init__(self, suite: Suite, world: Surroundings, definition_of: Definition, trained: TrainedCells) -> None:
        self._suite, self._world, self._definition_of, self._trained = suite, world, definition_of, trained

    def evaluate(self, block: EvaluateBlock) -> Iterable[EvaluateCell]:
        for name in self._datasets(block.datasets, first=block is self._suite.evaluate[0]):
            facts = self._world.find_images(name)
            for model, weights in self._start(block.models, block.weights):
                native = self._world.native_resolution(model)
                for resolution in (native,) if isinstance(block.resolution_px, str) else block.resolution_px:
                    yield EvaluateCell(
                        metric_version=METRIC_VERSION["evaluate"],
                        model=model,
                        definition=self._definition_of(model),
                        # the head of given weights is theirs; that of freshly drawn ones has to be of some size
                        num_classes=None if weights == "public" else facts.num_classes,
                        resolution_px=resolution,
                        weights=weights,
                        dataset=facts.name,
                        fingerprint=facts.test_fingerprint,
                        device=self._world.device,
                        settings=self._suite.settings,
                    )

    def fewshot(self, block: FewshotBlock) -> Iterable[FewshotCell]:
        resolution = block.resolution_px or FEWSHOT_PX
        for name in self._datasets(block.datasets, first=block is self._suite.fewshot[0]):
            facts = self._world.find_images(name)
            for model, weights in self._start(block.models, block.weights):
                self._world.native_resolution(model)  # an unknown name stops here
                yield FewshotCell(
                    metric_version=METRIC_VERSION["fewshot"],
                    model=model,
                    definition=self._definition_of(model),
                    num_classes=facts.num_classes,
                    resolution_px=resolution,
                    weights=weights,
                    dataset=facts.name,
                    fingerprint=facts.fingerprint,
                    shots=tuple(sorted(set(block.shots))),
                    draws=block.draws,
                    l2=block.l2,
                    resized_px=FEWSHOT_RESIZED_PX if resolution == FEWSHOT_PX else resolution,
                    device=self._world.device,
                    settings=self._suite.settings,
                )

    def finetune(self, block: FinetuneBlock) -> Iterable[FinetuneCell]:
        """The trials of a sweep while any is unknown; with all of them known also the final run of every seed."""
        for name in self._datasets(block.datasets, first=block is self._suite.finetune[0]):
            facts = self._world.find_images(name)
            for model, weights in self._start(block.models, block.weights):
                self._world.native_resolution(model)
                yield from self._sweep_and_final(block, facts, model, weights)

    def _sweep_and_final(
        self, block: FinetuneBlock, facts: ImagesFacts, model: str, weights: str
    ) -> Iterable[FinetuneCell]:
        def cell(recipe: FinetuneRecipe, seed: int, *, is_trial: bool) -> FinetuneCell:
            return FinetuneCell(
                metric_version=METRIC_VERSION["finetune"],
                model=model,
                definition=self._definition_of(model),
                num_classes=facts.num_classes,
                resolution_px=block.resolution_px,
                weights=weights,
                dataset=facts.name,
                fingerprint=facts.fingerprint,
                seed=seed,
                recipe=recipe,
                scored_part="validation" if is_trial else "test",
                device=self._world.device,
                settings=self._suite.settings,
            )

        recipes = _candidates(block, facts, model)
        best: FinetuneRecipe | None = recipes[0]
        if len(recipes) > 1:
            trials = [cell(recipe, block.seeds[0], is_trial=True) for recipe in recipes]
            yield from trials
            best = _best(recipes, [self._world.validation_top1.get(trial.cell_id) for trial in trials])
        if best is not None:
            yield from (cell(best, seed, is_trial=False) for seed in block.seeds)

    def _datasets(self, names: Sequence[str], *, first: bool) -> list[str]:
        """Names and groups (`@vtab`, `@given`) as names; a user's own sets join the first block of a protocol.

        Raises RequestError for a suite about the user's own images if there are none.
        """
        extra = self._world.extra_datasets
        if GIVEN in names and not extra:
            raise RequestError(
                f"Suite '{self._suite.name}' is about images of your own. Say where they are: --data NAME=PLACE."
            )
        found = [one for name in names if name != GIVEN for one in image_task_names(name)]
        return list(dict.fromkeys([*found, *(extra if first or GIVEN in names else ())]))

    def _start(self, models: Sequence[str], words: Sequence[str]) -> Iterable[tuple[str, str]]:
        """Every model with every kind of weights that are known by now."""
        for model in select_models(models):
            for word in words:
                kind, _, argument = word.partition(":")
                if kind == "file":
                    yield model, self._world.file_weights(model, argument)
                elif kind == "trained":
                    for cell in self._trained(model, argument):
                        weights = self._world.trained_weights.get(cell.cell_id)
                        if weights is not None:
                            yield model, weights
                else:
                    yield model, kind


def _candidates(block: FinetuneBlock, facts: ImagesFacts, model: str) -> list[FinetuneRecipe]:
    rates = paper_learning_rates(facts.name) if isinstance(block.learning_rates, str) else block.learning_rates
    found = [
        paper_recipe(
            facts.name,
            learning_rate=rate,
            steps=None if isinstance(block.steps, str) else block.steps,
            resolution_px=block.resolution_px,
            train_images=facts.train_images,
            batch_size=block.batch_size,
            flip=facts.flip,
            crop=facts.crop,
        )
        for rate in rates
    ]
    if block.hyperrule and _is_bit(model):
        found.append(
            bit_hyperrule(
                train_images=facts.train_images,
                image_px=facts.image_px,
                resolution_px=block.resolution_px,
                is_r152x4="152x4" in model,
                batch_size=block.batch_size,
                steps=None if isinstance(block.steps, str) else block.steps,
                flip=facts.flip,
                crop=facts.crop,
            )
        )
    return found


def _is_bit(model: str) -> bool:
    row = find_model(model)
    return row is not None and row.paper_system.startswith("BiT")


def _best(recipes: Sequence[FinetuneRecipe], results: Sequence[float | None]) -> FinetuneRecipe | None:
    """The recipe with the highest validation accuracy, the smallest learning rate of equals.

    None while a trial is unknown, and when every trial failed: then there is nothing to train with.
    """
    known = [(result, recipe) for result, recipe in zip(results, recipes, strict=True) if result is not None]
    if len(known) < len(recipes) or max(result for result, _ in known) == float("-inf"):
        return None
    return max(known, key=lambda one: (one[0], -one[1].learning_rate))[1]
