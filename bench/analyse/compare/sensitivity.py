"""How the gap between a ViT and a CNN moves with one setting of the training at a time, on the validation part."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from bench.analyse.accuracies.pooling import Row, ids_of, kind_of, mean_of, pooled, seed_group
from bench.analyse.accuracies.subjects import RunKey, run_key
from bench.analyse.compare.differences import Difference
from bench.catalog.identity import ModelIdentity
from bench.store.correctness import Predictions
from bench.store.rows import Rows

Kind = tuple[str, ...]  # data fingerprint and classes
_FEWEST_KNOBS = 2  # that were turned; a learning rate alone is a sweep


class Setting(NamedTuple):
    """What a training could have been given otherwise. rate, weight_decay: times what was best for the model."""

    rate: float
    weight_decay: float
    augmentation: str
    batch_size: int
    budget_gflop: float


KNOBS = Setting._fields


@dataclass(frozen=True)
class Step:
    """The gap at one setting. epochs: that the first of the two models saw."""

    setting: Setting
    epochs: float
    gap: Difference
    cell_ids: tuple[str, ...]


@dataclass(frozen=True)
class Sensitivity:
    """First minus second around the setting that the sweep chose for both; each knob turned alone.

    knobs: name of a field of Setting -> the steps along it, the chosen one among them, in order of its values.
    """

    first: RunKey
    second: RunKey
    dataset: str
    chosen: Setting
    knobs: Mapping[str, tuple[Step, ...]]


def sensitivities(rows: Rows, identities: Mapping[str, ModelIdentity], predictions: Predictions) -> list[Sensitivity]:
    """Of every ViT and CNN of one size on one set that were trained, for validation, with several settings.

    The chosen setting has the augmentation, batch size and budget with the most trials of both, and of each model the
    rate and the weight decay with the most seeds there; of equals those with the best mean.
    """
    tried = [row for row in rows if row["scored_part"] == "validation"]
    pools: dict[tuple[str, int, Kind], dict[RunKey, dict[Setting, Rows]]] = defaultdict(lambda: defaultdict(dict))
    for (dataset, images, kind, key, setting), pool in pooled(tried, _place).items():
        pools[dataset, images, kind][key][setting] = pool
    found = []
    for (dataset, *_), by_model in pools.items():
        for first, second in itertools.product(by_model, by_model):
            one, other = identities[first.model], identities[second.model]
            if (one.family, other.family) == ("vit", "cnn") and one.size_class == other.size_class:
                chosen, steps = _steps(by_model[first], by_model[second], predictions)
                knobs = {name: along for at, name in enumerate(KNOBS) if len(along := _along(at, chosen, steps)) > 1}
                found.append(Sensitivity(first, second, dataset, chosen, knobs))
    return [one for one in found if len(one.knobs) >= _FEWEST_KNOBS]


def _place(row: Row) -> tuple[str, int, Kind, RunKey, Setting]:
    setting = Setting(
        rate=float(row["learning_rate"]),
        weight_decay=float(row["weight_decay"]),
        augmentation=str(row["augmentation"]),
        batch_size=int(row["batch_size"]),
        budget_gflop=float(row["budget_gflop"]),
    )
    return str(row["dataset"]), int(row["train_images"]), kind_of(row)[1:], run_key(row), setting


def _steps(
    first: Mapping[Setting, Rows], second: Mapping[Setting, Rows], predictions: Predictions
) -> tuple[Setting, list[Step]]:
    """The chosen setting, and the gap at every setting that both were trained with; in order of settings."""
    common = {_recipe(one) for one in first} & {_recipe(one) for one in second}
    trials = Counter(_recipe(one) for one in (*first, *second) if _recipe(one) in common)
    if not trials:
        return next(iter(first)), []
    recipe = max(trials, key=lambda one: (trials[one], one))
    bests = [_best(tried, recipe) for tried in (first, second)]
    ours, theirs = (
        {_relative(setting, best): pool for setting, pool in tried.items() if _is_multiple(setting, best)}
        for best, tried in zip(bests, (first, second), strict=True)
    )
    steps = []
    for setting in sorted(ours.keys() & theirs.keys()):
        groups = [seed_group(pool[setting], "validation_images", predictions) for pool in (ours, theirs)]
        seen = fmean(row["images_seen"] / row["train_images"] for row in ours[setting])
        steps.append(Step(setting, seen, Difference.of(*groups), (*ids_of(ours[setting]), *ids_of(theirs[setting]))))
    return _relative(bests[0], bests[0]), steps


def _relative(setting: Setting, best: Setting) -> Setting:
    """With the rate and the weight decay as multiples of the best ones, which differ between models."""
    decay = setting.weight_decay / best.weight_decay if best.weight_decay else 1.0
    return setting._replace(rate=_three_digits(setting.rate / best.rate), weight_decay=_three_digits(decay))


def _is_multiple(setting: Setting, best: Setting) -> bool:
    """Nothing but no weight decay is a multiple of none."""
    return best.weight_decay > 0 or setting.weight_decay == 0


def _three_digits(factor: float) -> float:
    return float(f"{factor:.3g}")


def _recipe(setting: Setting) -> tuple[str, int, float]:
    return setting.augmentation, setting.batch_size, setting.budget_gflop


def _best(tried: Mapping[Setting, Rows], recipe: tuple[str, int, float]) -> Setting:
    """With that recipe the rate and weight decay of the most seeds, of equals that of the best mean."""

    def merit(setting: Setting) -> tuple[int, float]:
        return len(tried[setting]), mean_of(tried[setting], "validation_top1_pct") or 0.0

    return max((setting for setting in tried if _recipe(setting) == recipe), key=merit)


def _along(at: int, chosen: Setting, steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps whose setting differs from the chosen one in nothing but this field; none without the chosen one."""
    rest = (*chosen[:at], *chosen[at + 1 :])
    along = [one for one in steps if (*one.setting[:at], *one.setting[at + 1 :]) == rest]
    return tuple(along) if any(one.setting == chosen for one in along) else ()
