"""Fixed and best settings of a speed block: equal trials for every model, then both timed in the same rounds.

Settings that suit one family would favour it: CNNs gain from channels_last and folding, ViTs from half precision.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from bench.suite.cell import Precision, Settings, SpeedCell, SpeedMetric
from bench.suite.spec import SpeedBlock, Suite
from bench.suite.speed_plan import Point, rounds
from bench.suite.world import Abilities, Surroundings, TrialResult


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


def fixed_and_best_cells(
    block: SpeedBlock, points: Sequence[Point], metrics: tuple[SpeedMetric, ...], suite: Suite, world: Surroundings
) -> Iterable[SpeedCell]:
    """The trials while any is unknown; with all of them known, also the timings under fixed and under best settings.

    Both are timed in the same rounds, so that their ratio is taken process by process. Points have a batch size.
    """
    candidates = candidate_settings(suite.settings, block.trial_precisions, world.abilities())
    trials = [[_trial(point, settings, world) for settings in candidates] for point in points]
    order = [trial for of_point in trials for trial in of_point]
    random.Random(f"{suite.name}:trials").shuffle(order)
    yield from order
    if any(trial.cell_id not in world.trials for trial in order):
        return
    variants: list[Point] = []
    for point, of_point in zip(points, trials, strict=True):
        variants.append({**point, "settings": suite.settings, "role": "fixed"})
        best = choose_settings({trial.settings: world.trials[trial.cell_id] for trial in of_point})
        if best is not None:
            variants.append({**point, "settings": best, "role": "best"})
    for repeat, variant in rounds(variants, block.processes, f"{suite.name}:best"):
        yield SpeedCell(metrics=metrics, repeat=repeat, device=world.device, **variant)


def _trial(point: Point, settings: Settings, world: Surroundings) -> SpeedCell:
    return SpeedCell(
        metrics=("throughput",),
        repeat=0,
        device=world.device,
        settings=settings,
        role="trial",
        **point,
    )
