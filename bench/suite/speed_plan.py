"""Cells of a speed block: inference and training steps timed and weighed, the largest batch, and the best settings.

Settings that suit one family would favour it: CNNs gain from channels_last and folding, ViTs from half precision. So
every model may have equal trials, and its best ones are timed in the same rounds as the fixed ones.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from bench.suite.cell import (
    Cell,
    LargestBatchCell,
    MemoryCell,
    Precision,
    Settings,
    SpeedCell,
    SpeedMetric,
    TrainingMemoryCell,
    TrainingStepCell,
)
from bench.suite.planning_context import Abilities, PlanningContext, TrialResult
from bench.suite.spec import SpeedBlock, Suite

Point = dict[str, Any]  # model, definition, num_classes and resolution, with or without a batch size


class SpeedPlan:
    """Turns a speed block into cells."""

    def __init__(self, block: SpeedBlock, suite: Suite, context: PlanningContext) -> None:
        self._block, self._suite, self._context = block, suite, context
        self._common: dict[str, Any] = {"device": context.device, "settings": suite.settings}

    def cells(self, places: Sequence[Point]) -> Iterable[Cell]:
        """Every cell at these places, which have no batch size."""
        block, common = self._block, self._common
        timed = tuple(metric for metric in block.metrics if metric in ("throughput", "latency"))
        points = [{**place, "batch_size": batch} for place in places for batch in block.fixed_batches]
        if block.settings == "best":
            yield from self._fixed_and_best(points, timed)
        elif self._context.device != "cpu" and block.gpu_batch_sizes:
            yield from self._first_that_fits(places, timed)
        elif timed:
            yield from self._timings(points, timed, "")
        if "training_throughput" in block.metrics:
            for repeat, point in self._rounds(points, ":training"):
                yield TrainingStepCell(repeat=repeat, **point, **common)
        if "training_peak_memory" in block.metrics:
            yield from (TrainingMemoryCell(**point, **common) for point in points)
        if "peak_memory" in block.metrics:
            yield from (MemoryCell(**point, **common) for point in points)
        yield from self._largest_batches(places)

    def _rounds(self, points: Sequence[Point], seed: str) -> Iterable[tuple[int, Point]]:
        """Round and point, every point once a round: the machine's drift must not follow the order of the models."""
        for repeat in range(self._block.processes):
            order = list(points)
            random.Random(f"{self._suite.name}{seed}:{repeat}").shuffle(order)
            yield from ((repeat, point) for point in order)

    def _timings(self, points: Sequence[Point], metrics: tuple[SpeedMetric, ...], seed: str) -> Iterable[SpeedCell]:
        for repeat, point in self._rounds(points, seed):
            yield SpeedCell(metrics=metrics, repeat=repeat, limit_s=self._block.limit_s, **(self._common | point))

    def _first_that_fits(self, places: Sequence[Point], metrics: tuple[SpeedMetric, ...]) -> Iterable[SpeedCell]:
        """Timings at the first batch size, and of throughput at the next where that is known not to fit."""
        for batch in self._block.gpu_batch_sizes:
            points = [{**place, "batch_size": batch} for place in places]
            cells = list(self._timings(points, metrics, f":{batch}"))
            yield from cells
            too_large = [cell for cell in cells if cell.cell_id in self._context.too_large]
            at = {(cell.model, cell.resolution_px) for cell in too_large}
            places = [place for place in places if (place["model"], place["resolution_px"]) in at]
            metrics = tuple(metric for metric in metrics if metric == "throughput")

    def _fixed_and_best(self, points: Sequence[Point], metrics: tuple[SpeedMetric, ...]) -> Iterable[SpeedCell]:
        """The trials while any is unknown; with all of them known, also the timings under fixed and best settings.

        Both are timed in the same rounds, so that their ratio is taken process by process.
        """
        context, fixed = self._context, self._suite.settings
        candidates = candidate_settings(fixed, self._block.trial_precisions, context.abilities())
        trials = [
            [
                SpeedCell(metrics=("throughput",), repeat=0, role="trial", **(self._common | point | {"settings": one}))
                for one in candidates
            ]
            for point in points
        ]
        order = [trial for of_point in trials for trial in of_point]
        random.Random(f"{self._suite.name}:trials").shuffle(order)
        yield from order
        if any(trial.cell_id not in context.trials for trial in order):
            return
        variants: list[Point] = []
        for point, of_point in zip(points, trials, strict=True):
            variants.append({**point, "settings": fixed, "role": "fixed"})
            best = choose_settings({trial.settings: context.trials[trial.cell_id] for trial in of_point})
            if best is not None:
                variants.append({**point, "settings": best, "role": "best"})
        yield from self._timings(variants, metrics, ":best")

    def _largest_batches(self, places: Sequence[Point]) -> Iterable[Cell]:
        """A search at each place, and timings at what finished searches found."""
        block, context = self._block, self._context
        limit = block.memory_limit_mib if context.device == "cpu" else None
        found: list[Point] = []
        for place in places if block.seeks_largest_batch else ():
            search = LargestBatchCell(cap=block.largest_batch_cap, memory_limit_mib=limit, **place, **self._common)
            yield search
            largest = context.largest_batches.get(search.cell_id, 0)
            if largest and "largest" in block.batch_sizes:
                found.append({**place, "batch_size": largest})
        if "throughput" in block.metrics:
            yield from self._timings(found, ("throughput",), ":largest")


def candidate_settings(fixed: Settings, wanted: Sequence[Precision], abilities: Abilities) -> tuple[Settings, ...]:
    """Every combination that the device can do, the same for every model; the fixed settings' precision joins in."""
    able = [precision for precision in wanted if precision in abilities.precisions]
    precisions = dict.fromkeys([fixed.precision, *able])
    switches = (False, True)
    compiled = switches if abilities.can_compile else (False,)
    return tuple(
        Settings(precision=precision, memory_format=memory_format, compile=compile_, fold=fold)
        for precision, memory_format, compile_, fold in product(
            precisions, ("contiguous", "channels_last"), compiled, switches
        )
    )


def choose_settings(results: Mapping[Settings, TrialResult]) -> Settings | None:
    """The settings with the most images per second, of equals the first; None if no trial gave a result.

    Where folding found nothing to fold, the same settings without it are meant.
    """
    if all(result.img_per_s == -math.inf for result in results.values()):
        return None
    best = max(results, key=lambda settings: results[settings].img_per_s)
    return best if results[best].has_folded else best.model_copy(update={"fold": False})
